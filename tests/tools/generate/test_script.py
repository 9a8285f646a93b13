"""generate.py as a user runs it."""

import csv
import re
import shutil

import numpy as np
import pytest
import torch
from Bio import SeqIO
from Bio.SeqUtils.ProtParam import ProteinAnalysis
from rdkit import Chem
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from makers.scripts import one_line, run_batch, run_mistakes, table

LINED = re.compile("(.{60})")


@pytest.fixture(scope="module")
def done(tmp_path_factory, request):
    """Every run of this module, made once: name -> (what it printed, its folder)."""
    folder = tmp_path_factory.mktemp("generate")
    data = request.config.rootpath / "test-data"
    models = data / "models"
    protgpt2, llama = ["--model", models / "tiny-protgpt2"], ["--model", models / "tiny-llama"]
    smiles = ["--model", models / "tiny-smiles-gpt2", "--max-length", "80"]
    family = data / "protein_family.fasta"
    reference = folder / "reference.fasta"
    report = ["--output-report", "report.md", "--output-html", "report.html", "--output-figures", "figures"]
    near = ["--equal-only"]
    calls = {
        "ten": [*protgpt2, *near, *report],
        "again": [*protgpt2, *near, *report],
        "twenty": [*protgpt2, *near, "--num-sequences", "20", "--batch-tokens", "300"],
        "other seed": [*protgpt2, *near, "--seed", "1"],
        "tutorial": [*protgpt2, *near, "--prompt", "<|endoftext|>\nMKFVY"],
        "prompt": [*protgpt2, *near, "--prompt", "mkfvy"],
        "prompts": [*llama, *near, "--prompts", data / "beginnings.fasta", "--num-sequences", "3"],
        "short": [*llama, *near, "--num-sequences", "30", "--max-length", "20"],
        "short dropped": [*llama, *near, "--num-sequences", "30", "--max-length", "20", "--cut", "drop", *report],
        "letters": [*llama, *near, "--num-sequences", "12", "--max-letters", "15", "--forbid", "CW"],
        "stop": [*llama, *near, "--num-sequences", "30", "--stop-at", "vcvc", *report],
        "best": [*llama, *near, "--num-sequences", "30", "--keep-best", "4", "--max-perplexity", "2.5", *report],
        "greedy": [*llama, *near, "--strategy", "greedy"],
        "beams": [*llama, *near, "--strategy", "beam", "--num-sequences", "3", "--num-beams", "4"],
        "molecules": [*smiles, "--num-sequences", "60", "--duplicates", "drop-equal", *report],
        "copies": [*smiles, "--num-sequences", "40", "--temperature", "0.2", "--duplicates", "drop-near"],
        "reference": [*llama, "--num-sequences", "20", "--reference", reference, *report],
        "family": [*llama, *near, "--num-sequences", "20", "--reference", family],
    }
    works = {name: folder / "runs" / name for name in calls}
    for work in works.values():
        work.mkdir(parents=True)
    outputs = ["--output-fasta", "out.fasta", "--output-table", "out.tsv"]
    order = ["ten", *(name for name in calls if name != "ten")]
    first = run_batch([(folder, "generate", *llama, *near, "--num-sequences", "20", "--output-fasta", reference)])
    assert first[0].returncode == 0, first[0].stderr
    # the third sequence as it is, the fourth with one residue changed, and one that has nothing to do with them
    records = sorted(SeqIO.parse(reference, "fasta"), key=lambda one: int(one.id.split("_")[1]))
    fourth = str(records[3].seq)
    reference.write_text(
        f">same\n{records[2].seq}\n>near\n{fourth[:9]}{'A' if fourth[9] != 'A' else 'G'}{fourth[10:]}\n"
    )
    given = [(works[name], "generate", *calls[name], *outputs) for name in order]
    runs = run_batch(given, new=order.index("again"))
    return {name: (one, works[name]) for name, one in zip(order, runs, strict=True)}


