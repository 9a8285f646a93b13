"""A sweep: every combination is tried within the training set, the best one is trained, and nothing else decides."""

import re

import pytest

from makers.scripts import DATA, manifest, one_line, run_batch, run_mistakes

ESM = DATA / "models" / "tiny-esm"
SITES, TEST = DATA / "sites_train.fasta", DATA / "sites_test.fasta"
RUN = ("finetune", "--model", ESM, "--model-id", ESM, "--train", SITES, "--epochs", 2)
SWEEP = ("--sweep-learning-rates", "0.000001,0.02", "--sweep-layers", "0, 1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    other_test = folder / "other_test.fasta"  # of which every label is the other one
    other_test.write_text(re.sub(r"LABEL=([01])", lambda found: f"LABEL={1 - int(found[1])}", TEST.read_text()))

    def call(name, *options):
        report = ("--output-report", f"{name}.md", "--output-figures", f"{name}_figures")
        return (folder, *RUN, *options, "--output-model", f"{name}.zip", *report)

    first = call("swept", *SWEEP, "--test", TEST)
    second = call("other", *SWEEP, "--test", other_test)
    done = run_batch([first, second])
    assert all(one.returncode == 0 for one in done), done[0].stderr + done[1].stderr
    return folder, done


def rows(report: str) -> list[tuple[float, int, float, bool]]:
    """Learning rate, layers, loss and whether it was chosen, of every try."""
    found = re.findall(
        r"\| learning rate ([\d.e-]+), last layers (\d)&ensp; \| ([\d.]+)&ensp; \| .*\| (.*?) \|", report
    )
    return [(float(rate), int(layers), float(loss), chosen.strip() == "yes") for rate, layers, loss, chosen in found]


def test_the_setting_of_the_lowest_loss_is_what_was_trained(runs):
    folder, _ = runs
    report = (folder / "swept.md").read_text()
    tried = rows(report)
    assert [one[:2] for one in tried] == [(1e-6, 0), (1e-6, 1), (0.02, 0), (0.02, 1)]
    assert "4 settings were tried on the same 3 folds within the training set" in report
    best = min(tried, key=lambda one: one[2])
    assert [one for one in tried if one[3]] == [best]
    settings = manifest(folder / "swept.zip")["settings"]
    assert (settings["learning_rate"], settings["lora_last_layers"]) == best[:2]


def test_a_rate_at_which_nothing_is_learnt_gives_the_loss_of_the_probe(runs):
    tried = rows((runs[0] / "swept.md").read_text())
    assert tried[0][2] == pytest.approx(tried[1][2], abs=2e-4)
    assert max(one[2] for one in tried) <= tried[0][2] + 1e-4  # epoch 0 is among the epochs of every try


def test_the_test_set_has_no_part_in_it(runs):
    folder, _ = runs
    assert rows((folder / "swept.md").read_text()) == rows((folder / "other.md").read_text())
    one, other = (manifest(folder / f"{name}.zip") for name in ("swept", "other"))
    assert one["settings"] == other["settings"] and one["threshold"] == other["threshold"]
    assert one["metrics"]["test"]["mcc"][0] == pytest.approx(-other["metrics"]["test"]["mcc"][0], abs=1e-6)


MISTAKES = {
    "too many": ({}, ("--sweep-learning-rates", "1e-5,2e-5,3e-5,4e-5,5e-5,6e-5", "--sweep-ranks", "1,2,3,4,5,6"),
                 "the sweep has 36 settings; try at most 30"),
    "with folds": ({}, ("--sweep-ranks", "2,4", "--folds", 3), "a sweep has folds of its own within the training set"),
    "of another method": ({}, ("--sweep-ranks", "2,4", "--method", "head"), "does not matter to the method head"),
    "too many layers": ({}, ("--sweep-layers", "0,3"), "the model has 2 layers, so the last 3 cannot be adapted"),
    "too many layers at once": ({}, ("--lora-last-layers", 3), "the model has 2 layers, so the last 3 cannot"),
    "too high a rank": ({}, ("--sweep-ranks", "4,900"), "the LoRA rank 900 is above the width of the model"),
    "no number": ({}, ("--sweep-ranks", "2,four"), "'four' is not an integer"),
    "twice": ({}, ("--sweep-ranks", "2,2"), "'2,2' holds a number twice"),
    "for writers": ({}, ("--sweep-ranks", "2,4", "--task", "causal-lm"), "sweep-ranks"),
}  # fmt: skip


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    common = ("--model", ESM, "--train", SITES, "--output-model", "m.zip")
    return run_mistakes(tmp_path_factory.mktemp("mistakes"), MISTAKES, "finetune", common)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(mistakes, name):
    one_line(mistakes[name][0], MISTAKES[name][2], mistakes[name][1])
