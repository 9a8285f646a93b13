"""What a stranger might send: each is refused in one line, quickly, before torch is loaded, and leaves nothing behind.

Three kinds, in the order of the file: outputs that would take what is not theirs, archives of models that are no such
thing or more than that, and tables and sequences that are neither. All are harmless: they are for the guards of this
project, and none is a way into other software. What is typed into forms is in ``tests/cli/test_commands.py``, and each
guard is looked at closely beside its room, as in ``tests/archives``; here every tool has to be behind them all.
"""

import gzip
import io
import json
import os
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from makers.formats import as_fastq, as_parquet, as_uniprot_xml
from makers.forms import TOOLS
from makers.scripts import DATA, one_line, run_script

SECONDS = 60  # that a refusal may take on a machine with much else to do
MEMORY = 150  # MiB that it may take beyond what Python and the libraries have

# What each tool is asked for where nothing is wrong. An attack takes the place of one of these.
USUAL = {
    "classify": {
        "--embeddings": DATA / "embeddings_before.tsv",
        "--labels": DATA / "embedding_labels.tsv",
        "--output-predictions": "p.tsv",
    },
    "dataset": {"--sequences": DATA / "sites_train.fasta", "--split": "stratified", "--output-train": "train.fasta"},
    "embed": {
        "--model": DATA / "models" / "tiny-esm",
        "--sequences": DATA / "sites_test.fasta",
        "--output-table": "e.tsv",
    },
    "evaluate": {"--predictions": DATA / "predicted_sites_weak.tsv", "--output-table": "t.tsv"},
    "explain": {
        "--model": DATA / "bundle_full_bert.zip",
        "--sequences": DATA / "stability.csv",
        "--output-table": "p.tsv",
    },
    "finetune": {
        "--model": DATA / "models" / "tiny-esm",
        "--train": DATA / "sites_train.fasta",
        "--output-model": "m.zip",
    },
    "fold": {
        "--model": DATA / "models" / "tiny-esmfold",
        "--sequences": DATA / "beginnings.fasta",
        "--output-table": "t.tsv",
    },
    "generate": {
        "--model": DATA / "models" / "tiny-llama",
        "--prompts": DATA / "beginnings.fasta",
        "--output-fasta": "written.fasta",
    },
    "plot": {"--embeddings": DATA / "embeddings_before.tsv", "--output-table": "p.tsv"},
    "predict": {
        "--model": DATA / "bundle_full_bert.zip",
        "--sequences": DATA / "stability.csv",
        "--output-table": "p.tsv",
    },
    "pretrain": {
        "--model": DATA / "models" / "tiny-llama",
        "--corpus": DATA / "protein_family.fasta",
        "--output-model": "m.zip",
    },
    "score": {
        "--model": DATA / "models" / "tiny-esm-mlm",
        "--sequences": DATA / "wild_type.fasta",
        "--output-table": "s.tsv",
    },
    "tokenizer": {
        "--inspect": "",
        "--model": DATA / "models" / "tiny-esm",
        "--sequences": DATA / "sites_test.fasta",
        "--output-table": "t.tsv",
    },
}


@pytest.fixture(scope="module", autouse=True)
def ready(tmp_path_factory):
    """Libraries are loaded before anything is timed."""
    assert run_script(tmp_path_factory.mktemp("first"), "embed", "--version", without=("torch",)).returncode == 0


def refused(folder, tool, message="", **instead):
    """Run a tool in an empty folder with some options in place of the usual ones; it must refuse in one line."""
    work = folder / "work"
    work.mkdir()
    options = USUAL[tool] | {f"--{name}": value for name, value in instead.items()}
    words = [name if value == "" else f"{name}={value}" for name, value in options.items()]
    start = time.monotonic()
    done = run_script(work, tool, *words, without=("torch",), seconds=2 * SECONDS)
    one_line(done, message, work)
    assert time.monotonic() - start < SECONDS
    assert done.memory < MEMORY
    return done


# Outputs ----------------------------------------------------------------------------------------------------------

