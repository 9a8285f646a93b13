"""What is read to fine-tune a model, before any work."""

import pytest

from makers.forms import parser_of
from makers.scripts import DATA
from seqlm.cli.errors import InputError
from seqlm.data.records import CANONICAL, DNA, PROTEIN, TEXT
from seqlm.tools.finetune.inputs import check
from seqlm.tools.finetune.plan import comparing


def test_molecules_are_compared_by_their_canonical_form_and_letters_as_they_are():
    assert comparing(TEXT)("C1=CC=CC=C1") == comparing(TEXT)("c1ccccc1") == "c1ccccc1"
    assert [comparing(alphabet)("OCC") for alphabet in (PROTEIN, DNA, CANONICAL)] == ["OCC"] * 3


@pytest.mark.parametrize(
    ("options", "score"),
    [
        (["--train", DATA / "sites_train.fasta"], "mcc"),
        (["--train", DATA / "stability.csv", "--task", "sequence-regression", "--label-column", "melting",
          "--id-column", "name"], "spearman"),
        (["--train", DATA / "several_locations.tsv", "--task", "multi-label", "--label-column", "locations"], "fmax"),
        (["--train", DATA / "binding_labels.fasta", "--sequences", DATA / "binding_sequences.fasta", "--task",
          "residue-classification"], "auprc"),
    ],
)  # fmt: skip
def test_the_loss_chooses_the_epoch_and_a_score_compares_models_unless_one_is_asked_for(options, score, tmp_path):
    for metric, chooses, compares in (("auto", "loss", score), ("loss", "loss", score), (score, score, score)):
        words = [*options, "--metric", metric, "--model", DATA / "models" / "tiny-esm", "--output-model", "m.zip"]
        arguments = parser_of("finetune").parse_args(list(map(str, words)))
        plan = check(arguments, tmp_path / metric)
        assert (plan.metric, plan.score) == (chooses, compares)


def numbered(tmp_path, test: str):
    """A plan of a training with columns by number, and a test file that begins with the given row."""
    rows = (DATA / "promoters.tsv").read_text().splitlines()[1:]
    (tmp_path / "train.tsv").write_text("\n".join(["id\tsequence\tlabel", *rows[:40]]) + "\n")
    (tmp_path / "test.tsv").write_text("\n".join([test, *rows[40:60]]) + "\n")
    words = [
        "--train",
        tmp_path / "train.tsv",
        "--test",
        tmp_path / "test.tsv",
        "--model",
        DATA / "models/tiny-dnabert2",
    ]
    words += ["--sequence-column", 2, "--label-column", 3, "--output-model", "m.zip"]
    return check(parser_of("finetune").parse_args(list(map(str, words))), tmp_path / "scratch")


def test_a_column_by_number_is_the_same_in_all_files(tmp_path):
    with pytest.raises(InputError, match=r"column 3 of train.tsv is 'label', which is column 2 of test.tsv; give"):
        numbered(tmp_path, "id\tlabel\tsequence")
    assert len(numbered(tmp_path, "id\tsequence\tclass").dataset["test"]) == 20
