"""Models as they are published: read as their authors read them, or refused with the reason, by every tool."""

import json
import random

import pytest

from makers.models import AMINO_ACIDS, make
from makers.scripts import one_line, run_batch

TOOLS = ("embed", "score", "finetune", "pretrain", "predict")
PLAIN = {"structured": AMINO_ACIDS, "english": AMINO_ACIDS, "kmers": "ACGT"}  # model -> letters that it cannot read
TOKENS = {
    "structured": "such as Lh, Le and Lc",
    "english": "such as ##a, ##b and ##c",
    "kmers": "such as AAA, AAC and AAG",
}


def fasta(path, texts):
    path.write_text("".join(f">s{at} LABEL={at % 2}\n{text}\n" for at, text in enumerate(texts)))
    return path


def drawn(letters, count=60, shortest=120, longest=160):
    rng = random.Random(4)
    return ["".join(rng.choices(letters, k=rng.randint(shortest, longest))) for _ in range(count)]


def given(tool, model, sequences, bundle=None):
    """Arguments of a tool that reads ``sequences`` with ``model``, or with a bundle that was fine-tuned from it."""
    return {
        "embed": ["--model", model, "--sequences", sequences, "--output-table", "e.tsv", "--output-report", "r.md"],
        "score": ["--model", model, "--sequences", sequences, "--method", "pseudo-perplexity-one-pass",
                  "--output-table", "s.tsv", "--output-report", "r.md"],
        "finetune": ["--model", model, "--train", sequences, "--epochs", 1, "--method", "full", "--label-pattern",
                     r"LABEL=(\d)", "--output-model", "m.zip", "--output-report", "r.md"],
        "pretrain": ["--model", model, "--corpus", sequences, "--max-steps", 2, "--context", 32,
                     "--output-model", "m.zip", "--output-report", "r.md"],
        "predict": ["--model", bundle, "--sequences", sequences, "--output-table", "p.tsv"],
        "tokenizer": ["--inspect", "--model", model, "--sequences", sequences, "--output-report", "r.md"],
    }[tool]  # fmt: skip


def places(parent, tools):
    for tool in tools:
        (parent / tool).mkdir(parents=True)
        yield parent / tool


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return lambda name: make(name, parent)


@pytest.fixture(scope="module")
def fine_tuned(models, tmp_path_factory):
    """model -> a bundle of it, learnt from texts that it can read."""
    parent = tmp_path_factory.mktemp("bundles")
    made = {}
    readable = {
        "structured": [
            "".join(one + "hec"[at % 3] for at, one in enumerate(text)) for text in drawn(AMINO_ACIDS, 40, 8, 9)
        ],
        "english": drawn("the", 40, 8, 20),
    }
    for name, texts in readable.items():
        (parent / name).mkdir()
        arguments = given("finetune", models(name), fasta(parent / f"{name}.fasta", texts))
        made[name] = (parent / name, "finetune", *arguments)
    for one in run_batch([*made.values()]):
        assert one.returncode == 0, one.stderr
    return {name: call[0] / "m.zip" for name, call in made.items()}


@pytest.mark.parametrize("name", PLAIN)
def test_sequences_that_are_unknown_for_the_most_part_are_refused_by_every_tool(models, fine_tuned, tmp_path, name):
    sequences = fasta(tmp_path / "given.fasta", drawn(PLAIN[name]))
    tools = [tool for tool in TOOLS if tool != "predict" or name in fine_tuned]
    works = [*places(tmp_path / "work", tools)]
    calls = [
        (work, tool, *given(tool, models(name), sequences, fine_tuned.get(name)))
        for work, tool in zip(works, tools, strict=True)
    ]
    # how ESM's tokenizer splits is told by transformers, which imports torch
    for one, work in zip(run_batch(calls, torch=name == "structured"), works, strict=True):
        one_line(one, "% of the letters, such as ", work)
        assert f"its tokens are {TOKENS[name]}: choose a model that reads such sequences" in one.stderr
        assert "does not know" in one.stderr and "60 sequences looked at are unknown for the most part" in one.stderr


