"""Contacts are those of transformers, from heads that were fitted alone, and are judged by structures and by chance."""

import re

import numpy as np
import pytest
import torch
from Bio.PDB import MMCIFIO, PDBParser
from transformers import AutoTokenizer, EsmForMaskedLM, EsmModel

from makers.contacts import fitted, pdb, walk
from makers.models import make
from makers.scripts import DATA, run_all, run_mistakes, table
from seqlm.checkpoints.folder import read_model_folder
from seqlm.checkpoints.safetensors_header import first_number
from seqlm.families.recognition import recognise
from seqlm.inference.loading import load_backbone
from seqlm.tools.explain.contacts.attention import ContactModel
from seqlm.tools.explain.contacts.ranges import judged
from seqlm.tools.explain.contacts.structures import Chain, distances_of, precisions
from seqlm.tools.explain.contacts.summary import Checks

MODEL, OTHER = DATA / "models" / "protein-esm-0.2m", DATA / "models" / "tiny-esm"
PROTEINS = {
    "a": "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEK",
    "b": "GAVLIMCPFWYSTNQHKRDEGAVLIMCPFWYSTNQHKRDEMKT",
    "c": "MKTAYIAKQ",
}
REPORT = ("--output-report", "r.md", "--output-figures", "figures")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fitted(MODEL, tmp_path_factory.mktemp("contacts") / "fitted")


