"""generate.py with a model and its base mixed, and with templates that a masked model fills in."""

import re

import numpy as np
import pytest
import torch
from transformers import EsmForMaskedLM

from makers.scripts import one_line, run_batch, run_mistakes, table

TEMPLATES = ">first\nMKT__YIAK_\n>second\n__VLHGAYW\n"
KNOWN = "".join(f">known_{n}\n{'MKTAYIAKQRQISFVKSHFS'[: 12 + n].lower()[:5]}GGHHWWPPLL\n" for n in range(10))


@pytest.fixture(scope="module")
def done(tmp_path_factory, request):
    folder, data = tmp_path_factory.mktemp("steering"), request.config.rootpath / "test-data"
    (folder / "templates.fasta").write_text(TEMPLATES)
    (folder / "crosses.fasta").write_text(TEMPLATES.replace("_", "X"))
    (folder / "known.fasta").write_text(KNOWN)
    (folder / "table.tsv").write_text("name\tsequence\nfirst\tMKT__YIAK_\nsecond\t__VLHGAYW\n")
    base = ["--model", data / "models" / "tiny-llama", "--num-sequences", "12"]
    tuned = ["--model", data / "bundle_writer_llama.zip", "--base-model", data / "models" / "tiny-llama", *base[2:]]
    esm = ["--model", data / "models" / "tiny-esm-mlm", "--num-sequences", "6", "--sweeps", "3"]
    report = ["--output-report", "report.md", "--output-figures", "figures"]
    family = ["--reference", data / "protein_family_held_out.fasta"]
    fill = ["--fill", "underscore", "--prompts", folder / "templates.fasta"]
    calls = {
        "base": base,
        "tuned": tuned,
        "at one": [*tuned, "--guidance", "1"],
        "at zero": [*tuned, "--guidance", "0"],
        "beyond": [*tuned, "--guidance", "2", *family, *report],
        "filled": [*esm, *fill, *report],
        "filled again": [*esm, *fill, "--batch-tokens", "40"],
        "crosses": [*esm, "--fill", "X", "--prompts", folder / "crosses.fasta"],
        "from a table": [*esm, "--fill", "underscore", "--prompts", folder / "table.tsv"],
        "typed": [*esm, "--fill", "underscore", "--prompt", "MKT__YIAK_", "--letters", "standard", "--forbid", "CW"],
        "known": [*esm, "--fill", "lower-case", "--prompts", folder / "known.fasta", *report],
        "greedy": [*esm, *fill, "--strategy", "greedy"],
    }
    given = []
    for name, call in calls.items():
        (folder / name).mkdir()
        given.append(
            (folder / name, "generate", *call, "--equal-only", "--output-table", "out.tsv", "--output-fasta", "out.fa")
        )
    return {name: (one, folder / name) for name, one in zip(calls, run_batch(given), strict=True)}


def rows_of(done, name):
    one, work = done[name]
    assert one.returncode == 0, one.stderr
    return {row["id"]: row for row in table(work / "out.tsv")}


def sequences(done, name):
    return {key: row["sequence"] for key, row in rows_of(done, name).items()}


def test_guidance_of_one_writes_what_the_tuned_model_writes_and_of_zero_what_its_base_does(done):
    assert sequences(done, "at one") == sequences(done, "tuned")
    assert sequences(done, "at zero") == sequences(done, "base")
    written = [sequences(done, name) for name in ("base", "tuned", "beyond")]
    assert len({tuple(one.values()) for one in written}) == 3


def test_both_perplexities_stand_in_the_table_and_the_report(done):
    rows, plain = rows_of(done, "at zero"), rows_of(done, "base")
    assert {key: row["base_perplexity"] for key, row in rows.items()} == {
        key: row["perplexity"] for key, row in plain.items()
    }
    beyond = rows_of(done, "beyond")
    assert np.mean([float(row["base_perplexity"]) / float(row["perplexity"]) for row in beyond.values()]) > 2
    text = (done["beyond"][1] / "report.md").read_text().replace("\\", "")
    assert "What guidance did" in text and "base + 2 × (tuned − base)" in text
    assert "To the base model (95 % interval)" in text and len(text.encode()) < 10_000


def test_what_is_not_marked_stays_and_all_that_is_marked_is_filled(done):
    starts = {"first": "MKT__YIAK_", "second": "__VLHGAYW"}
    rows = rows_of(done, "filled")
    assert len(rows) == 12
    for row in rows.values():
        template = starts[row["prompt"]]
        assert re.fullmatch(template.replace("_", "[A-Z]"), row["sequence"])
        filled = "".join(b for a, b in zip(template, row["sequence"], strict=True) if a == "_")
        assert row["filled"] == filled and int(row["tokens"]) == len(filled)
    assert len(set(sequences(done, "filled").values())) > 8


def test_marks_batches_and_files_of_another_kind_change_nothing(done):
    assert sequences(done, "filled") == sequences(done, "crosses") == sequences(done, "filled again")
    assert sequences(done, "filled") == sequences(done, "from a table")


