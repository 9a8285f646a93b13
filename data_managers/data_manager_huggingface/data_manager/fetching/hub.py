"""What the Hub says of a model, before anything is fetched."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from .refusal import Refused, quoted

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MOST_FILES = 100_000
TOKEN_HELP = (
    "accept the terms on the model's page with an account, and give a token of it: in Galaxy a credential at the head "
    "of the form, or HF_TOKEN in the environment of the job; from a shell the variable HF_TOKEN"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file of the repository.

    Attributes:
        size: bytes.
        sha256: of its content, of files that are kept in large file storage.
        blob: git's SHA-1 of the others.
    """

    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class RemoteModel:
    """A model as the Hub lists it.

    Attributes:
        id: ``owner/name``, as the Hub writes it.
        commit: what the revision stands for.
        files: by name; those in folders, and those with names that no model needs, are left out.
        licence: of its card, empty if it says none.
        licence_name: what the card adds to the licence ``other``.
        gated: whether its author grants access to accounts.
        pipeline_tag: as the Hub has it.
    """

    id: str
    commit: str
    files: dict[str, RemoteFile] = field(repr=False)
    licence: str
    licence_name: str
    gated: bool
    pipeline_tag: str | None


def client():
    """The Hub's client, told to keep quiet about what it does; nothing of it is imported before."""
    os.environ.update(
        HF_HUB_OFFLINE="0",  # the image of the tools switches the Hub off
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_VERBOSITY="error",  # its warnings hold signed addresses
    )
    import huggingface_hub

    return huggingface_hub


def checked_id(model: str) -> str:
    """The id, if it is one.

    Raises:
        Refused: it is not, or could name another folder.
    """
    if not ID.fullmatch(model) or ".." in model or "--" in model:  # the Hub allows neither
        raise Refused(f"{quoted(model)} is no id of a model such as facebook/esm2_t6_8M_UR50D")
    return model


def ask(model: str, revision: str | None, token: str | None) -> RemoteModel:
    """What the Hub says of a model.

    Args:
        revision: a branch, tag or commit; by default the newest.

    Raises:
        Refused: there is no such model or revision, it is closed to this token, or the Hub does not answer.
    """
    checked_id(model)
    if revision and (not REVISION.fullmatch(revision) or ".." in revision):
        raise Refused(f"{quoted(revision)} is no revision: a branch, a tag or a commit")
    hub = client()
    try:
        info = hub.HfApi().model_info(model, revision=revision, files_metadata=True, token=token or False, timeout=60)
    except Exception as problem:
        raise refusal_of(problem, model, revision, token) from None
    if not COMMIT.fullmatch(info.sha or ""):
        raise Refused(f"the Hub names no commit for {model}, so what would be fetched could not be named again")
    card = info.card_data
    licence = _one(getattr(card, "license", None)) or _tag(info.tags, "license:")
    return RemoteModel(
        id=checked_id(info.id),
        commit=info.sha,
        files=_files(info.siblings or [], model),
        licence=licence,
        licence_name=_one(getattr(card, "license_name", None)),
        gated=bool(info.gated),
        pipeline_tag=info.pipeline_tag,
    )


def _files(siblings: list, model: str) -> dict[str, RemoteFile]:
    if len(siblings) > MOST_FILES:
        raise Refused(f"{model} has {len(siblings):,} files; at most {MOST_FILES:,} are looked through")
    files = {}
    for each in siblings:
        if "/" in each.rfilename or not isinstance(each.size, int) or each.size < 0:
            continue
        sha256 = each.lfs.sha256 if each.lfs else None
        files[each.rfilename] = RemoteFile(
            each.size,
            sha256 if sha256 and SHA256.fullmatch(sha256) else None,
            each.blob_id if each.blob_id and not each.lfs and COMMIT.fullmatch(each.blob_id) else None,
        )
    return files


def _one(value: object) -> str:
    """A licence; some cards have a list of them."""
    several = value if isinstance(value, list) else [value]
    return ", ".join(str(each)[:200] for each in several if each)


def _tag(tags: list[str] | None, start: str) -> str:
    return next((tag.removeprefix(start) for tag in tags or [] if tag.startswith(start)), "")


def refusal_of(problem: Exception, model: str, revision: str | None, token: str | None) -> Refused:
    """What went wrong, in a line that holds neither an address nor a token."""
    errors = client().errors
    if isinstance(problem, Refused):
        return problem
    if isinstance(problem, errors.GatedRepoError):
        return Refused(f"{model} is gated and closed to {'this token' if token else 'everybody'}; {TOKEN_HELP}")
    if isinstance(problem, errors.RevisionNotFoundError):
        return Refused(f"{model} has no revision {quoted(revision)}")
    if isinstance(problem, errors.RepositoryNotFoundError):
        return Refused(f"the Hub has no model {model}, or it is not public; then {TOKEN_HELP}")
    if isinstance(problem, errors.HfHubHTTPError):
        status = problem.response.status_code
        if status in (401, 403):
            return Refused(f"the Hub does not accept the token for {model} (status {status}); {TOKEN_HELP}")
        return Refused(f"the Hub answers with status {status} for {model}; try again later")
    return Refused(f"the Hub cannot be reached ({type(problem).__name__}); this machine needs a way to huggingface.co")
