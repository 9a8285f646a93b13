"""Residues, pairs and several labels: what is learnt from them and predicted, against transformers' and torch's own."""

import random

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import EsmForTokenClassification

from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.inference import pair_outputs, pooled_vectors, predict, residue_values
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.inference.tasks import Head, Task, pair_width, paired
from seqlm.tokenization.encoder import Encoder, require_letter_tokens
from seqlm.tools.finetune.examples import Examples, balanced_weights
from seqlm.tools.finetune.label_training import train
from seqlm.training.state import Settings

RESIDUES = Task("residue-classification", ("C", "E", "H"))
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def proteins(count=9, shortest=3, longest=60, seed=5):
    rng = random.Random(seed)
    return ["".join(rng.choices(LETTERS, k=rng.randint(shortest, longest))) for _ in range(count)]


def build(folder, task, pairs=None, **options):
    torch.manual_seed(2)
    family = recognise(folder, read_model_folder(folder).config)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    width = pair_width(family.hidden_size, family.hidden_size, pairs) if pairs else family.hidden_size
    head = Head(width, task.outputs, kind="linear", dropout=0.0, pairs=pairs)
    pooling = "none" if task.level == "residue" else "mean"
    return SequenceModel(backbone, family.hidden_size, head, task), Encoder(family, folder, pooling=pooling, **options)


def gradients_of(model, data, padding, budget):
    """What the head gets in one update on all items, without a step."""
    model.zero_grad()
    items, total = list(range(len(data))), 0.0
    for batch in data.passes(items, budget, padding):
        losses = model.task.loss(model(batch), batch.targets, model.head) * batch.importance
        loss = losses.sum() / data.weight(items)
        loss.backward()
        total += loss.item()
    return total, model.head.out.weight.grad.clone()


def residue_truth(texts, seed=0, unknown=0.3):
    rng = np.random.default_rng(seed)
    labels = [rng.integers(0, 3, len(text)) for text in texts]
    return [np.where(rng.random(len(label)) < unknown, -1, label) for label in labels]


@pytest.mark.parametrize("weights", [None, "balanced"])
def test_the_loss_of_residues_is_that_of_transformers_with_everything_else_ignored(model_path, weights):
    """EsmForTokenClassification pads with -100, as it does special tokens and unknown residues here."""
    texts = proteins()
    truth = residue_truth(texts)
    model, encoder = build(model_path("esm"), RESIDUES)
    data = Examples(RESIDUES, [encoder.encode(text) for text in texts], RESIDUES.truth(truth))
    if weights:
        data = Examples(RESIDUES, data.encoded, data.truth, class_weights=balanced_weights(RESIDUES, data.truth))
    reference = EsmForTokenClassification.from_pretrained(model_path("esm"), num_labels=3).eval()
    with torch.no_grad():
        reference.classifier.weight.copy_(model.head.out.weight)
        reference.classifier.bias.copy_(model.head.out.bias)
    longest = max(map(len, texts)) + 2
    ids, mask, labels = (torch.full((len(texts), longest), value) for value in (1, 0, -100))
    for row, (text, label) in enumerate(zip(texts, truth, strict=True)):
        tokens = encoder.encode(text).rows[0]
        ids[row, : len(tokens)] = torch.from_numpy(tokens.astype(np.int64))
        mask[row, : len(tokens)] = 1
        labels[row, 1 : 1 + len(text)] = torch.from_numpy(np.where(label < 0, -100, label))
    logits = reference(ids, attention_mask=mask).logits
    class_weights = torch.tensor(data.class_weights, dtype=torch.float32) if weights else None
    expected = functional.cross_entropy(logits.reshape(-1, 3), labels.reshape(-1), weight=class_weights)
    expected.backward()
    for budget in (30, 100_000):  # one protein a pass, and all padded to the longest
        loss, gradient = gradients_of(model, data, encoder.padding, budget)
        assert loss == pytest.approx(expected.item(), abs=1e-5)
        torch.testing.assert_close(gradient, reference.classifier.weight.grad, atol=1e-5, rtol=1e-4)


