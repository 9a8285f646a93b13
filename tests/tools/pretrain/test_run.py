"""What a new language model learns from and is judged on: splits, rows, hidden tokens, baselines, answers."""

import itertools
import json
from argparse import Namespace

import numpy as np
import pytest
import torch

from makers.formats import as_parquet
from seqlm.baselines.language_baselines import Letters
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN
from seqlm.inference.batching import Row
from seqlm.inference.language_rows import Text
from seqlm.tokenization.corpus import Corpus, reverse_complement
from seqlm.tools.pretrain.answers import _scores
from seqlm.tools.pretrain.baselines import FREQUENCIES, TRIPLES, Judged, LetterModels
from seqlm.tools.pretrain.corpus_tokens import Contexts, Store
from seqlm.tools.pretrain.instructions import _is_json, _of_json, _of_table
from seqlm.tools.pretrain.masking import JUDGED, Masking
from seqlm.tools.pretrain.scores import losses
from seqlm.tools.pretrain.split import TEST, TRAIN, UNUSED, VALIDATION, split_corpus
from seqlm.training.language_training import IGNORED, TokenLesson, next_tokens
from seqlm.training.state import Settings, rate_at


def corpus_of(folder, sequences, alphabet=DNA):
    (folder / "letters").write_text("".join(sequences))
    starts = np.concatenate([[0], np.cumsum([len(one) for one in sequences])])
    return Corpus(alphabet, (alphabet,), folder / "letters", starts, np.array([0, len(sequences)]))


def options(**changes):
    given = {
        "corpus": ["genome.fasta"], "validation_fraction": 0.1, "test_fraction": 0.1, "split": "auto", "gap": 50,
        "held_out_letters": 100_000, "seed": 1, "both_strands": False, "validation_pattern": "", "test_pattern": "",
    }  # fmt: skip
    return Namespace(**(given | changes))


def random_dna(length, seed=0):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


# Splits -----------------------------------------------------------------------------------------------------------


def test_equal_sequences_and_reverse_complements_are_never_torn_apart(tmp_path):
    kinds = [random_dna(60, seed) for seed in range(30)]
    sequences = [one for kind in kinds for one in (kind, kind, reverse_complement(kind))]
    documents = split_corpus(corpus_of(tmp_path, sequences), options(both_strands=True), 16)
    split = documents.split.reshape(30, 3)
    assert (split == split[:, :1]).all() and {TRAIN, VALIDATION, TEST} == set(split.ravel().tolist())
    torn = split_corpus(corpus_of(tmp_path, sequences), options(), 16).split.reshape(30, 3)
    assert (torn[:, 0] == torn[:, 1]).all() and not (torn[:, 0] == torn[:, 2]).all()


def test_of_many_chromosomes_no_more_is_held_out_than_was_asked_for(tmp_path):
    chromosomes = [random_dna(120_000, seed) for seed in range(12)]
    corpus = corpus_of(tmp_path, chromosomes)
    documents = split_corpus(corpus, options(held_out_letters=20_000), 64)
    for split in (VALIDATION, TEST):
        assert 15_000 <= documents.letters(split) <= 20_000
    assert documents.letters(TRAIN) > 1_000_000
    whole = split_corpus(corpus, options(held_out_letters=20_000, split="record"), 64)
    assert whole.letters(TEST) == 120_000


def test_stretches_of_one_sequence_are_a_gap_away_from_training_and_nothing_is_lost(tmp_path):
    documents = split_corpus(corpus_of(tmp_path, [random_dna(20_000)]), options(), 64)
    used = np.full(20_000, -1)
    for start, end, split in zip(documents.start, documents.end, documents.split, strict=True):
        assert (used[start:end] == -1).all()
        used[start:end] = split
    train = np.flatnonzero(used == TRAIN)
    for held in (VALIDATION, TEST):
        places = np.flatnonzero(used == held)
        assert abs(len(places) - 2000) <= 20
        right = np.searchsorted(train, places)
        near = np.minimum(
            np.abs(places - train[np.maximum(right - 1, 0)]), np.abs(train[np.minimum(right, len(train) - 1)] - places)
        )
        assert near.min() > 50
    assert documents.rules.letters[UNUSED] == (used == -1).sum()


