"""Which family a model is of, told from its config.json and vocabulary, never from its name."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import seqlm.families as package
from seqlm.cli.errors import InputError

from .family import Family
from .vocabulary import read_vocabulary


def families() -> list[type[Family]]:
    """Every family there is, by module name."""
    found = []
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        members = vars(importlib.import_module(f"{package.__name__}.{module}")).values()
        found += [
            member
            for member in members
            if isinstance(member, type)
            and issubclass(member, Family)
            and member is not Family
            and member.__module__ == f"{package.__name__}.{module}"
        ]
    return found


def recognise(folder: Path, config: dict, alphabet: str = "auto", prefix: str = "auto") -> Family:
    """The family of a model folder, told from its config.json and vocabulary, never from its name.

    Args:
        prefix: what tells the model what follows, see :meth:`seqlm.families.family.Family.tell`.

    Raises:
        InputError: an architecture for which there is no family, or one that differs from what its type says.
    """
    model_type = config.get("model_type")
    known = families()
    for family in known:
        if family.fits(config):
            # such a model may well load as its type says, and give other numbers than its authors'
            code = (config.get("auto_map") or {}).get("AutoModel")
            if code and not family.own_architecture:
                raise InputError(
                    f"the model in {folder.name} is computed by code of its own ({str(code)[:60]}), which is never "
                    f"run; it says to be of type '{model_type}', but may differ from it"
                )
            vocabulary = read_vocabulary(folder)
            family = next(one for one in known if one.fits(config) and one.reads(vocabulary))
            found = family(config, vocabulary, alphabet)
            found.tell(prefix)
            return found
    raise InputError(
        f"models of type '{model_type}' are not supported; "
        f"supported are {', '.join(sorted({name for family in known for name in family.model_types}))}"
    )
