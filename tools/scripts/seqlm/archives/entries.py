"""List what an archive claims to hold, without unpacking it: zip, tar and tar.gz, told apart by content."""

from __future__ import annotations

import errno
import gzip
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seqlm.cli.errors import InputError

MIB = 1 << 20
GIB = 1 << 30
LARGEST_READ = 4 * MIB  # zipfile and tarfile read what a header announces in one piece; an honest one is far smaller


@dataclass(frozen=True)
class Limits:
    """What an archive may cost.

    Attributes:
        total: bytes of everything unpacked together.
        files: entries in the archive, folders and ignored ones included.
        text_ratio: how many times smaller than its content a JSON, text or tokenizer file may be.
        weights_ratio: the same for safetensors; trained weights hardly shrink at all.
        unchecked: content up to this many bytes may have any ratio; it can do no harm.
    """

    total: int = 64 * GIB
    files: int = 64
    text_ratio: int = 200
    weights_ratio: int = 20
    unchecked: int = MIB


@dataclass(frozen=True)
class Entry:
    """One file that an archive claims to hold: ``packed`` bytes (None in a tar) that become ``size``."""

    name: str
    size: int
    packed: int | None
    chunks: Callable[[], Iterator[bytes]]


def clean_name(name: str, archive: str) -> str:
    """The entry's path with forward slashes and no ``.`` parts; anything that could leave the folder is refused."""
    shown = ascii(name[:100])[1:-1]
    if not name or not name.isprintable():
        raise InputError(f"{archive} holds the file name '{shown}', which is empty or has control characters")
    if "\\" in name:
        raise InputError(f"{archive} holds the file name '{shown}' with a backslash")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise InputError(f"{archive} holds the absolute path '{shown}'; pack the files by name only")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InputError(f"{archive} holds the path '{shown}', which leads out of the archive")
    if len(name) > 500:
        raise InputError(f"{archive} holds a file name of {len(name)} characters")
    return "/".join(parts)


# -- telling archives apart ----------------------------------------------------------------------------------------


@contextmanager
def listed(stream: BinaryIO, path: Path, limits: Limits):
    start = stream.read(512)
    stream.seek(0)
    if start.startswith(b"PK\x03\x04"):
        yield _zip_entries(stream, path.name, limits)
    elif start.startswith(b"\x1f\x8b"):
        packed = path.stat().st_size
        source = _Bounded(gzip.GzipFile(fileobj=stream), min(limits.total, limits.text_ratio * packed) + 16 * MIB)
        inside = source.read(512)
        if not _is_tar(inside):
            raise InputError(
                f"{path.name} is no model archive but {looks_like(inside)} compressed with gzip; "
                "give a .zip, .tar or .tar.gz that holds the model's files"
            )
        source.seek(0)
        yield _tar_entries(source, path.name, limits)
    elif _is_tar(start):
        yield _tar_entries(_Bounded(stream, limits.total + 16 * MIB), path.name, limits)
    else:
        raise InputError(
            f"{path.name} is no model archive but looks like {looks_like(start)}; "
            "give a .zip, .tar or .tar.gz that holds the model's files"
        )


def _is_tar(start: bytes) -> bool:
    if len(start) < 512:
        return False
    return start[257:262] == b"ustar" or (start[:8] != bytes(8) and _tar_checksum_holds(start))


def _tar_checksum_holds(block: bytes) -> bool:
    """Archives older than POSIX have no magic word, only the sum of the header with its own field as spaces."""
    try:
        return int(block[148:156].strip(b" \0") or b"x", 8) == sum(block[:148]) + 256 + sum(block[156:])
    except ValueError:
        return False


