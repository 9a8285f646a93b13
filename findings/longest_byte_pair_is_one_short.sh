#!/usr/bin/env bash
# tokenizers 0.23.1: max_token_length=n of BpeTrainer learns tokens of up to n - 1 letters, but for n = 2, where it is 2.
#
# Guessed: the longest token has n letters, as the name says and as max_piece_length=n of UnigramTrainer keeps it. In fact
# a merge to n letters is passed over, while the first merges, of two letters, are not asked. A vocabulary of DNA that is
# to have all words of up to six bases has none of six, and looks as if six were rare.
#
# Seen: on the same random DNA the longest token for n = 2, 3, 4, 5, 6, 7 has 2, 2, 3, 4, 5, 6 letters with BpeTrainer, and
# 2, 3, 4, 5, 6, 7 with UnigramTrainer.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tokenizers==0.23.1

"$folder/venv/bin/python" - <<'PYTHON'
import random

from tokenizers import Tokenizer, models, trainers

chance = random.Random(1)
dna = ["".join(chance.choices("ACGT", k=60)) for _ in range(3000)]
limits = (2, 3, 4, 5, 6, 7)
longest = {"BPE": [], "Unigram": []}
for limit in limits:
    for name, model, trainer in (
        ("BPE", models.BPE(), trainers.BpeTrainer(vocab_size=6000, max_token_length=limit, show_progress=False)),
        (
            "Unigram",
            models.Unigram(),
            trainers.UnigramTrainer(vocab_size=6000, max_piece_length=limit, show_progress=False),
        ),
    ):
        tokenizer = Tokenizer(model)
        tokenizer.train_from_iterator(dna, trainer)
        longest[name].append(max(map(len, tokenizer.get_vocab())))
print("limit  ", *limits)
for name, found in longest.items():
    print(f"{name:8}", *found)
assert longest == {"BPE": [2, 2, 3, 4, 5, 6], "Unigram": [2, 3, 4, 5, 6, 7]}, "this has changed"
PYTHON
