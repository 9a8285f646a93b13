"""The model that a tool was given: a Hugging Face folder, an archive of one, a bundle, an adapter with its base model.

Checked without torch.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from seqlm.cli.errors import InputError

from .bundle import ADAPTER_CONFIG, Bundle, open_bundle, read_bundle_folder
from .folder import ModelFolder, read_model_folder
from .hub_cache import model_in
from .manifest import FILE as MANIFEST


def open_model(arguments: Namespace, scratch: Path) -> tuple[Bundle | None, ModelFolder]:
    """What ``--model`` is, None for a plain Hugging Face folder, and the folder with the weights of the whole model.

    Raises:
        InputError: an archive that is refused, a base model that is missing, not needed, or not the right one.
    """
    path = Path(arguments.model)
    if path.is_dir():
        path = model_in(path, f"the model folder {path}")
    if path.is_dir() and not any((path / name).is_file() for name in (ADAPTER_CONFIG, MANIFEST)):
        _no_base(arguments, "a whole model")
        return None, read_model_folder(path)
    (scratch / "model").mkdir()
    bundle = read_bundle_folder(path) if path.is_dir() else open_bundle(path, scratch / "model")
    if not bundle.needs_base_model:
        _no_base(arguments, "all weights")
        return bundle, bundle.model
    wanted = (bundle.manifest or {}).get("base_model") or {}
    name = wanted.get("id") or bundle.adapter_config.get("base_model_name_or_path") or "of its author"
    if not arguments.base_model:
        raise InputError(f"{path.name} holds an adapter or a head only; give its base model too, {name}")
    base = open_base_model(arguments.base_model, scratch / "base")
    if wanted and base.sha256 != wanted["sha256"]:
        raise InputError(
            f"{path.name} was trained on another base model, {name}: the SHA-256 of its weights starts with "
            f"{wanted['sha256'][:12]}, that of the model given with {base.sha256[:12]}"
        )
    return bundle, base


def _no_base(arguments: Namespace, what: str) -> None:
    if arguments.base_model:
        raise InputError(f"{Path(arguments.model).name} holds {what}; leave the base model empty (--base-model)")


def open_base_model(path: str, scratch: Path) -> ModelFolder:
    """A base model from a Hugging Face folder or a bundle that holds whole weights.

    Raises:
        InputError: a bundle that holds an adapter only.
    """
    if Path(path).is_dir():
        return read_model_folder(path)
    scratch.mkdir()
    bundle = open_bundle(path, scratch)
    if bundle.model is None:
        raise InputError(
            f"{Path(path).name} holds only an adapter or a head, not a whole model; start from its base model, "
            "or from a bundle made with the method 'full'"
        )
    return bundle.model