def test_letters_that_are_forbidden_are_not_filled_in(done):
    assert not set("CWXBZUO") & set("".join(row["filled"] for row in rows_of(done, "typed").values()))
    assert len(rows_of(done, "greedy")) == 2


def test_perplexities_are_of_each_letter_masked_in_its_turn_by_transformers(done, request):
    folder = request.config.rootpath / "test-data/models/tiny-esm-mlm"
    model = EsmForMaskedLM.from_pretrained(folder).eval()
    vocabulary = {token: number for number, token in enumerate((folder / "vocab.txt").read_text().split())}
    for row in list(rows_of(done, "filled").values())[:4]:
        template = {"first": "MKT__YIAK_", "second": "__VLHGAYW"}[row["prompt"]]
        ids = torch.tensor([vocabulary[token] for token in ("<cls>", *row["sequence"], "<eos>")])
        lost = []
        for place, letter in enumerate(template, start=1):
            if letter == "_":
                masked = ids.clone()
                masked[place] = vocabulary["<mask>"]
                with torch.no_grad():
                    lost.append(-model(masked[None]).logits[0, place].log_softmax(0)[ids[place]].item())
        assert float(row["perplexity"]) == pytest.approx(np.exp(np.mean(lost)), rel=1e-4)


def test_what_stood_there_is_compared_with_what_is_filled_in(done):
    rows = rows_of(done, "known").values()
    same = [a == b for row in rows for a, b in zip(row["filled"], "MKTAY", strict=True)]
    text = (done["known"][1] / "report.md").read_text().replace("\\", "")
    assert f"| What was filled in&ensp; | {np.mean(same):.1%} (" in text
    assert "over 10 templates" in text and "What stood there before" in text and len(text.encode()) < 10_000
    assert (done["known"][1] / "figures" / "written.png").is_file()


ESM = {"model": "tiny-esm-mlm"}
MISTAKES = {
    "no template": ({}, ["--fill", "X"], "give one (--prompt or --prompts)"),
    "no mark": ({}, ["--fill", "underscore", "--prompt", "MKT"], "no position to fill; it is marked by _"),
    "marks of another kind": ({}, ["--fill", "lower-case", "--prompt", "MK_T"], "no position to fill"),
    "two kinds of marks": ({}, ["--fill", "X", "--prompt", "MK_XT"], "has '_' at position 3"),
    "a gap": ({"prompts": ">a\nMK-_T\n"}, ["--fill", "underscore"], "has '-' at position 3"),
    "a stop": ({}, ["--fill", "underscore", "--prompt", "MK_T*"], "has letters that the model has no token for"),
    "beams": ({}, ["--fill", "X", "--prompt", "MXT", "--strategy", "beam"], "leave it out with a template"),
    "most letters": ({}, ["--fill", "X", "--prompt", "MXT", "--max-letters", "3"], "leave it out with a template"),
    "penalty": ({}, ["--fill", "X", "--prompt", "MXT", "--repetition-penalty", "1.3"], "leave it out with a template"),
    "end": ({}, ["--fill", "X", "--prompt", "MXT", "--end-token", "2"], "leave it out with a template"),
    "lines": ({}, ["--fill", "X", "--prompt", "MXT", "--line-length", "60"], "leave it out with a template"),
    "guidance": ({}, ["--fill", "X", "--prompt", "MXT", "--guidance", "2"], "leave it out with a template"),
    "every letter forbidden": (
        {}, ["--fill", "X", "--prompt", "MXT", "--forbid", "ACDEFGHIKLMNPQRSTVWYXBZUOJ"], "no token is left",
    ),
    "no sweep": ({}, ["--fill", "X", "--prompt", "MXT", "--sweeps", "0"], "out of range"),
}  # fmt: skip


@pytest.fixture(scope="module")
def refused(tmp_path_factory, request):
    folder, models = tmp_path_factory.mktemp("mistakes"), request.config.rootpath / "test-data" / "models"
    return run_mistakes(folder, MISTAKES, "generate", ("--model", models / "tiny-esm-mlm", "--output-fasta", "o.fa"))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_in_one_line_before_torch_is_imported(refused, name):
    one_line(refused[name][0], MISTAKES[name][2], refused[name][1])


def test_models_that_cannot_do_it_are_refused(tmp_path, request):
    models = request.config.rootpath / "test-data" / "models"
    calls = {
        "fills in no template": ["tiny-llama", "--fill", "X", "--prompt", "MXT"],
        "has no adapter that could be switched off": ["tiny-llama", "--guidance", "2"],
        "does not read one letter a token": ["dna-modernbert-0.2m", "--fill", "X", "--prompt", "ACXT"],
        "guidance is for sequences that are drawn or greedy": ["tiny-llama", "--guidance", "2", "--strategy", "beam"],
    }
    given = [
        (tmp_path, "generate", "--model", models / call[0], *call[1:], "--output-fasta", "out.fasta")
        for call in calls.values()
    ]
    for one, message in zip(run_batch(given, torch=False), calls, strict=True):
        one_line(one, message, tmp_path)
