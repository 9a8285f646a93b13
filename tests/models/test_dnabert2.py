"""DNABERT-2, written here: its mathematics by hand, its published names, and its way through the tools."""

import csv
import json
import math
import re
import shutil
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import gelu, layer_norm, linear
from transformers import AutoTokenizer

from makers.scripts import run_batch
from seqlm.checkpoints.bundle import open_bundle
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import LoraSettings, add_adapter, load_adapter, save_adapter
from seqlm.inference.inference import pooled_vectors, residue_values
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.models.dnabert2 import DnaBert2Config, DnaBert2Model, alibi_slopes, attention_bias
from seqlm.tokenization.encoder import Encoder
from seqlm.training.recomputing import compute_again

CPU = torch.device("cpu")


@pytest.fixture
def folder(model_path):
    return model_path("dnabert2")


@pytest.fixture(scope="module")
def small():
    """One layer with three heads, in double precision."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "num_hidden_layers": 1}
    return DnaBert2Model(DnaBert2Config(vocab_size=30, initializer_range=0.3, **sizes)).double().eval()


def family_of(folder):
    return recognise(folder, read_model_folder(folder).config)


def loaded(folder, dtype=torch.float32, **options):
    family = family_of(folder)
    backbone = load_backbone(folder, family, dtype, CPU)
    return SequenceModel(backbone, family.hidden_size), Encoder(family, folder, **options)


def dna(count=10, shortest=5, longest=300, seed=4):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), rng.integers(shortest, longest))) for _ in range(count)]


def rewritten(folder, target, change):
    """A copy of the model whose tensors are ``change`` of the original ones."""
    shutil.copytree(folder, target)
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.parametrize(
    ("heads", "powers"),
    [
        (8, [-1, -2, -3, -4, -5, -6, -7, -8]),
        (12, [-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5]),  # as in DNABERT-2
        (16, [-0.5 * head for head in range(1, 17)]),
        (3, [-4, -8, -2]),
        (1, [-8]),
    ],
)
def test_slopes_are_those_of_the_alibi_paper(heads, powers):
    torch.testing.assert_close(alibi_slopes(heads), torch.tensor([2.0**power for power in powers]))


def test_a_layer_is_what_it_is_by_hand(small):
    """One layer written out with loops over heads and pairs of tokens."""
    ids = torch.tensor([[1, 7, 9, 12, 2]])
    weights = {name: tensor.detach() for name, tensor in small.state_dict().items()}

    def norm(values, name):
        return layer_norm(values, (24,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)

    words, types = weights["embeddings.word_embeddings.weight"], weights["embeddings.token_type_embeddings.weight"]
    hidden = norm(words[ids[0]] + types[0], "embeddings.LayerNorm")
    layer = "encoder.layer.0"
    fused = linear(hidden, weights[f"{layer}.attention.self.Wqkv.weight"], weights[f"{layer}.attention.self.Wqkv.bias"])
    mixed = torch.zeros(5, 24, dtype=torch.float64)
    for head, slope in enumerate([2**-4, 2**-8, 2**-2]):
        query, key, value = (fused[:, part * 24 + head * 8 : part * 24 + head * 8 + 8] for part in range(3))
        for here in range(5):
            scores = [query[here] @ key[there] / math.sqrt(8) - slope * abs(here - there) for there in range(5)]
            mixed[here, head * 8 : head * 8 + 8] = torch.softmax(torch.stack(scores), 0) @ value
    dense = f"{layer}.attention.output.dense"
    attended = norm(
        linear(mixed, weights[f"{dense}.weight"], weights[f"{dense}.bias"]) + hidden,
        f"{layer}.attention.output.LayerNorm",
    )
    both = linear(attended, weights[f"{layer}.mlp.gated_layers.weight"])
    inner = gelu(both[:, :40]) * both[:, 40:]
    expected = norm(
        linear(inner, weights[f"{layer}.mlp.wo.weight"], weights[f"{layer}.mlp.wo.bias"]) + attended,
        f"{layer}.mlp.layernorm",
    )
    with torch.no_grad():
        given = small(input_ids=ids, output_hidden_states=True)
    torch.testing.assert_close(given.last_hidden_state[0], expected)
    torch.testing.assert_close(given.hidden_states[0][0], hidden)


def test_padding_is_never_looked_at(small):
    ids = torch.tensor([[1, 7, 9, 2, 0, 0], [1, 8, 8, 9, 9, 2]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        together = small(input_ids=ids, attention_mask=mask).last_hidden_state
        alone = small(input_ids=ids[:1, :4]).last_hidden_state
    torch.testing.assert_close(together[:1, :4], alone)
    bias = attention_bias(mask, alibi_slopes(3), 6, torch.float32)
    assert torch.isinf(bias[0, :, :, 4:]).all() and torch.isfinite(bias[1]).all()
    assert attention_bias(mask[1:], alibi_slopes(3), 6, torch.float32).shape == (1, 3, 6, 6)


def test_pooled_vectors_depend_on_neither_padding_nor_order(folder):
    model, encoder = loaded(folder)
    encoded = [encoder.encode(text) for text in dna()]
    alone = pooled_vectors(model, encoded, encoder.padding, budget=1)
    together = pooled_vectors(model, encoded, encoder.padding, budget=100_000)
    backwards = pooled_vectors(model, encoded[::-1], encoder.padding, budget=500).flip(0)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together, backwards, atol=1e-5, rtol=1e-5)


def test_it_is_told_from_a_bert_by_its_config_alone(folder, model_path):
    config = read_model_folder(folder).config
    family = recognise(folder, config)
    assert (family.name, family.alphabet, family.window, family.depth) == ("DNABERT-2", DNA, 510, 2)
    without_code = {key: value for key, value in config.items() if key != "auto_map"}
    without_length = {key: value for key, value in config.items() if key != "alibi_starting_size"}
    assert recognise(folder, without_code).name == recognise(folder, without_length).name == "DNABERT-2"
    elsewhere = {"auto_map": {"AutoModel": "zhihan1996/DNABERT-2-117M--bert_layers.BertModel"}}
    assert recognise(folder, without_length | elsewhere).name == "DNABERT-2"
    assert recognise(folder, without_code | {"alibi_starting_size": None}).name == "BERT"
    assert recognise(model_path("bert"), read_model_folder(model_path("bert")).config).name == "BERT"


def test_tokens_are_those_of_its_own_tokenizer_and_none_is_cut(folder):
    """tokenizer.json asks to cut at 636 tokens; a chromosome's worth must come out whole."""
    own = AutoTokenizer.from_pretrained(folder)
    _, encoder = loaded(folder, max_length=5000)
    for text in [*dna(5), dna(1, 9000, 9001)[0]]:
        assert encoder.encode(text).rows[0].tolist() == own(text)["input_ids"]
    assert len(encoder.encode(dna(1, 9000, 9001)[0]).rows[0]) > 1000


