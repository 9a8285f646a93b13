"""A model as the client of the Hugging Face Hub keeps it: contents by hash, and links to them."""

from __future__ import annotations

import hashlib
from pathlib import Path


def cached(model: Path, cache: Path, *, name: str = "me/mine", commit: str = "a" * 40, main: bool = True) -> Path:
    """Put the files of a model folder into a cache and return the folder of the model in it.

    Args:
        commit: the snapshot's.
        main: whether refs/main names it.
    """
    folder = cache / ("models--" + name.replace("/", "--"))
    snapshot = folder / "snapshots" / commit
    for made in (folder / "blobs", folder / "refs", snapshot):
        made.mkdir(parents=True, exist_ok=True)
    for file in filter(Path.is_file, model.iterdir()):
        content = file.read_bytes()
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / file.name).symlink_to(f"../../blobs/{blob.name}")
    if main:
        (folder / "refs" / "main").write_text(commit)
    return folder
