"""fold.py as a user runs it. Weights are random, so coordinates are compared with transformers' own, no protein:
what they are like as geometry says nothing here and is not looked at."""

import io
import json
import shutil
from argparse import Namespace

import numpy as np
import pytest
import torch
from Bio.PDB import MMCIFParser, PDBParser
from safetensors.torch import load_file, save_file
from transformers import EsmConfig, EsmFold2Model, EsmForProteinFolding

from makers.scripts import DATA, one_line, run_batch, run_mistakes, table

MODEL, SECOND = DATA / "models" / "tiny-esmfold", DATA / "models" / "tiny-esmfold2"
PROTEINS = {
    "short": "MY",
    "a/1": "MKTAYIAKQRQISFVKXSHFSRQ",
    "A_1": "GAVLIPFWMSTuuAKK",
    "long": "MKTAYIAKQRQISFVKSHFSRQGAVLIPFWMSTAKKDDEEHHNNC",
    "odd": "XXBZ",
}
READ = {name: letters.upper().translate(str.maketrans("BZU", "XXX")) for name, letters in PROTEINS.items()}
FILES = {"short": "short", "a/1": "a_1", "A_1": "A_1_2", "long": "long"}
REPORT = ("--output-report=report.md", "--output-html=report.html", "--output-figures=figures")
ALL = (
    "--output-pdb=pdb", "--output-cif=cif", "--output-pae=pae", "--output-table=table.tsv",
    "--output-residues=residues.tsv", *REPORT,
)  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Every run of this module, made once: name -> (what it printed, its folder)."""
    folder = tmp_path_factory.mktemp("fold")
    (folder / "proteins.fasta").write_text("".join(f">{name} x\n{letters}\n" for name, letters in PROTEINS.items()))
    (folder / "alone.fasta").write_text(f">a/1\n{PROTEINS['a/1']}\n")
    given = ["--model", MODEL, "--sequences", folder / "proteins.fasta", *ALL]
    alone = ["--model", MODEL, "--sequences", folder / "alone.fasta", *ALL[: -len(REPORT)]]
    shutil.make_archive(folder / "packed", "zip", MODEL)
    calls = {
        "plain": given,
        "again": given,
        "half": [*given[: -len(REPORT)], "--precision", "fp16"],
        "numbered": [*alone, "--first-position", "101", "--recycles", "3"],
        "second": ["--model", SECOND, *given[2 : -len(REPORT)]],
        "second again": ["--model", SECOND, *given[2 : -len(REPORT)]],
        "second in half": ["--model", SECOND, *alone[2:], "--precision", "bf16", "--samples", "3", "--recycles", "2"],
        "packed": ["--model", folder / "packed.zip", *alone[2:]],
    }
    works = {name: folder / "runs" / name for name in calls}
    for work in works.values():
        work.mkdir(parents=True)
    runs = run_batch([(works[name], "fold", *call) for name, call in calls.items()], new=1)
    for one in runs:
        assert one.returncode == 0, one.stderr
    return {name: (one, works[name]) for name, one in zip(calls, runs, strict=True)}


def reference(half=False, recycles=None):
    """transformers' own model, as its documentation loads it."""
    config = EsmConfig.from_pretrained(MODEL)
    config.esmfold_config.fp16_esm = half
    model = EsmForProteinFolding.from_pretrained(MODEL, config=config).eval()
    if recycles:
        model.trunk.config.max_recycles = recycles
    return model


def atoms(text, kind=PDBParser):
    """(residue number, atom, coordinates, B factor) of every atom, as Biopython reads them."""
    (chain,) = kind(QUIET=True).get_structure("x", io.StringIO(text))[0]
    assert chain.id == "A"
    return [(atom.parent.id[1], atom.id, tuple(atom.coord), atom.bfactor) for atom in chain.get_atoms()]


def assert_same_places(written, own):
    """The same atoms within 0.003 Å, the last of three digits: other numbers of threads round otherwise."""
    assert [atom[1] for atom in written] == [atom[1] for atom in own]
    np.testing.assert_allclose([atom[2] for atom in written], [atom[2] for atom in own], atol=0.003)


