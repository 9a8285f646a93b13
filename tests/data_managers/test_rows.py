"""The row that a model gets: a form offers it, its value is its own, and no row that is there changes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from fetching import rows
from fetching.choice import Choice
from fetching.hub import RemoteModel
from fetching.licences import non_commercial
from fetching.presets import PRESETS
from fetching.refusal import Refused
from makers.scripts import ROOT
from seqlm.families.recognition import families

COMMIT = "0123456789ab" + "c" * 28


def model(id="someone/model", tag=None) -> RemoteModel:
    return RemoteModel(id, COMMIT, {}, "mit", "", False, tag)


PLAIN = Choice((), (), pickled=False, adapter=False)


def tag_of(hub=None, *, adapter=False, **config) -> str:
    return rows.pipeline_tag(model(tag=hub), Choice((), (), False, adapter), config)


@pytest.mark.parametrize(
    ("hub", "config", "tag"),
    [
        (None, {"model_type": "esm", "architectures": ["EsmForMaskedLM"]}, "fill-mask"),
        ("fill-mask", {"model_type": "esm", "architectures": ["EsmForMaskedLM"]}, "fill-mask"),
        ("feature-extraction", {"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "feature-extraction"),
        (None, {"model_type": "esm", "architectures": ["EsmModel"]}, "feature-extraction"),
        (None, {"model_type": "bert", "architectures": ["BertForPreTraining"]}, "fill-mask"),
        (None, {"model_type": "esmc", "architectures": ["ESMCForMaskedLM"]}, "fill-mask"),
        ("text-generation", {"model_type": "gpt2"}, "text-generation"),
        (None, {"model_type": "llama"}, "text-generation"),
        # what these are on the Hub, no form offers
        ("text2text-generation", {"model_type": "t5"}, "feature-extraction"),
        ("text-generation", {"model_type": "xlnet"}, "feature-extraction"),
        # a whole model with a head is no adapter, under whose tag it would be offered and not be opened
        ("text-classification", {"model_type": "esm", "architectures": ["EsmForSequenceClassification"]},
         "feature-extraction"),
        (None, {"model_type": "esm", "architectures": ["EsmForProteinFolding"], "is_folding_model": True}, "other"),
        ("feature-extraction", {"model_type": "esmfold2"}, "other"),
        ("text-to-image", {"model_type": "unknown"}, "text-to-image"),
        ("made-up", {"model_type": "unknown"}, "feature-extraction"),
        (None, {}, "feature-extraction"),
    ],
)  # fmt: skip
def test_the_tag_says_what_a_model_is(hub, config, tag):
    assert tag_of(hub, **config) == tag


@pytest.mark.parametrize(
    ("task", "tag"),
    [("TOKEN_CLS", "token-classification"), ("SEQ_CLS", "text-classification"), ("FEATURE_EXTRACTION", "fill-mask")],
)
def test_the_tag_of_an_adapter_is_its_task(task, tag):
    assert tag_of("fill-mask", adapter=True, task_type=task) == tag


def test_every_architecture_that_the_tools_know_has_a_tag():
    known = {kind for family in families() for kind in family.model_types}
    assert known == {*rows.MASKED_KINDS, *rows.WRITING_KINDS, *rows.READING_KINDS}


# -- presets -------------------------------------------------------------------------------------------------------


def tags_offered(tool: str) -> list[re.Pattern]:
    """Pipeline tags by which the forms of a tool filter the table."""
    text = (ROOT / "tools" / f"{tool}.xml").read_text()
    return [
        re.compile(each.get("value"))
        for each in ElementTree.fromstring(text).iter("filter")
        if each.get("column") == "pipeline_tag"
    ]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_offered_by_the_forms_for_models_of_its_kind(preset):
    tag = PRESETS[preset].pipeline_tag
    assert tag in rows.OFFICIAL
    tool = {"other": "seqlm_fold", "token-classification": "seqlm_predict"}.get(tag, "seqlm_embed")
    assert any(pattern.fullmatch(tag) for pattern in tags_offered(tool))


def test_every_model_that_the_documentation_names_is_a_preset():
    text = (ROOT / "docs" / "models.md").read_text()
    (table,) = re.findall(r"^## Families\n(.*?)^AdaLoRA", text, re.M | re.S)
    cells = [line.split(" | ")[1] for line in table.splitlines() if line.startswith("| ") and " | " in line]
    named = [
        name for cell in cells for name in re.findall(r"[\w.-]+/[\w.-]+|(?<=, )-[\w.-]+|(?<=, )[\w.]+-[\w.-]+", cell)
    ]
    assert len(named) > 15
    for name in named:
        assert any(preset.endswith(name) for preset in PRESETS), name


def test_presets_that_are_not_for_commercial_use_say_so():
    restricted = {model for model, preset in PRESETS.items() if preset.terms}
    assert restricted == {model for model in PRESETS if "nucleotide-transformer" in model or "ankh" in model}
    assert all(non_commercial(PRESETS[model].terms) for model in restricted)


# -- the table -----------------------------------------------------------------------------------------------------


def listed(value: str, version: str) -> list[str]:
    return [value, "name", "fill-mask", "sequence", "", version, "/path"]


def test_a_value_is_the_id_and_for_another_version_the_commit_too():
    later = f"someone/model_{COMMIT[:12]}"
    assert rows.value_for(model(), []) == "someone/model"
    assert rows.value_for(model(), [listed("someone/other", "1")]) == "someone/model"
    assert rows.value_for(model(), [listed("someone/model", "1")]) == later
    with pytest.raises(Refused, match=r"the table has someone/model at commit .* already, as someone/model;"):
        rows.value_for(model(), [listed("someone/model", COMMIT)])
    with pytest.raises(Refused, match=f"already, as {later};"):
        rows.value_for(model(), [listed("someone/model", "1"), listed(later, COMMIT)])
    with pytest.raises(Refused, match="rows are never edited"):
        rows.value_for(model(), [listed("someone/model", "1"), listed(later, "2")])


def test_a_row_is_added_behind_what_is_there(tmp_path):
    loc = tmp_path / "huggingface.loc"
    loc.write_text("# comment\n" + "\t".join(listed("a/b", "1")))  # without an end of the line
    before = loc.read_text()
    row = dict(zip(rows.COLUMNS, listed("someone/model", COMMIT), strict=True))
    rows.append_row(row, loc)
    assert loc.read_text() == before + "\n" + "\t".join(row.values()) + "\n"
    assert rows.read_rows(loc) == [listed("a/b", "1"), [*row.values()]]
    with pytest.raises(Refused, match="has a row someone/model already"):
        rows.append_row(row, loc)
    assert loc.read_text() == before + "\n" + "\t".join(row.values()) + "\n"


def test_a_name_cannot_break_a_row():
    assert rows.name_of(model(), PLAIN, "a\tb\nc\x00", "") == "a b c"
    pickled = Choice((), (), pickled=True, adapter=False)
    assert rows.name_of(model(), pickled, "", "x\ty") == (
        "someone/model (weights converted from pytorch_model.bin; not for commercial use: x y)"
    )
