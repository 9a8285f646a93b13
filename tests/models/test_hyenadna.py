"""HyenaDNA, written here: convolutions written out in double precision, padding on either side, steps, published files.
The reference tests compare it with another implementation."""

import json
import math
import shutil
from functools import partial

import pytest
import torch
import transformers
from packaging.version import Version
from safetensors.torch import load_file, save_file
from torch.nn.functional import gelu, layer_norm, linear

from makers.models import make
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.drawing import Drawing
from seqlm.inference.memory import Need
from seqlm.inference.sampling import Job, Limits, sample
from seqlm.models import hyenadna
from seqlm.models.hyenadna import HyenaDnaConfig, HyenaDnaForCausalLM, HyenaDnaModel, LongConvolution
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make("hyenadna", tmp_path_factory.mktemp("models"))


def family_of(folder):
    return recognise(folder, read_model_folder(folder).config)


@pytest.fixture(scope="module")
def model(folder):
    return family_of(folder).load_language_model(folder).eval()


def bases(rows, tokens, seed=1):
    return torch.randint(7, 12, (rows, tokens), generator=torch.Generator().manual_seed(seed))


def by_hand(weights, ids, config):
    """Logits (tokens, vocabulary) of one row, in double precision, each sum of a convolution written out."""
    weights = {name.removeprefix("hyena.backbone."): one.double() for name, one in weights.items()}
    tokens, width = len(ids), config.d_model

    def of(layer, name):
        return weights[f"layers.{layer}.{name}"]

    def mapped(layer, name, states):
        return linear(states, of(layer, f"{name}.weight"), of(layer, f"{name}.bias"))

    states = weights["embeddings.word_embeddings.weight"][ids]
    for layer in range(config.n_layer):
        normed = layer_norm(states, (width,), of(layer, "norm1.weight"), of(layer, "norm1.bias"))
        maps = mapped(layer, "mixer.in_proj", normed)
        taps, bias = of(layer, "mixer.short_filter.weight")[:, 0], of(layer, "mixer.short_filter.bias")
        short = torch.stack(
            [bias + sum(taps[:, 2 - back] * maps[at - back] for back in range(min(at, 2) + 1)) for at in range(tokens)]
        )
        outside, inside, values = short.split(width, 1)
        values = values * inside

        name, length = "mixer.filter_fn.", config.max_seq_len
        places = torch.arange(tokens, dtype=torch.float64)
        turns = 2 * math.pi * places / length
        code = [places / (length - 1)]
        bands = [1e-4] if config.emb_dim == 3 else [1e-4, 1.0]
        code += [(turns * band).cos() for band in bands] + [-(turns * band).sin() for band in bands]
        code = torch.stack(code, 1)
        for number in (0, 2, 4):
            frequency = of(layer, f"{name}implicit_filter.1.freq")
            code = torch.sin(frequency * mapped(layer, f"{name}implicit_filter.{number}", code))
        filters = code @ of(layer, f"{name}implicit_filter.6.weight").T
        falls = [abs(math.log(0.01) / 1.5 * (1 - at) + math.log(0.01) / 0.3 * at) for at in torch.linspace(0, 1, width)]
        filters = filters * (torch.exp(-torch.tensor(falls) * places[:, None] / (length - 1)) + 0.05)
        long = torch.stack(
            [sum(filters[at - before] * values[before] for before in range(at + 1)) for at in range(tokens)]
        )
        long = long + of(layer, f"{name}bias") * values
        states = states + mapped(layer, "mixer.out_proj", outside * long)
        normed = layer_norm(states, (width,), of(layer, "norm2.weight"), of(layer, "norm2.bias"))
        states = states + mapped(layer, "mlp.fc2", gelu(mapped(layer, "mlp.fc1", normed), approximate="tanh"))
    states = layer_norm(states, (width,), weights["ln_f.weight"], weights["ln_f.bias"])
    return states @ weights["lm_head.weight"].T


def test_logits_are_those_of_sums_written_out(model):
    ids = bases(1, 57)
    with torch.no_grad():
        expected = by_hand(model.state_dict(), ids[0], model.config)
        given = model(input_ids=ids).logits[0]
    assert expected.std() > 0.3
    torch.testing.assert_close(given.double(), expected, atol=1e-4, rtol=1e-4)