def written(done, name):
    one, work = done[name]
    assert one.returncode == 0, one.stderr
    return table(work / "out.tsv")


def by_id(rows):
    return {row["id"]: row["sequence"] for row in rows}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(done):
    for name in ("out.fasta", "out.tsv", "report.md", "report.html", "figures/written.png"):
        assert (done["ten"][1] / name).read_bytes() == (done["again"][1] / name).read_bytes()
    assert not set(by_id(written(done, "ten")).values()) & set(by_id(written(done, "other seed")).values())


def test_asking_for_twenty_gives_what_asking_for_ten_gives_and_ten_more(done):
    ten, twenty = by_id(written(done, "ten")), by_id(written(done, "twenty"))
    assert len(ten) == 10 and len(twenty) == 20
    assert ten.items() <= twenty.items()


def test_perplexities_are_the_exponential_of_the_loss_that_transformers_gives(done, request):
    folder = request.config.rootpath / "test-data" / "models" / "tiny-protgpt2"
    model, tokenizer = GPT2LMHeadModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for row in written(done, "ten"):
        lines = "\n".join(filter(None, LINED.split(row["sequence"])))
        text = f"<|endoftext|>\n{lines}" + ("\n<|endoftext|>" if row["status"] == "complete" else "")
        ids = torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])
        with torch.no_grad():
            assert float(row["perplexity"]) == pytest.approx(model(ids, labels=ids).loss.exp().item(), rel=1e-4)
        assert int(row["tokens"]) == ids.shape[1] - 1


def test_sequences_are_ranked_by_perplexity_and_say_so_in_their_headers(done):
    rows = written(done, "ten")
    assert [int(row["rank"]) for row in rows] == list(range(1, 11))
    perplexities = [float(row["perplexity"]) for row in rows]
    assert perplexities == sorted(perplexities)
    records = list(SeqIO.parse(done["ten"][1] / "out.fasta", "fasta"))
    assert [(one.id, str(one.seq)) for one in records] == [(row["id"], row["sequence"]) for row in rows]
    for record, row in zip(records, rows, strict=True):
        assert record.description == (
            f"{row['id']} perplexity={row['perplexity']} length={len(row['sequence'])} {row['status']}"
        )
    assert max(map(len, (done["ten"][1] / "out.fasta").read_text().splitlines())) <= 80


