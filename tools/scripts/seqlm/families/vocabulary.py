"""What a vocabulary holds, read from whichever tokenizer file a model has, without loading a tokenizer."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.archives.piece_model import FILES as PIECE_FILES
from seqlm.archives.piece_model import read_pieces
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN, TEXT

# what stands for a place or a purpose, and for no part of any sequence
SPECIAL = re.compile(r"\[(PAD|UNK|CLS|SEP|MASK|BOS|EOS|RESERVED|unused\d+)\]|<.*>")

AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWY")

BASES = "ATCG"  # in the order in which GENERator and Carbon number their 6-mers
SIX_MERS = tuple(map("".join, itertools.product(BASES, repeat=6)))
OOV = "<oov>"  # what they read a 6-mer as that is not of these four bases alone
DNA_CONFIG = "dna_config.json"  # where Carbon's 6-mers stand; its other tokenizer files are for English
HYBRID = "HybridDNATokenizer"  # what these files then name
DNA_BEGINS, DNA_ENDS = "<dna>", "</dna>"

# Tokenizers that are code of their authors, and whose tokens stand in no file: the class that tokenizer_config.json
# names -> the tokens in the order of their ids. That of HyenaDNA reads letter by letter.
FIXED = {"HyenaDNATokenizer": ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")}
# how LucaOne writes bases, so that they differ from residues; any other code is N
BASE_TOKENS = {"A": "1", "T": "2", "C": "3", "G": "4", "N": "5"}

# whatever may say how a model splits sequences
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "dna_config.json",
    "spiece.model",
    "tokenizer.model",
)
UNSTRUCTURED = "#"  # where a structure, or a residue of one, is not known, in SaProt's vocabulary


def reads_structures(vocabulary: dict[str, int]) -> bool:
    """Whether tokens are a residue and a 3Di state each, as SaProt's are."""
    return all(letter + state in vocabulary for letter in AMINO_ACIDS for state in ("d", UNSTRUCTURED))


def reads_six_mers(vocabulary: dict[str, int]) -> bool:
    """Whether tokens are the 6-mers of DNA and nothing else, as GENERator's and Carbon's are."""
    plain = {token for token in vocabulary if not SPECIAL.fullmatch(token)}
    return OOV in vocabulary and len(plain) == len(SIX_MERS) and plain.issuperset(SIX_MERS)


def fixed_vocabulary(folder: Path, name: str) -> dict[str, int] | None:
    """Token -> id of a tokenizer of :data:`FIXED`; None for any other.

    Args:
        name: what messages call the model.

    Raises:
        InputError: a tokenizer_config.json that gives one of the tokens another id.
    """
    path = folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() or not path.is_file():
        return None
    settings = strict_json.read_object(path, f"tokenizer_config.json of {name}")
    kind = settings.get("tokenizer_class")
    if not isinstance(kind, str) or kind not in FIXED:
        return None
    vocabulary = {token: number for number, token in enumerate(FIXED[kind])}
    said = settings.get("added_tokens_decoder")
    for number, token in said.items() if isinstance(said, dict) else ():
        content = token.get("content") if isinstance(token, dict) else token
        if str(vocabulary.get(content)) != number:
            raise InputError(
                f"tokenizer_config.json of {name} gives the token {str(content)[:40]!r} the id {number[:20]}, which it "
                f"has not in a {kind}; fetch the model again"
            )
    return vocabulary


def reads_genes_and_proteins(vocabulary: dict[str, int]) -> bool:
    """Whether tokens are single residues and the numbers of bases, as LucaOne's are."""
    plain = {token for token in vocabulary if not SPECIAL.fullmatch(token)}
    return plain >= {*BASE_TOKENS.values(), *LETTERS[PROTEIN]} and all(len(token) == 1 for token in plain)


