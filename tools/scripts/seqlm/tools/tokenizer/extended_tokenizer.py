"""New tokens for the tokenizer of a model, so that all old tokens keep their ids.

There are two ways, and the tokenizer decides which is open.

- *Merges*, where it is one of byte pairs that reads several letters as one word (GPT-2, LLaMA, RoBERTa, DNABERT-2):
  the corpus is split as the model splits it now, and merging goes on from there. New merges rank behind all old ones,
  so a text is first split as before, and only then are neighbours joined that were learnt to be frequent. Text without
  such neighbours is read as ever.
- *Words*, for all others (WordPiece, letters, ESM): new tokens are found in a text before it is split, the longest at
  each place first.

What is learnt in the first way are pairs of old tokens, so each old token is given a character of its own, and the
trainer of the library learns on these.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, processors, trainers

from seqlm.archives import strict_json
from seqlm.checkpoints.tokenizer import check_tokenizer_config
from seqlm.checkpoints.tokenizer_bundle import ROLES
from seqlm.cli.errors import InputError
from seqlm.data.records import LETTERS
from seqlm.families.family import Family
from seqlm.families.vocabulary import SPECIAL
from seqlm.tokenization.corpus import CANONICAL_LETTERS
from seqlm.tokenization.panics import panics_named
from seqlm.tokenization.pieces import piece_file, piece_tokenizer

MERGES, WORDS = "merges", "words"
FIRST_CHARACTER = 0xF0000  # of the planes that Unicode leaves to everybody
BATCH = 500
ENOUGH = 4  # times as many merges are learnt as tokens are wanted, since some have been tokens before


@dataclass(frozen=True)
class NewToken:
    """A token that was learnt.

    Attributes:
        pieces: ids of the old tokens that stood in its place.
    """

    id: int
    token: str
    text: str
    pieces: tuple[int, ...]


@dataclass(frozen=True)
class Extension:
    """How a tokenizer was extended.

    Attributes:
        way: ``merges`` or ``words``.
        tokens: the new ones, in the order of their ids.
    """

    way: str
    tokens: list[NewToken]

    def size(self, before: int) -> int:
        """Rows that the model needs."""
        return max(before, 1 + max(token.id for token in self.tokens))


def extend_tokenizer(
    source: Path,
    family: Family,
    pieces: Callable[[], Iterable[str]],
    read: Callable[[list[str]], list],
    folder: Path,
    *,
    alphabet: str,
    number: int,
    least: int,
    longest: int,
) -> Extension:
    """Learn new tokens and write the files of the extended tokenizer into ``folder``.

    Args:
        source: the model's folder.
        pieces: gives the pieces of the corpus, each time from the beginning.
        read: gives the readings of texts by the old tokenizer.
        number: new tokens wanted.
        least, longest: times that a token must occur, and letters it may have; 0 for any.

    Raises:
        InputError: nothing is frequent enough, or the old tokens could not keep their ids.
    """
    tokenizer, settings = _opened(source, family)
    if tokenizer is None:  # that of ESM, which transformers writes in Python: a list of tokens, the longest first
        words = _words(pieces(), family, number, least, longest)
        found = _numbered(words, 1 + max(family.vocabulary.values()), read)
        lines = (source / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
        (folder / "vocab.txt").write_text("\n".join([*lines, *(one.token for one in found)]) + "\n", encoding="utf-8")
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        return Extension(WORDS, _some(found))
    content = json.loads(tokenizer.to_str())
    if content["model"]["type"] == "BPE" and _joins(tokenizer, pieces()):
        way, found = MERGES, _merged(content, tokenizer, pieces(), alphabet, number, least, longest)
        text = json.dumps(content, ensure_ascii=False)
    else:
        way = WORDS
        words = _words(pieces(), family, number, least, longest)
        found = _numbered(words, 1 + max(tokenizer.get_vocab(True).values()), read)
        letters = _letters_to_add(tokenizer, family)
        tokenizer.add_tokens([AddedToken(word, normalized=False) for word in [*letters, *(one.token for one in found)]])
        text = tokenizer.to_str()
    old = tokenizer.get_vocab(True) if way == MERGES else Tokenizer.from_str(json.dumps(content)).get_vocab(True)
    _check_ids(Tokenizer.from_str(text).get_vocab(True), old, _some(found))
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_bytes(strict_json.text_of(settings))
    return Extension(way, found)


def _opened(source: Path, family: Family) -> tuple[Tokenizer | None, dict]:
    """The tokenizer of a model as one of the library, None if it is none, and what its tokenizer_config.json is to say.

    The class named there is to be the one that takes tokenizer.json as it stands. What others know by themselves, the
    roles of the special tokens, is written down.
    """
    from transformers import AutoTokenizer

    settings = {}
    if (source / "tokenizer_config.json").is_file():
        raw = strict_json.read_object(source / "tokenizer_config.json")
        raw.pop("auto_map", None)
        settings = check_tokenizer_config(raw)
    own, roles = None, {}
    listed, pieces = (source / "tokenizer.json").is_file(), piece_file(source)
    if listed or not pieces:
        try:
            own = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        except Exception as problem:  # a class that transformers does not know; tokenizer.json is enough
            if not listed:
                reason = str(problem).splitlines()[:1]
                raise InputError(f"the tokenizer of the model cannot be read: {reason}") from None
        roles = {role: getattr(own, role, None) for role in ROLES}
    if listed:
        tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
        if own is not None and own.is_fast and own.backend_tokenizer.post_processor is not None:
            # what some classes put around a text is known to the class alone
            tokenizer.post_processor = own.backend_tokenizer.post_processor
    elif pieces:
        with panics_named(f"{pieces.name} cannot be read as a tokenizer"):
            tokenizer = piece_tokenizer(pieces)
        tokenizer.post_processor = _around(family)
        roles = PIECE_ROLES
    elif own is not None and own.is_fast:
        tokenizer = Tokenizer.from_str(own.backend_tokenizer.to_str())
    else:
        return None, settings
    tokenizer.no_truncation()
    tokenizer.no_padding()
    vocabulary = tokenizer.get_vocab(True)
    for role in ROLES:
        token = roles.get(role)
        if token and token in vocabulary and role not in settings:
            settings[role] = str(token)
    kept = {key: value for key, value in settings.items() if key in ROLES or key in _KEPT}
    return tokenizer, {**kept, "tokenizer_class": "PreTrainedTokenizerFast"}


def _around(family: Family):
    """Special tokens around a text, as the family has them."""
    special = [(token, family.vocabulary[token]) for token in (*family.prefix, *family.suffix)]
    return processors.TemplateProcessing(single=[*family.prefix, "$A", *family.suffix], special_tokens=special)


# what SentencePiece calls them where nothing else is said
PIECE_ROLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_KEPT = ("model_max_length", "padding_side", "model_input_names", "extra_special_tokens", "additional_special_tokens")


def _joins(tokenizer: Tokenizer, pieces: Iterable[str]) -> bool:
    """Whether there are words of several tokens: merges never join two words."""
    for piece in islice(pieces, 50):
        words = [word for word in tokenizer.encode(piece, add_special_tokens=False).word_ids if word is not None]
        if len(set(words)) < 0.9 * len(words):
            return True
    return False


def _merged(
    content: dict, tokenizer: Tokenizer, pieces: Iterable[str], alphabet: str, number: int, least: int, longest: int
) -> list[NewToken]:
    """Go on merging where the old tokenizer ends; ``content``, its tokenizer.json, gets the new tokens and merges."""
    model = content["model"]
    prefix = model.get("continuing_subword_prefix") or ""
    if model.get("end_of_word_suffix"):
        raise InputError("the tokenizer marks the ends of words, which sequences do not have; take another model")
    vocabulary = model["vocab"]
    names = {identity: token for token, identity in vocabulary.items()}
    characters: dict[int, str] = {}
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=1 << 20, min_frequency=max(least, 1), show_progress=False)
    usable = _usable(names, alphabet, prefix)
    words = _in_characters(tokenizer, pieces, usable, characters)
    # how many characters there are is known when all have been seen, so the vocabulary of the trainer is set then
    spooled = list(words)
    trainer.vocab_size = len(characters) + ENOUGH * number
    learner.train_from_iterator(spooled, trainer)
    del spooled
    back = {character: identity for identity, character in characters.items()}
    merges = json.loads(learner.to_str())["model"]["merges"]
    tokens = {character: names[identity] for character, identity in back.items()}
    free = 1 + max(tokenizer.get_vocab(True).values())
    old, found, listed = set(vocabulary), [], []
    for first, second in merges:
        if len(found) == number:
            break
        if first not in tokens or second not in tokens:  # one of them was too long
            continue
        joined = tokens[first] + tokens[second].removeprefix(prefix)
        text = joined.removeprefix(prefix)
        if longest and len(text) > longest:
            continue
        tokens[first + second] = joined
        listed.append([tokens[first], tokens[second]])
        if joined not in vocabulary:
            leaves = tuple(back[character] for character in first + second)
            vocabulary[joined] = free
            found.append(NewToken(free, joined, text, leaves))
            free += 1
    known = {tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ", 1)) for pair in model["merges"]}
    fresh = [list(pair) for pair in dict.fromkeys(map(tuple, listed)) if pair not in known]
    as_text = bool(model["merges"]) and isinstance(model["merges"][0], str)
    model["merges"] += [" ".join(pair) for pair in fresh] if as_text else fresh
    # tokens that were added to the model's own would be numbered anew behind its now larger vocabulary
    for added in content.get("added_tokens") or ():
        if added["content"] not in old:
            vocabulary[added["content"]] = added["id"]
    return _some(found)


def _usable(names: dict[int, str], alphabet: str, prefix: str) -> set[int]:
    """Old tokens that new ones may be made of: nothing in them but letters of sequences."""
    letters = set(CANONICAL_LETTERS.get(alphabet, ""))
    return {
        identity
        for identity, token in names.items()
        if (text := token.removeprefix(prefix))
        and not SPECIAL.fullmatch(token)
        and (letters.issuperset(text) if letters else not set("▁ĠĊ ") & set(text))
    }


def _in_characters(
    tokenizer: Tokenizer, pieces: Iterable[str], usable: set[int], characters: dict[int, str]
) -> Iterator[str]:
    """Words as the old tokenizer reads them, a character for each token; what is not usable ends a word."""
    pieces = iter(pieces)
    while batch := list(islice(pieces, BATCH)):
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            word, last = [], None
            for identity, number in zip(encoding.ids, encoding.word_ids, strict=True):
                if number != last or identity not in usable:
                    if len(word) > 1:
                        yield "".join(word)
                    word = []
                last = number
                if identity in usable:
                    if identity not in characters:
                        characters[identity] = chr(FIRST_CHARACTER + len(characters))
                    word.append(characters[identity])
            if len(word) > 1:
                yield "".join(word)


def _words(pieces: Iterable[str], family: Family, number: int, least: int, longest: int) -> list[str]:
    """Frequent words of letters, byte pairs by the trainer of the library."""
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=128 + ENOUGH * number,
        min_frequency=least,
        max_token_length=longest + 1 if longest else None,  # the library means less than that
        show_progress=False,
    )
    learner.train_from_iterator(pieces, trainer)
    vocabulary = learner.get_vocab()
    learnt = sorted((word for word in vocabulary if len(word) > 1), key=vocabulary.get)
    return [word for word in learnt if word not in family.vocabulary][:number]


def _numbered(words: list[str], first: int, read) -> list[NewToken]:
    readings = read(words) if words else []
    return [
        NewToken(first + at, word, word, tuple(reading.ids.tolist()))
        for at, (word, reading) in enumerate(zip(words, readings, strict=True))
    ]


def _letters_to_add(tokenizer: Tokenizer, family: Family) -> list[str]:
    """Letters that must be found as words are, for a tokenizer that knows them only apart.

    ProtBERT's, for one, reads residues between blanks. Between two new tokens there are none. The letters have tokens
    already, and keep their ids.
    """
    letters = [letter for letter in LETTERS.get(family.alphabet, "") if family.token(letter) in family.vocabulary]
    if not family.one_letter_tokens or not letters:
        return []
    ids = tokenizer.encode("".join(letters), add_special_tokens=False).ids
    return [] if ids == [family.vocabulary[letter] for letter in letters] else letters


def _some(found: list[NewToken]) -> list[NewToken]:
    if not found:
        raise InputError(
            "no new token was found: no two neighbours occur often enough in the corpus that the model has no token "
            "for already; give more sequences, or a smaller --min-frequency"
        )
    return found


def _check_ids(after: dict[str, int], before: dict[str, int], found: list[NewToken]) -> None:
    """A tokenizer whose old tokens moved would make nonsense of all that the model has learnt."""
    moved = [token for token, identity in before.items() if after.get(token) != identity]
    moved += [one.token for one in found if after.get(one.token) != one.id]
    if moved:
        raise InputError(
            "the tokenizer of this model numbers its tokens in a way in which none can be added: "
            f"{len(moved)} would get other ids, such as {moved[0][:40]!r}"
        )
