"""Models that are told what they read: ProstT5, Ankh and Ankh 3 as their authors read them."""

import shutil
import zipfile

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, T5EncoderModel

from makers.models import make
from makers.scripts import DATA, manifest, one_line, run_all, run_batch, shown_by_card, table, vectors
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import PROTEIN, STATES, Record, Rules
from seqlm.data.sequences import clean
from seqlm.families.recognition import recognise
from seqlm.families.vocabulary import read_vocabulary
from seqlm.tokenization.encoder import Encoder

PUBLISHED = {"prostt5": "ProstT5", "ankh": "Ankh", "ankh3": "Ankh 3"}
FOLD, RESIDUES = "<fold2AA>", "<AA2fold>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("told")
    return lambda name: make(name, parent)


def family_of(folder, **options):
    return recognise(folder, read_model_folder(folder).config, **options)


@pytest.mark.parametrize(("name", "told"), [("prostt5", RESIDUES), ("ankh3", "[NLU]"), ("ankh", "")])
def test_the_prefix_of_the_authors_is_taken_unless_told_otherwise(folder, name, told):
    assert family_of(folder(name)).told == told
    assert family_of(folder(name), prefix="none").told == ""
    assert family_of(folder(name)).alphabet == PROTEIN
    assert family_of(folder(name)).name == f"T5 encoder ({PUBLISHED[name]})"


@pytest.mark.parametrize("name", ["prostt5", "ankh3"])
def test_another_prefix_changes_the_first_token_and_nothing_else(folder, name):
    family = family_of(folder(name))
    taken, *others = family.offered
    first = Encoder(family, folder(name)).encode("MKTAY").rows[0].tolist()
    assert first[0] == family.vocabulary[taken]
    without = Encoder(family_of(folder(name), prefix="none"), folder(name)).encode("MKTAY")
    assert without.rows[0].tolist() == first[1:]
    if name == "ankh3":
        second = Encoder(family_of(folder(name), prefix=others[0]), folder(name)).encode("MKTAY").rows[0].tolist()
        assert second == [family.vocabulary["[S2S]"], *first[1:]]


def test_a_prefix_takes_a_place_of_the_window_and_none_of_the_mean(folder):
    encoder = Encoder(family_of(folder("prostt5")), folder("prostt5"))
    assert encoder.max_length == 1023
    assert Encoder(family_of(folder("prostt5"), prefix="none"), folder("prostt5")).max_length == 1024
    encoded = encoder.encode("M" * 1500)
    assert [len(row) for row in encoded.rows] == [1025, 1025]
    assert [weights[0] for weights in encoded.weights] == [0, 0]
    assert sum(weights.sum() for weights in encoded.weights) == pytest.approx(1500)
    assert encoded.tokens == 1500


def test_states_of_3di_are_read_as_their_authors_read_them(folder):
    """Lower-case letters, which are tokens of their own, behind <fold2AA>; the ids of the published vocabulary."""
    family = family_of(folder("prostt5"), prefix=FOLD)
    assert (
        family.alphabet == STATES
        and family.one_letter_tokens
        and family.read_as == f"3Di states after the prefix {FOLD}"
    )
    states = "dvvlqcpahnwy"
    ids = Encoder(family, folder("prostt5")).encode(states).rows[0].tolist()
    assert ids[:4] == [148, 135, 131, 131] and ids[-1] == 1
    assert ids == AutoTokenizer.from_pretrained(folder("prostt5"))(f"{FOLD} {' '.join(states)}")["input_ids"]
    assert family_of(folder("prostt5"), alphabet=STATES, prefix=RESIDUES).alphabet == PROTEIN


@pytest.mark.parametrize("sequence", ["MKTAYX", "DVVL", "dvvLq", "dvbq", "dv-q"])
def test_what_is_no_state_in_lower_case_is_refused(sequence):
    with pytest.raises(InputError, match=r"a.fasta: record 'p' \(line 1\) has '.' at position \d; 3Di states are"):
        clean(Record("p", sequence, line=1), STATES, {}, Rules(), "a.fasta")


def test_letters_that_ankh_has_are_read_as_they_are(folder):
    family = family_of(folder("ankh"))
    assert family.replacements == {"J": "X"} and family.citations == ("ankh",)
    assert family_of(folder("prostt5")).replacements == dict.fromkeys("UZOBJ", "X")


def test_a_prefix_that_the_vocabulary_lacks_is_named_with_those_it_has(folder, model_path):
    with pytest.raises(InputError, match=r"has no prefix '\[NLU\]'; it has <AA2fold>, <fold2AA> \(--prefix\)"):
        family_of(folder("prostt5"), prefix="[NLU]")
    with pytest.raises(InputError, match="has no prefix '<AA2fold>'; models of the family ESM-2 take none"):
        family_of(model_path("esm"), prefix=RESIDUES)


def test_the_prefix_gives_no_vector_of_a_sequence(folder):
    with pytest.raises(InputError, match="no token at the start of a sequence; use mean pooling"):
        Encoder(family_of(folder("prostt5")), folder("prostt5"), pooling="cls")


