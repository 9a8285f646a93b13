"""Versions of what a result depends on."""

from __future__ import annotations

import platform
from importlib import metadata

from . import __version__

PACKAGES = ("torch", "transformers", "peft", "accelerate", "safetensors", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Package -> version; a package that is not installed is left out."""
    found = {"seqlm": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