def looks_like(start: bytes) -> str:
    """What a file is that should be another, by its first bytes."""
    known = {
        b"version https://git-lfs": "a pointer of Git LFS, which stands for a file that was not fetched (git lfs pull)",
        b"PK\x05\x06": "an empty zip archive",
        b"7z\xbc\xaf": "a 7-Zip archive",
        b"Rar!": "a RAR archive",
        b"BZh": "a bzip2 file",
        b"\xfd7zXZ": "an xz file",
        b"(\xb5/\xfd": "a Zstandard file",
        b"\x89HDF": "an HDF5 file",
        b"GGUF": "a GGUF model",
        b"\x80\x02": "a pickled Python object",
        b"\x80\x04": "a pickled Python object",
        b"\x80\x05": "a pickled Python object",
        b"%PDF": "a PDF document",
        b">": "FASTA",
    }
    for magic, what in known.items():
        if start.startswith(magic):
            return what
    if not start:
        return "an empty file"
    if start[8:9] == b"{":
        return "a single safetensors file"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return "JSON"
    if text[:1] == b"<":
        return "a page of a web site, HTML or XML, and not the file that the page is about"
    return "text" if start.isascii() and b"\0" not in start else "unknown binary data"


@contextmanager
def damage_named(path: Path):
    """zipfile, tarfile, gzip and zlib between them raise a dozen kinds of exception for a damaged file."""
    try:
        yield
    except InputError:
        raise
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the disk, not the archive
        if problem.errno in (None, errno.EINVAL):  # gzip's complaints have no number; a position before the start
            raise InputError(f"{path.name} is a damaged archive ({problem}); upload it again") from None
        raise InputError(f"{path.name} cannot be read: {problem.strerror}") from None
    except (
        zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, struct.error,
        EOFError, ValueError, ArithmeticError, LookupError, RuntimeError,
    ) as problem:  # fmt: skip
        raise InputError(f"{path.name} is a damaged archive ({problem}); upload it again") from None


# -- zip -----------------------------------------------------------------------------------------------------------


def _zip_entries(stream: BinaryIO, archive: str, limits: Limits) -> list[Entry]:
    """List a zip by its central directory; the bytes are then read by :func:`_inflated`, not by zipfile."""
    # The bound also stops a central directory of millions of entries before it is in memory.
    held = zipfile.ZipFile(_Bounded(stream, os.fstat(stream.fileno()).st_size))
    members = held.infolist()
    if len(members) > limits.files:
        raise InputError(f"{archive} holds {len(members)} files; the limit is {limits.files}")
    entries, spans = [], []
    for member in members:
        name = member.orig_filename
        _check_zip_member(member, archive)
        start = _zip_data_start(stream, member)
        spans.append((member.header_offset, start + member.compress_size))
        if not name.endswith("/"):
            chunks = _chunks_of(stream, member, start)
            entries.append(Entry(name, member.file_size, member.compress_size, chunks))
        else:
            clean_name(name, archive)
    spans.sort()
    if any(end > following for (_, end), (following, _) in zip(spans, [*spans[1:], (held.start_dir, 0)], strict=True)):
        raise InputError(f"{archive} is a zip whose files overlap, as in a zip bomb")
    return entries


def _check_zip_member(member: zipfile.ZipInfo, archive: str) -> None:
    name = member.orig_filename[:100]
    if member.flag_bits & 0x41:
        raise InputError(f"{name!r} in {archive} is encrypted; pack it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{name!r} in {archive} is compressed in an unusual way; pack it as a plain zip")
    form = stat.S_IFMT(member.external_attr >> 16)
    if form not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{name!r} in {archive} is a link or a device; pack the file itself")