def refuse_code(folder: Path, name: str) -> None:
    """Refuse a tokenizer that is Python code: without a tokenizer.json, nothing else says how it splits a sequence.

    Those of GENERator, Carbon and LucaOne are written here, and known by the vocabulary.

    Args:
        name: what messages call the model.
    """
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return
    settings = strict_json.read_object(path, f"tokenizer_config.json of {name}")
    if settings.get("tokenizer_class") == HYBRID and not (folder / DNA_CONFIG).is_file():
        raise InputError(
            f"{name} has no {DNA_CONFIG}, which says what its tokens for DNA are; the other files are for English"
        )
    if (folder / "tokenizer.json").is_file() or fixed_vocabulary(folder, name) is not None:
        return
    named = settings.get("auto_map")
    code = named.get("AutoTokenizer") if isinstance(named, dict) else named
    if code and (_of_six_mers(folder) or _of_letters(folder)):
        return
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
    if (fixed := fixed_vocabulary(folder, f"the model in {folder.name}")) is not None:
        return fixed
    try:
        if (folder / DNA_CONFIG).is_file():
            added = {token: number for token, number in _added(folder).items() if SPECIAL.fullmatch(token)}
            return {**added, **_six_mers_of(folder)}
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
            return _lines(folder / "vocab.txt")
        for name in PIECE_FILES:
            if (folder / name).is_file():
                return {**read_pieces(folder / name, f"{name} in {folder.name}").vocabulary, **_added(folder)}
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError) as problem:
        raise InputError(f"the tokenizer of the model in {folder.name} cannot be read ({problem})") from None
    raise InputError(
        f"the model folder {folder.name} has no tokenizer (tokenizer.json, vocab.txt, vocab.json or spiece.model)"
    )


def _of_six_mers(folder: Path) -> bool:
    """Whether the vocab.txt of a folder, if there is one, holds 6-mers alone."""
    try:
        return reads_six_mers(_lines(folder / "vocab.txt"))
    except (ValueError, OSError):
        return False


def _of_letters(folder: Path) -> bool:
    """Whether the vocab.json of a folder, if there is one, holds LucaOne's tokens."""
    path = folder / "vocab.json"
    return path.is_file() and reads_genes_and_proteins(strict_json.read_object(path, f"vocab.json in {folder.name}"))


def _lines(path: Path) -> dict[str, int]:
    """Token -> id of a vocab.txt: a token a line, or, as GENERator's is now, each with its id behind a blank."""
    lines = path.read_text(encoding="utf-8").split("\n")
    numbered = [line.rpartition(" ") for line in lines if line]
    if numbered and all(token and number == str(place) for place, (token, _, number) in enumerate(numbered)):
        return {token: int(number) for token, _, number in numbered}
    return {token: number for number, token in enumerate(lines) if token}


def _six_mers_of(folder: Path) -> dict[str, int]:
    """The tokens for DNA that Carbon has above those for English: marks, 6-mers in the order of ``BASES``, filling.

    Raises:
        InputError: a file that says something else.
    """
    name = f"{DNA_CONFIG} of the model in {folder.name}"
    content = strict_json.read_object(folder / DNA_CONFIG, name)
    first, size, marks = (content.get(entry) for entry in ("dna_start_id", "dna_vocab_size", "dna_special_tokens"))
    if content.get("k") != 6:
        raise InputError(f"{name} is of words of {str(content.get('k'))[:20]} bases; those of 6 are known")
    marks = list(map(str, marks)) if isinstance(marks, list) and len(marks) <= 100 else []
    if not {DNA_BEGINS, DNA_ENDS, OOV} <= set(marks) or not all(map(SPECIAL.fullmatch, marks)):
        raise InputError(f"{name} does not name its special tokens, {DNA_BEGINS}, {DNA_ENDS} and {OOV} among them")
    least = len(marks) + len(SIX_MERS)
    if type(first) is not int or type(size) is not int or not 0 <= first < 1 << 22 or not least <= size < 1 << 20:
        raise InputError(f"{name} gives its tokens numbers that cannot be (dna_start_id, dna_vocab_size)")
    filling = [f"<unused_{number}>" for number in range(size - least)]
    return {token: first + place for place, token in enumerate([*marks, *SIX_MERS, *filling])}


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