def test_a_sequence_is_parted_at_the_gaps_of_an_assembly_and_single_N_stay(tmp_path):
    text = random_dna(300) + "N" * 25 + random_dna(200, 1) + "N" + random_dna(100, 2)
    documents = split_corpus(corpus_of(tmp_path, [text]), options(validation_fraction=0.0, test_fraction=0.0), 16)
    assert list(zip(documents.start.tolist(), documents.end.tolist(), strict=True)) == [(0, 300), (325, 626)]
    assert documents.begins.tolist() == [True, False] and documents.ends.tolist() == [False, True]
    with pytest.raises(InputError, match="all N"):
        split_corpus(corpus_of(tmp_path, ["N" * 100]), options(), 16)


# Rows -------------------------------------------------------------------------------------------------------------


def contexts_of(size, context, overlap, causal=True, begins=True, ends=True):
    documents = Namespace(split=np.zeros(1, np.int8), begins=np.array([begins]), ends=np.array([ends]))
    store = Store(np.arange(size) + 10, np.array([0, size]), np.array([0]), np.array([False]), {})
    return Contexts(store, documents, TRAIN, context, overlap, [1], [2], causal)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("size", [5, 30, 31, 64, 100, 101])
def test_rows_show_every_token_and_mark_only_true_beginnings_and_ends(size, overlap):
    rows = list(contexts_of(size, 16, overlap))
    assert all(2 <= len(row.ids) <= 16 for row in rows)
    assert {token for row in rows for token in row.ids.tolist() if token >= 10} == set(range(10, 10 + size))
    assert [1 in row.ids for row in rows] == [number == 0 for number in range(len(rows))]
    assert [2 in row.ids for row in rows] == [number == len(rows) - 1 for number in range(len(rows))]
    for one, other in itertools.pairwise(rows):
        shared = set(one.ids.tolist()) & set(other.ids.tolist())
        assert len(shared) >= int(overlap * 14)
    inner = contexts_of(size, 16, overlap, begins=False, ends=False)
    assert not any({1, 2} & set(row.ids.tolist()) for row in inner)


# Hidden tokens ----------------------------------------------------------------------------------------------------


def masking(way="token", span=3.0, share=0.15, seed=4):
    return Masking(share, way, span, 99, np.arange(10, 40), seed)


def row_of(length, owner=0, start=0):
    weights = np.ones(length, np.float32)
    weights[[0, -1]] = 0
    return Row(np.arange(100, 100 + length), weights, owner, start)


@pytest.mark.parametrize("way", ["token", "span", "codon"])
def test_what_is_hidden_depends_on_the_row_and_the_epoch_and_not_on_the_batch(way):
    rows = [row_of(40 + number, number) for number in range(6)]
    together = masking(way)(rows, 3)
    for number, row in enumerate(rows):
        alone = masking(way)([row], 3)
        assert torch.equal(alone.ids[0], together.ids[number, : len(row.ids)])
        assert torch.equal(alone.targets[0], together.targets[number, : len(row.ids)])
    assert not torch.equal(masking(way)(rows, 4).targets, together.targets)
    assert (together.targets[:, 0] == IGNORED).all()


def test_of_the_hidden_tokens_80_percent_are_masked_10_another_and_10_stay():
    rows = [row_of(200, owner) for owner in range(200)]
    batch = masking()(rows, 1)
    hidden = batch.targets != IGNORED
    shown, truth = batch.ids[hidden], batch.targets[hidden]
    assert abs(hidden.float().mean() - 0.15 * 198 / 200) < 0.002
    assert abs((shown == 99).float().mean() - 0.8) < 0.02
    assert abs((shown == truth).float().mean() - 0.1) < 0.02
    assert torch.equal(batch.ids[~hidden], torch.from_numpy(np.stack([row.ids for row in rows]))[~hidden])
    judged = masking()(rows, JUDGED)
    assert (judged.ids[judged.targets != IGNORED] == 99).all()