TARGETS = {
    "a folder that is in use": ("figures", "home", "is not empty, and what is in it is left alone"),
    "a file in place of a folder": ("figures", "home/thesis.txt", "is a file, where a folder is needed"),
    "a folder in place of a file": ("main", "home", "is a folder, where a file is needed"),
    "a link": ("main", "link", "is a link, and what it leads to is left alone"),
    "a device": ("main", "/dev/zero", "is a device, pipe or socket"),
    "a pipe": ("main", "pipe", "is a device, pipe or socket"),
    "an input": ("main", "input", "would replace the file that"),
    "an input under another name": ("main", "home/../input", "would replace the file that"),
    "a folder that is not there": ("main", "none/x", "there is no folder"),
    "a file as a folder": ("main", "home/thesis.txt/x", "there is no folder"),
    "a name that is too long": ("main", "x" * 300, "File name too long"),
}


OF_TOOLS = [(tool, name) for tool in TOOLS for name in TARGETS if (tool, TARGETS[name][0]) != ("predict", "figures")]


@pytest.mark.parametrize(("tool", "attack"), OF_TOOLS)
def test_an_output_takes_nothing_that_is_not_its_own(tmp_path, tool, attack):
    which, place, message = TARGETS[attack]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to("home/thesis.txt")
    os.mkfifo(tmp_path / "pipe")
    source = next(name for name, value in USUAL[tool].items() if isinstance(value, Path) and value.is_file())
    (tmp_path / "input").write_bytes(USUAL[tool][source].read_bytes())
    main = next(name for name in USUAL[tool] if name.startswith("--output-"))
    option = "output-figures" if which == "figures" else main[2:]
    refused(tmp_path, tool, message, **{option: tmp_path / place, source[2:]: tmp_path / "input"})
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "link").is_symlink() and (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "input").read_bytes() == USUAL[tool][source].read_bytes()


# Archives ---------------------------------------------------------------------------------------------------------


def member(name, kind=0o100644):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, kind << 16
    return entry


