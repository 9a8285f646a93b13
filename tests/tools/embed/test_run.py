"""Vectors against transformers' own classes, one sequence at a time without padding."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModel

from makers.models import MAKERS, OWN, make, sequences
from makers.protein_models import ALIKE
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference import inference
from seqlm.inference.batching import Batch
from seqlm.inference.every_layer import EveryLayer
from seqlm.inference.inference import pooled_vectors, residue_values, token_vectors
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.embed.inputs import layers_of

SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "M", "GAVLIPFWMSTCYNQDEKRH" * 3, "WWWWWWW"]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("families")
    return lambda name: make(name, parent)


def loaded(folder, layers=(), **options):
    family = recognise(folder, read_model_folder(folder).config)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    model = SequenceModel(backbone, family.hidden_size, layers=layers, family=family)
    return model, Encoder(family, folder, **options), family


def vectors(model, encoder, texts, budget=200, **options):
    return pooled_vectors(
        model, encoder.encode_many([("", text) for text in texts]), encoder.padding, budget, **options
    )


def plain(folder, rows, reference=None):
    """Hidden states (layers + 1, tokens, hidden) of each row of token ids, by transformers' own class, or ours."""
    reference = reference or OWN.get(folder.name, AutoModel).from_pretrained(folder, attn_implementation="eager").eval()
    states = []
    for row in rows:
        ids = torch.tensor([row.tolist()])
        with torch.no_grad():
            given = reference(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
        states.append(torch.cat(given.hidden_states))
    return states


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ALIKE])
@pytest.mark.parametrize("layers", [(0,), (1,), (0, 2)])
def test_vectors_of_layers_are_those_of_transformers(folder, name, layers):
    model, encoder, family = loaded(folder(name), layers)
    texts = sequences(name)
    rows = [encoder.encode(text).rows[0] for text in texts]
    before, after = len(family.prefix), len(family.suffix)
    for vector, states in zip(vectors(model, encoder, texts), plain(folder(name), rows), strict=True):
        states = states[:, before : states.shape[1] - after]
        torch.testing.assert_close(vector, states[list(layers)].mean((0, 1)), **CLOSE)
    if len(layers) > 1:  # each by itself from one pass
        every = EveryLayer(model.backbone, family.hidden_size, layers, family)
        for vector, states in zip(vectors(every, encoder, texts), plain(folder(name), rows), strict=True):
            states = states[:, before : states.shape[1] - after]
            torch.testing.assert_close(vector, states[list(layers)].mean(1).flatten(), **CLOSE)


def test_layers_beyond_those_wanted_are_not_computed(model_path):
    model, encoder, _ = loaded(model_path("esm"), layers=(1,))
    ran = []
    for number, layer in enumerate(model.backbone.encoder.layer):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    vectors(model, encoder, ["MKTAYI"])
    assert ran == [0]
    assert not model.backbone.encoder.layer[0]._forward_pre_hooks, "hooks are gone after the pass"


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [
        ("mean", lambda states: states[1:-1].mean(0)),
        ("max", lambda states: states[1:-1].amax(0)),
        ("cls", lambda states: states[0]),
        ("last", lambda states: states[-2]),
    ],
)
def test_pooling_is_that_of_a_plain_loop(model_path, pooling, pooled):
    model, encoder, _ = loaded(model_path("esm"), pooling=pooling)
    states = plain(model_path("esm"), [encoder.encode(text).rows[0] for text in SEQUENCES])
    found = vectors(model, encoder, SEQUENCES, largest=pooling == "max")
    torch.testing.assert_close(found, torch.stack([pooled(one[-1]) for one in states]), **CLOSE)


LONG = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"  # 33 residues: windows of 10 at 0, 8, 16 and, moved back, 23


def windows_by_hand(folder, text, starts, size, first=1):
    """Vectors (size, hidden) of the residues of each window, computed one window at a time."""
    reference = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    _, encoder, _ = loaded(folder)
    rows = [encoder.encode(text[start : start + size]).rows[0] for start in starts]
    return [states[-1][first : first + size] for states in plain(folder, rows, reference)]


def test_windows_of_a_long_sequence_are_put_together_position_by_position(model_path):
    starts = [0, 8, 16, 23]
    by_hand = windows_by_hand(model_path("esm"), LONG, starts, 10)
    positions = torch.zeros(33, by_hand[0].shape[1])
    covered = torch.zeros(33, 1)
    for start, states in zip(starts, by_hand, strict=True):
        positions[start : start + 10] += states
        covered[start : start + 10] += 1
    positions /= covered
    model, encoder, _ = loaded(model_path("esm"), max_length=10)
    assert encoder.encode(LONG).starts == tuple(starts)
    texts = ["MKV", LONG, "WWWW"]
    torch.testing.assert_close(vectors(model, encoder, texts)[1], positions.mean(0), **CLOSE)
    torch.testing.assert_close(vectors(model, encoder, texts, largest=True)[1], torch.cat(by_hand).amax(0), **CLOSE)
    _, last, _ = loaded(model_path("esm"), max_length=10, pooling="last")
    torch.testing.assert_close(vectors(model, last, texts)[1], by_hand[-1][-1], **CLOSE)
    encoded = encoder.encode_many([("", text) for text in texts])
    torch.testing.assert_close(residue_values(model, encoded, encoder.padding, 200)[3:36], positions, **CLOSE)


