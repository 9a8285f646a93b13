"""The archive of a tokenizer alone: what one tool makes and others take.

It unpacks to a folder that transformers reads, ``AutoTokenizer.from_pretrained(folder)``: tokenizer.json and
tokenizer_config.json, with seqlm_tokenizer.json, which says how it was made, and a README::

    {"format": 1, "algorithm": "bpe", "alphabet": "DNA", "special_tokens": "bert", "vocabulary": 4096,
     "settings": {"min_frequency": 2, "both_strands": true}, "corpus_sha256": "3a…",
     "versions": {"tokenizers": "0.23.3"}}
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.archives.entries import MIB, Limits
from seqlm.archives.unpacking import emptied_on_failure, unpack
from seqlm.cli.errors import InputError
from seqlm.families.recognition import with_type
from seqlm.families.vocabulary import TOKENIZER_FILES, fixed_vocabulary, read_vocabulary
from seqlm.tokenization.special_tokens import STYLES

from .bundle import check_tokenizer_files, largest, pack, rewrite
from .config import check_config
from .hub_cache import model_in
from .manifest import ALPHABETS

DESCRIPTION = "seqlm_tokenizer.json"
FORMAT = 1
LARGEST = MIB
NEEDED = {*TOKENIZER_FILES, "config.json", DESCRIPTION}  # of all that an archive of a model may hold
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class TrainedTokenizer:
    """A tokenizer without a model, opened and checked.

    Attributes:
        folder: with the files that transformers reads.
        name: what messages call it.
        description: seqlm_tokenizer.json; None for a tokenizer that was not made here.
        vocabulary: token -> id.
        special: role, such as ``pad_token`` -> its token.
    """

    folder: Path
    name: str
    description: dict | None
    vocabulary: dict[str, int]
    special: dict[str, str]

    @property
    def size(self) -> int:
        """Embeddings that a model needs to read it."""
        return max(self.vocabulary.values(), default=-1) + 1

    @property
    def alphabet(self) -> str:
        """``auto`` where nobody said it."""
        return (self.description or {}).get("alphabet", "auto")

    def special_ids(self) -> dict[str, int]:
        """Entries of a model's config.json, such as ``pad_token_id``."""
        return {f"{role}_id": self.vocabulary[token] for role, token in self.special.items()}


def open_trained_tokenizer(path: str | Path, scratch: Path, name: str = "") -> TrainedTokenizer:
    """A tokenizer from an archive or a folder; of a whole model its tokenizer.

    Args:
        scratch: a folder that does not exist yet.

    Raises:
        InputError: there is no tokenizer, or a file is damaged or holds what it must not.
    """
    pass

    name = name or Path(path).name
    folder, _ = open_tokenizer(Path(path), scratch)
    vocabulary, special = read_vocabulary(folder), {}
    if (folder / "tokenizer_config.json").is_file():
        settings = strict_json.read_object(folder / "tokenizer_config.json", f"tokenizer_config.json in {name}")
        for role in ROLES:
            token = settings.get(role)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str) and token in vocabulary:
                special[role] = token
    return TrainedTokenizer(folder, name, read_description(folder, name), vocabulary, special)


def read_description(folder: Path, name: str) -> dict | None:
    """seqlm_tokenizer.json, as far as it is used; None where there is none.

    Raises:
        InputError: an entry that is not what it must be.
    """
    if not (folder / DESCRIPTION).is_file():
        return None
    where = f"{DESCRIPTION} in {name}"
    content = strict_json.read_object(folder / DESCRIPTION, where, limit=LARGEST)
    if content.get("format") != FORMAT:
        raise InputError(f"{where} has the format {str(content.get('format'))[:20]!r}; this version reads {FORMAT}")
    for entry, known in (("alphabet", ALPHABETS), ("special_tokens", tuple(STYLES))):
        if content.get(entry) not in known:
            raise InputError(f"{entry!r} in {where} must be one of {', '.join(known)}")
    return content


def write_tokenizer_folder(tokenizer, description: dict, card: str, folder: Path) -> None:
    """Fill an empty folder with all files of a tokenizer.

    Args:
        tokenizer: of the tokenizers library.
        description: what seqlm_tokenizer.json says.
        card: README.md.
    """
    style = STYLES[description["special_tokens"]]
    tokenizer.save(str(folder / "tokenizer.json"))
    # the class that takes tokenizer.json as it stands; others would build a tokenizer of their own from its vocabulary
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **style.roles}
    (folder / "tokenizer_config.json").write_bytes(strict_json.text_of(settings))
    (folder / DESCRIPTION).write_bytes(strict_json.text_of(description))
    (folder / "README.md").write_text(card, encoding="utf-8")


def write_tokenizer_bundle(folder: Path, target: Path) -> None:
    """Zip a folder of a tokenizer so that equal content gives equal bytes; ``target`` appears when it is complete."""
    partial = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            for file in sorted(folder.iterdir(), key=lambda file: file.name):
                if file.name not in (*TOKENIZER_FILES, DESCRIPTION, "README.md"):
                    raise ValueError(f"{file.name} does not belong in the archive of a tokenizer")
                pack(archive, file)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


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
    else:
        folder = model_in(path, f"the model folder {path}")
    files = (file for file in TOKENIZER_FILES if "config" not in file and "special" not in file)
    if not any((folder / file).is_file() for file in files) and fixed_vocabulary(folder, name) is None:
        raise InputError(
            f"{name} holds no tokenizer (tokenizer.json, vocab.txt, vocab.json or spiece.model); give a model or the "
            "files of its tokenizer"
        )
    if not (folder / "config.json").is_file():
        return folder, None
    config = strict_json.read_object(folder / "config.json", f"config.json in {name}")
    if folder is scratch:
        config = check_config(with_type(config), None, f"config.json in {name}")
        rewrite(folder / "config.json", config)
    return folder, config


def _largest(file: str) -> int | None:
    """Bytes that a file may have; None for one that is not needed."""
    return LARGEST if file == DESCRIPTION else largest(file) if file in NEEDED else None
