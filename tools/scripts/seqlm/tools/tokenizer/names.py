"""The algorithms of a tokenizer by name."""

from __future__ import annotations

ALGORITHMS = {
    "bpe": "byte pairs of letters",
    "byte-bpe": "byte pairs of bytes",
    "unigram": "a unigram model",
    "wordpiece": "WordPiece",
    "kmer": "k-mers",
    "character": "single letters (of molecules, single atoms)",
}
LEARNT = ("bpe", "byte-bpe", "unigram", "wordpiece")  # the others follow from the alphabet
