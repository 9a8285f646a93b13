"""What is learnt by the script's own steps, without its outputs."""

import pytest
import torch

import finetune
from makers.scripts import DATA
from seqlm.inference import entering
from seqlm.tools.finetune.inputs import check
from seqlm.tools.finetune.learning import learn
from seqlm.training.processes import ALONE

RESIDUES = ("--task", "residue-classification", "--train", DATA / "binding_labels.fasta")
PAIRS = ("--task", "pair-classification", "--train", DATA / "interactions.tsv")
CASES = {
    "sequences": ("--train", DATA / "sites_train.fasta", "--pooling", "cls", "--max-length", 20),
    "VeRA": ("--train", DATA / "sites_train.fasta", "--method", "vera", "--vera-rank", 8),
    "AdaLoRA": ("--train", DATA / "sites_train.fasta", "--method", "adalora"),
    "IA3": ("--train", DATA / "sites_train.fasta", "--method", "ia3"),
    "residues": (*RESIDUES, "--sequences", DATA / "binding_sequences.fasta"),
    "pairs": (*PAIRS, "--sequences", DATA / "interacting.fasta"),
}


@pytest.mark.parametrize("case", CASES)
def test_layers_below_the_adapter_are_computed_once_and_nothing_else_changes(case, tmp_path, monkeypatch, capsys):
    """What is kept is filled on the way to the baselines' vectors, which are the same."""
    model = DATA / "models" / "tiny-esm"
    options = ("--model", model, *CASES[case], "--epochs", 2, "--lora-last-layers", 1, "--output-model", "model.zip")
    found = []
    for most in (1 << 30, 0):
        monkeypatch.setattr(entering, "MOST", most)
        folder = tmp_path / str(most)
        folder.mkdir()
        learnt = learn(check(finetune.options().parse_args([str(option) for option in options]), folder), ALONE)
        assert all(examples.entering is None for examples in learnt.sets.values())
        found.append(learnt)
    assert capsys.readouterr().err.count("are computed in every epoch") == 1
    with_it, without = found
    assert with_it.model.first == without.model.first == 1
    for one, other in zip(with_it.history.epochs, without.history.epochs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    for (name, one), (_, other) in zip(with_it.model.named_parameters(), without.model.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4, msg=name)
    for name, by_split in with_it.predictions.items():
        for split, values in by_split.items():
            assert (values == without.predictions[name][split]).all()