def _zip_data_start(stream: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where the member's bytes begin, which only its own header says; it must agree with the central directory."""
    stream.seek(member.header_offset)
    header = struct.unpack("<4s5H3L2H", stream.read(30))
    signature, flags, method, name_length, extra_length = header[0], header[2], header[3], header[9], header[10]
    name = stream.read(name_length)
    agrees = name in (member.orig_filename.encode(coding, "replace") for coding in ("utf-8", "cp437"))
    if signature != b"PK\x03\x04" or not agrees or method != member.compress_type or flags & 0x41:
        raise zipfile.BadZipFile("its two lists of files disagree")
    return member.header_offset + 30 + name_length + extra_length


def _chunks_of(stream: BinaryIO, member: zipfile.ZipInfo, start: int) -> Callable[[], Iterator[bytes]]:
    return lambda: _inflated(stream, start, member)


def _inflated(stream: BinaryIO, start: int, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The member's content in chunks of at most 1 MiB, its length and CRC checked at the end."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if member.compress_type == zipfile.ZIP_DEFLATED else None
    stream.seek(start)
    left, crc, produced = member.compress_size, 0, 0
    packed = b""
    while left or packed:
        if not packed:
            packed = stream.read(min(left, MIB))
            if not packed:
                raise EOFError("it ends too early")
            left -= len(packed)
        if inflater:
            chunk = inflater.decompress(packed, MIB)
            packed = inflater.unconsumed_tail
            if inflater.eof and (left or packed or inflater.unused_data):
                raise zipfile.BadZipFile("bytes follow the end of a compressed file")
        else:
            chunk, packed = packed, b""
        crc, produced = zlib.crc32(chunk, crc), produced + len(chunk)
        yield chunk
    if inflater and not inflater.eof:
        # zlib may still hold output back when the input is used up to the last byte
        while chunk := inflater.decompress(b"", MIB):
            crc, produced = zlib.crc32(chunk, crc), produced + len(chunk)
            yield chunk
        if not inflater.eof:
            raise EOFError("a compressed file ends too early")
    if crc != member.CRC or produced != member.file_size:
        raise zipfile.BadZipFile("the checksum of a file is wrong")


# -- tar -----------------------------------------------------------------------------------------------------------


def _tar_entries(source: _Bounded, archive: str, limits: Limits) -> list[Entry]:
    # Every header is read before anything is unpacked: a tar.gz is therefore decompressed twice.
    held = tarfile.TarFile(fileobj=source, mode="r", errorlevel=2)
    entries = []
    end = total = 0
    for count, member in enumerate(held, start=1):
        total += member.size
        if count > limits.files:
            raise InputError(f"{archive} holds more than {limits.files} files")
        if member.size < 0:
            raise ValueError("a file of negative size")
        if total > limits.total:
            raise InputError(f"{archive} would unpack to more than {limits.total:,} bytes")
        plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.sparse
        if not plain and not member.isdir():
            raise InputError(f"{member.name[:100]!r} in {archive} is a link or a device; pack the file itself")
        end = member.offset_data + -(-member.size // 512) * 512 * plain
        if plain:
            entries.append(Entry(member.name, member.size, None, _tar_chunks_of(held, member)))
        else:
            clean_name(member.name, archive)
    _check_tar_end(source, end)
    return entries


def _check_tar_end(source: _Bounded, end: int) -> None:
    """tarfile takes a damaged header, and a file that just stops, for the end of the archive; the zeros tell."""
    source.seek(end)
    if source.read(512) != bytes(512):
        raise EOFError("it ends too early")
    padding = 0
    while rest := source.read(64 * 1024):  # up to the end, where gzip compares its own checksum
        padding += len(rest)
        if padding > 16 * MIB or rest.strip(b"\0"):
            raise ValueError("something follows the end of the archive")


def _tar_chunks_of(held: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        with held.extractfile(member) as content:
            while chunk := content.read(MIB):
                yield chunk

    return chunks


class _Bounded:
    """A file that cannot be read past ``end``, nor in one piece larger than ``LARGEST_READ``.

    Seeking in a gzip file decompresses up to there, so the bound holds for seeking too.
    """

    def __init__(self, stream: BinaryIO | gzip.GzipFile, end: int):
        self._stream, self._end = stream, end
        self.tell, self.seekable = stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._stream.tell()
        size = left if size < 0 else size  # how zipfile reads the tail of a file
        if size > min(left, LARGEST_READ):
            raise ValueError("it announces more than it can hold, as an archive bomb does")
        return self._stream.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        if whence == 0 and position > self._end:
            raise ValueError("it announces more than it can hold, as an archive bomb does")
        return self._stream.seek(position, whence)