@pytest.mark.parametrize(("name", "half"), [("plain", False), ("half", True)])
def test_coordinates_and_confidence_are_those_of_transformers_to_the_last_digits(done, name, half):
    work, model = done[name][1], reference(half)
    assert {next(model.esm.parameters()).dtype} == {torch.float16 if half else torch.float32}
    rows = {row["id"]: row for row in table(work / "table.tsv")}
    plddt = {}
    for row in table(work / "residues.tsv"):
        plddt.setdefault(row["id"], []).append(float(row["plddt"]))
    for protein, file in FILES.items():
        output = model.infer(READ[protein])
        own = atoms(model.output_to_pdb(output)[0])
        written = atoms((work / "pdb" / f"{file}.pdb").read_text())
        assert [atom[0] for atom in written] == [atom[0] for atom in own]
        assert_same_places(written, own)
        confidence = 100 * output["plddt"][0, :, 1].numpy()  # of the Cα
        np.testing.assert_allclose(plddt[protein], confidence, rtol=1e-4)
        for number, _, _, factor in written:
            assert factor == pytest.approx(confidence[number - 1], abs=0.006)
        assert float(rows[protein]["ptm"]) == pytest.approx(float(output["ptm"]), rel=1e-4)
        assert float(rows[protein]["mean_plddt"]) == pytest.approx(float(confidence.mean()), rel=1e-4)
        said = json.loads((work / "pae" / f"{file}.json").read_text())[0]
        errors = output["predicted_aligned_error"][0].numpy()
        np.testing.assert_allclose(said["predicted_aligned_error"], errors, atol=0.0051)
        assert said["max_predicted_aligned_error"] == float(output["max_predicted_aligned_error"])


@pytest.mark.parametrize(
    ("name", "half", "settings"),
    [("second", False, {}), ("second in half", True, {"num_diffusion_samples": 3, "num_loops": 2})],
)
def test_what_is_drawn_is_what_transformers_draws_after_the_same_seed(done, name, half, settings):
    work, model = done[name][1], EsmFold2Model.from_pretrained(SECOND).eval()
    if half:
        for weight in model.esmc.parameters():  # frequencies of positions stay as they are
            weight.data = weight.data.bfloat16()
    rows = {row["id"]: row for row in table(work / "table.tsv")}
    for protein in rows:
        torch.manual_seed(42)
        own = atoms(model.infer_protein_as_pdb(READ[protein], **settings))
        torch.manual_seed(42)
        output = model.infer_protein(READ[protein], **settings)
        best = int(output["ptm"].argmax())
        file = rows[protein]["file"]
        written = atoms((work / "pdb" / f"{file}.pdb").read_text())
        assert [atom[0] for atom in written] == [atom[0] for atom in own]
        assert_same_places(written, own)
        assert written == atoms((work / "cif" / f"{file}.cif").read_text(), MMCIFParser)
        assert float(rows[protein]["ptm"]) == pytest.approx(float(output["ptm"][best]), rel=1e-4)
        confidence = 100 * output["plddt"][best].numpy()
        assert float(rows[protein]["mean_plddt"]) == pytest.approx(float(confidence.mean()), rel=1e-4)
        said = json.loads((work / "pae" / f"{file}.json").read_text())[0]["predicted_aligned_error"]
        np.testing.assert_allclose(said, output["pae"][best].numpy(), atol=0.0051)


def test_recycles_are_passed_on_and_residues_are_numbered_from_the_first(done):
    work = done["numbered"][1]
    own = atoms(reference(recycles=3).infer_pdb(READ["a/1"]))
    written = atoms((work / "pdb" / "a_1.pdb").read_text())
    assert_same_places(written, own)
    assert [atom[0] - 100 for atom in written] == [atom[0] for atom in own]
    assert table(work / "residues.tsv")[0]["position"] == "101"


def test_biopython_reads_the_same_from_both_formats(done):
    work = done["plain"][1]
    for file in FILES.values():
        pdb = atoms((work / "pdb" / f"{file}.pdb").read_text())
        assert pdb == atoms((work / "cif" / f"{file}.cif").read_text(), MMCIFParser)


def test_other_letters_are_x_and_counted_keep_their_number_and_have_no_atoms(done):
    one, work = done["plain"]
    numbers = {atom[0] for atom in atoms((work / "pdb" / "a_1.pdb").read_text())}
    assert numbers == set(range(1, 24)) - {17}
    rows = {row["id"]: row for row in table(work / "table.tsv")}
    assert [rows[name]["unknown"] for name in ("short", "a/1", "A_1", "long")] == ["0", "1", "2", "0"]
    assert "U read as X: 1 sequence, 2 letters" in one.stderr
    report = (work / "report.md").read_text()
    assert "3 residues of 2 proteins are none of the twenty standard ones and read as X; they have no" in report