def test_properties_are_those_of_protparam(done):
    for row in written(done, "ten")[:3]:
        analysis = ProteinAnalysis(row["sequence"])
        for column, expected in (
            ("molecular_weight", analysis.molecular_weight()),
            ("isoelectric_point", analysis.isoelectric_point()),
            ("gravy", analysis.gravy()),
            ("instability_index", analysis.instability_index()),
            ("aromaticity", analysis.aromaticity()),
        ):
            assert float(row[column]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_prompt_may_be_written_as_in_the_tutorial_or_in_small_letters(done):
    tutorial, plain = written(done, "tutorial"), written(done, "prompt")
    assert by_id(tutorial) == by_id(plain)
    assert all(row["sequence"].startswith("MKFVY") and row["prompt"] == "prompt" for row in plain)
    assert "lower case read as upper case: 1 sequence, 5 letters" in done["prompt"][0].stderr


def test_each_beginning_in_a_file_gets_its_sequences(done, request):
    starts = {
        one.id: str(one.seq) for one in SeqIO.parse(request.config.rootpath / "test-data/beginnings.fasta", "fasta")
    }
    rows = written(done, "prompts")
    assert sorted(row["id"] for row in rows) == sorted(f"{name}_{number}" for name in starts for number in (1, 2, 3))
    assert all(row["sequence"].startswith(starts[row["prompt"]]) for row in rows)


def test_what_runs_into_the_limit_is_marked_or_left_out(done):
    kept, dropped = written(done, "short"), written(done, "short dropped")
    cut = {row["id"] for row in kept if row["status"] == "cut"}
    assert 0 < len(cut) < 30 and all(len(row["sequence"]) == 19 for row in kept if row["id"] in cut)
    assert {row["id"] for row in dropped if row["kept"] == "ran into the limit of its length"} == cut
    fasta = (done["short dropped"][1] / "out.fasta").read_text()
    assert fasta.count(">") == 30 - len(cut) and " cut" not in fasta
    assert (
        f"| ran into the limit of its length&ensp; | {len(cut)} |"
        in (done["short dropped"][1] / "report.md").read_text()
    )


def test_a_limit_of_residues_cuts_exactly_and_forbidden_letters_never_appear(done):
    rows = written(done, "letters")
    assert all(len(row["sequence"]) == 15 for row in rows if row["status"] == "cut")
    assert max(len(row["sequence"]) for row in rows) == 15
    assert not set("CW") & set("".join(row["sequence"] for row in rows))


def test_a_sequence_is_complete_before_the_text_to_stop_at(done):
    rows = written(done, "stop")
    assert not any("VCVC" in row["sequence"] for row in rows)
    plain = by_id(written(done, "best"))
    stopped = [row for row in rows if "VCVC" in plain[row["id"]]]
    assert stopped and all(row["status"] == "complete" for row in stopped)
    assert all(plain[row["id"]].partition("VCVC")[0] == row["sequence"] for row in stopped)
    assert "each is complete before VCVC" in (done["stop"][1] / "report.md").read_text()


def test_only_the_best_are_kept_and_the_table_has_all(done):
    rows = written(done, "best")
    assert len(rows) == 30
    kept = [row for row in rows if row["kept"] == "yes"]
    assert [row["rank"] for row in kept] == ["1", "2", "3", "4"]
    left = [row for row in rows if row["kept"] == "not among the best"]
    assert max(float(row["perplexity"]) for row in kept) <= min(float(row["perplexity"]) for row in left)
    high = [row for row in rows if row["kept"] == "perplexity too high"]
    assert all(float(row["perplexity"]) > 2.5 for row in high)
    assert high
    report = (done["best"][1] / "report.md").read_text()
    assert (
        f"| not among the best&ensp; | {len(left)} |" in report
        and f"| perplexity too high&ensp; | {len(high)} |" in report
    )


def test_greedy_gives_one_sequence_and_says_so(done):
    assert len(written(done, "greedy")) == 1
    assert "the most probable sequence is one for each prompt" in done["greedy"][0].stderr


def test_beams_are_those_of_transformers(done, request):
    folder = request.config.rootpath / "test-data" / "models" / "tiny-llama"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([[1]])
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_length=100,
        num_beams=4,
        num_return_sequences=3,
        early_stopping=True,
    )
    expected = {tokenizer.decode(row, skip_special_tokens=True).replace(" ", "") for row in found}
    assert {row["sequence"] for row in written(done, "beams")} == expected


def test_molecules_are_checked_by_rdkit_and_equal_ones_kept_once(done):
    rows = written(done, "molecules")
    for row in rows:
        molecule = Chem.MolFromSmiles(row["sequence"])
        assert row["valid"] == ("yes" if molecule else "no")
        assert row["canonical"] == (Chem.MolToSmiles(molecule) if molecule else "")
    keys = [row["canonical"] or row["sequence"] for row in rows if row["kept"] == "yes"]
    assert len(keys) == len(set(keys)) == len({row["canonical"] or row["sequence"] for row in rows}) < 60
    assert "RDKit reads" in (done["molecules"][1] / "report.md").read_text()


def test_a_cold_model_repeats_itself_and_the_report_counts_it(done):
    rows = written(done, "copies")
    clusters = {row["cluster"] for row in rows}
    assert len([row for row in rows if row["kept"] == "yes"]) == len(clusters) < 40
    best = {}
    for row in rows:
        best[row["cluster"]] = min(best.get(row["cluster"], np.inf), float(row["perplexity"]))
    assert all(float(row["perplexity"]) == best[row["cluster"]] for row in rows if row["kept"] == "yes")


