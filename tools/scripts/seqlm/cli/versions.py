"""Versions of what a result depends on."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata

from seqlm import __version__

TRAINING = ("torch", "transformers", "peft", "accelerate", "safetensors", "numpy", "scikit-learn")


def versions(packages: Iterable[str] = TRAINING) -> dict[str, str]:
    """Package -> version; a package that is not installed is left out."""
    found = {"seqlm": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def in_one_line(found: dict[str, str]) -> str:
    """For a report."""
    return ", ".join(f"{name} {version}" for name, version in found.items())
