"""How a tokenizer learns its vocabulary, and the tokenizer of the tokenizers library that comes of it.

What is special about sequences is that nothing separates words in them, so a whole sequence is one word.

- byte pairs (Gage 1994; Sennrich et al. 2016, https://doi.org/10.18653/v1/P16-1162), on letters or on bytes;
- WordPiece (Schuster & Nakajima 2012, https://doi.org/10.1109/ICASSP.2012.6289079), read from left to right by the
  longest token that fits, in words of at most 64 letters;
- unigram (Kudo 2018, https://doi.org/10.18653/v1/P18-1007), see :mod:`seqlm.tools.tokenizer.unigram_training`;
- k-mers, one after the other or, as in DNABERT (Ji et al. 2021, https://doi.org/10.1093/bioinformatics/btab083), one at
  every letter, and single letters, or of molecules single atoms: nothing is learnt.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from seqlm.data.records import CANONICAL, DNA, LETTERS, PROTEIN, TEXT
from seqlm.tokenization.corpus import CANONICAL_LETTERS
from seqlm.tokenization.kmer_overlaps import MARK, overlaps
from seqlm.tokenization.readers import ATOMS
from seqlm.tokenization.special_tokens import Style, post_processor

from .unigram_training import train_unigram

WORD = 64  # letters of a word of WordPiece: it looks for the longest token from every letter to the end of the word
LINE_BREAK = "Ċ"  # as bytes are written; no part of any sequence, and what ProtGPT2 is known by


def base_letters(alphabet: str, alphabets: Iterable[str], characters: str) -> list[str]:
    """Letters that are tokens by themselves, so that they are known whether they occur or not.

    Args:
        alphabet, alphabets: of the corpus and of its files.
        characters: that occur in it.
    """
    letters: set[str] = set()
    for one in alphabets:
        # of DNA, N is one; the other codes for several bases are rare and become the unknown token
        letters |= set({DNA: "ACGTN", PROTEIN: LETTERS[PROTEIN]}.get(one, characters))
    return sorted(letters)


def learn_pairs(
    pieces: Iterator[str], letters: list[str], style: Style, size: int, least: int, longest: int, bytewise: bool
) -> Tokenizer:
    """Byte pairs, on letters or on bytes."""
    alphabet = [one for one in pre_tokenizers.ByteLevel.alphabet() if one != LINE_BREAK] if bytewise else letters
    tokenizer = Tokenizer(models.BPE(unk_token=style.unknown))
    if bytewise:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        special_tokens=list(style.tokens),
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        max_token_length=longest + 1 if longest else None,  # the library means less than that
        show_progress=False,
    )
    tokenizer.train_from_iterator(pieces, trainer)
    tokenizer.decoder = decoders.ByteLevel() if bytewise else decoders.Fuse()
    return _finished(tokenizer, style)


def learn_wordpiece(
    pieces: Iterator[str], letters: list[str], alphabet: str, style: Style, size: int, least: int, longest: int
) -> Tokenizer:
    """WordPiece: tokens that begin a word, and with ## in front those that go on.

    The trainer of the library forms tokens as byte pairs do and knows no longest token, so that of byte pairs is taken
    with the same prefix. Every letter is known in both places, whether it was seen there or not, since one that is not
    would turn its whole word into the unknown token.
    """
    known = set(CANONICAL_LETTERS.get(alphabet, letters))
    words = Regex(f"[{re.escape(''.join(sorted(known)))}]{{1,{WORD}}}|.")
    learner = Tokenizer(models.BPE(unk_token=style.unknown, continuing_subword_prefix="##"))
    learner.pre_tokenizer = pre_tokenizers.Split(words, "isolated")
    first = [*style.tokens, *letters, *("##" + letter for letter in sorted(known))]
    trainer = trainers.BpeTrainer(
        vocab_size=2 * size,  # the first of a word may turn out to be too long, since it has no prefix
        min_frequency=least,
        # all first tokens are given: the trainer numbers those with ## in an order that differs with every process, and
        # of pairs that come equally often the one with the lowest numbers goes first
        special_tokens=first,
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        continuing_subword_prefix="##",
        max_token_length=longest + 2 if longest else None,
        show_progress=False,
    )
    learner.train_from_iterator(pieces, trainer)
    learnt = sorted(learner.get_vocab(), key=learner.get_vocab().get)
    others = [token for token in learnt if token not in first and len(token.removeprefix("##")) <= (longest or 1 << 30)]
    vocabulary = {token: number for number, token in enumerate([*first, *others][: max(size, len(first))])}
    model = models.WordPiece(vocabulary, unk_token=style.unknown, max_input_chars_per_word=WORD)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(words, "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("##", ""), decoders.Fuse()])
    return _finished(tokenizer, style)


def learn_unigram(
    pieces: Iterator[str], letters: list[str], style: Style, size: int, least: int, longest: int
) -> Tokenizer:
    """Tokens with a probability each; a sequence is split in the most probable way."""
    learnt = train_unigram(pieces, letters, size - len(style.tokens), least=least, longest=longest or 16)
    vocabulary = [(token, 0.0) for token in style.tokens] + learnt
    model = models.Unigram(vocabulary, unk_id=style.tokens.index(style.unknown), byte_fallback=False)
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.Fuse()
    return _finished(tokenizer, style)


def of_kmers(letters: list[str], alphabet: str, style: Style, k: int, overlapping: bool) -> Tokenizer:
    """Every word of k letters, one after the other or one at every letter.

    One after the other: from the left; where fewer than k known letters are left, and around one that is not known for
    sure, each letter is a token. At every letter: a run of n known letters gives n - k + 1 tokens; a run that is
    shorter than k gives its letters.
    """
    known = CANONICAL_LETTERS[alphabet]
    tokens = [*style.tokens, *letters, *("".join(word) for word in itertools.product(known, repeat=k) if k > 1)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=style.unknown))
    if overlapping and k > 1:
        tokenizer.normalizer = overlaps(known, k)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(MARK, "removed"), pre_tokenizers.Split(Regex(f"[{known}]+|."), "isolated")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{known}]{{{k}}}|."), "isolated")
        tokenizer.decoder = decoders.Fuse()
    return _finished(tokenizer, style)


def of_characters(
    pieces: Iterator[str], letters: list[str], alphabet: str, style: Style, least: int
) -> tuple[Tokenizer, int]:
    """A token for each letter; of molecules for each atom, bond and ring closure that comes often enough.

    Returns:
        the tokenizer, and how many kinds of atoms came too seldom.
    """
    tokens, seldom, pattern = letters, 0, "."
    if alphabet in (TEXT, CANONICAL):
        pattern = ATOMS
        counts = Counter(atom for piece in pieces for atom in re.findall(ATOMS, piece))
        # a single character is always known
        tokens = sorted({*letters, *(atom for atom, number in counts.items() if number >= least)})
        seldom = len(set(counts) - set(tokens))
    vocabulary = {token: number for number, token in enumerate([*style.tokens, *tokens])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=style.unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return _finished(tokenizer, style), seldom


def _finished(tokenizer: Tokenizer, style: Style) -> Tokenizer:
    """With its special tokens, which sequences cannot spell, and what puts them around a text."""
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in style.tokens])
    ids = {token: tokenizer.token_to_id(token) for token in style.tokens}
    if (processor := post_processor(style, ids)) is not None:
        tokenizer.post_processor = processor
    return tokenizer
