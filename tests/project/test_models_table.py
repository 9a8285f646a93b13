"""The table of models is what the data manager offers, and says of each what the tools themselves expect and can do."""

import json
import re
import runpy
import sys

import pytest

from fetching.presets import PRESETS, facts
from makers.models import make
from makers.scripts import DATA, ROOT
from seqlm.families.recognition import recognise, with_type

script = runpy.run_path(str(ROOT / "deploy" / "models_table.py"))
Sizes, ARCHITECTURES = script["Sizes"], script["ARCHITECTURES"]
LINES = {line["id"]: line for line in facts()}
TINY = {
    "esm2": "tiny-esm-mlm", "t5": "tiny-t5", "bert": "tiny-bert", "dnabert2": "tiny-dnabert2",
    "roberta": "tiny-chemberta", "gpt2": "tiny-protgpt2", "esm1": "esm1b", "saprot": "saprot",
    "nt": "nucleotide-transformer", "nt-v2": "nucleotide-transformer-v2", "esmc": "esmc", "ankh": "ankh",
    "dna-bert": "grover", "albert": "albert", "xlnet": "xlnet", "modernbert": "modernbert", "progen2": "progen2",
    "lucaone": "lucaone", "proteinbert": "proteinbert", "generator": "generator", "carbon": "carbon",
}  # fmt: skip


def test_the_form_and_the_page_say_what_the_table_of_models_says(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["models_table.py", "--check"])
    assert script["main"]() == 0, capsys.readouterr().out


def test_each_model_is_one_line_in_full():
    assert len(LINES) == len(facts()) == len(PRESETS)
    for line in facts():
        empty = {name for name, value in line.items() if not value} - {"licence"}
        assert not empty or line["architecture"] in ("adapter", "folding"), line["id"]
        assert None not in line, line["id"]  # more cells than columns
        assert line["architecture"] in {*ARCHITECTURES, "adapter", "folding"}


def test_counted_weights_are_those_that_names_say():
    """Names round, and some count without embeddings: 2.7 billion are 2.5 here."""
    said = 0
    for model, preset in PRESETS.items():
        found = re.search(r"([\d.]+) (million|billion) parameters", preset.name)
        if found and (sizes := Sizes.of(LINES[model])):
            said += 1
            assert sizes.weights == pytest.approx(float(found[1]) * {"m": 1e6, "b": 1e9}[found[2][0]], rel=0.12), model
    assert said > 20


def test_memory_is_that_of_the_page_for_administrators():
    """Which shows what benchmarks/memory.py prints, and that was measured."""
    page = (ROOT / "docs" / "admin.md").read_text()
    names = {
        "ESM-2 8M": "facebook/esm2_t6_8M_UR50D",
        "ESM-2 650M": "facebook/esm2_t33_650M_UR50D",
        "ProtT5-XL, encoder": "Rostlab/prot_t5_xl_uniref50",
    }
    for name, model in names.items():
        sizes = Sizes.of(LINES[model])
        for task, training in (("embed, predict", False), ("LoRA, all layers", True)):
            (row,) = re.findall(rf"^\| {re.escape(name)} \| {task} \| (.*) \|$", page, re.M)
            cpu, _, gpu, *_ = map(float, row.split(" | "))
            assert sizes.memory(script["CPU"], training) / 1e9 == pytest.approx(cpu, rel=0.02, abs=0.06)
            assert sizes.memory(script["GPU"], training) / 1e9 == pytest.approx(gpu, rel=0.02, abs=0.06)


@pytest.mark.parametrize("architecture", TINY)
def test_what_a_model_can_do_is_told_as_of_a_folder_of_its_kind(architecture, tmp_path):
    line = next(line for line in facts() if line["architecture"] == architecture)
    name = TINY[architecture]
    folder = DATA / "models" / name if name.startswith("tiny-") else make(name, tmp_path)
    config = with_type(json.loads((folder / "config.json").read_text()))
    family, told = recognise(folder, config), Sizes.of(line).family
    assert type(told) is type(family)
    for what in ("name", "causal", "one_letter_tokens", "language_head", "lora_modules", "alphabet"):
        assert getattr(told, what) == getattr(family, what), what
    # the entries of config.json that memory follows from have the names that this architecture gives them
    read = (told.depth, told.hidden_size, told.heads, told.inner_width, told.vocabulary_size)
    assert read == tuple(int(line[name]) for name in ("layers", "width", "heads", "inner", "vocabulary"))
    assert set(ARCHITECTURES[architecture].sizes) <= set(config)
