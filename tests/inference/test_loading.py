"""The way from a sequence to its vector and its prediction, against transformers' own classes run by hand."""

import random
import shutil

import numpy as np
import pytest
import torch
from transformers import BertModel, EsmModel, RobertaModel, T5EncoderModel

from makers.pieces import own_tokenizer
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN
from seqlm.families.recognition import recognise
from seqlm.families.vocabulary import alphabet_of
from seqlm.inference.batching import collate, group_by_length, rows_of, updates
from seqlm.inference.inference import _run, _weighted_sums, pooled_vectors, predict
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.inference.tasks import Head, Task
from seqlm.tokenization.encoder import Encoder

CLASSES = {"t5": T5EncoderModel, "esm": EsmModel, "bert": BertModel, "roberta": RobertaModel}
SPACED = ("t5", "bert")


def sequences(family, count=12, shortest=1, longest=90):
    rng = random.Random(3)
    letters = "ACGT" if family == "roberta" else "ACDEFGHIKLMNPQRSTVWYX"
    return ["".join(rng.choices(letters, k=rng.randint(shortest, longest))) for _ in range(count)]


def loaded(folder, **options):
    found = read_model_folder(folder)
    family = recognise(folder, found.config)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    return SequenceModel(backbone, family.hidden_size), Encoder(family, folder, **options)


@pytest.mark.parametrize("name", CLASSES)
def test_tokens_are_those_of_the_model_s_own_tokenizer(model_path, name):
    tokenizer = own_tokenizer(model_path(name))
    _, encoder = loaded(model_path(name))
    for sequence in sequences(name):
        text = " ".join(sequence) if name in SPACED else sequence
        ids = encoder.encode(sequence).rows[0].tolist()
        if name == "roberta":  # the test's tokenizer file has no template that adds the special tokens
            assert ids == [0, *tokenizer(text, add_special_tokens=False)["input_ids"], 2]
        else:
            assert ids == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("name", CLASSES)
