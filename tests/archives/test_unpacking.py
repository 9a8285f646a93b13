"""Hostile and damaged archives: each is refused with a reason, and nothing is written anywhere."""

import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import pytest

from makers.bundles import adapter_bundle, opened, refused, snapshot, tarred, zipped
from makers.scripts import SCRIPTS
from seqlm.checkpoints.bundle import Limits, open_bundle
from seqlm.cli.errors import InputError

GOOD = adapter_bundle()


@pytest.mark.parametrize("make", [zipped, tarred, lambda path, files: tarred(path, files, "w:gz")])
def test_zip_tar_and_tar_gz_are_told_apart_by_content(tmp_path, make):
    bundle = opened(make(tmp_path / "dataset_1.dat", GOOD))
    assert bundle.kind == "adapter"
    assert (bundle.folder / "head.safetensors").read_bytes() == GOOD["head.safetensors"]


def test_one_folder_around_everything_is_stripped(tmp_path):
    files = {"my_model/" + name: content for name, content in GOOD.items()}
    bundle = opened(zipped(tmp_path / "a.zip", files | {"__MACOSX/my_model/._seqlm.json": b"x"}))
    assert bundle.kind == "adapter"
    assert bundle.ignored == ("__MACOSX/my_model/._seqlm.json",)


def test_unknown_harmless_files_are_left_in_the_archive_and_listed(tmp_path):
    bundle = opened(
        zipped(tmp_path / "a.zip", GOOD | {"LICENSE": b"MIT", "onnx/model.onnx": b"x", "chat.jinja": b"{{"})
    )
    assert bundle.ignored == ("LICENSE", "chat.jinja", "onnx/model.onnx")
    assert sorted(file.name for file in bundle.folder.iterdir()) == sorted(GOOD)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.json", "leads out of the archive"),
        ("a/../../seqlm.json", "leads out of the archive"),
        ("/etc/cron.d/job", "absolute path"),
        ("C:/windows/evil.json", "absolute path"),
        ("..\\evil.json", "backslash"),
        ("tokenizer\n.json", "control characters"),
        ("model\u202enosj.json", "control characters"),
        ("a" * 600, "600 characters"),
    ],
)
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path, name, reason):
    assert reason in refused(zipped(tmp_path / "a.zip", GOOD | {name: b"x"}))
    assert reason in refused(tarred(tmp_path / "a.tar", GOOD | {name: b"x"}))


def test_a_name_cut_by_nul_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", GOOD | {"vocab.json?.py": b"{}"})
    archive.write_bytes(archive.read_bytes().replace(b"vocab.json?.py", b"vocab.json\0.py"))
    assert "control characters" in refused(archive)


@pytest.mark.parametrize("name", ["seqlm.json", "SEQLM.json", "./seqlm.json"])
def test_a_file_packed_twice_is_refused(tmp_path, name):
    with pytest.warns(UserWarning, match="Duplicate") if name == "seqlm.json" else _nothing():
        archive = zipped(tmp_path / "a.zip", GOOD)
        with zipfile.ZipFile(archive, "a") as more:
            more.writestr(name, b"{}")
    assert "twice" in refused(archive)


@pytest.mark.parametrize(
    "name", ["code.py", "training_args.bin", "deep/er/model.PKL", "run.sh", "lib.so", "scaler.joblib"]
)
def test_code_and_pickles_are_refused_by_name(tmp_path, name):
    message = refused(zipped(tmp_path / "a.zip", GOOD | {name: b"x"}))
    assert name in message
    assert "code" in message


def test_a_pickled_adapter_is_refused_with_the_way_out(tmp_path):
    files = {name: content for name, content in GOOD.items() if name != "adapter_model.safetensors"}
    assert "safe_serialization=True" in refused(zipped(tmp_path / "a.zip", files | {"adapter_model.bin": b"x"}))


@pytest.mark.parametrize("form", [0o120777, 0o020666, 0o010666, 0o140777])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, form):
    link = zipfile.ZipInfo("vocab.txt")
    link.create_system, link.external_attr = 3, form << 16
    assert "link or a device" in refused(zipped(tmp_path / "a.zip", GOOD | {link: b"/etc/passwd"}))


