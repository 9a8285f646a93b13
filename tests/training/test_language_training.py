"""Training of causal models: what a sequence loses, what one update does, what windows count, the models of letters."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from seqlm.baselines.language_baselines import ADDED, FREQUENCIES, TRIPLES, UNIFORM, Letters
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import Rules
from seqlm.data.sequences import read_records
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import LoraSettings, add_adapter
from seqlm.inference.language_rows import Text, read_texts, windows
from seqlm.inference.likelihood import TokenModel
from seqlm.metrics.language_scores import BITS, LETTER_PERPLEXITY, PERPLEXITY, differences, samples, scores
from seqlm.tokenization.language_text import LanguageText
from seqlm.training.language_training import IGNORED, losses, next_tokens, train_language_model
from seqlm.training.state import Settings


def build(folder, lora=True, seed=1):
    """A model without dropout, so that nothing is drawn at random in a pass."""
    torch.manual_seed(seed)
    family = recognise(folder, read_model_folder(folder).config)
    model = AutoModelForCausalLM.from_pretrained(folder)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if lora:
        model = add_adapter(model.requires_grad_(False), family, LoraSettings(dropout=0.0), "tiny", writes=True)
    return TokenModel(model), LanguageText(family, folder)


@pytest.fixture
def family_members(data):
    return [(record.id, record.sequence) for record in read_records(data / "protein_family.fasta")][:24]


def rows_of(text, items, limit=256, **options):
    return [one.rows for one in read_texts(text, items, limit=limit, rules=Rules(), **options)]


def trained(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["protgpt2", "llama", "smiles-gpt2"])
def test_what_a_sequence_loses_is_what_transformers_own_loss_says(model_path, family_members, name):
    model, text = build(model_path(name), lora=False)
    items = family_members[:6] if name != "smiles-gpt2" else [("a", "c1ccccc1CC(=O)O"), ("b", "c1ccncc1Cl")]
    found = losses(model.eval(), rows_of(text, items), budget=100)
    for (_, sequence), lost in zip(items, found, strict=True):
        ids = torch.tensor(text.encode([sequence])[0][None])
        with torch.no_grad():
            expected = model.model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        assert lost == pytest.approx(expected, rel=1e-5)


def test_every_token_counts_once_however_long_the_sequence():
    for length in (1, 7, 8, 9, 13, 100):
        counted = np.zeros(length, int)
        for row in windows(np.arange(length), 8):
            assert len(row.ids) == min(length, 8), "no window is a stump"
            assert row.ids[0] == row.start
            counted[row.ids] += row.weights.astype(int)
        assert counted.tolist() == [0] + [1] * (length - 1)


def test_a_windowed_token_is_judged_by_what_its_window_shows(model_path, family_members):
    model, text = build(model_path("llama"), lora=False)
    sequence = "".join(sequence for _, sequence in family_members)[:600]
    (rows,) = rows_of(text, [("long", sequence)], limit=100)
    expected = 0.0
    for row in rows:
        with torch.no_grad():
            logits = model.eval().model(torch.tensor(row.ids[None])).logits[0].log_softmax(-1)
        expected -= sum(
            logits[place - 1, row.ids[place]].item() for place in range(1, len(row.ids)) if row.weights[place]
        )
    assert losses(model, [rows], budget=150) == pytest.approx([expected], rel=1e-5)


def test_a_sequence_that_is_cut_off_has_no_end_and_fewer_letters(model_path):
    _, text = build(model_path("llama"), lora=False)
    rules = Rules()
    long, short = read_texts(
        text, [("long", "MKTAYIAKQR" * 3), ("short", "MKT")], limit=16, long_sequences="truncate", rules=rules
    )
    assert (long.letters, long.tokens, long.ended) == (15, 15, False)
    assert (short.letters, short.tokens, short.ended) == (3, 4, True)
    assert rules.lines() == ["cut off at 16 tokens: 1 sequence, 15 letters"]
    with pytest.raises(InputError, match="'long' has 32 tokens, start and end included, over the limit of 16"):
        read_texts(text, [("long", "MKTAYIAKQR" * 3)], limit=16, long_sequences="refuse", rules=rules)


def test_the_targets_are_the_tokens_that_follow_and_padding_is_none(model_path, family_members):
    _, text = build(model_path("llama"), lora=False)
    rows = [row for one in rows_of(text, [("a", "MKT"), ("b", "MKTAY")]) for row in one]
    batch = next_tokens(rows)
    assert batch.targets[1].tolist() == [*rows[1].ids[1:].tolist(), IGNORED]
    assert batch.targets[0].tolist() == [*rows[0].ids[1:].tolist(), IGNORED, IGNORED, IGNORED]


def test_the_token_budget_does_not_change_what_is_learnt(model_path, family_members):
    results = []
    for budget in (60, 100_000):
        model, text = build(model_path("protgpt2"))
        data = rows_of(text, family_members)
        train_language_model(model, data, Settings(epochs=2, budget=budget, learning_rate=0.01))
        results.append(trained(model))
    assert any("lora_B" in name for name in results[0])
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], atol=1e-5, rtol=1e-4)


def test_the_gradient_of_an_update_is_that_of_the_mean_over_its_tokens(model_path, family_members):
    """Sequences of unlike length, run in several passes, against one loss of transformers over all of them."""
    model, text = build(model_path("llama"), lora=False)
    items = [(name, sequence[: 10 + 2 * place]) for place, (name, sequence) in enumerate(family_members)]
    data = rows_of(text, items)
    parameter = model.model.lm_head.weight
    gradients = []
    parameter.register_hook(gradients.append)
    train_language_model(model, data, Settings(epochs=1, batch_size=24, budget=120, learning_rate=1e-12))
    assert len(gradients) > 3
    reference = AutoModelForCausalLM.from_pretrained(model_path("llama"))
    batch = next_tokens([row for one in data for row in one])
    labels = batch.ids.masked_fill(batch.mask == 0, IGNORED)
    reference(batch.ids, attention_mask=batch.mask, labels=labels).loss.backward()
    torch.testing.assert_close(sum(gradients), reference.lm_head.weight.grad, atol=1e-6, rtol=1e-4)


def test_a_full_memory_halves_the_pass_and_gives_the_same_weights(model_path, family_members, monkeypatch):
    expected, text = build(model_path("llama"))
    settings = Settings(epochs=1, learning_rate=0.01)
    train_language_model(expected, rows_of(text, family_members), settings)
    model, _ = build(model_path("llama"))
    real = TokenModel.logits

    def small(self, batch):
        if batch.ids.numel() > 130:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    monkeypatch.setattr(TokenModel, "logits", small)
    train_language_model(model, rows_of(text, family_members), settings)
    for name, value in trained(expected).items():
        torch.testing.assert_close(trained(model)[name], value, atol=1e-5, rtol=1e-4)


def test_a_loss_that_is_no_number_stops_with_advice(model_path, family_members):
    model, text = build(model_path("llama"), lora=False)
    with torch.no_grad():
        model.model.lm_head.weight.fill_(math.inf)
    with pytest.raises(InputError, match="no longer a number at update 1; choose a lower learning rate"):
        train_language_model(model, rows_of(text, family_members), Settings(epochs=1))


def test_the_best_epoch_is_that_of_the_lowest_validation_loss(model_path, family_members):
    model, text = build(model_path("llama"), lora=False)
    told = iter([3.0, 1.0, 2.0, 2.5, 2.6])
    weights = []

    def validate(model, budget):
        weights.append(model.model.lm_head.weight.detach().clone())
        return {"loss": next(told)}

    data = rows_of(text, family_members)
    history = train_language_model(
        model, data, Settings(epochs=9, learning_rate=0.01, patience=3, metric="loss"), scores=validate
    )
    assert (history.best_epoch, len(history.epochs), history.stopped_early) == (2, 5, True)
    assert torch.equal(model.model.lm_head.weight, weights[1])


def test_gradient_checkpointing_changes_nothing_but_memory(model_path, family_members):
    results = []
    for checkpointing in (False, True):
        model, text = build(model_path("protgpt2"))
        settings = Settings(epochs=1, learning_rate=0.01, gradient_checkpointing=checkpointing)
        train_language_model(model, rows_of(text, family_members[:8]), settings)
        results.append(trained(model))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], atol=1e-6, rtol=1e-5)


# Models of letters ---------------------------------------------------------------------------------------------------

SETS = {"train": ["ACCA", "CAAC", "A"], "validation": ["ACA", "CC"], "test": ["CAD", ""]}


def letters_of(sets, ended=True, alphabet="text", first=0):
    texts = {
        split: [Text((), len(one) + ended, first, len(one), ended) for one in sequences]
        for split, sequences in sets.items()
    }
    return Letters(sets, texts, alphabet)


def test_uniform_letters_and_frequencies_are_what_counting_gives():
    lost = letters_of(SETS).losses()
    assert lost[UNIFORM]["test"] == pytest.approx([4 * math.log(4), math.log(4)]), "A, C, D and the end"
    shares = {"A": 6 / 16, "C": 5 / 16, "D": 1 / 16, "end": 4 / 16}  # one more than each of 5, 4, 0 and 3
    cad = -sum(math.log(shares[letter]) for letter in ["C", "A", "D", "end"])
    assert lost[FREQUENCIES]["test"] == pytest.approx([cad, -math.log(shares["end"])])


def test_3_mers_are_a_markov_chain_whose_smoothing_the_validation_set_chooses():
    rng = np.random.default_rng(3)
    sets = {split: ["".join(rng.choice(list("AACGT"), size=30)) for _ in range(6)] for split in SETS}

    def by_hand(k, split):
        triples, pairs, found = Counter(), Counter(), []
        for sequence in sets["train"]:
            whole = "^^" + sequence + "$"
            for at in range(2, len(whole)):
                triples[whole[at - 2 : at + 1]] += 1
                pairs[whole[at - 2 : at]] += 1
        for sequence in sets[split]:
            whole = "^^" + sequence + "$"
            shares = [
                (triples[whole[at - 2 : at + 1]] + k) / (pairs[whole[at - 2 : at]] + 5 * k)
                for at in range(2, len(whole))
            ]
            found.append(-sum(map(math.log, shares)))
        return found

    letters = letters_of(sets, alphabet="DNA")
    lost = letters.losses()
    assert letters.k == min(ADDED, key=lambda k: sum(by_hand(k, "validation")))
    for split in sets:
        assert lost[TRIPLES][split] == pytest.approx(by_hand(letters.k, split))


def test_the_models_of_letters_are_distributions_over_what_can_follow():
    sets = {"train": ["AC", "CA", "AA"], "test": ["A", "AA", "AC"]}
    letters = letters_of(sets)
    lost = letters.losses()[TRIPLES]["test"]
    by_a = np.exp(-lost)  # A and the end; A, A and the end; A, C and the end
    first = (2 + 1) / (3 + 3)
    assert by_a[0] == pytest.approx(first * (0 + 1) / (2 + 3))
    assert letters.k == 1.0


def test_without_an_end_and_without_the_first_letters_only_the_others_count():
    lost = letters_of({"train": ["ACCA", "CAAC"], "test": ["CA"]}, ended=False, first=1).losses()
    assert lost[UNIFORM]["test"] == pytest.approx([math.log(2)])


# Scores --------------------------------------------------------------------------------------------------------------


def test_scores_are_means_over_tokens_and_letters_with_a_bootstrap_over_sequences():
    rng = np.random.default_rng(5)
    letters = rng.integers(20, 80, 40).astype(float)
    tokens = np.ceil(letters / 3)
    lost = tokens * rng.normal(4, 0.5, 40)
    found = scores(samples(lost, letters, tokens, seed=7))
    assert found[PERPLEXITY].value == pytest.approx(math.exp(lost.sum() / tokens.sum()))
    assert found[BITS].value == pytest.approx(lost.sum() / letters.sum() / math.log(2))
    assert found[LETTER_PERPLEXITY].value == pytest.approx(2 ** found[BITS].value)
    drawn = []
    for _ in range(4000):
        chosen = rng.integers(0, 40, 40)
        drawn.append(math.exp(lost[chosen].sum() / tokens[chosen].sum()))
    low, high = np.percentile(drawn, [2.5, 97.5])
    width = high - low
    assert found[PERPLEXITY].low == pytest.approx(low, abs=0.15 * width)
    assert found[PERPLEXITY].high == pytest.approx(high, abs=0.15 * width)


def test_a_difference_is_of_the_same_resamples_and_so_narrower_than_its_parts():
    rng = np.random.default_rng(6)
    letters = np.full(50, 60.0)
    before = 60 * rng.normal(3, 0.6, 50)
    after = before - 60 * rng.normal(0.2, 0.02, 50)
    one, other = (samples(values, letters, None, seed=1) for values in (after, before))
    difference = differences(one, other)[BITS]
    assert difference.low < difference.value < difference.high < 0
    assert difference.high - difference.low < 0.2 * (scores(one)[BITS].high - scores(one)[BITS].low)
    assert PERPLEXITY not in differences(one, other), "models of letters have no tokens"
