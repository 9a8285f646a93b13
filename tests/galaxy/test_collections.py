"""Every tool is mapped over a collection: a job for each element, and collections of outputs that keep their names.

A tool that reads any number of files as one learns from a list as a whole, and is mapped over a list of lists.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import pytest

if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make test` starts one", allow_module_level=True)

from bioblend.galaxy import GalaxyInstance

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[2] / "test-data"
NAMES = ["first", "second"]
GENOME = "sacCer3"


@dataclass(frozen=True)
class Mapped:
    """A tool and the input that it is mapped over.

    Attributes:
        read: what each element is, and its type in Galaxy.
        settings: all that is chosen in the form.
        files: what else the form is given from the history: setting -> file and type.
        several: whether the input reads any number of files as one.
    """

    tool: str
    over: str
    read: tuple[str, str]
    settings: dict[str, object]
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    several: bool = False


MAPPED = [
    Mapped("embed", "sequences", ("beginnings.fasta", "fasta"), {"model|model": "seqlm/tiny-llama"}),
    Mapped(
        "predict",
        "sequences",
        ("odd_proteins.fasta.gz", "fasta.gz"),
        {"what|mode": "scan"},
        {"model|bundle": ("bundle_lora_t5.zip", "zip")},
    ),
    Mapped("score", "sequences", ("beginnings.fasta", "fasta"), {"model|model": "seqlm/tiny-llama"}),
    Mapped(
        "explain",
        "sequences",
        ("sites_test.fasta", "fasta"),
        {"how|method": "occlusion", "checks|checked": 8, "checks|random_models": 2},
        {"model|model": ("bundle_lora_t5.zip", "zip")},
    ),
    Mapped("fold", "sequences", ("beginnings.fasta", "fasta"), {"model|model": "seqlm/tiny-esmfold"}),
    Mapped(
        "generate",
        "start|prompts",
        ("beginnings.fasta", "fasta"),
        {"model|model": "seqlm/tiny-llama", "start|how": "file", "drawing|num_sequences": 2, "length|max_length": 40},
    ),
    Mapped(
        "tokenizer",
        "what|sequences",
        ("beginnings.fasta", "fasta"),
        {"what|mode": "inspect", "what|model|model": "seqlm/tiny-llama"},
    ),
    Mapped(
        "tokenizer",
        "what|corpus",
        ("promoters.tsv", "tabular"),
        {"what|mode": "train", "what|how|algorithm": "bpe", "what|how|vocab_size": 32},
        several=True,
    ),
    Mapped(
        "pretrain",
        "what|corpus",
        ("other_proteins.fasta", "fasta"),
        {
            "what|mode": "scratch",
            "what|kind|architecture": "gpt2",
            "what|tokenizer|source": "installed",
            "what|tokenizer|tokenizer": "seqlm/tiny-llama",
            "what|size|size": "own",
            "what|size|layers": 1,
            "what|size|width": 16,
            "what|size|heads": 2,
            "what|reading|context": 32,
            "learning|epochs": 1,
        },
        several=True,
    ),
    Mapped(
        "dataset",
        "examples|sequences",
        ("promoters.tsv", "tabular"),
        {"examples|what": "table", "split|how": "random", "more|neighbours": "skip"},
    ),
    Mapped(
        "finetune",
        "train",
        ("promoters.tsv", "tabular"),
        {
            "base|source": "installed",
            "base|model": "seqlm/dna-modernbert-0.2m",
            "learn|task": "sequence-classification",
            "learn|labels|where": "column",
            "how|method": "head",
            "training|epochs": 1,
        },
    ),
    Mapped(
        "classify",
        "task|embeddings",
        ("embeddings_before.tsv", "tabular"),
        {"task|mode": "train", "task|labels|where": "table", "task|classifier": ["naive-bayes"]},
        {"task|labels|file": ("embedding_labels.tsv", "tabular")},
    ),
    Mapped("plot", "embeddings", ("embeddings_before.tsv", "tabular"), {"colours|colour_by": "none"}),
    Mapped("evaluate", "predictions", ("predicted_sites_weak.tsv", "tabular"), {"truth|where": "own"}, several=True),
]


@pytest.fixture(scope="module")
def galaxy() -> GalaxyInstance:
    return GalaxyInstance(os.environ["GALAXY_URL"], key=os.environ["GALAXY_KEY"])


@pytest.fixture(scope="module")
def history(galaxy) -> str:
    return galaxy.histories.create_history("collections over every tool")["id"]


@pytest.fixture(scope="module")
def dataset(galaxy, history):
    """The id of a file in the history, which is uploaded once."""

    @cache
    def uploaded(name: str, kind: str) -> str:
        found = galaxy.tools.upload_file(str(DATA / name), history, file_type=kind, dbkey=GENOME)["outputs"][0]["id"]
        galaxy.datasets.wait_for_dataset(found, interval=1, check=True)
        return found

    return uploaded


def listed(galaxy: GalaxyInstance, history: str, element: str, inner: bool) -> str:
    """A list of one dataset under two names, or a list of two such lists."""
    one = [{"name": name, "src": "hda", "id": element} for name in NAMES]
    lists = [{"name": name, "src": "new_collection", "collection_type": "list", "element_identifiers": one}
             for name in NAMES]  # fmt: skip
    description = {
        "collection_type": "list:list" if inner else "list",
        "element_identifiers": lists if inner else one,
        "name": "a collection",
    }
    return galaxy.histories.create_dataset_collection(history, description)["id"]


@pytest.fixture(scope="module")
def answers(galaxy, history, dataset) -> dict[str, dict]:
    """What Galaxy answered when each tool was run on its collection; the jobs run beside each other."""
    found = {}
    for mapped in MAPPED:
        collection = listed(galaxy, history, dataset(*mapped.read), mapped.several)
        source = {"src": "hdca", "id": collection, "map_over_type": "list" if mapped.several else None}
        inputs = mapped.settings | {mapped.over: {"batch": True, "values": [source]}}
        inputs |= {name: {"src": "hda", "id": dataset(*file)} for name, file in mapped.files.items()}
        payload = {"history_id": history, "tool_id": f"seqlm_{mapped.tool}", "inputs": inputs, "input_format": "legacy"}
        answer = galaxy.make_post_request(f"{galaxy.base_url}/api/tools", payload=payload)
        found[mapped.tool, mapped.over] = answer
    jobs = [job["id"] for answer in found.values() for job in answer["jobs"]]
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(galaxy.jobs.wait_for_job, maxwait=1200, interval=2, check=False), jobs))
    return found


@pytest.mark.parametrize("mapped", MAPPED, ids=lambda mapped: f"{mapped.tool}-{mapped.over}")
def test_a_collection_gives_collections_that_keep_its_names(galaxy, answers, mapped):
    answer = answers[mapped.tool, mapped.over]
    assert len(answer["jobs"]) == len(NAMES)
    for job in answer["jobs"]:
        ended = galaxy.jobs.show_job(job["id"], full_details=True)
        assert ended["state"] == "ok", ended["tool_stderr"]
    collections = {each["output_name"]: each["id"] for each in answer["implicit_collections"]}
    found = {name: galaxy.dataset_collections.show_dataset_collection(one) for name, one in collections.items()}
    # what a tool writes as a list becomes a list of lists, which the answer does not name
    lists = {name for name, shown in found.items() if shown["collection_type"] == "list:list"}
    assert set(collections) - lists == {output["output_name"] for output in answer["outputs"]}
    assert collections
    for name, shown in found.items():
        assert [each["element_identifier"] for each in shown["elements"]] == NAMES, name
        assert " on collection " in shown["name"]
        for one in datasets_of(shown["elements"]):
            assert galaxy.datasets.show_dataset(one)["genome_build"] == GENOME, name


def datasets_of(elements: list[dict]) -> list[str]:
    """Ids of the datasets in a collection, or in the collections in it."""
    found = []
    for each in elements:
        inner = each["object"].get("elements")
        found += [each["object"]["id"]] if inner is None else datasets_of(inner)
    return found


def test_every_tool_is_mapped():
    tools = {path.stem.removeprefix("seqlm_") for path in (DATA.parent / "tools").glob("seqlm_*.xml")}
    assert {mapped.tool for mapped in MAPPED} == tools
