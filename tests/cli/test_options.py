"""Options that several scripts have are declared in one place."""

import re

import pytest

from makers.forms import TOOLS, options_of, parser_of
from makers.scripts import SCRIPTS, repeated, table
from seqlm.cli.errors import InputError
from seqlm.cli.options import SHARED
from seqlm.data.datasets import SPLITS
from seqlm.data.prediction_tables import KINDS
from seqlm.data.site_sources import ANNOTATED, GFF, NONE, TABLE
from seqlm.families.family import Family

# one word for several things
NAMESAKES = {
    "--coverage": "of an alignment, or the share of sets that hold the truth",
    "--model": "a classifier",
    "--id-column": "of a table of labels, not of sequences",
    "--sequence-column": "of a table of labels, not of sequences",
    "--labels": "classes or numbers; names of the classes",
    "--positive-label": "what is written",
    "--tokenizer": "the one that a new model gets",
    "--max-length": "of what is written",
    "--strategy": "how tokens are drawn",
    "--embeddings": "one table, or two to compare",
    "--predictions": "what is judged, or what colours points",
    "--method": "of learning, scoring or projecting",
    "--threshold": "in place of what the tables call, or of what the model's training chose",
    "--metric": "a score of one kind of model, or a distance",
    "--split": "how sets are drawn, or which one is looked at",
    "--sites": "known ones, or the residues to look at",
    "--train": "a file, or what is to be done",
    "--unlisted": "in truth they may be left to the table",
    "--pooling": "what is trained with one vector, or any vectors",
    "--duplicates": "in the sets, or among what was written",
    "--neighbours": "relatives of sequences, or of points",
    "--keep-best": "0 or nothing for all",
    "--folds": "trainings of a model, or what probes are judged on",
    "--sweep-layers": "how many layers are trained, or which one is embedded",
    "--max-perplexity": "0 or nothing for any",
}


def test_an_option_of_several_scripts_is_declared_once():
    """A tool's own outputs are its own; of all other options two declarations mean two things."""
    declared = {}
    for tool in TOOLS:
        text = (SCRIPTS / f"{tool}.py").read_text()
        for name in re.findall(r'\.add_argument\(\s*"(--[a-z0-9-]+)"', text):
            declared.setdefault(name, []).append(tool)
    twice = {name for name, tools in declared.items() if len(tools) > 1 or name in SHARED}
    assert {name for name in twice if not name.startswith("--output-")} == set(NAMESAKES)


def test_what_is_shared_is_used_by_two_scripts():
    for name in SHARED:
        assert sum(name in options_of(tool) for tool in TOOLS) > 1, name


@pytest.mark.parametrize(
    ("tool", "option", "known"),
    [
        ("evaluate", "--kind", ("auto", *KINDS)),
        ("plot", "--split", SPLITS),
        ("dataset", "--site-format", ("auto", NONE, TABLE, ANNOTATED, GFF)),
        ("finetune", "--lora-modules", tuple(Family.lora_modules)),
    ],
)
def test_choices_are_what_the_package_knows(tool, option, known):
    """Of those that a script spells out because importing them takes longer than a mistake may."""
    assert tuple(options_of(tool)[option].choices) == known


@pytest.mark.parametrize("tool", TOOLS)
def test_an_option_takes_one_value_and_stands_once_unless_it_is_meant_to_be_repeated(tool):
    assert all(option.nargs in (None, 0) for option in options_of(tool).values())
    with pytest.raises(InputError, match="--seed was given twice"):
        parser_of(tool).parse_args(["--seed=1", "--output-report", "b", "--seed", "2"])


def test_an_option_has_one_name():
    with pytest.raises(InputError, match="unrecognized arguments: --sequence=a"):
        parser_of("embed").parse_args(["--model=m", "--sequences=s", "--sequence=a"])


def test_what_is_repeated_replaces_its_default():
    words = ["--embeddings=e", "--output-predictions=p"]
    assert parser_of("classify").parse_args(words).classifier == ["logistic-regression"]
    words += repeated("--classifier", ("mlp", "naive-bayes"))
    assert parser_of("classify").parse_args(words).classifier == ["mlp", "naive-bayes"]


def test_values_may_begin_with_a_dash(script, data, model_path, tmp_path):
    with pytest.raises(InputError, match="a value that begins with - is written --option=-value"):
        parser_of("embed").parse_args(["--layer", "-2,-1"])
    run = ("--sequences", data / "wild_type.fasta", "--output-table", "e.tsv")
    script("embed", "--model", model_path("esm"), *run, "--layer=-2,-1", "--model-id=--scan")
    (tmp_path / "work" / "-old").write_bytes((data / "embeddings_before.tsv").read_bytes())
    lines = (data / "embeddings_before.tsv").read_text().splitlines()[1:]
    headers = [f">{line.split()[0]} kind-{'ab'[number % 2]}\nMK\n" for number, line in enumerate(lines)]
    (tmp_path / "work" / "-labels").write_text("".join(headers))
    script("plot", "--embeddings=-old", "--names=--new", "--labels=-labels", r"--label-pattern=-(\w+)$",
           "--colour-by=label", "--output-table=p.tsv")  # fmt: skip
    assert {row["label"] for row in table(tmp_path / "work" / "p.tsv")} == {"a", "b"}
