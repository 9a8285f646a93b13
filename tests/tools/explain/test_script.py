"""explain.py as a user runs it: a planted motif lights up, and a model that has learnt nothing does not pass."""

import json
import re
import zipfile

import gffutils
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, EsmForMaskedLM, LlamaForCausalLM

from makers.planted import reordered, share_found, with_motif, write_fasta
from makers.scripts import DATA, run_all, run_mistakes, run_script, table

MOTIF, OTHERS, LENGTH = "WCWC", "ADEFGHIKLMNPQRSTVY", 24
MODELS = DATA / "models"
FEW = {"a": "MKTAYIAKQRQISFVKSHFSRQ", "b": "GAVLIMCPFWYSTNQ"}
REPORT = ("--output-report", "r.md", "--output-figures", "figures")


def scored(bundle, target, auroc):
    """The same bundle with another score of its validation set."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "seqlm.json":
                manifest = json.loads(content)
                manifest["metrics"]["validation"]["auroc"] = auroc
                content = json.dumps(manifest)
            new.writestr(name, content)
    return target


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Every run of this module, made once: name -> (what it printed, its rows, its folder)."""
    folder = tmp_path_factory.mktemp("explain")
    train, new = (
        write_fasta(with_motif(MOTIF, count, seed, letters=OTHERS, length=LENGTH), folder / name)
        for name, count, seed in (("train.fasta", 160, 1), ("new.fasta", 16, 2))
    )
    bundle = folder / "planted.zip"
    taught = run_script(
        folder, "finetune", "--model", MODELS / "protein-esm-0.2m", "--train", train, "--method", "full",
        "--epochs", "2", "--learning-rate", "0.001", "--output-model", bundle,
    )  # fmt: skip
    assert taught.returncode == 0, taught.stderr
    toxic = folder / "toxic.zip"
    taught = run_script(
        folder, "finetune", "--model", MODELS / "tiny-chemberta", "--train", DATA / "molecules.csv", "--label-column",
        "toxic", "--method", "head", "--epochs", "2", "--output-model", toxic,
    )  # fmt: skip
    assert taught.returncode == 0, taught.stderr
    few = folder / "few.fasta"
    few.write_text("".join(f">{name}\n{text}\n" for name, text in FEW.items()))
    chance = reordered(bundle, folder / "chance.zip")
    poor = scored(bundle, folder / "poor.zip", [0.55, 0.48, 0.62])
    to_table = ("--output-table", "t.tsv")
    common = ("--sequences", new, "--explained-class", "motif", "--random-models", "3", "--checked", "10", *to_table)
    of_few = ("--sequences", few, "--random-models", "2", *to_table)
    calls = {
        "gradients": ("--model", bundle, *common, *REPORT),
        "occlusion": ("--model", bundle, *common, "--method", "occlusion", "--output-report", "r.md"),
        "masked": ("--model", MODELS / "tiny-esm-mlm", *of_few, "--method", "occlusion", *REPORT),
        "again": ("--model", MODELS / "tiny-esm-mlm", *of_few, "--method", "occlusion", *REPORT),
        "causal": ("--model", MODELS / "tiny-llama", *of_few, "--method", "occlusion"),
        "pieces": ("--model", MODELS / "tiny-protgpt2", *of_few, "--steps", "64", "--output-report", "r.md"),
        "attention": ("--model", bundle, *of_few, "--method", "attention", "--output-report", "r.md"),
        "molecules": (
            "--model", toxic, "--base-model", MODELS / "tiny-chemberta", "--sequences", DATA / "molecules.csv",
            "--steps", "4", "--checked", "5", "--random-models", "2", *to_table, *REPORT,
        ),
        "residues": (
            "--model", DATA / "bundle_residues_esm.zip", "--base-model", MODELS / "tiny-esm", "--method", "mutagenesis",
            "--sequences", DATA / "wild_type.fasta", "--explained-position", "12", "--random-models", "2",
            "--output-matrix", "m.tsv", "--output-bedgraph", "b.bedgraph", "--output-gff3", "g.gff3", *to_table,
            *REPORT,
        ),
        "chance": ("--model", chance, *common, "--method", "occlusion", "--output-report", "r.md"),
        "poor": ("--model", poor, *common, "--method", "occlusion", "--output-report", "r.md"),
    }  # fmt: skip
    works = {name: folder / name for name in calls}
    for work in works.values():
        work.mkdir()
    found = run_all([(works[name], "explain", *call) for name, call in calls.items()])
    return {name: (one, table(work / "t.tsv"), work) for (name, work), one in zip(works.items(), found, strict=True)}