def test_more_tokens_than_the_model_was_made_for_are_read_at_once(folder):
    """ALiBi needs no table of positions; windows are only the default."""
    text = dna(1, 6000, 6001)[0]
    model, whole = loaded(folder, max_length=4000)
    _, windows = loaded(folder)
    assert len(whole.encode(text).rows) == 1 and len(whole.encode(text).rows[0]) > 700
    assert len(windows.encode(text).rows) > 1 and max(map(len, windows.encode(text).rows)) == 512
    vector = pooled_vectors(model, [whole.encode(text)], 0, budget=10_000)[0]
    ids = torch.tensor(AutoTokenizer.from_pretrained(folder)([text])["input_ids"])
    with torch.no_grad():
        expected = model.backbone(input_ids=ids).last_hidden_state[0, 1:-1].mean(0)
    torch.testing.assert_close(vector, expected, atol=1e-5, rtol=1e-5)
    assert len(residue_values(model, [windows.encode(text)], 0, budget=2000)) == windows.encode(text).tokens


def test_weights_are_found_with_and_without_their_prefix(folder, tmp_path):
    bare = rewritten(
        folder,
        tmp_path / "bare",
        lambda weights: {name.removeprefix("bert."): t for name, t in weights.items() if name.startswith("bert.")},
    )
    first, second = loaded(folder)[0].backbone.state_dict(), loaded(bare)[0].backbone.state_dict()
    published = load_file(folder / "model.safetensors")
    encoder = [name for name in published if not name.startswith(("cls.", "bert.pooler."))]
    assert set(first) == {name.removeprefix("bert.") for name in encoder}
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name])
        torch.testing.assert_close(tensor, published[f"bert.{name}"])


def test_weights_that_are_missing_or_of_another_shape_are_named(folder, tmp_path):
    name = "bert.encoder.layer.1.attention.self.Wqkv.bias"
    lost = rewritten(folder, tmp_path / "lost", lambda weights: {key: t for key, t in weights.items() if key != name})
    with pytest.raises(InputError, match=r"1 weights are missing and 0 .*\(encoder.layer.1.attention.self.Wqkv.bias\)"):
        loaded(lost)
    wrong = rewritten(folder, tmp_path / "wrong", lambda weights: weights | {name: torch.zeros(5)})
    with pytest.raises(InputError, match="0 weights are missing and 1 have another shape"):
        loaded(wrong)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same(folder, dtype):
    vectors = []
    for precision in (torch.float32, dtype):
        model, encoder = loaded(folder, precision)
        assert next(model.backbone.parameters()).dtype == precision
        vectors.append(pooled_vectors(model, [encoder.encode(text) for text in dna(6)], 0, budget=2000))
    for exact, rounded in zip(*vectors, strict=True):
        assert torch.isfinite(rounded).all()
        assert torch.cosine_similarity(exact, rounded, dim=0) > 0.999