def test_copies_of_the_reference_are_found_and_near_ones_have_their_identity(done):
    rows = {row["id"]: row for row in written(done, "reference")}
    third, fourth = rows["generated_3"], rows["generated_4"]
    assert third["nearest"] == "same" and float(third["identity"]) == 1
    assert fourth["nearest"] == "near"
    assert float(fourth["identity"]) == pytest.approx(1 - 1 / len(fourth["sequence"]), abs=0.02)
    assert "1, of them is in the reference set as it is" not in (done["reference"][1] / "report.md").read_text()
    assert "1 of them is in the reference set as it is" in (done["reference"][1] / "report.md").read_text()


def test_the_distance_to_the_reference_is_scipys(done, request):
    from scipy.spatial.distance import jensenshannon

    letters = "ACDEFGHIKLMNPQRSTVWY"
    whole = "".join(
        str(one.seq) for one in SeqIO.parse(request.config.rootpath / "test-data/protein_family.fasta", "fasta")
    )
    reference = [whole.count(letter) for letter in letters]
    for row in written(done, "family"):
        own = [row["sequence"].count(letter) for letter in letters]
        assert float(row["composition_distance"]) == pytest.approx(jensenshannon(own, reference, 2), rel=1e-4)


def test_the_report_fits_galaxy_and_shows_its_figures(done):
    for name in ("ten", "molecules", "reference"):
        work = done[name][1]
        text = (work / "report.md").read_text()
        assert len(text.encode()) < 10_000
        for figure in re.findall(r'path="(\w+)\.png"', text):
            assert (work / "figures" / f"{figure}.png").is_file()


