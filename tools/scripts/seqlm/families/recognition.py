"""Which family a model is of, told from its config.json and vocabulary, never from its name."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import seqlm.families as package
from seqlm.cli.errors import InputError

from .family import Family
from .nucleotide_transformer import BIASES
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
    if folds(config):
        raise InputError(
            f"the model in {folder.name} predicts structures; take it to 'Predict structures of proteins', and here a "
            "language model such as ESM-2, which is a part of it"
        )
    known = families()
    if fitting := [family for family in known if family.fits(config)]:
        if not any(family.own_architecture or family.of_its_authors for family in fitting):
            _refuse_code(fitting[0], folder, config)
        vocabulary = read_vocabulary(folder)
        family = next(one for one in fitting if one.reads(vocabulary))
        if not family.own_architecture:
            _refuse_code(family, folder, config)
        found = family(config, vocabulary, alphabet)
        found.tell(prefix)
        return found
    raise InputError(
        f"models of type '{model_type}' are not supported; "
        f"supported are {', '.join(sorted({name for family in known for name in family.model_types}))}"
    )


def with_type(config: dict) -> dict:
    """A config.json with the type of the model, where nothing but the code that it names would tell it.

    That of the second Nucleotide Transformers says none, and what is said of its feed-forward part is said by no other.
    """
    return {"model_type": "esm", **config} if BIASES in config else config


def folds(config: dict) -> bool:
    """Whether a config.json is that of a model that predicts structures; ESMFold says to be an ESM."""
    return config.get("model_type") == "esmfold2" or bool(config.get("is_folding_model"))


def code_named(config: dict) -> str:
    """The first class of Python code that a config.json names for a model (``AutoModel``, ``AutoModelForMaskedLM``,
    …); empty where it names none."""
    named = config.get("auto_map")
    classes = [code for kind, code in named.items() if kind.startswith("AutoModel")] if isinstance(named, dict) else []
    return next((str(code)[:60] for code in classes if code), "")


def _refuse_code(family: type[Family], folder: Path, config: dict) -> None:
    """Such a model may well load as its type says, and give other numbers than its authors'.

    That its tensors fit proves nothing: GENA-LM's BERT has those of a BERT, and puts its layer norms elsewhere. So a
    class of transformers takes the place of the code only where it is of the same authors, and config.json says
    nothing that it does not read. That every tensor fits is seen when the weights are loaded.

    Raises:
        InputError: a model that is code.
    """
    code = code_named(config)
    strange = sorted(key for key, value in config.items() if key not in family.of_its_authors and value is not None)
    if code and strange:
        reason = f": its '{strange[0][:40]}' is no entry of that type" if family.of_its_authors else ""
        raise InputError(
            f"the model in {folder.name} is code of its authors ({code}), which is never run; it says to be of type "
            f"'{config.get('model_type')}', but may compute something else{reason}"
        )