def test_pairs_whose_members_are_unknown_are_refused(models, tmp_path):
    members = [text + text[::-1] for text in drawn("the", 30, 5, 9)]
    names = fasta(tmp_path / "members.fasta", members)
    rows = [f"s{at}\ts{(at + 1) % 30}\t{at % 2}" for at in range(30)]
    (tmp_path / "pairs.tsv").write_text("\n".join(["first\tsecond\tlabel", *rows]) + "\n")
    (tmp_path / "made").mkdir()
    arguments = ["--model", models("english"), "--train", tmp_path / "pairs.tsv", "--sequences", names, "--task",
                 "pair-classification", "--pair-split", "pair", "--epochs", 1, "--method", "full"]  # fmt: skip
    (done,) = run_batch([(tmp_path / "made", "finetune", *arguments, "--output-model", "m.zip")])
    assert done.returncode == 0, done.stderr
    unknown = fasta(tmp_path / "unknown.fasta", drawn(AMINO_ACIDS, 30))
    works = [*places(tmp_path / "work", ("predict", "finetune"))]
    predict = ["--model", tmp_path / "made" / "m.zip", "--pairs", tmp_path / "pairs.tsv", "--sequences", unknown]
    finetune = [unknown if one is names else one for one in arguments]
    calls = [
        (works[0], "predict", *predict, "--output-table", "p.tsv"),
        (works[1], "finetune", *finetune, "--output-model", "m.zip"),
    ]
    for one, work in zip(run_batch(calls, torch=False), works, strict=True):
        one_line(one, "does not know 100.0 % of the letters", work)


def test_a_tokenizer_shows_how_little_it_knows(models, tmp_path):
    sequences = fasta(tmp_path / "given.fasta", drawn(AMINO_ACIDS))
    (work,) = places(tmp_path / "work", ("tokenizer",))
    (done,) = run_batch([(work, "tokenizer", *given("tokenizer", models("structured"), sequences))])
    assert done.returncode == 0, done.stderr
    report = (work / "r.md").read_text()
    assert "The tokenizer has no token of its own for " in report and "(100.0 %) in 60 molecules" in report
    assert "The model cannot tell them from each other" in report


def test_a_few_unknown_letters_are_read_counted_and_said_in_every_verdict(models, tmp_path):
    """Every tenth base is an N, which the model's tokenizer reads as unknown."""
    texts = [text[:9] + "N" + text[10:19] + "N" + text[20:] for text in drawn("ACGT", 60, 20, 20)]
    sequences = fasta(tmp_path / "given.fasta", texts)
    tools = ("embed", "score", "finetune", "pretrain", "tokenizer")
    works = dict(zip(tools, places(tmp_path / "work", tools), strict=True))
    calls = [(work, tool, *given(tool, models("grover"), sequences)) for tool, work in works.items()]
    (after,) = places(tmp_path / "after", ("predict",))
    calls.append((after, "predict", *given("predict", None, sequences, works["finetune"] / "m.zip")))
    done = dict(zip((*tools, "predict"), run_batch(calls), strict=True))
    said = "10.0 % of all letters (120 of 1,200) are unknown to the model's vocabulary"
    for tool, one in done.items():
        assert one.returncode == 0, one.stderr
        if tool == "tokenizer":
            assert "no token of its own for 120 of 1,200 bases (10.0 %)" in (works[tool] / "r.md").read_text()
        else:
            verdict = (
                one.stderr if tool == "predict" else "".join((works[tool] / "r.md").read_text().split("\n## ")[:2])
            )
            assert said in verdict, (tool, verdict)
    assert "every sequence was read whole" not in (works["embed"] / "r.md").read_text()


def test_a_tokenizer_that_is_code_is_refused_by_every_tool_before_any_library_is_loaded(models, tmp_path):
    """GENERator and Carbon: LLaMA with words of six bases, which a Python file beside the weights makes."""
    folder = make("llama", tmp_path)
    (folder / "tokenizer.json").unlink()
    named = {"AutoTokenizer": ["tokenizer.DNAKmerTokenizer", None]}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": named, "tokenizer_class": "DNAKmerTokenizer"})
    )
    (folder / "vocab.txt").write_text("<oov>\n<s>\n</s>\nAAAAAA\n")
    sequences = fasta(tmp_path / "given.fasta", drawn("ACGT"))
    tools = ("embed", "score", "finetune", "pretrain", "tokenizer")
    works = [*places(tmp_path / "work", (*tools, "generate"))]
    calls = [(work, tool, *given(tool, folder, sequences)) for work, tool in zip(works, tools, strict=False)]
    calls.append((works[-1], "generate", "--model", folder, "--prompt", "ACGT", "--output-fasta", "g.fasta"))
    for one, work in zip(run_batch(calls, torch=False), works, strict=True):
        one_line(one, "is code of its authors (tokenizer.DNAKmerTokenizer), which is never run", work)
