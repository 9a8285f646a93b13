"""The vocabulary of a unigram model (Kudo 2018, https://doi.org/10.18653/v1/P18-1007), learnt from sequences.

Every token has a probability, and a sequence that of all ways to split it into tokens together. From many frequent
words those are dropped, a quarter at a time, without which the sequences would lose the least probability.

The trainer of the tokenizers library takes sequences in the order of a hash that differs with every run, so it never
gives the same vocabulary twice, and where nothing separates words it needs a minute for a million letters. Here all
pieces advance together, letter by letter, in numpy. The steps and their constants are those of SentencePiece
(https://github.com/google/sentencepiece/blob/master/src/unigram_model_trainer.cc), but for the seed, which is counted
length by length and is smaller, and for the weight of a token in the pruning, which is its expected count.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import numpy as np

SEEDS = 12  # words to begin with for each token that is wanted
SHRINK = 0.75  # of the vocabulary is kept at a time
SPARE = 1.1  # of the tokens that are wanted are left by the pruning; the most probable of them are taken
ROUNDS = 2  # of expectation and maximisation before each pruning
FEWEST = 0.5  # expected occurrences of a token; what comes less often is dropped
PIECE = 128  # letters that advance together; products of so many probabilities stay within the range of a float
ROWS = 4096  # pieces at a time
UNUSED = -5.0  # what a letter that never came is less probable than the least probable token, as a logarithm


class Trie:
    """Words by their letters: a walk along the letters of a text finds every word that begins at a place.

    Attributes:
        children: (nodes, letters) int32, 0 where there is none; node 0 is the dead end, node 1 the root.
        token: (nodes,) int32, number of the word that ends here, -1 where none does.
    """

    def __init__(self, words: np.ndarray, lengths: np.ndarray, letters: int):
        """``words``: (words, longest) codes, what is behind ``lengths`` (words,) is not read."""
        self.children = np.zeros((2, letters), dtype=np.int32)
        nodes, ends = np.ones(len(words), dtype=np.int32), np.zeros(len(words), dtype=np.int32)
        for at in range(words.shape[1]):
            alive = np.flatnonzero(lengths > at)
            keys = nodes[alive].astype(np.int64) * letters + words[alive, at]
            found, inverse = np.unique(keys, return_inverse=True)
            new = len(self.children) + np.arange(len(found), dtype=np.int32)
            self.children.ravel()[found] = new
            self.children = np.concatenate([self.children, np.zeros((len(found), letters), dtype=np.int32)])
            nodes[alive] = new[inverse]
            done = lengths == at + 1
            ends[done] = nodes[done]
        self.token = np.full(len(self.children), -1, dtype=np.int32)
        self.token[ends] = np.arange(len(words))

    def walk(self, codes: np.ndarray, longest: int) -> Iterator[tuple[int, np.ndarray]]:
        """(length, token that begins at each place and has this length or -1), both (rows, columns - length + 1)."""
        nodes = np.ones(codes.shape, dtype=np.int32)
        for length in range(1, longest + 1):
            if length > codes.shape[1]:
                return
            columns = codes.shape[1] - length + 1
            # codes of padding are -1 and lead to the dead end
            ahead = codes[:, length - 1 :]
            nodes = np.where(ahead < 0, 0, self.children[nodes[:, :columns], ahead])
            yield length, self.token[nodes]


def train_unigram(
    pieces: Iterable[str], letters: list[str], size: int, *, least: int = 2, longest: int = 16
) -> list[tuple[str, float]]:
    """Tokens with the natural logarithm of their probability, single letters first, then by probability.

    Args:
        pieces: of sequences; only ``letters`` are in them.
        letters: tokens that are always there.
        size: tokens wanted, letters included; fewer come where the sequences do not have as many frequent words.
        least: times that a longer token must occur.
        longest: letters of a token.
    """
    from scipy.special import digamma

    batches = _coded(pieces, letters)
    words, lengths, counts = _seeds(batches, len(letters), SEEDS * size, least, longest)
    known = np.unique(np.concatenate([batch[batch >= 0] for batch in batches]))
    wanted = max(size - (len(letters) - len(known)), len(known))  # letters that never came are added at the end
    scores = np.log(counts / counts.sum())
    while True:
        print(f"learning a unigram vocabulary: {len(words):,} words", file=sys.stderr, flush=True)
        for _ in range(ROUNDS):
            expected = _expected(batches, Trie(words, lengths, len(letters)), scores, lengths)
            keep = (expected >= FEWEST) | (lengths == 1)
            if (short := wanted - int(keep.sum())) > 0:  # as many as were asked for stay, the most frequent first
                keep[np.lexsort((np.arange(len(keep)), -expected, keep))[:short]] = True
            words, lengths, expected = words[keep], lengths[keep], np.maximum(expected[keep], 1e-3)
            scores = digamma(expected) - digamma(expected.sum())
        if len(words) <= int(SPARE * wanted) or len(words) == len(known):
            break
        kept = _pruned(words, lengths, scores, expected, max(int(SPARE * wanted), int(SHRINK * len(words))))
        words, lengths, scores = words[kept], lengths[kept], scores[kept]
    best = np.lexsort((np.arange(len(scores)), -scores, lengths > 1))[:wanted]
    words, lengths, scores = words[best], lengths[best], scores[best]
    found = {
        "".join(letters[code] for code in word[:length]): float(score)
        for word, length, score in zip(words.tolist(), lengths.tolist(), scores.tolist(), strict=True)
    }
    floor = min(found.values()) + UNUSED
    first = [(letter, found.pop(letter, floor)) for letter in letters]
    return first + sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _coded(pieces: Iterable[str], letters: list[str]) -> list[np.ndarray]:
    """Numbers of letters, (rows, up to PIECE) int8 each, -1 behind the end; pieces of like length lie together."""
    table = np.full(128, -1, dtype=np.int8)
    for number, letter in enumerate(letters):
        table[ord(letter)] = number
    parts = []
    for piece in pieces:
        codes = table[np.frombuffer(piece.encode("ascii"), dtype=np.uint8)]
        parts += [codes[at : at + PIECE] for at in range(0, len(codes), PIECE)]
    parts.sort(key=len)
    batches = []
    for at in range(0, len(parts), ROWS):
        rows = parts[at : at + ROWS]
        batch = np.full((len(rows), len(rows[-1])), -1, dtype=np.int8)
        for row, codes in zip(batch, rows, strict=True):
            row[: len(codes)] = codes
        batches.append(batch)
    return batches


def _seeds(batches, letters: int, most: int, least: int, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequent words: codes (words, longest), lengths (words,), counts (words,).

    A word can be frequent only if it is without its last letter, so words are counted length by length, and of each
    length only those that were frequent go on. Those are taken whose letters cover most.
    """
    states = [np.zeros(batch.shape, dtype=np.int64) for batch in batches]  # of each place: its word, so far
    prefixes, words = np.zeros((1, 0), dtype=np.int8), []
    for length in range(1, longest + 1):
        if not len(prefixes):
            break
        counts = np.zeros(len(prefixes) * letters, dtype=np.int64)
        for number, batch in enumerate(batches):
            columns = batch.shape[1] - length + 1
            if columns < 1:
                states[number] = np.full((len(batch), 0), -1)
                continue
            before, ahead = states[number][:, :columns], batch[:, length - 1 :]
            keys = np.where((before < 0) | (ahead < 0), -1, before * letters + ahead)
            states[number] = keys
            counts += np.bincount(keys[keys >= 0], minlength=len(counts))
        enough = counts >= (1 if length == 1 else least)
        if enough.sum() > most:  # of one length never more than of all together
            enough &= counts >= np.partition(counts, -most)[-most]
        chosen = np.flatnonzero(enough)
        prefixes = np.concatenate([prefixes[chosen // letters], (chosen % letters)[:, None].astype(np.int8)], axis=1)
        words.append((prefixes, counts[chosen]))
        place = np.full(len(counts) + 1, -1, dtype=np.int64)  # the last is for what is dead
        place[chosen] = np.arange(len(chosen))
        states = [place[keys] for keys in states]
    lengths = np.concatenate([np.full(len(counts), part.shape[1]) for part, counts in words])
    table = np.full((len(lengths), longest), -1, dtype=np.int8)
    at = 0
    for part, _ in words:
        table[at : at + len(part), : part.shape[1]] = part
        at += len(part)
    counts = np.concatenate([counts for _, counts in words])
    order = np.lexsort((np.arange(len(counts)), -counts * lengths, lengths > 1))[: max(most, int((lengths == 1).sum()))]
    return table[order], lengths[order], counts[order].astype(float)


def _expected(batches, trie: Trie, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How often each token comes, in the mean over all ways to split the pieces, (tokens,).

    Forwards and backwards sums of products of probabilities. Each letter is given the same factor, so that the sums
    stay near 1: it cancels where they are divided by the sum of a whole piece.
    """
    factor = np.exp(-(scores / lengths).max())
    chances = np.append(np.exp(scores + lengths * np.log(factor)), 0.0)  # the last is that of no token, -1
    expected = np.zeros(len(scores) + 1)
    longest = int(lengths.max())
    for batch in batches:
        rows, columns = batch.shape
        ends = (batch >= 0).sum(1)
        # letters first: everything of one place lies together
        steps = [(length, np.ascontiguousarray(tokens.T)) for length, tokens in trie.walk(batch, longest)]
        before = np.zeros((columns + 1, rows))
        before[0] = 1.0
        for at in range(1, columns + 1):
            for length, tokens in steps[:at]:
                before[at] += before[at - length] * chances[tokens[at - length]]
        after = np.zeros((columns + 1, rows))
        after[ends, np.arange(rows)] = 1.0
        for at in range(columns - 1, -1, -1):
            for length, tokens in steps[: columns - at]:
                after[at] += after[at + length] * chances[tokens[at]]
        total = after[0]
        for length, tokens in steps:
            weight = before[: columns - length + 1] * chances[tokens] * after[length:] / total
            expected += np.bincount((tokens % len(expected)).ravel(), weight.ravel(), minlength=len(expected))
    return expected[:-1]


def _pruned(words, lengths, scores, expected, keep: int) -> np.ndarray:
    """Tokens that stay, in order: the letters, and of the others those that are missed most.

    A token is missed as often as it comes, and each time by how much more probable it is than the best way to write it
    with others.
    """
    other = _without_itself(words, lengths, scores)
    loss = expected * (scores - other)
    loss[lengths == 1] = np.inf
    order = np.lexsort((np.arange(len(loss)), -loss))
    return np.sort(order[: max(keep, int((lengths == 1).sum()))])


def _without_itself(words: np.ndarray, lengths: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Logarithm of the probability of the best way to split each token into others, (tokens,)."""
    letters = int(words.max()) + 1
    trie, found = Trie(words, lengths, letters), np.empty(len(words))
    padded = np.append(scores, -np.inf)
    for start in range(0, len(words), ROWS * 4):
        batch, ends = words[start : start + ROWS * 4], lengths[start : start + ROWS * 4]
        steps = list(trie.walk(batch, int(lengths.max())))
        best = np.full((len(batch), batch.shape[1] + 1), -np.inf)
        best[:, 0] = 0.0
        for at in range(1, batch.shape[1] + 1):
            for length, tokens in steps[:at]:
                step = padded[tokens[:, at - length]]
                if length == at:  # from the first letter on: the token itself does not count
                    step = np.where(ends == at, -np.inf, step)
                np.maximum(best[:, at], best[:, at - length] + step, out=best[:, at])
        found[start : start + len(batch)] = best[np.arange(len(batch)), ends]
    return found
