"""What a vocabulary holds, read from whichever tokenizer file a model has, without loading a tokenizer."""

from __future__ import annotations

import json
import re
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.archives.piece_model import FILES as PIECE_FILES
from seqlm.archives.piece_model import read_pieces
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN, TEXT

# what stands for a place or a purpose, and for no part of any sequence
SPECIAL = re.compile(r"\[(PAD|UNK|CLS|SEP|MASK|BOS|EOS|unused\d+)\]|<.*>")

AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWY")

UNSTRUCTURED = "#"  # where a structure, or a residue of one, is not known, in SaProt's vocabulary


def reads_structures(vocabulary: dict[str, int]) -> bool:
    """Whether tokens are a residue and a 3Di state each, as SaProt's are."""
    return all(letter + state in vocabulary for letter in AMINO_ACIDS for state in ("d", UNSTRUCTURED))


def refuse_code(folder: Path, name: str) -> None:
    """Refuse a tokenizer that is Python code: without a tokenizer.json, nothing else says how it splits a sequence.

    Args:
        name: what messages call the model.
    """
    path = folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() or not path.is_file():
        return
    named = strict_json.read_object(path, f"tokenizer_config.json of {name}").get("auto_map")
    code = named.get("AutoTokenizer") if isinstance(named, dict) else named
    if code := next((one for one in (code if isinstance(code, list) else [code]) if one), None):
        raise InputError(
            f"the tokenizer of {name} is code of its authors ({str(code)[:60]}), which is never run, and no "
            "tokenizer.json says how it splits sequences; choose another model"
        )


def read_vocabulary(folder: Path) -> dict[str, int]:
    """Token -> id from whichever tokenizer file the folder has, without loading a tokenizer.

    Raises:
        InputError: a tokenizer that is damaged, missing, or code.
    """
    refuse_code(folder, f"the model in {folder.name}")
    try:
        if (folder / "tokenizer.json").is_file():
            content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            vocabulary = content["model"]["vocab"]
            if isinstance(vocabulary, list):  # a unigram model: pieces with their scores, the place is the id
                vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
            added = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
            return {**vocabulary, **added}
        if (folder / "vocab.json").is_file():
            return dict(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
        if (folder / "vocab.txt").is_file():
            lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
            return {token: number for number, token in enumerate(lines) if token}
        for name in PIECE_FILES:
            if (folder / name).is_file():
                return {**read_pieces(folder / name, f"{name} in {folder.name}").vocabulary, **_added(folder)}
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError) as problem:
        raise InputError(f"the tokenizer of the model in {folder.name} cannot be read ({problem})") from None
    raise InputError(
        f"the model folder {folder.name} has no tokenizer (tokenizer.json, vocab.txt, vocab.json or spiece.model)"
    )


def _added(folder: Path) -> dict[str, int]:
    """Tokens that were added to a SentencePiece model after it was made, as ProstT5's prefixes and 3Di states were."""
    added = {}
    if (folder / "tokenizer_config.json").is_file():
        listed = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        entries = (listed.get("added_tokens_decoder") or {}).items()
        added = {token["content"]: int(number) for number, token in entries}
    if (folder / "added_tokens.json").is_file():
        added |= json.loads((folder / "added_tokens.json").read_text(encoding="utf-8"))
    return added


def alphabet_of(vocabulary: dict[str, int]) -> str:
    """Whether a vocabulary is made for proteins, DNA or other text, judged from its tokens.

    Every base is also the letter of an amino acid, so the tokens of several letters decide where there are any.
    """
    plain = {token.lstrip("▁Ġ").removeprefix("##") for token in vocabulary if token[:1] not in "<["}
    single = {token for token in plain if len(token) == 1 and token.isalpha()}
    several = [token for token in plain if len(token) > 1 and token.isalpha()]
    for alphabet, letters in ((DNA, set("ACGTUN")), (PROTEIN, set(LETTERS[PROTEIN]))):
        if several and sum(letters.issuperset(token) for token in several) >= 0.9 * len(several):
            return alphabet
    if {"=", "("} & plain and "c" in single:
        return TEXT  # SMILES
    if single >= AMINO_ACIDS:
        return PROTEIN
    if set("ACGT") <= single <= set(LETTERS[DNA] + "U"):
        return DNA
    return TEXT
