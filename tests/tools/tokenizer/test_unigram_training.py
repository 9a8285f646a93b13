"""The trainer of unigram vocabularies."""

import json
import math
import random
from collections import Counter

import numpy as np
import pytest
from tokenizers import Tokenizer, models, trainers

from seqlm.tokenization.special_tokens import STYLES
from seqlm.tools.tokenizer.algorithms import learn_pairs, learn_unigram, learn_wordpiece
from seqlm.tools.tokenizer.training import repeats
from seqlm.tools.tokenizer.unigram_training import train_unigram


def test_repeats_are_told_from_words():
    assert all(map(repeats, ["AAAA", "ATATAT", "ATATA", "CAGCAGCA", "CAGCAG"]))
    assert not any(map(repeats, ["AAA", "ACGT", "CAGCA", "ACGTACGA", "ACGTACGT"]))


def test_the_unigram_model_says_more_of_new_sequences_than_that_of_the_library():
    """Natural logarithm of the probability of the best split of sequences that were not learnt from, per letter."""
    rng = random.Random(2)
    words = ["".join(rng.choices("ACGT", k=rng.randint(3, 7))) for _ in range(60)]
    texts = ["".join(rng.choices(words, k=25))[:120] for _ in range(160)]
    learnt = train_unigram(texts[:120], list("ACGT"), 100)
    library = Tokenizer(models.Unigram())
    trainer = trainers.UnigramTrainer(vocab_size=101, special_tokens=["?"], unk_token="?", show_progress=False)
    library.train_from_iterator(texts[:120], trainer)

    def score(vocabulary, text):
        chances, best = dict(vocabulary), [0.0]
        for end in range(1, len(text) + 1):
            best.append(max(best[s] + chances.get(text[s:end], -math.inf) for s in range(max(0, end - 16), end)))
        return best[-1] / len(text)

    ours = np.mean([score(learnt, text) for text in texts[120:]])
    theirs = np.mean([score(json.loads(library.to_str())["model"]["vocab"], text) for text in texts[120:]])
    assert len(learnt) == 100
    assert ours > theirs - 0.02
    assert sum(math.exp(value) for _, value in learnt) == pytest.approx(1, abs=0.1)


def test_expected_counts_are_the_mean_over_all_splits():
    from seqlm.tools.tokenizer.unigram_training import Trie, _coded, _expected

    chances = {"A": 0.4, "C": 0.3, "AC": 0.2, "CA": 0.1}
    words = np.asarray([[0, -1], [1, -1], [0, 1], [1, 0]], dtype=np.int8)
    lengths = np.asarray([1, 1, 2, 2])
    text = "ACCAACA"
    splits = [[]]
    for split in splits:
        at = sum(map(len, split))
        splits += [[*split, token] for token in chances if text.startswith(token, at) and at < len(text)]
    whole = [split for split in splits if "".join(split) == text]
    weights = [math.prod(chances[token] for token in split) for split in whole]
    counts = Counter()
    for split, weight in zip(whole, weights, strict=True):
        for token in split:
            counts[token] += weight / sum(weights)
    scores = np.log(list(chances.values()))
    found = _expected(_coded([text], ["A", "C"]), Trie(words, lengths, 2), scores, lengths)
    assert found == pytest.approx([counts[token] for token in chances])


def test_learnt_tokens_are_as_long_as_they_may_be():
    motif, style = "MKTAYIAKQRQISFVKSHFS", STYLES["esm"]
    # one letter more comes ever less often, so that tokens grow letter by letter
    pieces, letters = [motif[:end] for end in range(2, 21) for _ in range(4)], sorted(set(motif))
    for longest in (3, 5, 8, 16):
        for made in (
            learn_pairs(iter(pieces), letters, style, 600, 2, longest, bytewise=False),
            learn_pairs(iter(pieces), letters, style, 600, 2, longest, bytewise=True),
            learn_wordpiece(iter(pieces), letters, "protein", style, 600, 2, longest),
            learn_unigram(iter(pieces), letters, style, 600, 2, longest),
        ):
            learnt = set(made.get_vocab()) - set(style.tokens)
            assert max(len(token.removeprefix("##")) for token in learnt) == longest