def test_a_protein_without_any_standard_residue_is_named_and_left_out(done):
    one, work = done["plain"]
    rows = table(work / "table.tsv")
    assert [row["id"] for row in rows] == list(PROTEINS)
    assert [row["file"] for row in rows] == [*FILES.values(), ""]
    assert rows[-1]["status"].startswith("left out: none of its residues is a standard one")
    assert rows[-1]["mean_plddt"] == ""
    assert "note: odd was left out" in one.stderr and "folded 4 of 5 proteins" in one.stderr
    assert "4 of 5 proteins were folded" in (work / "report.md").read_text()


def test_the_longest_is_folded_first(done):
    folded = [line.split(": ")[1].split(",")[0] for line in done["plain"][0].stderr.splitlines() if " of 4: " in line]
    assert folded == ["long", "a/1", "A_1", "short"]


def test_the_same_seed_gives_the_same_bytes_and_a_protein_is_as_if_folded_alone(done):
    for once, again, files in (("second", "second again", 3 * 5 + 2), ("plain", "again", 3 * 4 + 2 + 4)):
        first, second = done[once][1], done[again][1]
        names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
        assert len(names) == files
        for name in names:
            assert (first / name).read_bytes() == (second / name).read_bytes(), name
    alone = (done["packed"][1] / "pdb" / "a_1.pdb").read_text().splitlines()
    assert alone[4:] == (first / "pdb" / "a_1.pdb").read_text().splitlines()[4:]


def test_a_report_says_what_is_no_structure_of_a_protein(done):
    report = (done["plain"][1] / "report.md").read_text()
    assert "is no structure of a protein" in report and "reads one sequence" in report and "not relaxed" in report
    assert "tiny-esmfold: ESMFold, " in report
    assert "4 of 5 proteins" in (done["plain"][1] / "report.html").read_text()


def plan_of(folder, proteins, **options):
    """What ``check`` makes of proteins of so many residues."""
    from seqlm.tools.fold.inputs import check

    (folder / "p.fasta").write_text("".join(f">p{length}_{at}\n{'MKTAY' * (length // 5)}\n" for at, length in proteins))
    usual = {"model": MODEL, "model_id": "", "sequences": str(folder / "p.fasta"), "format": "auto", "id_column": None}
    usual |= {
        "sequence_column": None,
        "recycles": None,
        "samples": None,
        "first_position": 1,
        "allow_slow": False,
        "device": "cpu",
    }
    usual |= {"precision": "auto", "threads": 1, "seed": 1, "output_pdb": "x", "output_table": None}
    usual |= dict.fromkeys(("output_cif", "output_pae", "output_residues", "output_report", "output_html", "values"))
    return check(Namespace(**usual | {"output_figures": None} | options), folder)


