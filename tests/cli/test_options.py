"""Options that several scripts have are declared in one place."""

import re

import pytest

from makers.forms import TOOLS, options_of
from makers.scripts import SCRIPTS
from seqlm.cli.options import SHARED
from seqlm.data.datasets import SPLITS
from seqlm.data.prediction_tables import KINDS
from seqlm.data.site_sources import ANNOTATED, GFF, NONE, TABLE
from seqlm.families.family import Family

# one word for several things
NAMESAKES = {
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