def test_codons_are_hidden_whole_and_counted_from_the_beginning_of_the_sequence():
    row = row_of(62, start=5)
    places = masking("codon").chosen(row, 1)[0]
    numbers = row.start + places
    whole = [number for number in set((numbers // 3).tolist()) if 3 * number > row.start and 3 * number + 2 < 5 + 61]
    assert whole and all({3 * one, 3 * one + 1, 3 * one + 2} <= set(numbers.tolist()) for one in whole)


def test_spans_have_the_mean_length_that_was_asked_for():
    runs = []
    for owner in range(300):
        places = masking("span", span=4.0, share=0.1).chosen(row_of(400, owner), 1)[0]
        runs += [len(one) for one in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)]
    assert 3.4 < np.mean(runs) < 5  # neighbours that meet make one


# Losses -----------------------------------------------------------------------------------------------------------


def test_the_learning_rate_is_that_of_transformers_schedules():
    from transformers import get_scheduler

    for name in ("cosine", "linear", "constant_with_warmup"):
        settings = Settings(1, learning_rate=0.3, warmup=0.1, schedule=name)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
        theirs = get_scheduler(name, optimizer, num_warmup_steps=5, num_training_steps=50)
        for step in range(50):
            assert rate_at(settings, step, 50) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
            optimizer.step()
            theirs.step()


@pytest.mark.parametrize("name", ["llama", "protgpt2", "esm-mlm"])
def test_the_loss_is_transformers_own(model_path, name):
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    causal = name != "esm-mlm"
    model = (AutoModelForCausalLM if causal else AutoModelForMaskedLM).from_pretrained(model_path(name)).eval()
    rng = np.random.default_rng(0)
    rows = [Row(rng.integers(5, 25, length), np.ones(length, np.float32), owner) for owner, length in ((0, 9), (1, 14))]
    objective = next_tokens if causal else Masking(0.3, "token", 1.0, 32, np.arange(4, 24), 0)
    found = losses(model, rows, objective, 100)
    for row, value in zip(rows, found, strict=True):
        batch = objective([row])
        labels = torch.from_numpy(row.ids)[None] if causal else batch.targets
        with torch.no_grad():
            theirs = model(input_ids=batch.ids, labels=labels).loss
            ours = TokenLesson(rows, objective).loss(model, batch)
        counted = int((batch.targets != IGNORED).sum())
        assert value == pytest.approx(float(theirs) * counted, rel=1e-5) == pytest.approx(float(ours), rel=1e-5)


# Baselines --------------------------------------------------------------------------------------------------------


def letter_models(folder, train, alphabet=PROTEIN, ended=False, both=False):
    corpus = corpus_of(folder, train, alphabet)
    number = len(train)
    parts = Namespace(
        start=corpus.starts[:-1], end=corpus.starts[1:], begins=np.ones(number, bool), ends=np.ones(number, bool),
        record=np.arange(number), of=lambda split: np.arange(number),
    )  # fmt: skip
    return LetterModels(corpus, parts, {}, both, ended)


def test_counts_of_a_stream_are_the_baselines_of_a_set_in_memory(tmp_path):
    rng = np.random.default_rng(2)
    draw = lambda n: ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(5, 30))) for _ in range(n)]  # noqa: E731
    sets = {"train": draw(60), "validation": draw(20), "test": draw(15)}
    texts = {split: [Text((), 0, 0, len(one), True) for one in some] for split, some in sets.items()}
    reference = Letters(sets, texts, PROTEIN)
    theirs = reference.losses()
    ours = letter_models(tmp_path, sets["train"], ended=True)
    found = ours.losses({name: [Judged(one, ended=True) for one in sets[name]] for name in ("validation", "test")})
    assert ours.k == reference.k
    for name in (FREQUENCIES, TRIPLES):
        for split in ("validation", "test"):
            assert found[name][split] == pytest.approx(theirs[name][split], rel=1e-9)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_hidden_word_is_judged_against_all_words_of_its_length(tmp_path, length):
    models = letter_models(tmp_path, [random_dna(80, seed) for seed in range(5)], DNA)
    shares = models._shares(0.5)[:, :, : models.count]
    shares = shares / shares.sum(2, keepdims=True)
    text = "ACGGTCAGTTAC"
    for start in (0, 1, 4, len(text) - length - 1, len(text) - length):
        codes = [models.start, models.start, *models.coded(text).tolist()]

        def chance(word, codes=codes, start=start):
            row = [*codes]
            row[2 + start : 2 + start + length] = word
            steps = range(start, min(start + length + 2, len(text)))
            return np.prod([shares[row[step], row[step + 1], row[step + 2]] for step in steps])

        every = sum(chance(word) for word in itertools.product(range(models.count), repeat=length))
        truth = -np.log(chance(codes[2 + start : 2 + start + length]) / every)
        found = models._of_hidden(
            [Judged(text, hidden=((start, start + length),))], models._shares(0.5)[:, :, : models.count]
        )
        assert found[0] == pytest.approx(truth, rel=1e-9)