def test_where_memory_is_short_rows_are_computed_some_at_a_time_and_what_does_not_fit_is_left_out(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("GALAXY_MEMORY_MB", "700")
    plan = plan_of(tmp_path, enumerate((50, 400, 1500)))
    short, middle, long = plan.proteins
    assert not short.chunk and not short.left_out
    assert middle.chunk and not middle.left_out
    assert "needs about" in long.left_out and "this job has 0.7 GB" in long.left_out
    assert plan.to_fold == [middle, short]
    monkeypatch.setenv("GALAXY_MEMORY_MB", "300")
    with pytest.raises(Exception, match="no protein can be folded; 'p50_0', the shortest, of 50 residues: needs about"):
        plan_of(tmp_path, enumerate((50, 400)))


def test_rows_computed_some_at_a_time_change_no_more_than_the_last_digits():
    from seqlm.tools.fold.architectures import architecture_of

    own = architecture_of(json.loads((MODEL / "config.json").read_text()), "")
    model = own.load(MODEL, "fp32", torch.device("cpu"))
    whole, parts, again = (own.fold(model, READ["long"], 2, 1, chunk) for chunk in (0, 8, 0))
    np.testing.assert_allclose(whole.plddt, parts.plddt, atol=1e-3)
    np.testing.assert_allclose(whole.pae, parts.pae, atol=1e-3)
    assert whole.pdb == again.pdb


def test_a_job_that_would_take_days_on_a_cpu_is_refused_with_an_estimate_unless_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_MEMORY_MB", "20000")
    many = list(enumerate([2500] * 12))
    with pytest.raises(
        Exception, match=r"folding 12 proteins of up to 2,500 residues would take about \d\d hours on 1"
    ):
        plan_of(tmp_path, many, recycles=64)
    plan = plan_of(tmp_path, many, recycles=64, allow_slow=True)
    assert plan.memory.seconds > 24 * 3600


FASTA = ">a\nMKTAYIAKQR\n"
MISTAKES = {
    "no output": ({"sequences": FASTA}, ["--output-pdb", ""], "no output was asked for"),
    "no folding model": ({"sequences": FASTA, "model": DATA / "models" / "tiny-esm"}, [], "predicts no structures"),
    "an adapter": ({"sequences": FASTA, "model": DATA / "bundle_lora_t5.zip"}, [], "which predicts no structures"),
    "bf16": ({"sequences": FASTA}, ["--precision", "bf16"], "is computed in fp32 or fp16 here, not in bf16"),
    "a gap": ({"sequences": ">a\nMK-TA\n"}, [], "has '-' at position 3"),
    "numbers beyond PDB": ({"sequences": FASTA}, ["--first-position", "9999"], "which a PDB file cannot have"),
    "samples": ({"sequences": FASTA}, ["--samples", "2"], "ESMFold draws no structures, it gives one"),
    "fp16": ({"sequences": FASTA, "model": SECOND}, ["--precision", "fp16"], "is computed in fp32 or bf16 here"),
    "a residue": ({"sequences": ">a\nM\n", "model": SECOND}, [], "ESMFold2 folds no protein of 1 residue"),
    "only X": ({"sequences": ">a\nXX\n"}, [], "no protein can be folded; 'a': none of its residues"),
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    return run_mistakes(folder, MISTAKES, "fold", ("--model", MODEL, "--output-pdb", "pdb", "--device", "cpu"))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_before_torch_is_imported(mistakes, name):
    one_line(mistakes[name][0], MISTAKES[name][2], mistakes[name][1])


HOSTILE_SECOND = {
    "endless loops": (("num_loops",), 10**6, "it must be a whole number up to 64"),
    "a language model that is not there": (("esmc_config",), {}, "does not give the size of the model"),
    "a larger language model": (("esmc_config", "num_hidden_layers"), 30, "have another shape"),
    "another part": (("structure_head", "diffusion_module", "kernel"), "x/y", "is not known for any supported model"),
}
HOSTILE = {
    "an entry that is not known": (("trunk", "load_from"), "x", "'load_from' in 'trunk' in 'esmfold_config'"),
    "code in a part": (("auto_map",), {"AutoModel": "x.Y"}, "names Python code to run"),
    "a part that is no object": (("trunk",), "big", "where the description of a part of the model is expected"),
    "endless blocks": (("trunk", "num_blocks"), 10**9, "it must be a whole number up to 256"),
    "blocks that are not there": (("trunk", "num_blocks"), 3, "is incomplete"),
    "a wider trunk than there is": (("trunk", "sequence_state_dim"), 16384, "have another shape"),
}


@pytest.mark.parametrize("attack", [*HOSTILE, *HOSTILE_SECOND])
def test_an_archive_that_asks_for_more_than_it_holds_is_refused(tmp_path, attack):
    path, value, message = (HOSTILE | HOSTILE_SECOND)[attack]
    folder, work = tmp_path / "model", tmp_path / "work"
    shutil.copytree(MODEL if attack in HOSTILE else SECOND, folder)
    work.mkdir()
    config = json.loads((folder / "config.json").read_text())
    part = config["esmfold_config"] if attack in HOSTILE else config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (folder / "config.json").write_text(json.dumps(config))
    shutil.make_archive(tmp_path / "packed", "zip", folder)
    (tmp_path / "p.fasta").write_text(FASTA)
    given = ("--model", tmp_path / "packed.zip", "--sequences", tmp_path / "p.fasta", "--output-pdb", "pdb")
    one_line(run_batch([(work, "fold", *given)])[0], message, work)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    folder, work = tmp_path / "model", tmp_path / "work"
    shutil.copytree(MODEL, folder)
    work.mkdir()
    weights = load_file(folder / "model.safetensors")
    weights["trunk.trunk2sm_s.bias"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "p.fasta").write_text(FASTA)
    given = ("--model", folder, "--sequences", tmp_path / "p.fasta", "--output-pdb", "pdb")
    one_line(run_batch([(work, "fold", *given)])[0], "holds values that are no numbers", work)


@pytest.mark.parametrize("tool", ["embed", "score"])
def test_a_tool_of_language_models_says_where_a_folding_model_belongs(tmp_path, tool):
    given = (tool, "--model", MODEL, "--sequences", DATA / "wild_type.fasta", "--output-table", "t.tsv")
    one_line(run_batch([(tmp_path, *given)], torch=False)[0], "take it to 'Predict structures of proteins'", tmp_path)


def test_values_of_positions_stand_as_b_factors_scaled_to_be_seen(tmp_path):
    (tmp_path / "p.fasta").write_text(">a\nMKTAY\n>b\nGAV\n")
    scan = "id\tposition\twild_type\tnew\tscore\na\t11\tM\tA\t-0.04\na\t11\tM\tC\t-0.02\na\t13\tT\tA\t0.011\n"
    scan += "other\t1\tA\tC\t9\n"
    (tmp_path / "values.tsv").write_text(scan)
    work = tmp_path / "work"
    work.mkdir()
    given = ("--model", MODEL, "--sequences", tmp_path / "p.fasta", "--values", tmp_path / "values.tsv", *ALL)
    (one,) = run_batch([(work, "fold", *given, "--first-position", "11")])
    assert one.returncode == 0, one.stderr
    factors = {number: factor for number, _, _, factor in atoms((work / "pdb" / "a.pdb").read_text())}
    assert factors == pytest.approx({11: -30, 12: 0, 13: 11, 14: 0, 15: 0})
    assert {factor for *_, factor in atoms((work / "cif" / "b.cif").read_text(), MMCIFParser)} == {0}
    rows = table(work / "residues.tsv")
    assert [row["value"] for row in rows] == ["-0.03", "", "0.011", "", "", "", "", ""]
    report = (work / "report.md").read_text()
    assert "B factors are 'score' of each residue times 1000" in report
    assert "1 of 2 proteins have no values" in report
    assert "not among the sequences, passed over: 1 rows" in report
    (work / "again").mkdir()
    explained = "sequence\tposition\tletter\tvalue\na\t1\tM\t50\n"
    (tmp_path / "values.tsv").write_text(explained)
    (one,) = run_batch([(work / "again", "fold", *given[: -len(REPORT)])])
    factors = {number: factor for number, _, _, factor in atoms((work / "again" / "pdb" / "a.pdb").read_text())}
    assert factors == {1: 50, 2: 0, 3: 0, 4: 0, 5: 0}


VALUES = {
    "another letter": (
        "id\tposition\tletter\tvalue\na\t2\tM\t1\n",
        "position 2 of 'a' is M there, and K in the sequence",
    ),
    "beyond the end": ("id\tposition\tvalue\na\t99\t1\n", "'a' has no position 99; its residues are numbered 1 to 10"),
    "no number": ("id\tposition\tvalue\na\tK2\t1\n", "are not both numbers"),
    "half a position": ("id\tposition\tvalue\na\t2.5\t1\n", "the position is a whole number, not '2.5'"),
    "other proteins": ("id\tposition\tvalue\nb\t2\t1\n", "has values for none of the proteins"),
    "values beyond numbers": ("id\tposition\tvalue\na\t2\t1e308\na\t2\t1e308\n", "too large to take their mean"),
    "no values": ("id\tposition\tother\na\t2\t1\n", "no column 'value' for the column of values"),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_that_do_not_fit_the_proteins_are_refused(tmp_path, name):
    content, message = VALUES[name]
    (tmp_path / "p.fasta").write_text(FASTA)
    (tmp_path / "values.tsv").write_text(content)
    (tmp_path / "work").mkdir()
    given = ("--model", MODEL, "--sequences", tmp_path / "p.fasta", "--values", tmp_path / "values.tsv")
    (one,) = run_batch([(tmp_path / "work", "fold", *given, "--output-pdb", "pdb")], torch=False)
    one_line(one, message, tmp_path / "work")