def test_what_stands_under_the_mask_changes_nothing(model_path):
    texts = proteins(6)
    classes = np.concatenate(residue_truth(texts))
    values = np.where(classes < 0, np.nan, np.linspace(-5, 5, len(classes)))
    for task, truth in ((RESIDUES, classes), (Task("residue-regression"), values)):
        results = []
        for hidden in (0, 2):
            model, encoder = build(model_path("esm"), task)
            data = Examples(task, [encoder.encode(text) for text in texts], truth)
            data.targets[~data.known] = hidden
            settings = Settings(epochs=2, learning_rate=0.01, batch_size=3, metric="loss")
            history = train(model, data, data, encoder.padding, settings)
            results.append((model.head.out.weight.detach(), history.epochs[-1]["validation_loss"]))
        torch.testing.assert_close(results[0][0], results[1][0])
        assert results[0][1] == results[1][1] and np.isfinite(results[0][1])


def test_every_residue_of_a_long_protein_comes_back_once_as_the_mean_of_its_windows(model_path):
    model, encoder = build(model_path("esm"), RESIDUES, max_length=20)
    text = proteins(1, 73, 73)[0]
    encoded = encoder.encode(text)
    assert len(encoded.rows) == 5
    sums, counts = torch.zeros(73, 3), torch.zeros(73, 1)
    for row, start in zip(encoded.rows, encoded.starts, strict=True):
        ids = torch.from_numpy(row.astype(np.int64))[None]
        with torch.no_grad():
            logits = model.head(model.backbone(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1])
        sums[start : start + 20] += logits
        counts[start : start + 20] += 1
    ours = residue_values(model, [encoder.encode("MKV"), encoded], encoder.padding, budget=50)
    torch.testing.assert_close(ours[3:], sums / counts, atol=1e-5, rtol=1e-5)
    ((_, _, probabilities),) = predict(model, encoder, [("p", text)], 50)
    np.testing.assert_allclose(probabilities[0], torch.softmax(sums / counts, dim=-1).numpy(), atol=1e-5)


def test_a_long_protein_counts_each_residue_once_in_the_loss(model_path):
    text = proteins(1, 50, 50)[0]
    truth = residue_truth([text])[0]
    _, encoder = build(model_path("esm"), RESIDUES, max_length=20)
    data = Examples(RESIDUES, [encoder.encode(text)], truth)
    (batch,) = data.passes([0], 1000, encoder.padding)
    counted = np.zeros(50)
    rows = data.encoded[0]
    units = np.concatenate([np.arange(start, start + 20) for start in rows.starts])
    np.add.at(counted, units, batch.importance.numpy())
    np.testing.assert_allclose(counted, truth >= 0, atol=1e-6)
    assert data.weight([0]) == (truth >= 0).sum()


def test_single_residues_need_a_token_for_each_letter(model_path):
    folder = model_path("roberta")
    family = recognise(folder, read_model_folder(folder).config)
    with pytest.raises(InputError, match="does not read one letter a token"):
        require_letter_tokens(family)
    folder = model_path("esm")
    family = recognise(folder, read_model_folder(folder).config)
    with pytest.raises(InputError, match="read long sequences in windows"):
        Encoder(family, folder, pooling="none", long_sequences="truncate")


def test_a_frozen_encoder_learns_residues_as_one_that_is_run_again(model_path):
    texts = proteins(8)
    truth = RESIDUES.truth(residue_truth(texts))
    weights = []
    for known_vectors in (False, True):
        model, encoder = build(model_path("esm"), RESIDUES)
        encoded = [encoder.encode(text) for text in texts]
        data = Examples(RESIDUES, encoded, truth)
        if known_vectors:
            bare = SequenceModel(model.backbone, model.hidden_size)
            data.pooled = residue_values(bare, encoded, encoder.padding, 500).numpy()
        # the order of the updates depends on the lengths, so all items are one update
        train(model, data, None, encoder.padding, Settings(epochs=3, batch_size=8, learning_rate=0.01))
        weights.append(model.head.out.weight.detach())
    torch.testing.assert_close(*weights, atol=1e-5, rtol=1e-4)


PAIRS = Task("pair-classification", ("no", "yes"))