def test_tokens_that_were_added_to_a_sentencepiece_model_are_seen(model_path, tmp_path):
    """ProstT5 is published as spiece.model with added_tokens.json beside it."""
    shutil.copytree(model_path("t5"), tmp_path / "t5")
    held = read_vocabulary(tmp_path / "t5")
    (tmp_path / "t5" / "added_tokens.json").write_text('{"<AA2fold>": 149, "<fold2AA>": 148, "a": 128}')
    assert read_vocabulary(tmp_path / "t5") == held | {"<AA2fold>": 149, "<fold2AA>": 148, "a": 128}
    assert family_of(model_path("t5")).told == "" and family_of(tmp_path / "t5").told == RESIDUES


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    path = tmp_path_factory.mktemp("states") / "states.fasta"
    path.write_text(">one\ndvvlvvqlvv\n>two\ndppdpvvvlvsq\n")
    return path


@pytest.fixture(scope="module")
def runs(folder, states, tmp_path_factory):
    """Embeddings, a fine-tuning on them, and what the bundle predicts."""
    work = tmp_path_factory.mktemp("runs")
    prost, names = folder("prostt5"), ["--id-column", "protein", "--sequence-column", "residues"]
    embed = ("embed", "--model", prost, "--output-table")
    train = ["--train", DATA / "locations.tsv", "--label-column", "location", *names]
    calls = [
        (work, *embed, "told.tsv", "--sequences", DATA / "locations.tsv", *names, "--output-html", "told.html"),
        (work, *embed, "untold.tsv", "--sequences", DATA / "locations.tsv", *names, "--prefix=none"),
        (work, *embed, "states.tsv", "--sequences", states, f"--prefix={FOLD}"),
        (work, "finetune", "--model", prost, "--model-id", prost, *train, "--epochs", "1", "--output-model", "b.zip",
         "--output-html", "tuned.html"),
        (work, "predict", "--model", "b.zip", "--base-model", prost, "--sequences", DATA / "locations.tsv", *names,
         "--output-table", "predicted.tsv"),
        (work, "embed", "--model", "b.zip", "--base-model", prost, "--sequences", states, "--prefix", FOLD,
         "--output-table", "tuned_states.tsv"),
        (work, "tokenizer", "--inspect", "--model", prost, "--sequences", states, f"--prefix={FOLD}", "--output-table",
         "tokens.tsv", "--output-html", "tokens.html"),
    ]  # fmt: skip
    return work, run_all(calls)


def test_embeddings_are_those_of_the_recipe_of_the_authors(runs, folder, states):
    """The prefix and </s> are cut away by slicing, one sequence at a time."""
    work, _ = runs
    reference = T5EncoderModel.from_pretrained(folder("prostt5")).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder("prostt5"))
    for name, sequence in (("one", "dvvlvvqlvv"), ("two", "dppdpvvvlvsq")):
        tokens = tokenizer(f"{FOLD} {' '.join(sequence)}", return_tensors="pt")
        with torch.no_grad():
            hidden = reference(**tokens).last_hidden_state[0, 1 : len(sequence) + 1]
        np.testing.assert_allclose(vectors(work / "states.tsv")[name], hidden.mean(0), atol=1e-5)
    told, untold = vectors(work / "told.tsv"), vectors(work / "untold.tsv")
    assert max(np.abs(told[name] - untold[name]).max() for name in told) > 1e-3


def test_reports_say_what_stood_before_each_sequence(runs):
    work, done = runs
    for name, said in (("told.html", RESIDUES), ("tuned.html", RESIDUES), ("tokens.html", FOLD)):
        escaped = said.replace("<", "&lt;").replace(">", "&gt;")
        assert f"after the prefix {escaped}" in (work / name).read_text()
    assert "note: read as: residues without a prefix; the model has <AA2fold> and <fold2AA>" in done[1].stderr
    assert "note: read as: residues after the prefix <AA2fold>" in done[4].stderr
    assert "Every 3Di state is one token" in done[6].stderr and "structures are known" in done[6].stderr


def test_a_bundle_knows_its_prefix_and_so_does_its_card(runs):
    work, _ = runs
    assert manifest(work / "b.zip")["prefix"] == RESIDUES
    first = {row["protein"]: row["residues"] for row in table(DATA / "locations.tsv")}
    row = table(work / "predicted.tsv")[0]
    shown = shown_by_card(work / "b.zip", work / "card", first[row["id"]])
    predicted = [float(value) for key, value in row.items() if key.startswith("p_") or key.startswith("probability")]
    assert predicted and shown == pytest.approx(predicted, abs=1e-4)
    assert "Before each sequence stands `<AA2fold>`" in zipfile.ZipFile(work / "b.zip").read("README.md").decode()


def test_mistakes_about_prefixes_are_one_line_before_torch(folder, states, tmp_path):
    calls, messages = [], []
    for number, (prefix, sequences, message) in enumerate((
        ("<odd>", states, "the model's vocabulary has no prefix '<odd>'; it has <AA2fold>, <fold2AA>"),
        (FOLD, DATA / "wild_type.fasta", "3Di states are the lower-case letters acdefghiklmnpqrstvwy; residues are"),
    )):  # fmt: skip
        work = tmp_path / str(number)
        work.mkdir()
        options = ["--model", folder("prostt5"), "--sequences", sequences, f"--prefix={prefix}"]
        calls.append((work, "embed", *options, "--output-table", "t.tsv"))
        messages.append(message)
    for call, done, message in zip(calls, run_batch(calls, torch=False), messages, strict=True):
        one_line(done, message, call[0])
