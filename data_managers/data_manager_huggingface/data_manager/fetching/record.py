"""What was fetched, in ``fetched.json`` beside the model: where from, on what terms, and the SHA-256 of each file."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from .hub import RemoteModel
from .refusal import Refused

FILE = "fetched.json"


def write_record(folder: Path, model: RemoteModel, hashes: dict[str, str], made: dict[str, str], terms: str) -> None:
    """Write the record.

    Args:
        hashes: SHA-256 of each file that was fetched.
        made: new file -> the pickled one from which it was made, which is gone.
        terms: a licence that does not allow commercial use, or empty.
    """
    files = {}
    for file in sorted(folder.iterdir()):
        if file.name in (FILE, ".lock"):
            continue
        files[file.name] = {"size": file.stat().st_size, "sha256": hashes.get(file.name) or sha256_of(file)}
        if file.name in made:
            old = made[file.name]
            files[file.name]["converted_from"] = {"name": old, "sha256": hashes[old]}
        else:
            said = model.files[file.name]
            files[file.name]["hub"] = {"sha256": said.sha256} if said.sha256 else {"git_blob_sha1": said.blob}
    content = {
        "id": model.id,
        "commit": model.commit,
        "fetched": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "licence": model.licence or None,
        "licence_name": model.licence_name or None,
        "non_commercial": bool(terms),
        "gated": model.gated,
        "pipeline_tag_of_the_hub": model.pipeline_tag,
        "files": files,
    }
    (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def check_record(folder: Path) -> None:
    """Whether the files of a model that is there are still those that were fetched.

    Raises:
        Refused: the record or a file is missing, or has changed.
    """
    try:
        record = json.loads((folder / FILE).read_text(encoding="utf-8"))
        wanted = {name: said["sha256"] for name, said in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Refused(f"{folder} is there, but not with what this program writes; move it away first") from None
    for name, sha256 in wanted.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise Refused(f"{folder} is there, but its {name} is not what was fetched; move the folder away first")


def sha256_of(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
