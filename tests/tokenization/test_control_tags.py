"""Models that are told what they write: a control tag before each sequence, which is no part of it."""

import html
import math

import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from makers.protein_models import zymctrl
from makers.scripts import DATA, one_line, run_all, run_batch, table
from seqlm.checkpoints.folder import read_model_folder
from seqlm.data.sequences import read_records
from seqlm.families.recognition import recognise
from seqlm.tokenization.language_text import LanguageText

TAG = "3.5.5.1<sep><start>"
SEQUENCES = {"one": "MKTAYIAKQR", "two": "MSLENTQAEVKK", "long": "MKTAYIAKQRQISFVKSHFSRQ" * 12}
LIMIT = 128  # tokens that the model reads at once


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("zymctrl")
    torch.manual_seed(5)
    zymctrl(path)
    return path


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    work = tmp_path_factory.mktemp("told")
    (work / "s.fasta").write_text("".join(f">{name}\n{one}\n" for name, one in SEQUENCES.items()))
    generate = ["generate", "--model", folder, "--num-sequences", "6", "--output-fasta", "w.fasta", "--output-table"]
    score = ["score", "--model", folder, "--sequences", "s.fasta", "--output-table"]
    calls = [
        (
            work,
            *generate,
            "w.tsv",
            f"--control={TAG}",
            "--prompt",
            "MK",
            "--max-letters",
            "20",
            "--output-html",
            "written.html",
        ),
        (work, *score, "told.tsv", f"--control={TAG}", "--output-html", "told.html"),
        (work, *score, "other.tsv", "--control=1.1.1.1<sep><start>"),
        (work, *score, "untold.tsv"),
    ]
    return work, run_all(calls)


def test_a_tag_is_read_as_the_model_s_own_tokenizer_reads_it(folder):
    family = recognise(folder, read_model_folder(folder).config)
    text = LanguageText(family, folder, control=TAG)
    own = AutoTokenizer.from_pretrained(folder)(f"{TAG}MKTA<end>")["input_ids"]
    (ids,) = text.encode(["MKTA"])
    assert ids.tolist() == own
    assert text.given == 9 and text.written(ids) == "MKTA"
    assert LanguageText(family, folder).encode(["MKTA"])[0].tolist() == own[8:]


def losses(model, ids, first):
    """Of each token from ``first`` on, given what is before it."""
    with torch.no_grad():
        logits = model(ids[None]).logits[0, first - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[first:], reduction="none").tolist()


def test_perplexities_are_those_of_the_sequence_given_the_tag(done, folder):
    """Of one that is longer than the model reads at once, the tag stands before every window."""
    model, tokenizer = GPT2LMHeadModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for row in table(done[0] / "told.tsv"):
        ids = torch.tensor(tokenizer(f"{TAG}{SEQUENCES[row['id']]}<end>")["input_ids"])
        tag, rest, room = ids[:9], ids[9:], LIMIT - 9
        found = losses(model, torch.cat([tag, rest[:room]]), 9)
        starts = [*range(0, len(rest) - room, room - room // 4), len(rest) - room] if len(rest) > room else [0]
        for start in starts[1:]:
            part = torch.cat([tag, rest[start : start + room]])
            found += losses(model, part, 9 + len(found) - start)
        assert len(found) == len(rest)
        assert float(row["perplexity"]) == pytest.approx(math.exp(sum(found) / len(found)), rel=1e-4)
        assert int(row["tokens"]) == len(SEQUENCES[row["id"]]) + 1
    told, other, untold = (
        [row["perplexity"] for row in table(done[0] / f"{name}.tsv")] for name in ("told", "other", "untold")
    )
    assert told != other and told != untold
    assert "control tag 3.5.5.1" in (done[0] / "told.html").read_text()


def test_what_is_written_holds_the_sequence_alone(done):
    found = list(read_records(done[0] / "w.fasta"))
    assert found
    for record in found:
        assert record.sequence.startswith("MK") and set(record.sequence) <= set("ACDEFGHIKLMNPQRSTVWYXBZUOJ")
        assert len(record.sequence) <= 20
    said = html.unescape((done[0] / "written.html").read_text())
    assert f"before each stood the control tag {TAG}, which is no part of it" in said


def test_a_tag_that_the_model_does_not_know_is_refused_before_torch(folder, tmp_path):
    gpt2, esm = DATA / "models" / "tiny-protgpt2", DATA / "models" / "tiny-esm-mlm"
    wild = ["--sequences", DATA / "wild_type.fasta", "--output-table", "t.tsv"]
    cases = [
        (
            "generate",
            folder,
            "3.5.5.1<odd>",
            ["--output-table", "t.tsv"],
            "does not have all of the control tag '3.5.5",
        ),
        ("generate", folder, "1" * 200, ["--output-table", "t.tsv"], "has 200 tokens, with the control tag, and the"),
        ("score", folder, "1" * 70, wild, "the control tag has 70 of the 128 tokens that the model reads at once"),
        ("score", gpt2, TAG, wild, "does not have all of the control tag"),
        ("score", esm, TAG, wild, "a control tag is for models that write sequences; this one is of the family ESM-2"),
    ]
    places = [tmp_path / str(number) for number in range(len(cases))]
    for place in places:
        place.mkdir()
    calls = [
        (place, script, "--model", model, f"--control={tag}", *options)
        for place, (script, model, tag, options, _) in zip(places, cases, strict=True)
    ]
    for place, case, run in zip(places, cases, run_batch(calls, torch=False), strict=True):
        one_line(run, case[-1], place)