FASTA = ">a\nMKTAYIAK\n"
MISTAKES = {
    "a letter that no protein has": ({}, ["--prompt", "MK1"], "has '1' at position 3"),
    "DNA for a model of proteins": ({"prompts": ">a\n" + "ACGT" * 20 + "\n"}, [], "holds DNA"),
    "two prompts": ({"prompts": FASTA}, ["--prompt", "MK"], "give one of them"),
    "the same name twice": ({"prompts": "id,sequence\na,MKT\na,MKV\n"}, [], "ids must be unique"),
    "no prompts": ({"prompts": ""}, [], "is empty"),
    "a prompt of no letters": ({"prompts": ">a\n\n"}, [], "has no sequence"),
    "a prompt over the limit": ({}, ["--prompt", "M" * 120], "which leaves none to be written"),
    "a prompt as long as allowed": ({}, ["--prompt", "MKT", "--max-letters", "3"], "which leaves none to be written"),
    "top-k of 0": ({}, ["--top-k", "0"], "top-k 0 leaves no token"),
    "top-k in words": ({}, ["--top-k", "few"], "'few' is not an integer"),
    "temperature 0": ({}, ["--temperature", "0"], "choose the strategy greedy"),
    "temperature below 0": ({}, ["--temperature", "-1"], "out of range"),
    "temperature not a number": ({}, ["--temperature", "nan"], "out of range"),
    "top-p above 1": ({}, ["--top-p", "1.5"], "out of range"),
    "no sequences": ({}, ["--num-sequences", "0"], "out of range"),
    "too many sequences": ({"prompts": FASTA + ">b\nMK\n"}, ["--num-sequences", "900000"], "are more than 1,000,000"),
    "every letter forbidden": ({}, ["--forbid", "ACDEFGHIKLMNPQRSTVWYXBZUOJ"], "no token is left"),
    "an end that is no token": ({}, ["--end-token", "<stop>"], "no token '<stop>'"),
    "lines in a model of letters": ({}, ["--line-length", "60"], "no line break"),
    "an empty reference": ({"reference": ""}, [], "is empty"),
    "a reference of DNA": ({"reference": ">a\n" + "ACGT" * 20 + "\n"}, [], "holds DNA"),
    "a cut archive": ({"model": b"PK\x03\x04"}, [], "error:"),
    "an unknown option": ({}, ["--topk", "3"], "--help lists every option"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory, request):
    folder, models = tmp_path_factory.mktemp("mistakes"), request.config.rootpath / "test-data" / "models"
    outputs = ("--output-fasta", "out.fasta", "--output-table", "out.tsv")
    return run_mistakes(folder, MISTAKES, "generate", ("--model", models / "tiny-llama", *outputs))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_in_one_line_before_torch_is_imported(refused, name):
    one_line(refused[name][0], MISTAKES[name][2], refused[name][1])


WRONG_MODELS = {
    "masked": ("tiny-esm-mlm", "models of the kind ESM-2 complete masked letters"),
    "encoder": ("tiny-t5", "models of the kind T5"),
    "adapter for labels": ("bundle_lora_t5.zip", "predicts labels and not tokens"),
    "no weights": ("no-head", "cannot be loaded|is incomplete|nothing"),
}


def test_models_that_cannot_write_are_refused(tmp_path, request):
    data = request.config.rootpath / "test-data"
    given, works = [], []
    for number, (name, _) in enumerate(WRONG_MODELS.values()):
        model = data / name if name.endswith("zip") else data / "models" / name
        extra = ["--base-model", data / "models" / "tiny-t5"] if name.endswith("zip") else []
        if name == "no-head":
            model = tmp_path / "no-head"
            shutil.copytree(data / "models" / "tiny-llama", model)
            (model / "model.safetensors").write_bytes(b"\0" * 100)
        works.append(tmp_path / str(number))
        works[-1].mkdir()
        given.append((works[-1], "generate", "--model", model, *extra, "--output-fasta", "out.fasta"))
    for one, work, (_, message) in zip(run_batch(given, torch=False), works, WRONG_MODELS.values(), strict=True):
        assert one.returncode == 2 and len(re.findall("^error:", one.stderr, re.M)) == 1, one.stderr
        assert "Traceback" not in one.stderr and not list(work.iterdir())
        assert re.search(message, one.stderr) or message == WRONG_MODELS["no weights"][1]


def test_a_model_that_never_ends_a_sequence_is_said_to(tmp_path, request):
    folder = tmp_path / "endless"
    shutil.copytree(request.config.rootpath / "test-data" / "models" / "tiny-llama", folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(re.sub(r'"eos_token_id": \d+', '"eos_token_id": null', text))
    calls = [
        ["--output-fasta", "out.fasta", "--output-report", "report.md"],
        ["--output-fasta", "dropped.fasta", "--cut", "drop"],
    ]
    runs = run_batch([(tmp_path, "generate", "--model", folder, "--equal-only", *call) for call in calls])
    assert runs[0].returncode == 0, runs[0].stderr
    assert (tmp_path / "out.fasta").read_text().count(" cut\n") == 10
    assert "has no token that ends a sequence" in (tmp_path / "report.md").read_text().replace("\\", "")
    assert runs[1].returncode == 2 and "none is left: ran into the limit" in runs[1].stderr
    assert not (tmp_path / "dropped.fasta").exists()


def test_a_table_can_be_read_back_by_a_csv_reader(done):
    with open(done["reference"][1] / "out.tsv", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t"))
    assert {len(row) for row in rows} == {len(rows[0])}


def test_a_length_that_the_model_does_not_read_becomes_that_which_it_reads(script, model_path, tmp_path):
    done = script("generate", "--model", model_path("llama"), "--num-sequences", "2", "--max-length", "300",
                  "--end-token", "0", "--output-table", "t.tsv")  # fmt: skip
    assert "tiny-llama reads at most 256 tokens, so sequences are cut there and not at 300" in done.stderr
    assert all(int(row["tokens"]) <= 256 for row in table(tmp_path / "work" / "t.tsv"))
