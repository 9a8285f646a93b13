"""One file after the other: gone on with where it broke off, never longer than said, compared with the Hub's hash."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlparse

from .hub import RemoteFile, RemoteModel, client, refusal_of
from .refusal import Refused, amount

BLOCK = 1 << 20
# Attempts in a row in which not a byte came, and how long to wait before each: a minute in all.
WAITS = (1, 4, 10, 15, 30)
PART = ".part"


class Bounded:
    """A file that takes no more bytes than were said."""

    def __init__(self, file: BinaryIO, most: int):
        self._file = file
        self._most = most

    def write(self, chunk: bytes) -> int:
        if self._file.tell() + len(chunk) > self._most:
            raise Refused(f"the Hub sends more than the {amount(self._most)} that it said")
        return self._file.write(chunk)

    def __getattr__(self, name: str):
        return getattr(self._file, name)


def fetch(model: RemoteModel, name: str, folder: Path, token: str | None) -> str:
    """Fetch a file of the model into a folder and return its SHA-256.

    What a run before has left, whole or as ``name.part``, is used.

    Raises:
        Refused: the file is not the one that the Hub lists, or the connection is gone.
        OSError: the disk is full.
    """
    said, target, part = model.files[name], folder / name, folder / (name + PART)
    if said.sha256 is None and said.blob is None:
        raise Refused(f"the Hub says no hash of {name} of {model.id}, so it cannot be told what was fetched")
    if target.exists():
        target.replace(part)
    resumed = part.exists() and part.stat().st_size > 0
    _complete(model, name, part, token)
    sha256 = _matching(part, said)
    if sha256 is None and resumed:  # what lay there may have been of something else
        part.unlink()
        _complete(model, name, part, token)
        sha256 = _matching(part, said)
    if sha256 is None:
        part.unlink()
        raise Refused(
            f"{name} of {model.id} is not what the Hub lists: its hash differs, so it was damaged on the way or "
            "exchanged, and is not kept; try again"
        )
    part.replace(target)
    return sha256


def _complete(model: RemoteModel, name: str, part: Path, token: str | None) -> None:
    """Bring the partial file to its full length."""
    size, failures = model.files[name].size, 0
    part.touch()
    if part.stat().st_size > size:
        part.unlink()
        part.touch()
    while True:
        before = part.stat().st_size
        try:
            _go_on(model, name, part, token)
            return
        except Exception as problem:
            if isinstance(problem, Refused) or (isinstance(problem, OSError) and problem.errno):
                raise  # nothing that another attempt would mend
            status = getattr(getattr(problem, "response", None), "status_code", 500)
            failures = failures + 1 if part.stat().st_size == before else 1
            if failures > len(WAITS) or 400 <= status < 500:
                raise refusal_of(problem, model.id, model.commit, token) from None
        print(f"  the connection broke at {amount(part.stat().st_size)} of {amount(size)}; going on", flush=True)
        time.sleep(WAITS[failures - 1])


def _go_on(model: RemoteModel, name: str, part: Path, token: str | None) -> None:
    client()
    from huggingface_hub.file_download import get_hf_file_metadata, hf_hub_url, http_get
    from huggingface_hub.utils import build_hf_headers

    size, have = model.files[name].size, part.stat().st_size
    if have == size:
        return
    url = hf_hub_url(model.id, name, revision=model.commit)
    said = get_hf_file_metadata(url, token=token or False, timeout=60)
    if said.commit_hash != model.commit or said.size != size:
        raise Refused(f"the Hub gives another {name} of {model.id} than it lists; try again")
    headers = build_hf_headers(token=token or False)
    headers["Accept-Encoding"] = "identity"  # parts of a compressed file could not be put together
    if urlparse(said.location).netloc != urlparse(url).netloc:
        headers.pop("authorization", None)  # large files lie elsewhere, at an address that is signed
    with open(part, "r+b") as file:
        file.seek(have)
        http_get(said.location, Bounded(file, size), resume_size=have, headers=headers, expected_size=size)


def _matching(file: Path, said: RemoteFile) -> str | None:
    """The SHA-256 of a file, or None where it is not the one that the Hub lists."""
    sha256, git = hashlib.sha256(), hashlib.sha1(f"blob {said.size}\0".encode(), usedforsecurity=False)
    with open(file, "rb") as stream:
        while block := stream.read(BLOCK):
            sha256.update(block)
            if said.blob:
                git.update(block)
    right = sha256.hexdigest() == said.sha256 if said.sha256 else git.hexdigest() == said.blob
    return sha256.hexdigest() if right else None