def share_in_motif(rows):
    """How many of the four positions that speak the most for the motif are in it."""
    planted = with_motif(MOTIF, 16, 2, letters=OTHERS, length=LENGTH)
    return share_found(planted, {one.id: values_of(rows, one.id) for one in planted})


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_a_planted_motif_lights_up(done, method):
    one, rows, _ = done[method]
    assert len(rows) == 16 * LENGTH and {row["class"] for row in rows} == {"motif"}
    assert share_in_motif(rows) > 0.9
    assert "The maps carry more than chance" in one.stdout


def test_a_model_that_has_learnt_nothing_does_not_pass(done):
    one, rows, _ = done["chance"]
    assert share_in_motif(rows) < 0.6  # a letter may matter to it by chance
    assert "The maps carry more than chance" not in one.stdout
    assert "shuffled weights" in one.stdout


def test_maps_of_a_model_that_is_no_better_than_chance_show_nothing(done):
    text = re.sub(r"\s+", " ", done["poor"][0].stdout)
    assert "the model is not clearly better than chance: AUROC 0.55 (0.48 to 0.62) on its validation set" in text


def test_the_same_seed_gives_the_same_bytes(done):
    first, second = done["masked"][2], done["again"][2]
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 4
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def test_the_report_says_what_was_checked_and_shows_both_maps(done):
    text = re.sub(r"\\(.)", r"\1", (done["gradients"][2] / "r.md").read_text())
    for part in ("Checked on 10 sequences drawn at random", "Rank correlation with the maps of shuffled weights",
                 "Sundararajan et al. 2017", "Adebayo et al. 2018", "the token that masks"):  # fmt: skip
        assert part in text
    drawn = {path.stem for path in (done["gradients"][2] / "figures").iterdir()}
    assert drawn == {"deletion", "maps", "heat_map", "logos"}
    assert sum(bool(row["shuffled"]) for row in done["gradients"][1]) == 10 * LENGTH


ALONE = ("--base-model", "")


def test_substitutions_and_tracks_say_the_same_as_the_table(done):
    one, rows, work = done["residues"]
    assert "cannot be told from 1 sequence" in one.stdout
    assert {(row["explained"], row["class"]) for row in rows} == {("12", "1")}
    values = np.asarray([float(row["value"]) for row in rows])
    matrix = table(work / "m.tsv")
    for row, other, value in zip(rows, matrix, values, strict=True):
        effects = [float(other[letter]) for letter in "ACDEFGHIKLMNPQRSTVWY"]
        assert other[row["letter"]] == "0" and value == pytest.approx(-sum(effects) / 19, rel=1e-4, abs=1e-6)
    drawn = np.full(len(values), np.nan)
    for line in (work / "b.bedgraph").read_text().splitlines():
        _, start, end, value = line.split("\t")
        drawn[int(start) : int(end)] = float(value)
    assert drawn == pytest.approx(values, rel=1e-4, abs=1e-6)
    features = list(gffutils.iterators.DataIterator(str(work / "g.gff3")))
    assert features and sum(float(one.score) for one in features) >= 0.5 * values[values > 0].sum() - 1e-6
    assert {path.stem for path in (work / "figures").iterdir()} == {"deletion", "maps", "substitutions"}


def values_of(rows, name):
    return [float(row["value"]) for row in rows if row["id"] == name]


@torch.no_grad()
def test_of_a_masked_model_the_log_likelihood_of_all_tokens_in_one_pass_is_explained(done):
    model, tokenizer = EsmForMaskedLM.from_pretrained(MODELS / "tiny-esm-mlm").eval(), None
    tokenizer = AutoTokenizer.from_pretrained(MODELS / "tiny-esm-mlm")

    def likelihood(read, asked):
        found = model(torch.tensor([read])).logits[0].double().log_softmax(-1)
        return sum(float(found[place, token]) for place, token in enumerate(asked) if 0 < place < len(asked) - 1)

    for name, text in FEW.items():
        ids = tokenizer(text)["input_ids"]
        for place, value in enumerate(values_of(done["masked"][1], name)):
            hidden = [*ids[: place + 1], tokenizer.mask_token_id, *ids[place + 2 :]]
            assert value == pytest.approx(likelihood(ids, ids) - likelihood(hidden, ids), abs=1e-3)


