"""SaProt as its authors read it: a residue and a 3Di state in one token, from two files."""

import json
import pickle

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, EsmModel

from makers.models import make
from makers.scripts import DATA, manifest, one_line, run_all, run_batch, shown_by_card, table, vectors
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import PROTEIN
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import UNPLACED, WITHOUT_STRUCTURE, Encoder
from seqlm.tokenization.structures import Structures

pytestmark = pytest.mark.slow

COMBINED = "MdEvVpQpL#VyQdYaKv"
RESIDUES, STATES = COMBINED[::2], COMBINED[1::2]
NAMES = ["--id-column", "protein", "--sequence-column", "residues"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make("saprot", tmp_path_factory.mktemp("saprot"))


def family_of(folder):
    return recognise(folder, read_model_folder(folder).config)


def structures(folder, text):
    (folder / "states.fasta").write_text(text)
    return Structures(folder / "states.fasta", folder)


def test_a_token_is_a_residue_and_a_state(folder, tmp_path):
    family = family_of(folder)
    assert (family.name, family.alphabet, len(family.vocabulary), family.window) == ("SaProt", PROTEIN, 446, 1022)
    assert family.one_letter_tokens and family.replacements == dict.fromkeys("UZOBJ", "X")
    encoder = Encoder(family, folder, structures=structures(tmp_path, f">p\n{STATES}\n"))
    encoded = encoder.encode(RESIDUES, "p")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize(COMBINED) == ["Md", "Ev", "Vp", "Qp", "L#", "Vy", "Qd", "Ya", "Kv"]
    assert encoded.rows[0].tolist() == tokenizer(COMBINED)["input_ids"]
    assert encoded.changes() == {UNPLACED: 1}
    alone = Encoder(family, folder).encode("MKTX").rows[0].tolist()
    assert alone == tokenizer("M#K#T###")["input_ids"]


def test_states_may_be_in_capitals_and_those_that_are_missing_are_counted(folder, tmp_path):
    capitals = structures(tmp_path, f">p about it\n{STATES.upper()[:5]}\n{STATES.upper()[5:]}\n>q\nXvv\n")
    encoder = Encoder(family_of(folder), folder, structures=capitals)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert encoder.encode(RESIDUES, "p").rows[0].tolist() == tokenizer(COMBINED)["input_ids"]
    assert encoder.encode("MKT", "q").rows[0].tolist() == tokenizer("M#KvTv")["input_ids"]
    missing = encoder.encode("MKT", "other")
    assert missing.rows[0].tolist() == tokenizer("M#K#T#")["input_ids"] and missing.changes() == {WITHOUT_STRUCTURE: 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">p\ndvvl\n", "'p' has 4 3Di states, and the sequence of that name 9 residues"),
        (">p\ndvbl\n", r"record 'p' \(line 1\) has 'b' at position 3; 3Di states are the letters"),
        (f">p\n{STATES}\n>q\nddd\n>p\n{STATES}\n", "the record on line 5 has the header of one before it, 'p'"),
    ],
)
def test_states_that_do_not_fit_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        structures(tmp_path, text).of("p", RESIDUES)


def test_another_process_opens_the_states_anew(tmp_path):
    """As those of a training that is shared by several do."""
    held = structures(tmp_path, ">p\nddd\n")
    assert pickle.loads(pickle.dumps(held)).of("p", "MKT") == held.of("p", "MKT") == "ddd"


@pytest.mark.parametrize("residues", ["MKTAYIAKQR", "MKTAXYIAKQR"])
def test_residues_in_place_of_states_are_noticed(tmp_path, residues):
    with pytest.raises(InputError, match="what stands for 'p' is its residues"):
        structures(tmp_path, f">p\n{residues}\n").of("p", residues)


def states_of(sequence):
    """Some state for each residue, so that equal residues have different ones."""
    return "".join("pynwrqhgdlvtmfsaeikc#"[(ord(letter) * 7 + place) % 21] for place, letter in enumerate(sequence))


@pytest.fixture(scope="module")
def proteins():
    return {row["protein"]: row["residues"] for row in table(DATA / "locations.tsv")}


@pytest.fixture(scope="module")
def runs(folder, proteins, tmp_path_factory):
    """Embeddings with structures and without, a fine-tuning with them, and what the bundle predicts."""
    work = tmp_path_factory.mktemp("runs")
    (work / "states.fasta").write_text("".join(f">{name}\n{states_of(one)}\n" for name, one in proteins.items()))
    some = list(proteins.items())[1:]
    (work / "some.fasta").write_text("".join(f">{name}\n{states_of(one).upper()}\n" for name, one in some))
    model, data = ["--model", folder], [*NAMES, "--sequences", DATA / "locations.tsv"]
    train = ["--train", DATA / "locations.tsv", "--label-column", "location", *NAMES, "--model-id", folder]
    given, bundle = ["--structures", "states.fasta"], ["--model", "b.zip", "--base-model", folder]
    calls = [
        (work, "embed", *model, *data, *given, "--output-table", "placed.tsv", "--output-html", "placed.html"),
        (work, "embed", *model, *data, "--output-table", "plain.tsv", "--output-html", "plain.html"),
        (work, "embed", *model, *data, "--structures", "some.fasta", "--output-table", "some.tsv"),
        (
            work,
            "finetune",
            *model,
            *train,
            *given,
            "--epochs",
            "1",
            "--output-model",
            "b.zip",
            "--output-html",
            "t.html",
        ),
        (work, "predict", *bundle, *data, *given, "--output-table", "predicted.tsv"),
        (work, "embed", *bundle, *data, "--output-table", "t.tsv"),
        (work, "finetune", *model, *train, "--epochs", "1", "--output-model", "plain.zip", "--output-html", "p.html"),
        (work, "embed", "--model", "plain.zip", "--base-model", folder, *data, *given, "--output-table", "t.tsv"),
    ]
    return work, run_all(calls)