@pytest.mark.parametrize("held", [1, 700, 1 << 25])
def test_vectors_of_tokens_come_once_and_in_order_however_little_is_held(model_path, monkeypatch, held):
    """700 numbers are about eleven tokens: the blocks end inside of sequences and of their windows."""
    monkeypatch.setattr(inference, "HELD", held)
    model, encoder, _ = loaded(model_path("esm"), max_length=10, pooling="none")
    encoded = encoder.encode_many([("", text) for text in ["MKV", LONG, "W", LONG * 2, "MKTAYIAKQ"]])
    pieces = list(token_vectors(model, encoded, encoder.padding, 50))
    together = residue_values(model, encoded, encoder.padding, 200).split([one.tokens for one in encoded])
    seen = [0] * len(encoded)
    for number, start, _ in pieces:
        assert start == seen[number]
        seen[number] += len(_)
    assert seen == [one.tokens for one in encoded]
    assert [number for number, _, _ in pieces] == sorted(number for number, _, _ in pieces)
    for number, expected in enumerate(together):
        found = np.concatenate([piece for owner, _, piece in pieces if owner == number])
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    if held > 1000:
        assert max(len(piece) for _, _, piece in pieces) <= 10


class Small(SequenceModel):
    """A model whose device says it is a GPU with room for so many tokens at once; its copy is a CPU's."""

    room = 0

    @property
    def device(self):
        return SimpleNamespace(type="cuda") if self.room else torch.device("cpu")

    def hidden(self, batch):
        if self.room and batch.ids.numel() > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().hidden(batch)

    def copy_on_cpu(self):
        copied = super().copy_on_cpu()
        copied.room = 0
        return copied


@pytest.fixture
def small(model_path, monkeypatch):
    monkeypatch.setattr(Batch, "to", lambda batch, device: batch)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    model, encoder, _ = loaded(model_path("esm"))
    model.__class__ = Small
    return model, encoder


@pytest.mark.parametrize("room", [30, 4])
def test_what_does_not_fit_on_a_gpu_is_halved_and_then_computed_on_the_cpu(small, room, capsys):
    model, encoder = small
    expected = vectors(model, encoder, SEQUENCES)
    model.room = room
    torch.testing.assert_close(vectors(model, encoder, SEQUENCES, budget=1000), expected, **CLOSE)
    notes = capsys.readouterr().err
    assert notes.count("it is computed on the CPU") == sum(len(text) + 2 > room for text in SEQUENCES)
    assert "(62 tokens) does not fit into the memory of the GPU by itself" in notes


def test_the_copy_on_the_cpu_is_made_once_in_fp32_and_leaves_the_model_alone(small):
    model, encoder = small
    model.backbone.half()
    model.room = 4
    vectors(model, encoder, SEQUENCES)
    spare = model.spare
    vectors(model, encoder, SEQUENCES)
    assert model.spare is spare
    assert {tensor.dtype for tensor in spare.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float16}
    ours = {tensor.data_ptr() for tensor in model.parameters()}
    assert not ours & {tensor.data_ptr() for tensor in spare.parameters()}


def test_a_sequence_that_fits_nowhere_is_named(small, monkeypatch):
    model, encoder = small
    model.room = 4
    monkeypatch.setattr(Small, "copy_on_cpu", lambda model: model)
    with pytest.raises(InputError, match=r"'long' \(62 tokens\) does not fit into memory by itself"):
        vectors(model, encoder, ["MK", SEQUENCES[2]], names=["short", "long"])


@pytest.mark.parametrize(
    ("text", "layers"),
    [("last", (6,)), ("6", (6,)), ("-1", (6,)), ("0", (0,)), ("-7", (0,)), ("-1,0,3", (0, 3, 6)), (" 1, 2", (1, 2))],
)
def test_layers_are_counted_from_either_end(text, layers):
    assert layers_of(text, 6) == layers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7", "no layer 7: it has 6 layers, so 0 .* to 6 are possible, or -1 .* to -7"),
        ("-8", "no layer -8"),
        ("1,,2", "'' is not the number of a layer"),
        ("1.5", "'1.5' is not the number of a layer"),
        ("3,-4", "layer 3 is named twice"),
    ],
)
def test_layers_that_are_not_there_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        layers_of(text, 6)
