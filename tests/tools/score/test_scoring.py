"""Scores against transformers' own classes, one position a pass, and against SciPy and Biopython."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from Bio.Align import substitution_matrices
from Bio.SeqUtils.ProtParamData import kd
from safetensors.torch import load_file, save_file
from scipy import stats
from transformers import AutoModelForMaskedLM

from makers.models import make, sequences, with_head
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.batching import Row, collate
from seqlm.inference.language_models import Opened, load_language_model
from seqlm.inference.loading import load_weights
from seqlm.inference.masked_likelihood import MaskedModel, MaskedReader
from seqlm.metrics.resampling import mean
from seqlm.models import esm_masked
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.score import baselines as score_baselines
from seqlm.tools.score.effects import Scanned
from seqlm.tools.score.variants import Variant

CPU = torch.device("cpu")
MASKED_FAMILIES = ("grover", "nucleotide-transformer", "modernbert", "esmc", "albert")


def opened(folder):
    base = read_model_folder(folder)
    return Opened(None, base, recognise(folder, base.config), folder.name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return lambda name: make(name, parent)


def batch_of(rows, encoder):
    """Rows of tokens and of places in them as one batch."""
    made = []
    for number, (ids, places) in enumerate(rows):
        weights = np.zeros(len(ids), np.float32)
        weights[places] = 1
        made.append(Row(ids, weights, number))
    return collate(made, encoder.padding)


@pytest.mark.parametrize("name", MASKED_FAMILIES)
def test_places_asked_for_have_the_probabilities_of_the_whole_model(folders, name):
    """Of every family with a masked head, padded rows, several places a row."""
    one = opened(folders(name))
    encoder = Encoder(one.family, one.base.path)
    model = MaskedModel(load_language_model(one, CPU, "fp32"))
    reference = AutoModelForMaskedLM.from_pretrained(one.base.path, attn_implementation="eager").eval()
    reader = MaskedReader(encoder, one.family.mask_token)
    rows, expected = [], []
    for sequence in sequences(name, count=4, shortest=18, longest=40):
        ids = encoder.read([("", sequence)])[0].ids
        chosen = sorted({0, len(ids) // 2, len(ids) - 1})
        (asked,) = reader.masked(ids, chosen, 0)
        places = np.flatnonzero(asked.row.weights)
        assert (asked.row.ids[places] == one.family.mask_token).all()
        assert asked.places.tolist() == chosen
        rows.append((asked.row.ids, places))
        with torch.no_grad():
            logits = reference(torch.from_numpy(asked.row.ids[None].astype(np.int64))).logits[0]
        expected.append(logits[places].log_softmax(-1))
    with torch.inference_mode():
        found = model.log_probabilities(batch_of(rows, encoder))
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 3])
def test_the_short_cut_of_esm_gives_what_transformers_gives(model_path, count):
    one = opened(model_path("esm-mlm"))
    model = load_language_model(one, CPU, "fp32")
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():  # with weights that are not near zero a mistake shows
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    ids = torch.randint(4, 24, (5, 31), generator=generator)
    ids[:, 0], ids[:, -1] = 0, 2
    places = torch.stack([torch.randperm(29, generator=generator)[:count].sort().values + 1 for _ in range(5)])
    ids.scatter_(1, places, 32)
    weights = torch.zeros(ids.shape).scatter_(1, places, 1.0)
    assert torch.equal(esm_masked.few_places(model, SimpleNamespace(mask=None, weights=weights)), places)
    with torch.inference_mode():
        found = model.lm_head(esm_masked.states(model, ids, places))
        expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    expected = expected.gather(1, places[..., None].expand(-1, -1, expected.shape[-1]))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_the_short_cut_is_for_few_places_of_esm_in_single_precision_alone(model_path, folders):
    model = load_language_model(opened(model_path("esm-mlm")), CPU, "fp32")

    def few(model, *counts, mask=None):
        weights = torch.stack([(torch.arange(28) < count).float() for count in counts])
        return esm_masked.few_places(model, SimpleNamespace(mask=mask, weights=weights)) is not None

    assert few(model, 7, 7) and not few(model, 8, 8) and not few(model, 1, 2)
    assert not few(model, 1, mask=torch.ones(1, 28))
    assert not few(model.to(torch.bfloat16), 1)
    absolute = load_language_model(opened(folders("nucleotide-transformer")), CPU, "fp32")
    assert not few(absolute, 1)


def test_dnabert2_s_head_is_that_of_its_paper(model_path, tmp_path):
    """Dense, GELU, layer norm, and the embedding of the tokens as the last layer, with a bias."""
    folder = with_head(model_path("dnabert2"), tmp_path / "dnabert2")
    one = opened(folder)
    model, weights = load_language_model(one, CPU, "fp32"), load_file(folder / "model.safetensors")
    ids = torch.tensor([[1, 7, 9, 4, 20, 2]])
    head = "cls.predictions."
    with torch.inference_mode():
        found = model(ids)
        vectors = model.bert(ids).last_hidden_state
        inner = vectors @ weights[head + "transform.dense.weight"].T + weights[head + "transform.dense.bias"]
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        inner = (inner - inner.mean(-1, keepdim=True)) / (inner.var(-1, unbiased=False, keepdim=True) + 1e-12).sqrt()
        inner = inner * weights[head + "transform.LayerNorm.weight"] + weights[head + "transform.LayerNorm.bias"]
        expected = inner @ weights["bert.embeddings.word_embeddings.weight"].T + weights[head + "decoder.bias"]
    torch.testing.assert_close(found.logits, expected, atol=1e-4, rtol=1e-4)


def test_a_head_with_the_bias_where_bert_has_it_is_read_too(model_path, tmp_path):
    folder = with_head(model_path("dnabert2"), tmp_path / "dnabert2")
    weights = load_file(folder / "model.safetensors")
    bias = weights["cls.predictions.bias"] = weights.pop("cls.predictions.decoder.bias")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load_language_model(opened(folder), CPU, "fp32")
    torch.testing.assert_close(model.cls.predictions.decoder.bias.data, bias)


@pytest.mark.parametrize("name", ["xlnet", "t5"])
def test_encoders_without_a_head_for_tokens_are_refused(folders, model_path, name):
    one = opened(model_path("t5") if name == "t5" else folders(name))
    with pytest.raises(InputError, match="an encoder that gives no probability to tokens; take a model of type"):
        load_weights(one.family.load_language_model, one.base.path, torch.float32, CPU)


def test_a_long_sequence_is_read_in_a_window_around_what_is_masked(model_path):
    family = opened(model_path("esm-mlm")).family
    encoder = Encoder(family, model_path("esm-mlm"), max_length=10)
    reader = MaskedReader(encoder, 32)
    ids = np.arange(100, 125)
    for place in range(25):
        (asked,) = reader.masked(ids, [place], 7)
        tokens = asked.row.ids[1:-1]
        at = int(np.flatnonzero(asked.row.weights)[0]) - 1
        assert len(tokens) == 10 and tokens[at] == 32 and asked.owner == 7 and asked.places.tolist() == [place]
        before = tokens[at - 1] if at else tokens[at + 1] - 2
        assert before == 100 + place - 1
        assert 4 <= at <= 5 or place < 5 or place > 19
    (both,) = reader.masked(ids, [8, 17], 0)  # ten tokens from the first to the last
    assert both.row.ids[1:-1].tolist() == [32, *range(109, 117), 32]
    apart = list(reader.masked(ids, [3, 5, 20], 0))  # no window holds all three
    assert [one.places.tolist() for one in apart] == [[3], [5], [20]]
    assert [(one.row.ids == 32).sum() for one in apart] == [2, 2, 1]


def test_unmasked_windows_ask_for_every_place_once_and_well_inside(model_path):
    family = opened(model_path("esm-mlm")).family
    reader = MaskedReader(Encoder(family, model_path("esm-mlm"), max_length=10), 32)
    ids = np.arange(100, 133)
    found = list(reader.plain(ids, range(33), 0))
    assert sorted(place for one in found for place in one.places) == list(range(33))
    for one in found:
        at = np.flatnonzero(one.row.weights)
        assert (one.row.ids[at] == 100 + one.places).all()
        inside = [index for index, place in zip(at - 1, one.places, strict=True) if 3 <= place <= 29]
        assert all(2 <= index <= 7 for index in inside)


def test_baselines_are_those_of_biopython():
    blosum = substitution_matrices.load("BLOSUM62")
    wild = ["MKTAYIAKQR"]
    variants = [Variant("", 0, ((0, "V"), (4, "F"))), Variant("", 0, ()), Variant("", 0, (), "MKTAYIAKQRGG")]
    found = score_baselines.of_variants("protein", variants, wild)
    assert found["substitutions"].tolist() == [-2, 0, -2]
    assert found["blosum62"][0] == blosum["M"]["V"] + blosum["Y"]["F"] and found["blosum62"][1] == 0
    expected = -(abs(kd["M"] - kd["V"]) + abs(kd["Y"] - kd["F"]))
    assert found["hydropathy"][0] == pytest.approx(expected)
    assert np.isnan(found["blosum62"][2]) and np.isnan(found["hydropathy"][2])
    bases = score_baselines.of_variants("DNA", [Variant("", 0, ((0, "G"), (1, "A")))], ["AC"])
    assert bases["transversions"].tolist() == [-1] and list(bases) == ["substitutions", "transversions"]


def test_correlations_are_those_of_scipy_and_leave_out_what_was_not_measured():
    generator = np.random.default_rng(0)
    scores, base = generator.normal(size=60), generator.normal(size=60)
    measured = scores + generator.normal(size=60)
    measured[[3, 50]] = np.nan
    known = ~np.isnan(measured)
    found = score_baselines.correlations(scores, measured, {"substitutions": base})
    assert found.n == 58 and not found.inverse
    for one, values in ((found.model, scores), (found.baselines["substitutions"], base)):
        assert one.spearman.value == pytest.approx(stats.spearmanr(values[known], measured[known]).statistic)
        assert one.pearson.value == pytest.approx(stats.pearsonr(values[known], measured[known]).statistic)
        assert one.spearman.low < one.spearman.value < one.spearman.high
    less = found.baselines["substitutions"].less
    rho = found.baselines["substitutions"].spearman.value
    assert less.value == pytest.approx(found.model.spearman.value - abs(rho)) and less.low > 0


def test_a_measure_of_damage_is_compared_without_its_sign():
    generator = np.random.default_rng(1)
    scores = generator.normal(size=80)
    measured = scores + 0.3 * generator.normal(size=80)
    noise = {"blosum62": generator.normal(size=80)}
    up, down = (score_baselines.correlations(scores, sign * measured, noise) for sign in (1, -1))
    assert down.inverse and not up.inverse
    assert down.baselines["blosum62"].less.value == pytest.approx(up.baselines["blosum62"].less.value)
    assert down.baselines["blosum62"].less.low > 0


def test_too_few_or_equal_measured_values_have_no_correlation():
    values = np.array([1.0, np.nan, 2.0, np.nan])
    assert "only 2 variants" in score_baselines.correlations(np.arange(4.0), values, {}).undefined
    assert "all measured values are the same" in score_baselines.correlations(np.arange(4.0), np.ones(4), {}).undefined


def test_probabilities_entropy_and_means_of_a_scan_are_those_of_its_letters():
    """From scores log p(letter) - log p(wild type) the shares of the letters come back."""
    shares = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0.2, 0.3, 0.4, 0.1]])
    wild = [0, 1, 3]
    scores = np.log(shares) - np.log(shares[[0, 1, 2], wild])[:, None]
    found = Scanned("d", "ACT", scores, "ACGT")
    np.testing.assert_allclose(found.probabilities, shares)
    np.testing.assert_allclose(found.entropy, stats.entropy(shares, base=2, axis=1))
    np.testing.assert_allclose(found.means, [scores[0, 1:].mean(), 0, scores[2, :3].mean()])


def test_the_interval_of_a_mean_is_about_that_of_a_t_test():
    values = np.random.default_rng(3).normal(2, 1, 400)
    found = mean(values, 1)
    low, high = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(low, abs=0.02) and found.high == pytest.approx(high, abs=0.02)
    assert math.isnan(mean(np.array([1.0]), 1).low)
    many = mean(np.tile(values, 60), 1)
    assert many.high - many.low == pytest.approx((high - low) / math.sqrt(60), rel=0.02)