@pytest.mark.parametrize(("file", "state"), [("placed.tsv", states_of), ("plain.tsv", lambda one: "#" * len(one))])
def test_vectors_are_those_of_a_plain_loop_over_the_combined_text(runs, folder, proteins, file, state):
    reference, tokenizer = EsmModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    ours = vectors(runs[0] / file)
    for name, sequence in list(proteins.items())[:5]:
        text = "".join(a + b for a, b in zip(sequence, state(sequence), strict=True))
        with torch.no_grad():
            hidden = reference(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 1:-1]
        assert len(hidden) == len(sequence)
        np.testing.assert_allclose(ours[name], hidden.mean(0), atol=1e-5)


def test_what_has_no_structure_is_counted_and_read_as_unknown(runs, proteins):
    work, done = runs
    first, *others = proteins
    assert f"note: {WITHOUT_STRUCTURE}: 1 sequence, {len(proteins[first]):,} letters" in done[2].stderr
    placed, plain, some = (vectors(work / f"{name}.tsv") for name in ("placed", "plain", "some"))
    np.testing.assert_allclose(some[first], plain[first])
    np.testing.assert_allclose(some[others[0]], placed[others[0]])
    unsaid = "no structures were given, so the model read every residue with # (structure not known)"
    assert unsaid in done[1].stderr and unsaid[1:] in (work / "plain.html").read_text()
    assert unsaid not in done[0].stderr and unsaid[1:] in (work / "p.html").read_text()
    read_as = "ead as: residues together with the 3Di states"
    assert read_as in (work / "t.html").read_text() and read_as in done[0].stderr and read_as not in done[1].stderr
    assert "residues together with the 3Di states" in (work / "placed.html").read_text()


def test_vectors_of_a_bundle_that_was_trained_otherwise_are_noted(runs):
    _, done = runs
    assert "every residue with # (structure not known), and was fine-tuned with structures" in done[5].stderr
    assert "fine-tuned" not in done[1].stderr and "was fine-tuned without structures, and reads them" in done[7].stderr


def test_a_bundle_records_structures_and_so_does_its_card(runs, proteins):
    work, _ = runs
    assert manifest(work / "b.zip")["structures"] is True and "structures" not in manifest(work / "plain.zip")
    row = table(work / "predicted.tsv")[0]
    predicted = [float(row[key]) for key in row if key.startswith("probability")]
    sequence = proteins[row["id"]]
    code = shown_by_card(work / "b.zip", work / "card", sequence, states=states_of(sequence))
    assert predicted and code == pytest.approx(predicted, abs=1e-4)


def test_mistakes_about_structures_are_one_line_before_torch(runs, folder, model_path, proteins, tmp_path):
    work, _ = runs
    first = next(iter(proteins))
    cases = {
        "short": (f">{first}\ndvv\n", f"'{first}' has 3 3Di states, and the sequence of that name"),
        "other": (">Q1\ndvv\n", "has no structure of any sequence: its ids are such as 'Q1', those of the sequences"),
    }
    data = [*NAMES, "--sequences", DATA / "locations.tsv", "--output-table", "t.tsv"]
    train = ["--train", DATA / "locations.tsv", "--label-column", "location", *NAMES, "--output-model", "n.zip"]
    states, calls = ["--structures", work / "states.fasta"], []
    for name, (text, message) in cases.items():
        (tmp_path / name).write_text(text)
        calls.append((message, "embed", "--model", folder, *data, "--structures", tmp_path / name))
        calls.append((message, "finetune", "--model", folder, *train, "--structures", tmp_path / name))
    esm = "is for models that read 3Di states beside residues, such as SaProt; this one is of the family ESM-2"
    calls.append((esm, "embed", "--model", model_path("esm"), *data, *states))
    asks = "b.zip was trained with structures; give the 3Di states of these sequences too (--structures)"
    calls.append((asks, "predict", "--model", work / "b.zip", "--base-model", folder, *data))
    cut = "a scan with a model of windows reads pieces of proteins, whose structures it does not cut out"
    calls.append((cut, "predict", "--model", work / "b.zip", "--base-model", folder, *data, "--sites", "K"))
    plain = "plain.zip was trained without structures; leave them out"
    calls.append((plain, "predict", "--model", work / "plain.zip", "--base-model", folder, *data, *states))
    places = [tmp_path / f"work{number}" for number in range(len(calls))]
    for place in places:
        place.mkdir()
    for place, call, done in zip(
        places,
        calls,
        run_batch([(p, *call[1:]) for p, call in zip(places, calls, strict=True)], torch=False),
        strict=True,
    ):
        one_line(done, call[0], place)


def test_a_manifest_with_structures_is_understood(runs):
    assert json.dumps(manifest(runs[0] / "b.zip")["family"]) == '"saprot"'