def test_a_few_channels_at_a_time_give_what_all_together_give(model, monkeypatch):
    ids = bases(3, 200)
    with torch.no_grad():
        monkeypatch.setattr(hyenadna, "NUMBERS", 1)
        few = model(input_ids=ids).logits
        monkeypatch.setattr(hyenadna, "CHANNELS", 7)
        monkeypatch.setattr(hyenadna, "PIECE", 50)
        odd = model(input_ids=ids).logits
    together = model(input_ids=ids).logits  # with what gradients need
    torch.testing.assert_close(few, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(odd, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["single", "bf16", "fp16"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(folder, side, dtype):
    model = family_of(folder).load_language_model(folder, dtype=dtype).eval()
    ids = bases(3, 90)
    padded, mask = torch.full((3, 120), 4), torch.zeros(3, 120, dtype=torch.long)
    kept = slice(30, None) if side == "left" else slice(90)
    padded[:, kept], mask[:, kept] = ids, 1
    with torch.no_grad():
        alone, given = model(input_ids=ids).logits, model(input_ids=padded, attention_mask=mask).logits[:, kept]
    near = {torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.01}[dtype]
    torch.testing.assert_close(given, alone, atol=near * float(alone.abs().max()), rtol=0)


def test_half_precision_leaves_filters_in_single(folder):
    single = family_of(folder).load(folder, dtype=torch.float32)
    half = family_of(folder).load(folder, dtype=torch.bfloat16)
    assert half.backbone.layers[0].mixer.in_proj.weight.dtype == torch.bfloat16
    filters = [
        one.backbone.layers[1].mixer.filter_fn.of(slice(None), one.backbone.layers[1].mixer.filter_fn.features(300))
        for one in (single, half)
    ]
    assert torch.equal(*filters)


def test_no_token_sees_those_behind_it(model):
    first, second = bases(1, 300), bases(1, 300, seed=2)
    second[:, :170] = first[:, :170]
    with torch.no_grad():
        given = [model(input_ids=ids).logits[0] for ids in (first, second)]
    # Fourier transforms spread what is rounded, and nothing else
    assert (given[0][:170] - given[1][:170]).abs().max() < 1e-5 * given[0].abs().max()
    assert (given[0][170:] - given[1][170:]).abs().max() > 0.1


def test_tokens_one_by_one_give_what_all_together_give(model):
    ids, cache, single = bases(2, 40), None, []
    with torch.no_grad():
        together = model(input_ids=ids).logits
        for place in range(ids.shape[1]):
            given = model(input_ids=ids[:, place : place + 1], past_key_values=cache, use_cache=True)
            cache = given.past_key_values
            single.append(given.logits)
        begun = model(input_ids=ids[:, :-1], use_cache=True).past_key_values
        last = model(input_ids=ids[:, -1:], past_key_values=begun, use_cache=True).logits
        written = model.generate(ids[:, :9], max_new_tokens=12, do_sample=False, pad_token_id=4)
        best = model(input_ids=written).logits[:, 8:-1].argmax(-1)
        beams = partial(model.generate, ids[:1, :9], max_new_tokens=5, num_beams=3, do_sample=False, pad_token_id=4)
        if Version(transformers.__version__) < Version("5.23"):  # it counts on as many rows as there are tokens
            with pytest.raises(RuntimeError, match="is invalid for input of size"):
                beams()
        else:
            assert beams().shape == (1, 14)
    torch.testing.assert_close(torch.cat(single, 1), together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(last, together[:, -1:], atol=1e-5, rtol=1e-5)
    assert torch.equal(best, written[:, 9:])
    with pytest.raises(ValueError, match="one token at a time"):
        model(input_ids=ids[:, :2], past_key_values=begun)
    with pytest.raises(ValueError, match="reads at most 514"):
        model(input_ids=bases(1, 515))


def test_slots_at_different_places_write_what_each_writes_alone(folder, model):
    text, drawing = LanguageText(family_of(folder), folder), Drawing(sample=False)
    prompts = text.encode(["ACGTTACCGA", "T", "GGC"], complete=False)
    limits = Limits(text.ends, 40)
    written = dict(sample(model, prompts, [Job(place, 0) for place in range(3)], drawing, limits, 2))
    for place, prompt in enumerate(prompts):
        with torch.no_grad():
            alone = model.generate(
                torch.tensor(prompt)[None], max_length=40, do_sample=False, eos_token_id=1, pad_token_id=4
            )[0].tolist()
        assert written[place].ids.tolist() == (alone[:-1] if written[place].complete else alone)


def test_gradients_of_a_convolution_are_those_of_its_sums():
    generator = torch.Generator().manual_seed(2)
    values, filters = (torch.randn(*size, 9, dtype=torch.float64, generator=generator) for size in ((2, 3), (3,)))
    assert torch.autograd.gradcheck(LongConvolution.apply, (values.requires_grad_(), filters.requires_grad_()))


@pytest.mark.parametrize(
    ("sizes", "file"),
    [({"max_seq_len": 160_002}, 56_971_992), ({"max_seq_len": 1_000_002}, 218_252_304)],
    ids=["medium-160k", "large-1m"],
)
def test_the_published_sizes_give_files_of_the_published_size(sizes, file):
    """To the byte: all names of tensors are as long, and all tensors as large. Two of a layer are computed here."""
    with torch.device("meta"):
        config = HyenaDnaConfig(**sizes)
        tensors = {name: tuple(one.shape) for name, one in HyenaDnaForCausalLM(config).state_dict().items()}
    for layer in range(config.n_layer):
        name = f"hyena.backbone.layers.{layer}.mixer.filter_fn."
        tensors |= {f"{name}pos_emb.t": (1, config.max_seq_len, 1), f"{name}modulation.deltas": (1, 1, config.d_model)}
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        start, end = end, end + 4 * math.prod(tensors[name])
        header[name] = {"dtype": "F32", "shape": tensors[name], "data_offsets": [start, end]}
    written = len(json.dumps(header, separators=(",", ":")))
    assert 8 + math.ceil(written / 8) * 8 + end == file


def test_what_a_published_file_has_more_is_computed_or_the_same(folder, model, tmp_path):
    shutil.copytree(folder, tmp_path / "published")
    weights = load_file(folder / "model.safetensors")
    for layer in range(2):
        name = f"hyena.backbone.layers.{layer}.mixer.filter_fn."
        weights |= {f"{name}pos_emb.t": torch.rand(1, 514, 1), f"{name}modulation.deltas": torch.rand(1, 1, 48)}
        weights[f"{name}implicit_filter.5.freq"] = torch.rand(1, 16)
    save_file(weights, tmp_path / "published" / "model.safetensors", metadata={"format": "pt"})
    again = family_of(tmp_path / "published").load_language_model(tmp_path / "published").eval()
    with torch.no_grad():
        assert torch.equal(*(one(input_ids=bases(1, 30)).logits for one in (model, again)))


def test_what_its_config_and_its_tokenizer_say(folder, tmp_path):
    assert json.loads((folder / "config.json").read_text())["auto_map"]
    family = family_of(folder)
    assert (family.name, family.window, family.hidden_size, family.vocabulary_size) == ("HyenaDNA", 514, 48, 16)
    assert family.one_letter_tokens and family.replacements == dict.fromkeys("RYSWKMBDHV", "N")
    assert Encoder(family, folder).encode("ACGTN").rows[0].tolist() == [7, 8, 9, 10, 11]
    text = LanguageText(family, folder)
    assert (text.opening, text.ends, text.given) == ([], (1,), 1)
    assert text.encode(["ACGT"])[0].tolist() == [7, 8, 9, 10, 1] and text.write([7, 5, 8, 15, 1]) == "AC"

    shutil.copytree(folder, tmp_path / "other")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["added_tokens_decoder"]["7"] = settings["added_tokens_decoder"].pop("6")
    (tmp_path / "other" / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"gives the token '\[UNK\]' the id 7, which it has not in a HyenaDNATok"):
        read_model_folder(tmp_path / "other")
    named = {"tokenizer_class": "OtherTokenizer", "auto_map": {"AutoTokenizer": ["tokenization.OtherTokenizer", None]}}
    (tmp_path / "other" / "tokenizer_config.json").write_text(json.dumps(named))
    with pytest.raises(InputError, match="is code of its authors"):
        read_model_folder(tmp_path / "other")


@pytest.mark.parametrize(
    "entries", [{"hyena_order": 3}, {"short_filter_order": 4}, {"emb_dim": 4}, {"emb_dim": 1}, {"train_freq": False}]
)
def test_sizes_that_no_published_model_has_are_refused(entries):
    with pytest.raises(ValueError, match=f"'{next(iter(entries))}' of a HyenaDNA must be"):
        HyenaDnaModel(HyenaDnaConfig(d_model=16, d_inner=16, n_layer=1, max_seq_len=8, **entries))


def test_memory_grows_with_the_length_and_not_its_square(folder):
    family = family_of(folder)
    needs = [Need(family, 10_000, 40_000, tokens, single=True, trains=True) for tokens in (20_000, 160_000)]
    for training in (False, True):
        short, long = (need.passing(need.longest, "fp32", "cpu", training, False) for need in needs)
        assert 5 < long / short < 8.5