def test_pooled_vector_is_the_mean_over_residues_by_hand(model_path, name):
    """One sequence at a time, no padding, special tokens cut away by slicing."""
    model, encoder = loaded(model_path(name))
    reference = CLASSES[name].from_pretrained(model_path(name), attn_implementation="eager").eval()
    texts = sequences(name)
    ours = pooled_vectors(model, [encoder.encode(text) for text in texts], encoder.padding, budget=200)
    for text, vector in zip(texts, ours, strict=True):
        ids = torch.tensor([encoder.encode(text).rows[0].tolist()])
        with torch.no_grad():
            hidden = reference(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        expected = hidden[:-1] if name == "t5" else hidden[1:-1]
        torch.testing.assert_close(vector, expected.mean(0), atol=1e-5, rtol=1e-5)


def test_t5_as_in_the_notebook_with_letters_spaced_and_rare_residues_as_x(model_path):
    """ProtT5 as its authors describe it: U, Z, O and B become X, residues are set apart, </s> stays out of the mean."""
    sequence = "MKUZOBLAAG"
    tokenizer = own_tokenizer(model_path("t5"))
    reference = T5EncoderModel.from_pretrained(model_path("t5")).eval()
    batch = tokenizer(["M K X X X X L A A G", "M K"], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = reference(**batch).last_hidden_state
    model, encoder = loaded(model_path("t5"))
    family = recognise(model_path("t5"), read_model_folder(model_path("t5")).config)
    clean = "".join(family.replacements.get(letter, letter) for letter in sequence)
    ours = pooled_vectors(model, [encoder.encode(clean), encoder.encode("MK")], encoder.padding, budget=100)
    torch.testing.assert_close(ours[0], hidden[0, :10].mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[1], hidden[1, :2].mean(0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_padding_and_the_budget_change_nothing(model_path, name):
    model, encoder = loaded(model_path(name))
    encoded = [encoder.encode(text) for text in sequences(name, 20)]
    alone = pooled_vectors(model, encoded, encoder.padding, budget=1)
    together = pooled_vectors(model, encoded, encoder.padding, budget=100_000)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["esm", "roberta"])
def test_cls_pooling_is_the_first_token(model_path, name):
    model, encoder = loaded(model_path(name), pooling="cls")
    encoded = [encoder.encode(text) for text in sequences(name, 5)]
    pooled = pooled_vectors(model, encoded, encoder.padding, budget=64)
    for one, vector in zip(encoded, pooled, strict=True):
        with torch.no_grad():
            ids = torch.tensor([one.rows[0].tolist()])
            hidden = model.backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        torch.testing.assert_close(vector, hidden[0, 0], atol=1e-5, rtol=1e-5)


def test_windows_cover_every_residue_with_weight_one(model_path):
    _, encoder = loaded(model_path("esm"), max_length=50)
    for length in (1, 50, 51, 88, 137, 500):
        encoded = encoder.encode("A" * length)
        assert all(len(row) <= 52 for row in encoded.rows)
        assert sum(weights.sum() for weights in encoded.weights) == pytest.approx(length, rel=1e-5)
        assert len(encoded.rows) == (1 if length <= 50 else -(-(length - 50) // 38) + 1)
    assert encoder.encode("A" * 500).cut == 0


def test_windowed_vector_is_the_mean_over_positions_of_the_mean_over_windows(model_path):
    model, encoder = loaded(model_path("esm"), max_length=40)
    sequence = sequences("esm", 1, 97, 97)[0]
    encoded = encoder.encode(sequence)
    by_position = [[] for _ in sequence]
    for start, row in zip((0, 30, 57), encoded.rows, strict=True):
        ids = torch.tensor([row.tolist()])
        with torch.no_grad():
            hidden = model.backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1]
        for offset, vector in enumerate(hidden):
            by_position[start + offset].append(vector)
    expected = torch.stack([torch.stack(vectors).mean(0) for vectors in by_position]).mean(0)
    ours = pooled_vectors(model, [encoded], encoder.padding, budget=42)
    torch.testing.assert_close(ours[0], expected, atol=1e-5, rtol=1e-5)


def test_truncation_and_refusal_of_long_sequences(model_path):
    _, encoder = loaded(model_path("esm"), max_length=40, long_sequences="truncate")
    encoded = encoder.encode("A" * 100)
    assert (len(encoded.rows), len(encoded.rows[0]), encoded.cut) == (1, 42, 60)
    _, encoder = loaded(model_path("esm"), max_length=40, long_sequences="refuse")
    with pytest.raises(InputError, match="the sequence 'p1' has 100 tokens, over the limit of 40"):
        encoder.encode("A" * 100, "p1")
    with pytest.raises(InputError, match="reads at most 1022 tokens"):
        loaded(model_path("esm"), max_length=2000)


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(model_path, monkeypatch):
    model, encoder = loaded(model_path("esm"))
    encoded = [encoder.encode(text) for text in sequences("esm", 16)]
    expected = pooled_vectors(model, encoded, encoder.padding, budget=10_000)
    real, sizes = SequenceModel.weighted_sums, []

    def small_memory(self, batch):
        sizes.append(len(batch.ids))
        if len(batch.ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    monkeypatch.setattr(SequenceModel, "weighted_sums", small_memory)
    torch.testing.assert_close(
        pooled_vectors(model, encoded, encoder.padding, budget=10_000), expected, atol=1e-5, rtol=1e-5
    )
    assert max(sizes) == 16 and min(sizes) <= 3

    def no_memory(self, batch):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(SequenceModel, "weighted_sums", no_memory)
    with pytest.raises(InputError, match=r"the sequence 'p0' \(\d+ tokens\) does not fit into memory by itself"):
        list(_run(rows_of(encoded[:1]), _weighted_sums, model, encoder.padding, ["p0"]))


def test_other_errors_of_torch_are_not_taken_for_a_full_memory(model_path, monkeypatch):
    model, encoder = loaded(model_path("esm"))

    def broken(self, batch):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(SequenceModel, "weighted_sums", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        pooled_vectors(model, [encoder.encode("MKV")], encoder.padding, budget=10)


def test_predictions_come_in_the_order_of_the_input_over_chunks(model_path, monkeypatch):
    monkeypatch.setattr("seqlm.inference.inference.CHUNK_SEQUENCES", 7)
    model, encoder = loaded(model_path("esm"))
    torch.manual_seed(0)
    model.head, model.task = Head(64, 2), Task("sequence-classification", ("a", "b"))
    items = [(f"p{number}", text) for number, text in enumerate(sequences("esm", 30))]
    found = list(predict(model, encoder, iter(items), budget=128))
    assert [name for name, _, _ in found] == [name for name, _ in items]
    alone = {name: next(predict(model, encoder, [(name, text)], budget=128))[2] for name, text in items}
    for name, _, probabilities in found:
        assert probabilities.sum() == pytest.approx(1)
        np.testing.assert_allclose(probabilities, alone[name], atol=1e-5)


def test_groups_hold_every_item_once_within_the_budget():
    rng = random.Random(5)
    lengths = [rng.randint(1, 300) for _ in range(500)]
    groups = group_by_length(lengths, 1000)
    assert sorted(item for group in groups for item in group) == list(range(500))
    for group in groups:
        assert len(group) == 1 or max(lengths[item] for item in group) * len(group) <= 1000
    padded = sum(max(lengths[item] for item in group) * len(group) for group in groups)
    assert padded < 1.1 * sum(lengths)


def test_an_epoch_holds_every_example_once_in_another_order_each_time():
    generator = np.random.default_rng(1)
    lengths = [n % 17 for n in range(103)]
    first, second = (list(updates(lengths, 8, generator)) for _ in range(2))
    for epoch in (first, second):
        assert sorted(item for update in epoch for item in update) == list(range(103))
        assert max(map(len, epoch)) == 8
    assert first != second


def test_collated_padding_has_no_mask_and_no_weight(model_path):
    _, encoder = loaded(model_path("esm"))
    batch = collate(rows_of([encoder.encode("MKVLA"), encoder.encode("GG")]), encoder.padding)
    assert batch.ids.tolist()[1] == [0, 6, 6, 2, 1, 1, 1]
    assert batch.mask.tolist()[1] == [1, 1, 1, 1, 0, 0, 0]
    assert batch.weights.tolist()[1] == [0, 1, 1, 0, 0, 0, 0]


def test_alphabets_are_told_from_vocabularies():
    amino = dict.fromkeys("ACDEFGHIKLMNPQRSTVWY", 0)
    assert alphabet_of({**amino, "<cls>": 1}) == PROTEIN
    assert alphabet_of({"▁" + letter: 0 for letter in amino} | {"</s>": 1}) == PROTEIN
    assert alphabet_of(dict.fromkeys(["A", "C", "G", "T", "N", "[UNK]"], 0)) == DNA
    assert alphabet_of({**amino, "ACGT": 0, "TATAAA": 0, "GC": 0}) == DNA
    printable = dict.fromkeys(map(chr, range(33, 127)), 0)  # what every byte-level vocabulary holds
    assert alphabet_of({**printable, "MKV": 0, "ĠLL": 0, "AX": 0}) == PROTEIN
    assert alphabet_of({**printable, "the": 0, "Ġof": 0, "LL": 0}) == "text"
    assert alphabet_of(dict.fromkeys(["c", "C", "=", "(", "Cl", "Br", "[nH]"], 0)) == "text"


def test_a_regression_head_speaks_in_units_of_the_data():
    task, head = Task("sequence-regression"), Head(4, 1, kind="linear")
    head.shift.fill_(50.0)
    head.scale.fill_(3.0)
    outputs = torch.tensor([[0.0], [1.0]])
    np.testing.assert_allclose(task.decode(outputs, 50.0, 3.0), [50.0, 53.0])
    torch.testing.assert_close(task.loss(outputs, torch.tensor([50.0, 59.0]), head), torch.tensor([0.0, 4.0]))


def test_a_tokenizer_of_another_model_is_refused(tmp_path, model_path):
    """Its ids would point past the embeddings."""
    shutil.copytree(model_path("esm"), tmp_path / "model")
    vocabulary = tmp_path / "model" / "vocab.txt"
    vocabulary.write_text("".join(f"<dummy_{number}>\n" for number in range(60)) + vocabulary.read_text())
    with pytest.raises(InputError, match=r"the tokenizer gives the token id 8\d, and the model's vocabulary has 33"):
        loaded(tmp_path / "model")


def test_a_model_type_without_a_family_is_refused(tmp_path, model_path):
    with pytest.raises(InputError, match="models of type 'mamba' are not supported; supported are albert, bert, esm"):
        recognise(model_path("esm"), {"model_type": "mamba"})