def test_both_strands_are_counted(tmp_path):
    one = letter_models(tmp_path, ["AACCG"], DNA)._triples
    two = letter_models(tmp_path, ["AACCG"], DNA, both=True)._triples
    other = letter_models(tmp_path, [reverse_complement("AACCG")], DNA)._triples
    assert np.array_equal(two, one + other)


# Instructions -----------------------------------------------------------------------------------------------------

NAMES = ("instruction", "input", "output")


def test_instructions_are_read_from_json_lines_and_from_tables_alike(tmp_path):
    lines = [{"instruction": "Is it?", "input": "ACGT", "output": "yes"}, {"instruction": "What?", "output": "no"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    (tmp_path / "a.tsv").write_text("output\tinstruction\tinput\nyes\tIs it?\tACGT\nno\tWhat?\t\n")
    columns = {"instruction": ["Is it?", "What?"], "input": ["ACGT", None], "output": ["yes", "no"]}
    (tmp_path / "a.parquet").write_bytes(as_parquet(columns))
    assert not _is_json(tmp_path / "a.parquet")
    tables = (_of_table(tmp_path / name, NAMES, "auto") for name in ("a.tsv", "a.parquet"))
    read = [
        [(one.instruction, one.input, one.output) for one in found]
        for found in (_of_json(tmp_path / "a.jsonl", NAMES), *tables)
    ]
    assert read[0] == read[1] == read[2] == [("Is it?", "ACGT", "yes"), ("What?", "", "no")]


def test_scores_of_answers_are_those_of_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(3)
    truth = rng.choice(["yes", "no", "maybe"], 80).tolist()
    given = [one if rng.random() < 0.6 else str(rng.choice(["yes", "no", "maybe", "what"])) for one in truth]
    found = _scores(truth, given, ["maybe", "no", "yes"], 1)
    assert found["exact_match"].value == pytest.approx(metrics.accuracy_score(truth, given))
    labels = ["maybe", "no", "yes"]
    assert found["macro_f1"].value == pytest.approx(metrics.f1_score(truth, given, labels=labels, average="macro"))
    recall = metrics.recall_score(truth, given, labels=labels, average="macro", zero_division=0)
    assert found["balanced_accuracy"].value == pytest.approx(recall)
    assert found["mcc"].value == pytest.approx(metrics.matthews_corrcoef(truth, given))
    assert all(score.low <= score.value <= score.high for score in found.values())


# DeepSpeed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [2, 3])
def test_the_configuration_of_deepspeed_holds_what_deepspeed_asks_for(stage):
    from seqlm.training.deepspeed_engine import check_configuration, configuration

    config = configuration(Settings(1, batch_size=24, clip=0.5), 4, stage, "bfloat16", 1000)
    assert config["train_batch_size"] == 24 and config["train_micro_batch_size_per_gpu"] == 6
    assert config["zero_optimization"]["stage"] == stage
    assert config["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert config["gradient_clipping"] == 0.5
    assert config["zero_optimization"]["reduce_bucket_size"] == 1024, "half a billion if not said, in every update"
    for wrong, message in (
        ({"zero_optimisation": {}}, "knows no entry"),
        ({"train_batch_size": 25}, "'train_batch_size' must be"),
        ({"zero_optimization": {"stage": 4}}, "must be 2 or 3"),
        ({"gradient_clipping": "1"}, "must be float"),
        ({"torch_autocast": {"enabled": True, "dtype": "float8"}}, "must be bfloat16 or float16"),
    ):
        with pytest.raises(ValueError, match=message):
            check_configuration(config | wrong, 4)


def test_overlapping_kmers_are_hidden_in_spans_that_no_neighbour_tells():
    from seqlm.tokenization.kmer_overlaps import KmerReader
    from seqlm.tokenization.readers import LetterReader
    from seqlm.tools.pretrain.inputs import _overlap_of

    vocabulary = {"".join(word): number for number, word in enumerate(itertools.product("ACGT", repeat=3))}
    assert _overlap_of(Namespace(reader=KmerReader(vocabulary, "ACGT", 3, 0))) == 3
    assert _overlap_of(Namespace(reader=LetterReader({"A": 1}))) == 0
