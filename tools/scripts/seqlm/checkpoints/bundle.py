"""Model bundles: the archives that carry a model from one Galaxy step to the next, and from one person to another.

A bundle is a plain Hugging Face folder in a zip, plus seqlm.json (see :mod:`seqlm.checkpoints.manifest`). Whoever
opens one treats it as hostile: only files of known names are unpacked (:mod:`seqlm.archives.unpacking`), each is
checked without torch, and the configurations that transformers and peft will read are written anew from the entries
that are understood.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.archives import strict_json
from seqlm.archives.entries import GIB, MIB, Limits
from seqlm.archives.piece_model import FILES as PIECE_FILES
from seqlm.archives.unpacking import emptied_on_failure, unpack
from seqlm.cli.errors import InputError
from seqlm.families.vocabulary import DNA_CONFIG

from . import config as model_config
from . import manifest as manifests
from . import tokenizer as tokenizer_files
from .adapter_config import check_adapter_config, ranks_agree
from .conformity import CONFORMITY, check_conformity
from .folder import SHARD, SINGLE, ModelFolder, read_model_folder
from .hub_cache import model_in
from .manifest import write_manifest
from .members import ADAPTER_WEIGHTS, HEAD, check_members, first_of
from .model_card import model_card
from .safetensors_header import elements, read_tensors

if TYPE_CHECKING:
    from seqlm.metrics.resampling import Score

__all__ = ["Bundle", "Limits", "model_card", "open_bundle", "read_bundle_folder", "write_bundle", "write_manifest"]

ADAPTER_CONFIG = "adapter_config.json"

# Every file that may be unpacked, and the most it may hold. A shard may be as large as a whole model.
LARGEST = {
    SINGLE: 64 * GIB,
    ADAPTER_WEIGHTS: 8 * GIB,
    HEAD: GIB,
    CONFORMITY: 16 * MIB,
    "config.json": MIB,
    ADAPTER_CONFIG: MIB,
    manifests.FILE: manifests.LARGEST,
    "generation_config.json": MIB,
    "model.safetensors.index.json": 16 * MIB,
    "tokenizer.json": 64 * MIB,
    "tokenizer_config.json": 16 * MIB,
    "special_tokens_map.json": 16 * MIB,
    "added_tokens.json": 16 * MIB,
    "vocab.json": 64 * MIB,
    "vocab.txt": 64 * MIB,
    "merges.txt": 64 * MIB,
    DNA_CONFIG: MIB,
    "README.md": 4 * MIB,
    "spiece.model": 16 * MIB,
    "tokenizer.model": 16 * MIB,
}
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz")
PICKLED_ADAPTER = "adapter_model.bin"
RESAVE_ADAPTER = (
    "pickled weights can run code and are never opened; where the adapter was made or is trusted, run "
    "model = PeftModel.from_pretrained(base_model, folder) and model.save_pretrained(new_folder, "
    "safe_serialization=True), and pack the new folder"
)
CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat")
METHODS = {"adapter": tuple(manifests.ADAPTERS), "head": ("head",), "full": ("full", "pretrain")}
CONTENT = {"adapter": "an adapter", "head": "a head only", "full": "a whole model"}
# Settings of text generation that are numbers; the rest of generation_config.json is for tools to decide.
GENERATION = (
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "do_sample", "max_length",
    "max_new_tokens", "num_beams", "repetition_penalty", "temperature", "top_k", "top_p", "transformers_version",
)  # fmt: skip


@dataclass(frozen=True)
class Bundle:
    """An opened archive, every file of it checked.

    Attributes:
        folder: where it was unpacked; only safe files lie there, ready for transformers and peft.
        kind: ``adapter`` (an adapter and a head on a base model), ``full`` (a whole fine-tuned model), ``head`` (a head
            on an untouched base model); without seqlm.json ``model`` (a Hugging Face folder) or ``peft`` (a LoRA
            adapter).
        manifest: seqlm.json, or None.
        model: the whole model of ``full`` and ``model``, otherwise None.
        adapter_config: adapter_config.json of ``adapter`` and ``peft``, otherwise None.
        ignored: names in the archive that were not unpacked.
    """

    folder: Path
    kind: str
    manifest: dict | None
    model: ModelFolder | None
    adapter_config: dict | None
    ignored: tuple[str, ...] = ()

    @property
    def needs_base_model(self) -> bool:
        return self.kind in ("adapter", "head", "peft")


def largest(name: str) -> int | None:
    """Bytes that a file of this name may have in a bundle; None for a name that no bundle has."""
    return LARGEST[SINGLE] if SHARD.fullmatch(name) else LARGEST.get(first_of(name))


def refusal(name: str) -> str | None:
    """Why a file must not be in an archive at all; None where it is harmless and only left alone."""
    ending = Path(name).suffix.lower()
    if ending in PICKLED:
        if Path(name).name == PICKLED_ADAPTER:
            return f"{RESAVE_ADAPTER}; if {ADAPTER_WEIGHTS} is in the archive too, just leave this file out"
        if Path(name).name == "pytorch_model.bin":
            return (
                "pickled weights can run code and are never opened; save them with "
                "save_pretrained(folder, safe_serialization=True) where the model was made, and pack the new folder"
            )
        return "a pickled file can run code and is never opened; pack the archive again without it"
    if ending in CODE:
        return "an archive may hold no code; pack it again without this file"
    return None


def open_bundle(path: Path | str, folder: Path | str, limits: Limits | None = None) -> Bundle:
    """Unpack and check an archive that nobody trusts: .zip, .tar or .tar.gz, told apart by content.

    Args:
        path: the archive.
        folder: an empty private folder. After any refusal it is empty again.
        limits: what the archive may cost.

    Raises:
        InputError: saying what the archive lacks, or holds and must not.
    """
    path, folder = Path(path), Path(folder)
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a model archive")
    if not path.is_file():
        raise InputError(f"the model archive {path} does not exist")
    with emptied_on_failure(folder):
        ignored = unpack(path, folder, largest, refusal, limits or Limits())
        return _inspect(folder, path.name, rewrite, ignored)


def read_bundle_folder(folder: Path | str) -> Bundle:
    """A bundle that its owner has unpacked, or the Hub's cache of it: checked as an archive is, and left as it is.

    Raises:
        InputError: as :func:`open_bundle`.
    """
    folder = Path(folder)
    return _inspect(model_in(folder, f"the folder {folder}"), f"the folder {folder.name}", _leave)


def write_bundle(folder: Path | str, target: Path | str) -> None:
    """Zip the files of ``folder`` so that equal content gives equal bytes, whatever the clock or the user says.

    The folder is inspected just as :func:`open_bundle` would; ``target`` appears only when it is complete.

    Raises:
        ValueError: the folder holds a file that no bundle may have.
        InputError: :func:`open_bundle` would refuse the result.
    """
    folder, target = Path(folder), Path(target)
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    for file in files:
        if not stat.S_ISREG(file.lstat().st_mode) or largest(file.name) is None:
            raise ValueError(f"{file.name} does not belong in a model bundle")
    _inspect(folder, "the new bundle", _leave)
    partial = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            for file in files:
                pack(archive, file)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def finish_bundle(folder: Path, manifest: dict, scores: dict[str, dict[str, Score]], target: Path) -> None:
    """What a training ends with: scores into the manifest, the model card beside it, and all of it into ``target``.

    Args:
        scores: split -> metric -> score.
    """
    manifest["metrics"] = {
        split: {name: score.rounded() for name, score in of_split.items()} for split, of_split in scores.items()
    }
    write_manifest(manifest, folder)
    (folder / "README.md").write_text(model_card(manifest), encoding="utf-8")
    write_bundle(folder, target)


def reopened(folder: Path, scratch: Path) -> Bundle:
    """The bundle that ``folder`` becomes, as whoever gets it will have it: packed, and unpacked into ``scratch``."""
    archive, unpacked = scratch / "bundle.zip", scratch / "read_back"
    unpacked.mkdir()
    write_bundle(folder, archive)
    bundle = open_bundle(archive, unpacked)
    archive.unlink()
    return bundle


def pack(archive: zipfile.ZipFile, file: Path) -> None:
    """Add a file so that equal content gives equal bytes."""
    entry = zipfile.ZipInfo(file.name, date_time=(1980, 1, 1, 0, 0, 0))  # the earliest that a zip can say
    entry.create_system = 3  # Unix, so that the mode below means the same everywhere
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.compress_type = zipfile.ZIP_STORED if file.suffix == ".safetensors" else zipfile.ZIP_DEFLATED
    entry.file_size = file.stat().st_size  # lets zipfile choose the 64-bit form by size alone
    with open(file, "rb") as source, archive.open(entry, "w") as packed:
        shutil.copyfileobj(source, packed, MIB)


def _leave(file: Path, content: dict) -> None:
    """Check only."""


def rewrite(file: Path, content: dict) -> None:
    file.write_bytes(strict_json.text_of(content))


def _inspect(
    folder: Path, archive: str, rewrite: Callable[[Path, dict], None], ignored: tuple[str, ...] = ()
) -> Bundle:
    """Check every file of a flat folder; ``rewrite`` gets each configuration file with its clean content."""
    held = {file.name for file in folder.iterdir()}
    manifest = None
    if manifests.FILE in held:
        manifest = manifests.read_manifest(folder / manifests.FILE, f"{manifests.FILE} in {archive}")
    kind = _kind(held, manifest, archive)

    model = adapter_config = None
    if kind in ("adapter", "peft"):
        adapter_config = _inspect_adapter(folder, archive, rewrite, manifest["method"] if manifest else "lora")
    if kind in ("full", "model"):
        model = read_model_folder(folder, archive)
    if "config.json" in held:
        raw = model.config if model else strict_json.read_object(folder / "config.json", f"config.json in {archive}")
        parameters = model.parameters if model else None
        config = model_config.check_config(raw, parameters, f"config.json in {archive}")
        rewrite(folder / "config.json", config)
        if model:
            model = ModelFolder(folder, config, model.weights, model.tensors)
    if manifest:
        _inspect_manifest(manifest, kind, held, folder, archive)
        check_conformity(manifest, held, folder, archive)
    check_members(manifest, kind, held, folder, archive)
    check_tokenizer_files(folder, held, archive, rewrite)
    return Bundle(folder, kind, manifest, model, adapter_config, ignored)


def _kind(held: set[str], manifest: dict | None, archive: str) -> str:
    weights = SINGLE in held or any(SHARD.fullmatch(name) for name in held)
    if weights and ADAPTER_WEIGHTS in held:
        raise InputError(f"{archive} holds both a whole model and an adapter; pack one of them")
    if ADAPTER_WEIGHTS in held or ADAPTER_CONFIG in held:
        for needed in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            if needed not in held:
                if needed == ADAPTER_WEIGHTS and PICKLED_ADAPTER in held:
                    raise InputError(f"{archive} holds its adapter as {PICKLED_ADAPTER}: {RESAVE_ADAPTER}")
                raise InputError(f"{archive} holds an adapter without its {needed}; pack the whole folder")
        return "adapter" if manifest else "peft"
    if weights or "config.json" in held:
        return "full" if manifest else "model"
    if manifest and HEAD in held:
        return "head"
    named = ", ".join(sorted(held)[:5])
    raise InputError(
        f"{archive} holds no model: config.json with {SINGLE}, or {ADAPTER_CONFIG} with {ADAPTER_WEIGHTS}, was expected"
        + (f"; it holds {named}" if held else "")
    )


def _inspect_adapter(folder: Path, archive: str, rewrite, method: str) -> dict:
    where = f"{ADAPTER_CONFIG} in {archive}"
    config = check_adapter_config(strict_json.read_object(folder / ADAPTER_CONFIG, where), where)
    if config["peft_type"] != manifests.ADAPTERS.get(method, config["peft_type"]):
        raise InputError(
            f"{where} describes an adapter of type {config['peft_type']}; it must be of type "
            f"{manifests.ADAPTERS[method]}"
        )
    tensors = read_tensors(folder / ADAPTER_WEIGHTS, f"{ADAPTER_WEIGHTS} in {archive}")
    ranks_agree(config, {tensor: shape for tensor, (_, shape) in tensors.items()}, archive)
    rewrite(folder / ADAPTER_CONFIG, config)
    return config


def _inspect_manifest(manifest: dict, kind: str, held: set[str], folder: Path, archive: str) -> None:
    if manifest["method"] not in METHODS[kind]:
        raise InputError(
            f"{manifests.FILE} in {archive} says that the model was made with the method {manifest['method']}, but the "
            f"archive holds {CONTENT[kind]}"
        )
    if kind in ("adapter", "head") and not manifest.get("base_model"):
        raise InputError(f"{manifests.FILE} in {archive} does not say which base model the {kind} belongs to")
    head = manifest.get("head")
    if bool(head) != (HEAD in held):
        raise InputError(
            f"{archive} is incomplete: {HEAD} and the entry 'head' of {manifests.FILE} must be there together"
        )
    if head:
        inputs, outputs, hidden = head["inputs"], head["outputs"], head["hidden"]
        needed = inputs * hidden + hidden * outputs if hidden else inputs * outputs
        found = elements(read_tensors(folder / HEAD, f"{HEAD} in {archive}"))
        if found < needed:
            raise InputError(
                f"{HEAD} in {archive} holds {found:,} numbers; a head of {inputs} inputs and {outputs} outputs needs "
                f"at least {needed:,}"
            )


def check_tokenizer_files(folder: Path, held: set[str], archive: str, rewrite, installed: bool = False) -> None:
    """Check the tokenizer files of a folder.

    Args:
        installed: the folder is that of a model from which ``copy_tokenizer`` will take them, without the name of code.
    """
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if name in held:
            where = f"{name} in {archive}"
            content = strict_json.read_object(folder / name, where)
            if installed:
                content.pop("auto_map", None)
            rewrite(folder / name, tokenizer_files.check_tokenizer_config(content, where))
    if DNA_CONFIG in held:
        content = strict_json.read_object(folder / DNA_CONFIG, f"{DNA_CONFIG} in {archive}")
        rewrite(folder / DNA_CONFIG, tokenizer_files.check_dna_config(content))
    if "tokenizer.json" in held:
        content = tokenizer_files.check_tokenizer(folder / "tokenizer.json", f"tokenizer.json in {archive}")
        if content:
            rewrite(folder / "tokenizer.json", content)
    for name in ("vocab.json", "added_tokens.json"):
        if name in held:
            where = f"{name} in {archive}"
            tokenizer_files.check_vocabulary(strict_json.read_object(folder / name, where), where)
    for name in PIECE_FILES:
        if name in held:
            tokenizer_files.check_pieces(folder / name, f"{name} in {archive}")
    for name in ("vocab.txt", "merges.txt"):
        if name in held:
            _check_text(folder / name, f"{name} in {archive}")
    if "generation_config.json" in held:
        content = strict_json.read_object(folder / "generation_config.json", f"generation_config.json in {archive}")
        plain = {key: content[key] for key in GENERATION if isinstance(content.get(key), (int, float, bool, list))}
        rewrite(folder / "generation_config.json", plain)


def _check_text(file: Path, where: str) -> None:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise InputError(f"{where} is not UTF-8 text (byte {problem.start})") from None