@pytest.mark.parametrize("form", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, form):
    link = tarfile.TarInfo("vocab.txt")
    link.type, link.linkname = form, "/etc/passwd"
    assert "link or a device" in refused(tarred(tmp_path / "a.tar", GOOD | {link: b""}))


def test_a_sparse_file_in_a_tar_is_refused(tmp_path):
    sparse = tarfile.TarInfo("vocab.txt")
    sparse.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.map": "0,1", "GNU.sparse.size": "1000"}
    assert "link or a device" in refused(tarred(tmp_path / "a.tar", GOOD | {sparse: b"x"}))


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", GOOD)
    content = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    archive.write_bytes(content)
    assert "without a password" in refused(archive)


def test_an_unusual_compression_is_refused(tmp_path):
    assert "unusual" in refused(zipped(tmp_path / "a.zip", GOOD, zipfile.ZIP_BZIP2))


def test_too_many_files_are_refused(tmp_path):
    many = GOOD | {f"notes_{number}.txt": b"" for number in range(64)}
    assert "limit is 64" in refused(zipped(tmp_path / "a.zip", many))
    assert "more than 64" in refused(tarred(tmp_path / "a.tar", many))


def test_a_zip_bomb_is_refused_by_its_ratio(tmp_path):
    bomb = GOOD | {"tokenizer.json": b" " * (20 << 20)}
    assert "zip bomb" in refused(zipped(tmp_path / "a.zip", bomb))
    assert "archive bomb" in refused(tarred(tmp_path / "a.tgz", bomb | {"notes": bytes(60 << 20)}, "w:gz"))


def test_the_total_is_limited(tmp_path):
    limits = Limits(total=1000)
    assert "the limit is 1,000" in refused(zipped(tmp_path / "a.zip", GOOD), limits=limits)
    assert "more than 1,000" in refused(tarred(tmp_path / "a.tar", GOOD), limits=limits)


def test_a_file_over_its_own_limit_is_refused(tmp_path):
    huge = GOOD | {"seqlm.json": os.urandom(1 << 20) + b"x"}
    assert "the limit for such a file is 1,048,576" in refused(zipped(tmp_path / "a.zip", huge))


def test_overlapping_files_are_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name, content in GOOD.items():
            made.writestr(name, content)
        made.writestr("vocab.txt", b"A\n")
        made.writestr("merges.txt", b"A\n")
        made.filelist[-1].header_offset = made.filelist[-2].header_offset
    assert "damaged" in refused(archive)  # the two lists of names disagree
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("vocab.txt", b"A\n" * 100)
        made.writestr("merges.txt", b"A\n")
        made.filelist[0].compress_size += 40
    assert "overlap" in refused(archive)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_larger_than_declared_is_refused(tmp_path, compression):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", compression) as made:
        made.writestr("vocab.txt", b"ACDEFGHIKL" * 100)
        made.filelist[0].file_size = 500
        made.filelist[0].CRC = zlib.crc32(b"ACDEFGHIKL" * 50)
    assert "larger than the archive declares" in refused(archive)


def test_a_wrong_checksum_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", GOOD, zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"A model card", b"A model CARD", 1))
    assert "checksum" in refused(archive)
    archive = tarred(tmp_path / "a.tgz", GOOD, "w:gz")
    content = bytearray(archive.read_bytes())
    content[-8:-4] = b"\0\0\0\0"
    archive.write_bytes(content)
    assert "CRC check failed" in refused(archive)


def test_a_header_that_announces_gigabytes_is_refused_before_it_is_read(tmp_path):
    comment = tarfile.TarInfo("comment")
    comment.type, comment.size = tarfile.XHDTYPE, 3 << 30
    (tmp_path / "a.tar").write_bytes(comment.tobuf(tarfile.USTAR_FORMAT) + bytes(20_000))
    assert "archive bomb" in refused(tmp_path / "a.tar")
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 1 << 24, 30, 0)
    (tmp_path / "a.zip").write_bytes(b"PK\3\4" + bytes(1 << 24) + bytes(26) + end)
    assert "announces more than it can hold" in refused(tmp_path / "a.zip")