@pytest.fixture(scope="module")
def expected(model):
    """What transformers' own call says of each protein: alone, and beside a longer one."""
    plain = EsmForMaskedLM.from_pretrained(model, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(model)

    @torch.no_grad()
    def said(texts):
        given = tokenizer(texts, return_tensors="pt", padding=True)
        return plain.predict_contacts(given["input_ids"], given["attention_mask"]).numpy()

    alone = {name: said([text])[0] for name, text in PROTEINS.items()}
    return alone, dict(zip(PROTEINS, said(list(PROTEINS.values())), strict=True))


@pytest.fixture(scope="module")
def done(model, tmp_path_factory):
    """Every run of this module, made once: name -> (what it printed, its rows, its folder)."""
    folder = tmp_path_factory.mktemp("explain_contacts")
    (folder / "p.fasta").write_text("".join(f">{name}\n{text}\n" for name, text in PROTEINS.items()))
    known = pdb(folder / "a.pdb", PROTEINS["a"], walk(len(PROTEINS["a"]), 1), without=range(10, 14))
    writer = MMCIFIO()
    writer.set_structure(PDBParser(QUIET=True).get_structure("b", pdb(folder / "b.pdb", PROTEINS["b"], walk(43, 2))))
    writer.save(str(folder / "b.cif"))
    common = ("--model", model, "--method", "contacts", "--sequences", folder / "p.fasta", "--output-table", "t.tsv",
              "--random-models", "2")  # fmt: skip
    structures = ("--known-structures", known, "--known-structures", folder / "b.cif")
    calls = {
        "all": (*common, "--contact-floor", "0", *REPORT),
        "again": (*common, "--contact-floor", "0", *REPORT),
        "known": (*common, *structures, *REPORT),
    }
    works = {name: folder / name for name in calls}
    for work in works.values():
        work.mkdir()
    found = run_all([(works[name], "explain", *call) for name, call in calls.items()])
    assert all(one.returncode == 0 for one in found), [one.stderr for one in found]
    return {name: (one, table(work / "t.tsv"), work) for (name, work), one in zip(works.items(), found, strict=True)}


def test_contacts_are_those_of_transformers_which_padding_does_not_change(model, expected):
    alone, padded = expected
    base = read_model_folder(model)
    family = recognise(base.path, base.config)
    ours = ContactModel(load_backbone(base.path, family, torch.float32, torch.device("cpu")))
    tokenizer = AutoTokenizer.from_pretrained(model)
    for name, text in PROTEINS.items():
        found = ours.contacts(np.asarray(tokenizer(text)["input_ids"]))
        assert np.ptp(found) > 0.3 and found == pytest.approx(alone[name], abs=1e-5)
        assert found == pytest.approx(padded[name][: len(text), : len(text)], abs=1e-5)


def test_the_table_has_every_pair_six_or_more_apart(done, expected):
    rows = done["all"][1]
    for name, text in PROTEINS.items():
        own = [row for row in rows if row["id"] == name]
        places = [(int(row["position_1"]), int(row["position_2"])) for row in own]
        assert places == [(i, j) for i in range(1, len(text) + 1) for j in range(i + 6, len(text) + 1)]
        assert all((row["letter_1"], row["letter_2"]) == (text[i - 1], text[j - 1])
                   for row, (i, j) in zip(own, places, strict=True))  # fmt: skip
        given = [expected[0][name][i - 1, j - 1] for i, j in places]
        assert [float(row["probability"]) for row in own] == pytest.approx(given, abs=1e-5)
    assert {(int(row["position_2"]) - int(row["position_1"])) // 6: row["range"] for row in rows}[1] == "short"
    assert {row["range"] for row in rows if int(row["position_2"]) - int(row["position_1"]) >= 24} == {"long"}


def test_the_same_seed_gives_the_same_bytes(done):
    first, second = done["all"][2], done["again"][2]
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert [file.name for file in files] == ["chance.png", "contacts.png", "r.md", "t.tsv"]
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


def test_known_structures_are_found_by_their_residues_and_measured_between_their_last_atoms(done):
    _, rows, work = done["known"]
    places = {"a": walk(53, 1), "b": walk(43, 2)}
    for name in places:
        places[name][:, 0] += [letter != "G" for letter in PROTEINS[name]]
    assert {row["id"] for row in rows if row["distance"]} <= {"a", "b"} and any(row["distance"] for row in rows)
    for row in rows:
        assert float(row["probability"]) >= 0.1
        i, j = int(row["position_1"]) - 1, int(row["position_2"]) - 1
        unknown = row["id"] == "c" or (row["id"] == "a" and ({i, j} & set(range(10, 14))))
        assert (row["distance"] == "") == bool(unknown)
        if row["distance"]:
            here = places[row["id"]]
            assert float(row["distance"]) == pytest.approx(np.linalg.norm(here[i] - here[j]), abs=0.01)
    text = re.sub(r"\\(.)", r"\1", (work / "r.md").read_text())
    for part in ("a: a.pdb, chain A", "b: b.cif, chain A", "Rao et al. 2020", "touch in the known structures",
                 "Only 2 proteins of known structure decide"):  # fmt: skip
        assert part in text
    assert (work / "figures" / "precision.png").is_file()


def test_precision_is_that_of_a_plain_loop_and_chance_that_of_drawings_as_far_apart():
    generator, places = np.random.default_rng(0), walk(60, 5)
    probabilities = generator.random((60, 60))
    distances, _ = distances_of("ACDEF" * 12, [Chain("x", "ACDEF" * 12, places)])
    found = precisions(probabilities, distances)
    for (name, divisor), one in found.items():
        low, high = {"short": (6, 11), "medium": (12, 23), "long": (24, 99)}[name]
        every = [(i, j) for i in range(60) for j in range(i + low, min(60, i + high + 1))]
        best = sorted(every, key=lambda pair: -probabilities[pair])[: 60 // divisor]
        touch = {pair: np.linalg.norm(places[pair[0]] - places[pair[1]]) < 8 for pair in every}
        assert one.pairs == len(best) and one.share == pytest.approx(np.mean([touch[pair] for pair in best]))
        drawn = np.zeros(2000)
        for apart in {j - i for i, j in best}:
            there = [touch[pair] for pair in every if pair[1] - pair[0] == apart]
            many = sum(j - i == apart for i, j in best)
            drawn += generator.hypergeometric(sum(there), len(there) - sum(there), many, 2000)
        assert one.by_chance == pytest.approx(drawn.mean() / len(best), abs=0.01)
        assert one.spread == pytest.approx(drawn.std() / len(best), rel=0.1)


def test_chains_of_other_proteins_are_none_of_this_one():
    sequence = PROTEINS["a"]
    changed = "".join("W" if place % 5 == 0 else letter for place, letter in enumerate(sequence))
    assert distances_of(sequence, [Chain("x", changed, walk(53, 1))]) is None
    gapped = sequence[:20] + sequence[26:]
    found, name = distances_of(sequence, [Chain("short", sequence[5:25], walk(20, 1)), Chain("y", gapped, walk(47, 1))])
    assert name == "y" and np.isfinite(np.diag(found)).tolist() == [not 20 <= place < 26 for place in range(53)]


def test_a_residue_alone_between_two_that_are_not_resolved_stays_in_its_place():
    sequence, places = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV", walk(70, 1)
    kept = np.delete(np.arange(70), [50, 52])
    found, _ = distances_of(sequence, [Chain("x", "".join(sequence[one] for one in kept), places[kept])])
    assert np.flatnonzero(np.isnan(np.diag(found))).tolist() == [50, 52]
    assert found[51, 10] == pytest.approx(np.linalg.norm(places[51] - places[10]))
    # what was replaced in the structure is still known
    changed = sequence[:30] + "W" + sequence[31:]
    assert np.isfinite(distances_of(sequence, [Chain("x", changed, places)])[0]).all()


def test_more_than_chance_is_more_than_shuffled_weights_and_than_other_orders():
    low = np.asarray([[0.05] * 4, [0.06] * 4, [0.07] * 4])
    for top, reordered, more in (([0.5] * 4, low, True), ([0.5] * 4, 10 * low, False), ([0.06] * 4, low, False)):
        checks = Checks(np.asarray(top), low, reordered, 42)
        assert checks.more == more and checks.beyond.all() == more
    assert not Checks(np.asarray([0.5, 0.05, 0.05]), low[:, :3], low[:, :3], 42).more  # one in three is chance
    # those that are too short for any pair are no proteins that lie within chance
    none = np.full((3, 40), np.nan)
    checks = Checks(np.r_[[0.5] * 2, none[0]], np.hstack([low[:, :2], none]), np.hstack([low[:, :2], none]), 42)
    assert checks.judged == 2 and checks.more
    assert Checks(np.asarray([0.5]), low[:, :1], low[:, :1], 42).more


def test_the_most_probable_pairs_are_long_range_ones_where_there_are_enough():
    values = np.zeros((60, 60))
    values[0, 30:50], values[10, 20] = 0.9, 1
    assert judged(values) == (pytest.approx(20 * 0.9 / 60), True)
    assert judged(values[:28, :28]) == (pytest.approx(1 / 28), False)
    assert np.isnan(judged(values[:5, :5])[0])


def test_the_first_number_of_a_tensor_is_read_without_torch(tmp_path):
    for dtype, name in ((torch.bfloat16, "bf16"), (torch.float16, "fp16"), (torch.float64, "fp64")):
        folder = fitted(MODEL, tmp_path / name, -3.25, dtype)
        assert first_number(folder / "model.safetensors", "esm.contact_head.regression.bias") == -3.25


SUCH = "take ESM-2 (facebook/esm2_t6_8M_UR50D to"
MISTAKES = {
    "a head that was drawn at random": (
        {"model": MODEL}, (),
        "that should tell contacts from its attention was never fitted: of residues without any it says a contact with "
        f"50%, where a fitted one says a few percent; {SUCH}",
    ),
    "a model that writes": ({"model": DATA / "models" / "tiny-llama"}, (), f"contacts from its attention; {SUCH}"),
    "six-mers": ({"model": DATA / "models" / "tiny-nucleotide-transformer-v2"}, (), "has no head that tells contacts"),
    "a fine-tuned model": ({"model": DATA / "bundle_full_bert.zip"}, (), "so it predicts labels and not tokens"),
    "a class": ({}, ("--explained-class", "a"), "leave --explained-class out"),
    "a track": ({}, ("--output-bedgraph", "b.bedgraph"), "leave --output-bedgraph out"),
    "too many": ({}, ("--most-sequences", "2"), "holds more than 2 sequences"),
    "too long": ({"sequences": b">long\n" + b"MKTAY" * 60}, (), "has 300 residues, and the model reads 254 at once"),
    "too short": ({"sequences": b">short\nMKTAYI\n"}, (), "no sequence has more than 6 residues"),
    "no structure": ({"known-structures": b"HEADER none\n"}, (), "is no structure of a protein"),
    "structures of no contacts": ({"known-structures": b"HEADER"}, ("--method", "occlusion"), "take --method contacts"),
}  # fmt: skip


def test_a_mistake_is_one_line(tmp_path, model):
    proteins = tmp_path / "p.fasta"
    proteins.write_text("".join(f">{name}\n{text}\n" for name, text in PROTEINS.items()))
    other = pdb(tmp_path / "other.pdb", "W" * 30, walk(30, 1))
    mistakes = MISTAKES | {
        "another protein": ({"known-structures": other}, (), "none of the known structures is that of"),
        "SaProt": ({"model": make("saprot", tmp_path)}, (), "has no head that tells contacts"),
    }
    common = ("--model", model, "--method", "contacts", "--output-table", "t.tsv", "--sequences", proteins)
    for name, (one, work) in run_mistakes(tmp_path, mistakes, "explain", common).items():
        assert one.returncode == 2, (name, one.stderr)
        lines = [line for line in one.stderr.splitlines() if line.startswith("error:")]
        assert len(lines) == 1 and mistakes[name][2] in lines[0], (name, one.stderr)
        assert "Traceback" not in one.stderr and not list(work.iterdir())


def test_a_head_without_its_language_model_will_do(tmp_path):
    folder = fitted(OTHER, tmp_path / "encoder")
    (tmp_path / "p.fasta").write_text(f">a\n{PROTEINS['a']}\n")
    one = run_all([(tmp_path, "explain", "--model", folder, "--method", "contacts", "--sequences", "p.fasta",
                    "--random-models", "2", "--contact-floor", "0", "--output-table", "t.tsv")])[0]  # fmt: skip
    assert one.returncode == 0, one.stderr
    plain = EsmModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = AutoTokenizer.from_pretrained(folder)(PROTEINS["a"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = plain.predict_contacts(ids, torch.ones_like(ids))[0].numpy()
    values = [float(row["probability"]) for row in table(tmp_path / "t.tsv")]
    assert values == pytest.approx(expected[np.triu_indices(53, 6)], abs=1e-5)