@torch.no_grad()
def test_of_a_causal_model_each_token_is_told_from_those_before_it(done):
    model = LlamaForCausalLM.from_pretrained(MODELS / "tiny-llama").eval()
    tokenizer = AutoTokenizer.from_pretrained(MODELS / "tiny-llama")
    start, end = model.config.bos_token_id, model.config.eos_token_id
    unknown = tokenizer.convert_tokens_to_ids("X")

    def likelihood(read, asked):
        found = model(torch.tensor([read])).logits[0].double().log_softmax(-1)
        return sum(float(found[place - 1, token]) for place, token in enumerate(asked) if place)

    for name, text in FEW.items():
        ids = [start, *tokenizer(text, add_special_tokens=False)["input_ids"], end]
        found = values_of(done["causal"][1], name)
        assert len(ids) == len(text) + 2 and len(found) == len(text)
        for place, value in enumerate(found):
            hidden = [*ids[: place + 1], unknown, *ids[place + 2 :]]
            assert value == pytest.approx(likelihood(ids, ids) - likelihood(hidden, ids), abs=1e-3)


def test_letters_of_a_model_of_pieces_share_the_values_of_their_tokens(done):
    _, rows, work = done["pieces"]
    text = re.sub(r"\\(.)", r"\1", (work / "r.md").read_text())
    assert "log-likelihood of the sequence and" in text and "several letters as one token" in text
    assert "miss" not in text  # the values add up
    assert all(len(values_of(rows, name)) == len(text) for name, text in FEW.items())


def test_attention_is_shares_of_what_is_read_and_the_report_says_what_it_is_not(done):
    _, rows, work = done["attention"]
    for name in {row["id"] for row in rows}:
        values = np.asarray(values_of(rows, name))
        assert (values > 0).all() and values.sum() < 1  # special tokens have the rest
    text = re.sub(r"\\(.)", r"\1", (work / "r.md").read_text())
    assert "Attention says where the model looks, whatever it predicts" in text
    assert "## Where the model looks" in text and "purple" not in text and "below the axis" not in text


def test_molecules_are_drawn(done):
    work = done["molecules"][2]
    assert "molecules" in {path.stem for path in (work / "figures").iterdir()}
    text = re.sub(r"\\(.)", r"\1", (work / "r.md").read_text())
    assert "Atoms in the colour of their letters" in text


MISTAKES = {
    "a class that there is not": (
        {}, ("--explained-class", "golgi"), "the model knows no class 'golgi'; its classes are membrane, nucleus"
    ),
    "too many": ({}, ("--most-sequences", "2"), "holds more than 2 sequences"),
    "a model of pairs": (
        {"model": DATA / "bundle_pairs_esm.zip"}, (), "was made for the task 'pair-classification'"
    ),
    "a class of numbers": (
        {"model": DATA / "bundle_full_bert.zip"}, (*ALONE, "--explained-class", "a"), "this model gives numbers"
    ),
    "a model that was not fine-tuned": (
        {"model": MODELS / "tiny-esm"}, ALONE, "without the head that gives probabilities"
    ),
    "substitutions of a language model": (
        {"model": MODELS / "tiny-esm-mlm"}, (*ALONE, "--method", "mutagenesis"), "(score.py --scan)"
    ),
    "a class of a language model": (
        {"model": MODELS / "tiny-llama"}, (*ALONE, "--explained-class", "a"), "leave --explained-class empty"
    ),
    "a position of a model of sequences": ({}, ("--explained-position", "3"), "a position is explained of models of"),
    "a matrix without substitutions": ({}, ("--output-matrix", "m.tsv"), "take --method mutagenesis"),
    "no such position": (
        {"model": DATA / "bundle_residues_esm.zip"}, ("--explained-position", "9999"), "so there is no position 9,999"
    ),
    "no archive": ({"model": b"PK\x03\x04 no zip"}, (), "model"),
    "pickle": ({"model": b"\x80\x04\x95"}, (), "model"),
}  # fmt: skip


def test_a_mistake_is_one_line(tmp_path):
    common = ("--model", DATA / "bundle_head_esm.zip", "--base-model", MODELS / "tiny-esm", "--output-table", "t.tsv",
              "--sequences", DATA / "sites_test.fasta")  # fmt: skip
    for name, (one, work) in run_mistakes(tmp_path, MISTAKES, "explain", common).items():
        assert one.returncode == 2, (name, one.stderr)
        lines = [line for line in one.stderr.splitlines() if line.startswith("error:")]
        assert len(lines) == 1 and MISTAKES[name][2] in lines[0], (name, one.stderr)
        assert "Traceback" not in one.stderr and not list(work.iterdir())
