"""Models as the Hugging Face Hub's client keeps them: ``models--owner--name/snapshots/<commit>``.

Rows of Galaxy's table of models may name such a folder, or the cache in which it lies, instead of the model's own. The
files of a snapshot are links into ``blobs/`` beside it and are read as they are::

    hub/                                   the cache
      models--facebook--esm2_t6_8M_UR50D/
        blobs/3f2a…                        contents, by hash
        refs/main                          a commit
        snapshots/<commit>/config.json     a link to ../../blobs/3f2a…
"""

from __future__ import annotations

from pathlib import Path

from seqlm.cli.errors import InputError

# What tells a folder with a model, an adapter or a bundle from a cache.
_OF_A_MODEL = ("config.json", "adapter_config.json", "seqlm.json")
_SHOWN = 5


def model_in(path: Path, name: str) -> Path:
    """The folder with the files of the model: ``path`` itself, but for a cache the snapshot that it holds.

    The snapshot is that of ``refs/main``, or the only one.

    Args:
        path: a folder.
        name: what messages call it.

    Raises:
        InputError: the cache holds no snapshot, or several of which none is the one to take.
    """
    if any((path / file).is_file() for file in _OF_A_MODEL):
        return path
    if not (path / "snapshots").is_dir():
        models = _models(path) or _models(path / "hub")
        if not models:
            return path
        if len(models) > 1:
            raise InputError(
                f"{name} is a cache of {len(models)} models ({_listed(models)}); the row of the table of models must "
                "name the folder of one of them"
            )
        path = models[0]
    return _snapshot(path, name)


def _models(path: Path) -> list[Path]:
    return sorted(folder for folder in path.glob("models--*") if (folder / "snapshots").is_dir())


def _snapshot(path: Path, name: str) -> Path:
    found = sorted(folder for folder in (path / "snapshots").iterdir() if folder.is_dir())
    main = path / "refs" / "main"
    if main.is_file():
        commit = main.read_text(errors="replace").strip()
        chosen = [folder for folder in found if folder.name == commit]
        if chosen:
            return chosen[0]
    if not found:
        raise InputError(f"{name} is a cache without a snapshot of the model, so it was not fetched completely")
    if len(found) > 1:
        raise InputError(
            f"{name} is a cache with {len(found)} snapshots ({_listed(found)}), and its refs/main names none of them; "
            "the row of the table of models must name the folder of one"
        )
    return found[0]


def _listed(folders: list[Path]) -> str:
    return ", ".join(folder.name for folder in folders[:_SHOWN]) + (", …" if len(folders) > _SHOWN else "")