def tensors(header, data=b""):
    """A safetensors file with any header."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

# members that are added to a good archive, or take the place of its own; None: left out
MEMBERS = {
    "a name that leads out": {"../evil.json": b"{}"},
    "a name that leads out further in": {"a/../../evil.json": b"{}"},
    "an absolute name": {"/etc/cron.d/job": b"* * * * *"},
    "a name with a drive": {"C:/evil.json": b"{}"},
    "a name with a backslash": {"..\\evil.json": b"{}"},
    "a name with a line end": {"vocab\n.txt": b"x"},
    "a name that turns letters round": {"model\u202enosj.exe": b"x"},
    "a name of 600 letters": {"a" * 600: b"x"},
    "a file in another case": {"CONFIG.json": b"{}"},
    "a link": {member("notes.txt", 0o120777): b"/etc/passwd"},
    "a device": {member("notes.txt", 0o020666): b""},
    "a pipe": {member("notes.txt", 0o010666): b""},
    "code": {"modeling_bert.py": b"print(1)"},
    "code in a folder": {"code/run.sh": b"true"},
    "a library": {"lib.so": b"\x7fELF"},
    "a pickle": {"data.pkl": b"\x80\x04N."},
    "pickled settings": {"training_args.bin": b"\x80\x04N."},
    "a joblib": {"scaler.joblib": b"x"},
    "128 MB of nothing": {"vocab.txt": bytes(1 << 27)},
    "a hundred files": {f"notes/{number}.txt": b"" for number in range(100)},
    "no configuration": {"config.json": None},
    "no weights": {"model.safetensors": None},
    "weights cut off": {"model.safetensors": tensors({"x": F32}, b"1234")},
    "weights without a header": {"model.safetensors": b"1234"},
    "weights with a header of 2^60 bytes": {"model.safetensors": struct.pack("<Q", 1 << 60) + b"{}"},
    "weights with a header that is no JSON": {"model.safetensors": tensors(b"not json")},
    "weights that overlap": {"model.safetensors": tensors({"x": F32, "y": F32}, bytes(8))},
    "weights beyond the end": {"model.safetensors": tensors({"x": F32 | {"data_offsets": [0, 1 << 40]}}, bytes(8))},
    "weights with a hole": {"model.safetensors": tensors({"x": F32 | {"data_offsets": [8, 16]}}, bytes(16))},
    "weights of negative shape": {"model.safetensors": tensors({"x": F32 | {"shape": [-2]}}, bytes(8))},
    "weights of another shape": {"model.safetensors": tensors({"x": F32 | {"shape": [3]}}, bytes(8))},
    "weights of a shape that overflows": {"model.safetensors": tensors({"x": F32 | {"shape": [1 << 62, 4]}}, bytes(8))},
    "weights of an unknown kind": {"model.safetensors": tensors({"x": F32 | {"dtype": "F31"}}, bytes(8))},
}
# what stands in place of an archive
FILES = {
    "nothing": lambda good: b"",
    "a text": lambda good: b"hello\n",
    "a page": lambda good: b"<!DOCTYPE html><html><body>404</body></html>",
    "a picture": lambda good: b"\x89PNG\r\n\x1a\n" + bytes(64),
    "a pickle of torch": lambda good: zipped({"archive/data.pkl": b"\x80\x02N.", "archive/version": b"3"}),
    "the first half": lambda good: good[: len(good) // 2],
    "all but the end": lambda good: good[:-30],
    "all but the beginning": lambda good: good[100:],
    "a member changed": lambda good: good[:2000] + bytes([good[2000] ^ 255]) + good[2001:],
    "an archive in an archive": lambda good: zipped({"model.zip": good}),
    "a password": lambda good: with_password(good),
    "an empty archive": lambda good: zipped({}),
    "half a gzip": lambda good: gzip.compress(tarred({"config.json": b"{}"}))[:-20],
    "a tar that leads out": lambda good: tarred(contents(good) | {"../evil.json": b"{}"}),
    "a tar with a link": lambda good: tarred(contents(good) | {"notes.txt": tarfile.SYMTYPE}),
    "a tar with a hard link": lambda good: tarred(contents(good) | {"notes.txt": tarfile.LNKTYPE}),
    "a tar with a device": lambda good: tarred(contents(good) | {"notes.txt": tarfile.CHRTYPE}),
}
# texts in place of a JSON file
JSON = {
    "nothing": b"",
    "no JSON": b"{'a': 1}",
    "no UTF-8": b'{"model_type": "\xff\xfe"}',
    "UTF-16": '{"model_type": "bert"}'.encode("utf-16"),
    "a list": b"[]",
    "a text": b'"bert"',
    "null": b"null",
    "an empty object": b"{}",
    "100,000 levels": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "three million lists": b'{"a": [' + b"[]," * 3_000_000 + b"[]]}",
    "a key twice": b'{"model_type": "bert", "model_type": "esm"}',
    "NaN": b'{"model_type": "bert", "dropout": NaN}',
    "Infinity": b'{"model_type": "bert", "dropout": -Infinity}',
    "1e999": b'{"model_type": "bert", "dropout": 1e999}',
    "a number of 10,000 digits": b'{"model_type": "bert", "width": ' + b"9" * 10_000 + b"}",
}
# entries of config.json
CONFIG = {
    "an unknown model": {"model_type": "../../evil"},
    "code of its own": {"model_type": "custom", "auto_map": {"AutoModel": "modeling.Model"}},
    "no width": {"hidden_size": 0},
    "a negative width": {"hidden_size": -64},
    "a broken width": {"hidden_size": 64.5},
    "a width in words": {"hidden_size": "64"},
    "a huge width": {"hidden_size": 1 << 40},
    "a billion layers": {"num_hidden_layers": 1_000_000_000},
    "a huge vocabulary": {"vocab_size": 1 << 40},
    "a list of layers": {"num_hidden_layers": [1]},
}


def contents(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as given:
        return {name: given.read(name) for name in given.namelist()}


def zipped(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return made.getvalue()


def tarred(files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes) and len(content) > 1:
                entry.size = len(content)
            else:
                entry.type, entry.linkname, content = content, "/etc/passwd", b""
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def with_password(good):
    locked = bytearray(good)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + flags] |= 1
    return bytes(locked)


BUNDLE = (DATA / "bundle_full_bert.zip").read_bytes()
ATTACKS = {name: lambda files=files: zipped(contents(BUNDLE) | files) for name, files in MEMBERS.items()}
ATTACKS |= {f"{name} in place of it": lambda make=make: make(BUNDLE) for name, make in FILES.items()}
ATTACKS |= {
    f"{name} as {file}": lambda text=text, file=file: zipped(contents(BUNDLE) | {file: text})
    for file in ("config.json", "seqlm.json")
    for name, text in JSON.items()
}
ATTACKS |= {
    name: lambda changed=changed: zipped(
        (files := contents(BUNDLE)) | {"config.json": json.dumps(json.loads(files["config.json"]) | changed).encode()}
    )
    for name, changed in CONFIG.items()
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_bundle_is_what_it_says_or_is_refused(tmp_path, attack):
    (tmp_path / "bundle").write_bytes(ATTACKS[attack]())
    refused(tmp_path, "predict", model=tmp_path / "bundle")


# every other way in of an archive: what it may hold differs, the reader is one
WAYS_IN = {
    "an embedding model": ("embed", "model"),
    "a model to fine-tune": ("finetune", "model"),
    "a model that writes": ("generate", "model"),
    "a model that scores": ("score", "model"),
    "a model that folds": ("fold", "model"),
    "a model to go on with": ("pretrain", "model"),
    "a tokenizer to look at": ("tokenizer", "model"),
    "a classifier": ("classify", "model"),
    "a training to go on with": ("pretrain", "resume"),
}
COMMON = (
    "a name that leads out", "a link", "a device", "128 MB of nothing", "a page in place of it",
    "the first half in place of it", "a password in place of it", "a tar that leads out in place of it",
)  # fmt: skip


@pytest.mark.parametrize("attack", COMMON)
@pytest.mark.parametrize("way", WAYS_IN)
def test_every_archive_goes_through_the_same_gate(tmp_path, way, attack):
    tool, option = WAYS_IN[way]
    (tmp_path / "archive").write_bytes(ATTACKS[attack]())
    refused(tmp_path, tool, "archive", **{option: tmp_path / "archive"})


# Tables and sequences ---------------------------------------------------------------------------------------------

TEXTS = {
    "nothing": b"",
    "blank lines": b"\n\n \n",
    "zeros": bytes(10_000),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8,
    "a zip": zipped({"a.fasta": b">a\nMKT\n"}),
    "a page": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body></body></html>\n",
    "half a gzip": gzip.compress(b">a LABEL=1\nMKTAYIAKQR\n" * 2_000)[:-20],
    "a gzip of a gzip": gzip.compress(gzip.compress(b">a LABEL=1\nMKTAYIAKQR\n" * 20)),
    "UTF-16": ">a LABEL=1\nMKTAYIAKQR\n".encode("utf-16"),
    "no UTF-8": b"id\tsequence\tlabel\n\xff\xfe\tMKTAYIAKQR\tx\n",
    "a header alone": b"id\tsequence\tlabel\n",
    "a column twice": b"id\tsequence\tsequence\tlabel\tlabel\nx\tMKTAYIAKQR\tMKTAYIAKQR\ta\tb\n",
    "rows of other lengths": b"id\tsequence\tlabel\na\tMKTAYIAKQR\tx\nb\nc\tMKTAYIAKQR\tx\ty\tz\n",
    "sequences without names": b"MKTAYIAKQR\nMKTAYIAKQR\n>a\nMKT\n",
    "a name without a sequence": b">a LABEL=1\n>b LABEL=2\n",
    "reads cut short": as_fastq({"a LABEL=1": "MKTAYIAKQR" * 9}).encode()[:-20],
    "XML that declares entities": as_uniprot_xml({"P1": "&a;"})
    .replace("<uni", '<!DOCTYPE u [<!ENTITY a "MKT">]>\n<uni', 1)
    .encode(),
    "half of an XML": as_uniprot_xml({"P1": "MKTAYIAKQR"}).encode()[:500],
    "half of a parquet file": as_parquet({"id": ["a", "b"], "sequence": ["MKTAYIAKQR"] * 2, "label": [0, 1]})[:-200],
    "a shell in a sequence": b">a LABEL=1\nMKTAYIAKQR;rm\n>b LABEL=2\nMKTAYIAKQR$(id)\n",
}
READS = {
    "classify": "embeddings", "dataset": "sequences", "embed": "sequences", "evaluate": "predictions",
    "explain": "sequences", "finetune": "train", "fold": "sequences", "plot": "embeddings", "predict": "sequences",
    "pretrain": "corpus",
    "score": "sequences", "tokenizer": "sequences",
}  # fmt: skip


@pytest.mark.parametrize("attack", TEXTS)
@pytest.mark.parametrize("tool", READS)
def test_a_table_or_sequences_are_read_or_refused(tmp_path, tool, attack):
    (tmp_path / "given").write_bytes(TEXTS[attack])
    refused(tmp_path, tool, "given" if tool != "pretrain" else "", **{READS[tool]: tmp_path / "given"})