@pytest.mark.parametrize("size", [-512, -(1 << 60)])
def test_a_negative_size_in_a_tar_is_refused(tmp_path, size):
    header = bytearray(tarfile.TarInfo("config.json").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:512]))
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(10240))
    assert "damaged" in refused(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "an empty file"),
        (b">sp|P1\nMKT\n", "FASTA"),
        (b'{"a": 1}', "JSON"),
        (b"<!DOCTYPE html>", "a page of a web site, HTML or XML, and not the file that the page is about"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
            "a pointer of Git LFS, which stands for",
        ),
        (b"\x80\x04\x95", "a pickled Python object"),
        (b"id\tlabel\n", "text"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (GOOD["head.safetensors"], "a single safetensors file"),
        (bytes(range(256)), "unknown binary data"),
    ],
)
def test_what_is_no_archive_is_called_what_it_looks_like(tmp_path, content, name):
    (tmp_path / "a.zip").write_bytes(content)
    assert name in refused(tmp_path / "a.zip")


def test_a_gzipped_fasta_is_named(tmp_path):
    import gzip

    (tmp_path / "a.gz").write_bytes(gzip.compress(b">a\nMKT\n"))
    assert "FASTA compressed with gzip" in refused(tmp_path / "a.gz")


def test_a_missing_archive_and_a_folder_are_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="does not exist"):
        open_bundle(tmp_path / "none.zip", tmp_path / "folder")
    with pytest.raises(InputError, match="is a folder"):
        open_bundle(tmp_path, tmp_path / "folder")


def test_a_folder_that_is_not_empty_is_never_unpacked_into(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    archive = zipped(tmp_path / "a.zip", GOOD)
    with pytest.raises(ValueError, match="must be empty"):
        open_bundle(archive, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_full_disk_is_reported_as_such_and_leaves_nothing(tmp_path, monkeypatch):
    import seqlm.archives.unpacking

    def full(*arguments):
        raise OSError(28, "No space left on device")

    archive = zipped(tmp_path / "a.zip", GOOD)
    (tmp_path / "unpacked").mkdir()
    before = snapshot(tmp_path)
    monkeypatch.setattr(seqlm.archives.unpacking.os, "open", full)
    with pytest.raises(OSError, match="No space left"):
        open_bundle(archive, tmp_path / "unpacked")
    assert snapshot(tmp_path) == before


def test_refusals_come_without_torch(tmp_path):
    archive = zipped(tmp_path / "a.zip", GOOD | {"code.py": b""})
    (tmp_path / "unpacked").mkdir()
    check = (
        "import sys; from seqlm.checkpoints.bundle import open_bundle; from seqlm.cli.errors import InputError\n"
        f"try: open_bundle({str(archive)!r}, {str(tmp_path / 'unpacked')!r})\n"
        "except InputError: print('refused')\n"
        "print(*({'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)}
    )
    assert out.stdout.split() == ["refused"], out.stderr


@pytest.mark.parametrize("suffix", ["zip", "tar", "tgz"])
def test_truncated_and_flipped_archives_are_refused_or_open_but_never_crash(tmp_path, suffix):
    make = {"zip": zipped, "tar": tarred, "tgz": lambda path, files: tarred(path, files, "w:gz")}[suffix]
    archive = make(tmp_path / f"a.{suffix}", GOOD)
    whole = archive.read_bytes()
    folder = tmp_path / "unpacked"
    generator = random.Random(7)
    for round_ in range(150):
        content = bytearray(whole)
        if round_ % 3 == 0:
            content = content[: generator.randrange(len(whole.rstrip(b"\0")))]  # a tar ends in zeros
        else:
            for _ in range(round_ % 4 + 1):
                content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        archive.write_bytes(content)
        folder.mkdir()
        try:
            open_bundle(archive, folder)
        except InputError:
            assert not list(folder.iterdir())
            folder.rmdir()
        else:
            assert round_ % 3, "a truncated archive was taken for a whole one"
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


def test_every_truncation_of_a_tar_is_noticed(tmp_path):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as made:
        for name, content in GOOD.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    end = whole.getvalue().rstrip(b"\0")
    blocks = -(-len(end) // 512)
    for kept in range(1, blocks):
        (tmp_path / "a.tar").write_bytes(whole.getvalue()[: kept * 512])
        refused(tmp_path / "a.tar")


def _nothing():
    import contextlib

    return contextlib.nullcontext()
