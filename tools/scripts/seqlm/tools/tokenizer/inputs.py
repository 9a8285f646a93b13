"""What an inspection of a tokenizer starts from: the tokenizer of a model, or alone, and sequences. Needs no torch."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.archives.entries import Limits
from seqlm.archives.unpacking import emptied_on_failure, unpack
from seqlm.checkpoints.bundle import check_tokenizer_files, largest, rewrite
from seqlm.checkpoints.config import check_config
from seqlm.checkpoints.tokenizer_bundle import DESCRIPTION, LARGEST, read_description
from seqlm.cli.errors import InputError
from seqlm.data.molecules import read_canonical
from seqlm.families import Family, recognise
from seqlm.tokenization.encoder import TOKENIZER_FILES, Encoder, read_vocabulary
from seqlm.tokenization.readers import UNKNOWN_TOKENS
from seqlm.tokenization.survey import Survey, survey

NEEDED = {*TOKENIZER_FILES, "config.json", DESCRIPTION}  # of all that an archive of a model may hold


class TokenizerAlone(Family):
    """In place of a model's family where there is no config.json: nothing is known but the tokenizer."""

    name = "tokenizer"
    model_types = ()
    hard_limit = False
    window = 1 << 30

    def __init__(self, folder: Path, alphabet: str):
        super().__init__({}, read_vocabulary(folder), alphabet)
        self._spaced = "▁A" in self.vocabulary and "A" not in self.vocabulary
        self.prefix, self.suffix = _special_tokens(folder)

    @property
    def vocabulary_size(self) -> int:
        return max(self.vocabulary.values(), default=0) + 1

    def token(self, letter: str) -> str:
        return "▁" + letter if self._spaced else letter


@dataclass
class Plan:
    """Checked inputs of an inspection.

    Attributes:
        encoder: reads the sequences.
        published: the same tokenizer without repair, where the two differ.
        limit: tokens that the model reads at once; None where only the tokenizer is known.
        unknown: ids of tokens for what the tokenizer does not know.
    """

    arguments: Namespace
    name: str
    family: Family
    encoder: Encoder
    published: Encoder | None
    limit: int | None
    survey: Survey

    @property
    def unknown(self) -> set[int]:
        return {self.family.vocabulary[token] for token in UNKNOWN_TOKENS if token in self.family.vocabulary}


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the tokenizer and go over all sequences once.

    Raises:
        InputError: for whatever is wrong with them.
    """
    for option in ("model", "sequences"):
        if not getattr(arguments, option):
            raise InputError(f"--{option} is needed to show the tokens of sequences; --help lists every option")
    folder, config = open_tokenizer(Path(arguments.model), scratch / "model")
    family = family_of(folder, config, arguments.alphabet)
    if arguments.smiles == "canonical":
        read_canonical(family)
    encoder = Encoder(family, folder, tokenizer=arguments.tokenizer)
    found = survey(arguments, family)
    published = Encoder(family, folder, tokenizer="as-published") if encoder.repairs else None
    limit = encoder.max_length if config else None
    return Plan(arguments, arguments.model_id or Path(arguments.model).name, family, encoder, published, limit, found)


def family_of(folder: Path, config: dict | None, alphabet: str) -> Family:
    """The family of a model, or what takes its place for a tokenizer alone.

    Args:
        config: the model's, if there is one.
        alphabet: ``auto`` for that of the model, or what a tokenizer that was made here says of itself.
    """
    if config:
        return recognise(folder, config, alphabet)
    if alphabet == "auto":
        alphabet = (read_description(folder, folder.name) or {}).get("alphabet", alphabet)
    return TokenizerAlone(folder, alphabet)


def open_tokenizer(path: Path, scratch: Path) -> tuple[Path, dict | None]:
    """The folder with tokenizer files, and config.json if there is one, of a folder or of any archive.

    Of an archive, a whole model or a bundle, nothing but these files is unpacked, and each is checked.

    Raises:
        InputError: there is no tokenizer, or a file is damaged or holds what it must not.
    """
    folder, name = path, path.name
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path} does not exist; give a model folder, an archive of one, or a bundle")
        scratch.mkdir()
        with emptied_on_failure(scratch):
            unpack(path, scratch, _largest, lambda file: None, Limits())
            check_tokenizer_files(scratch, {file.name for file in scratch.iterdir()}, name, rewrite)
        folder = scratch
    if not any((folder / file).is_file() for file in TOKENIZER_FILES if "config" not in file and "special" not in file):
        raise InputError(
            f"{name} holds no tokenizer (tokenizer.json, vocab.txt, vocab.json or spiece.model); give a model or the "
            "files of its tokenizer"
        )
    if not (folder / "config.json").is_file():
        return folder, None
    config = strict_json.read_object(folder / "config.json", f"config.json in {name}")
    if folder is scratch:
        config = check_config(config, None, f"config.json in {name}")
        rewrite(folder / "config.json", config)
    return folder, config


def _special_tokens(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the tokenizer itself puts before and after a sequence."""
    if not (folder / "tokenizer.json").is_file():
        return (), ()
    from tokenizers import Tokenizer

    encoding = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("A")
    special = [bool(mask) for mask in encoding.special_tokens_mask]
    first = special.index(False) if False in special else len(special)
    last = len(special) - special[::-1].index(False) if False in special else len(special)
    return tuple(encoding.tokens[:first]), tuple(encoding.tokens[last:])


def _largest(file: str) -> int | None:
    """Bytes that a file may have; None for one that is not needed."""
    return LARGEST if file == DESCRIPTION else largest(file) if file in NEEDED else None