def test_an_update_of_lora_changes_the_adapter_and_nothing_else(folder, tmp_path):
    model, encoder = loaded(folder)
    family = family_of(folder)
    ids = torch.tensor([encoder.encode("ACGTACGTTTACG").rows[0].tolist()])
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    adapted = add_adapter(model.backbone, family, LoraSettings(rank=4, modules="query-value"), "seqlm/tiny-dnabert2")
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert len(trained) == 4 and all("attention.self.Wqkv.lora_" in name for name in trained)
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):  # B starts at zero, so A moves from the second on
        adapted(input_ids=ids).last_hidden_state[..., 0].mean().backward()
        optimizer.step()
    after = adapted.state_dict()
    after = {name.removeprefix("base_model.model.").replace(".base_layer", ""): after[name] for name in after}
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=0)
    adapted.eval()
    expected = adapted(input_ids=ids).last_hidden_state
    save_adapter(adapted, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    fresh, _ = loaded(folder)
    with torch.no_grad():
        plain = fresh.backbone(input_ids=ids).last_hidden_state
        known = {key: config[key] for key in ("r", "lora_alpha", "target_modules")}
        again = load_adapter(fresh.backbone, tmp_path, known)
        torch.testing.assert_close(again(input_ids=ids).last_hidden_state, expected)
    assert (plain - expected).abs().max() > 1e-3


def test_checkpointing_of_activations_gives_the_same_gradients(folder):
    gradients = []
    for checkpointing in (False, True):
        model, encoder = loaded(folder)
        backbone = model.backbone.requires_grad_(True).train()
        if checkpointing:
            compute_again(backbone)
        ids = torch.tensor([encoder.encode("ACGTACGTTTACG").rows[0].tolist()])
        torch.manual_seed(0)  # of the dropout
        backbone(input_ids=ids).last_hidden_state.square().mean().backward()
        gradients.append(backbone.encoder.layer[0].attention.self.Wqkv.weight.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


def test_fine_tuning_all_weights_and_back_through_the_bundle(folder, data, tmp_path):
    """The code that the published config.json names is not in what is written, and an upload with it is refused."""
    options = ["--model", folder, "--train", data / "promoters.tsv", "--label-column", "label", "--threads", "1"]
    options += ["--epochs", "1", "--model-id", folder, "--learning-rate", "0.001", "--output-model", "bundle.zip"]
    options += ["--output-report", "report.md"]
    (tmp_path / "full").mkdir(), (tmp_path / "lora").mkdir()
    sequences = ["--sequences", data / "promoters.tsv", "--output-table", "table.tsv", "--model", "bundle.zip"]
    done = run_batch(
        [
            (tmp_path / "full", "finetune", *options, "--method", "full", "--gradient-checkpointing"),
            (tmp_path / "full", "predict", *sequences),
            (tmp_path / "lora", "finetune", *options, "--lora-modules", "all-linear", "--train-layer-norms"),
            (tmp_path / "lora", "predict", *sequences, "--base-model", folder),
        ]
    )
    for one in done:
        assert one.returncode == 0, one.stderr
    (tmp_path / "open").mkdir()
    bundle = open_bundle(tmp_path / "full" / "bundle.zip", tmp_path / "open")
    assert "auto_map" not in bundle.model.config and bundle.model.config["alibi_starting_size"] == 512
    assert recognise(bundle.folder, bundle.model.config).name == "DNABERT-2" and bundle.manifest["family"] == "dnabert2"
    with (data / "promoters.tsv").open() as table:
        given = {row["id"]: row["sequence"] for row in csv.DictReader(table, delimiter="\t")}
    for method, share in {"full": r"100\.00", "lora": r"[1-9]\d?\.\d\d"}.items():
        check_card(tmp_path / method, given)
        report = (tmp_path / method / "report.md").read_text()
        assert re.search(rf"Weights trained: [\d,]+ of [\d,]+ \({share}%\)", report)
    shutil.make_archive(str(tmp_path / "upload"), "zip", folder)
    (tmp_path / "refused").mkdir()
    with pytest.raises(InputError, match=r"'auto_map' in .* names Python code to run"):
        open_bundle(tmp_path / "upload.zip", tmp_path / "refused")


def check_card(made, sequences):
    """The Python of the card gives what the tool predicts."""
    with zipfile.ZipFile(made / "bundle.zip") as archive:
        archive.extractall(made / "unpacked")
    with (made / "table.tsv").open() as table:
        row = next(csv.DictReader(table, delimiter="\t"))
    snippet = (made / "unpacked" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    for old, new in {
        'folder = "."': f'folder = "{made}/unpacked"',
        '"ACGTACGTAC"': f'"{sequences[row["id"]]}"',
        "print(": "given = (",
    }.items():
        assert old in snippet
        snippet = snippet.replace(old, new)
    run = {}
    exec(snippet, run)
    expected = [float(value) for name, value in row.items() if name.startswith("probability_")]
    np.testing.assert_allclose(run["given"].detach().numpy(), expected, atol=1e-4)


def test_nothing_of_its_repository_is_imported():
    assert not any("bert_layers" in name or "multimolecule" in name for name in sys.modules)