@pytest.mark.parametrize("order", ["symmetric", "ordered"])
def test_pairs_share_their_sequences_and_learn_as_if_each_were_run_alone(model_path, order):
    texts = proteins(5)
    pairs = np.array([[0, 1], [0, 2], [3, 0], [4, 4], [2, 3]])
    truth = np.array([0, 1, 1, 0, 1])
    model, encoder = build(model_path("esm"), PAIRS, pairs=order)
    data = Examples(PAIRS, [encoder.encode(text) for text in texts], truth, pairs=pairs)
    (batch,) = data.passes(list(range(5)), 100_000, encoder.padding)
    assert batch.sequences == len(batch.ids) == 5  # not ten
    vectors = []
    for text in texts:
        ids = torch.tensor([encoder.encode(text).rows[0].tolist()])
        with torch.no_grad():
            vectors.append(model.backbone(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1].mean(0))
    first, second = torch.stack(vectors)[pairs[:, 0]], torch.stack(vectors)[pairs[:, 1]]
    combined = {
        "ordered": torch.cat([first, second], 1),
        "symmetric": torch.cat([first + second, abs(first - second), first * second], 1),
    }[order]
    weight = model.head.out.weight.detach().clone().requires_grad_()
    expected = functional.cross_entropy(combined @ weight.T + model.head.out.bias.detach(), torch.tensor(truth))
    expected.backward()
    for budget in (1, 100_000):
        loss, gradient = gradients_of(model, data, encoder.padding, budget)
        assert loss == pytest.approx(expected.item(), abs=1e-5)
        torch.testing.assert_close(gradient, weight.grad, atol=1e-5, rtol=1e-4)
    pooled = pooled_vectors(model, data.encoded, encoder.padding, 200)
    outputs = pair_outputs(model, pooled, pooled, pairs, chunk=2)
    torch.testing.assert_close(
        outputs, combined @ weight.detach().T + model.head.out.bias.detach(), atol=1e-5, rtol=1e-4
    )
    turned = pair_outputs(model, pooled, pooled, pairs[:, ::-1].copy())
    assert torch.allclose(outputs, turned, atol=1e-6) == (order == "symmetric")


def test_second_members_can_come_from_another_model():
    first, second = torch.randn(4, 8), torch.randn(4, 3)
    assert paired(first, second, "ordered").shape == (4, pair_width(8, 3, "ordered"))


def test_several_labels_have_a_sigmoid_each_and_balanced_weights_count_both_sides_alike():
    task = Task("multi-label", ("a", "b", "c"))
    truth = task.truth([("a",), (), ("b", "a"), ("a",)])
    np.testing.assert_array_equal(truth, [[1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]])
    outputs = torch.randn(4, 3)
    losses = task.loss(outputs, torch.from_numpy(truth), None)
    expected = functional.binary_cross_entropy_with_logits(outputs, torch.from_numpy(truth).float(), reduction="none")
    torch.testing.assert_close(losses, expected)
    weights = balanced_weights(task, truth)
    np.testing.assert_allclose(weights, [[2, 2 / 3], [2 / 3, 2], [0.5, 0]])
    assert np.allclose(task.decode(outputs, 0, 1), torch.sigmoid(outputs).numpy(), atol=1e-6)


def test_labels_that_are_not_known_count_in_no_loss():
    """The loss of an update and its gradient are those of the known labels alone, as torch has them."""
    task = Task("multi-label", ("a", "b", "c"))
    truth = task.truth([("a",), (), ("b",)], [("c",), ("a", "b"), ()])
    np.testing.assert_array_equal(truth, [[1, 0, -1], [-1, -1, 0], [0, 1, 0]])
    vectors = torch.randn(3, 5)
    data = Examples(task, [], truth, pooled=vectors)
    (batch,) = data.passes([0, 1, 2], 100, 0)
    head = torch.nn.Linear(5, 3)
    loss = (task.loss(head(batch.pooled), batch.targets, None) * batch.importance).sum() / data.weight([0, 1, 2])
    loss.backward()
    mine, known = head.weight.grad.clone(), torch.from_numpy(truth >= 0)
    head.zero_grad()
    expected = functional.binary_cross_entropy_with_logits(head(vectors)[known], torch.from_numpy(truth)[known].float())
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(mine, head.weight.grad)
    weights = balanced_weights(task, truth)
    np.testing.assert_allclose(weights, [[1, 1], [1, 1], [0.5, 0]])
    np.testing.assert_allclose(
        Examples(task, [], truth, class_weights=weights).importance, [[1, 1, 0], [0, 0, 0.5], [1, 1, 0.5]]
    )


def test_a_temperature_makes_probabilities_less_sure_and_keeps_their_order():
    outputs = torch.randn(20, 4)
    sure, calibrated = (Task("sequence-classification", tuple("abcd"), t).decode(outputs, 0, 1) for t in (1.0, 3.0))
    np.testing.assert_allclose(calibrated, torch.softmax(outputs.double() / 3, -1).numpy(), atol=1e-9)
    assert (sure.max(1) > calibrated.max(1)).all() and (sure.argmax(1) == calibrated.argmax(1)).all()
