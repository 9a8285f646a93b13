"""LoRA adapters that others trained and published, with the classification head that peft saved beside them.

Such an adapter was put onto a class of transformers that holds an encoder and a head. Here the encoder stands alone and
the head is a :class:`seqlm.inference.tasks.Head`. Whether adapter, head and base model fit each other is told
without torch; :mod:`seqlm.inference.published_adapters` puts them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqlm.cli.errors import InputError
from seqlm.cli.text import shown
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import require_letter_tokens

from .adapter_tensors import (
    ENCODERS,
    check_encoder,
    config_for_encoder,
    names_on_encoder,
    shape_text,
    sort_tensors,
)
from .bundle import ADAPTER_WEIGHTS, Bundle
from .folder import ModelFolder
from .manifest import check_labels
from .safetensors_header import read_tensors

if TYPE_CHECKING:
    pass

TASKS = {"TOKEN_CLS": "residue-classification", "SEQ_CLS": "sequence-classification"}
# parts of a head in the file -> in seqlm.inference.tasks.Head
LINEAR = {"weight": "out.weight", "bias": "out.bias"}
MLP = {
    "dense.weight": "dense.weight",
    "dense.bias": "dense.bias",
    "out_proj.weight": "out.weight",
    "out_proj.bias": "out.bias",
}
# of the sequence classifiers: those that put LINEAR(tanh(DENSE)) on the first token, and why the others cannot be used
FIRST_TOKEN = ("esm", "roberta")
NOT_FIRST_TOKEN = {
    "bert": "reads the base model's pooler, which is no part of the adapter and which many base models lack",
    "t5": "reads the decoder, and only the encoder is run here",
}
MOST_LABELS = 10_000


@dataclass(frozen=True)
class PublishedEncoder:
    """The part of an adapter that is on the encoder.

    Attributes:
        tensors: name on the bare encoder, as peft gives it -> name in the file.
        config: adapter_config.json for the bare encoder.
        heads: what the file holds of a head: name -> (name in the file, shape).
        notes: sentences for the user.
    """

    tensors: dict[str, str]
    config: dict
    heads: dict[str, tuple[str, tuple]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """What was found in an adapter.

    Attributes:
        labels: names of the classes in the order of the outputs; None for a number.
        head: as in seqlm.json: kind, inputs, outputs, hidden.
        head_tensors: name in :class:`seqlm.inference.tasks.Head` -> name in the file.
        encoder: the rest of the adapter.
        notes: sentences for the user.
    """

    task: str
    labels: tuple[str, ...] | None
    head: dict
    head_tensors: dict[str, str]
    encoder: PublishedEncoder
    notes: tuple[str, ...]

    @property
    def pooling(self) -> str:
        return "none" if self.task.startswith("residue") else "cls"


def inspect_encoder(bundle: Bundle, base: ModelFolder) -> PublishedEncoder:
    """How the encoder of a published adapter, with a head or without one, is put together. Does not import torch.

    Raises:
        InputError: an adapter for another base model, or with tensors that are not understood.
    """
    config, model_type = bundle.adapter_config, _known_type(base)
    held = read_tensors(bundle.folder / ADAPTER_WEIGHTS)
    encoder, heads, ignored = sort_tensors(held, model_type)
    shapes = {name: held[source][1] for name, source in encoder.items()}
    encoder_config = config_for_encoder(config, ENCODERS[model_type])
    check_encoder(shapes, base, encoder_config, encoder)
    notes = _base_notes(config, base)
    if ignored:
        notes.append(
            f"{len(ignored)} tensors of the adapter were left out: copies, or weights from before the training"
        )
    heads = {name: (source, held[source][1]) for name, source in heads.items()}
    return PublishedEncoder(names_on_encoder(encoder), encoder_config, heads, tuple(notes))


def _known_type(base: ModelFolder) -> str:
    model_type = base.config["model_type"]
    if model_type not in ENCODERS:
        raise InputError(
            f"published adapters for models of type '{model_type}' are not supported; "
            f"supported are {', '.join(sorted(ENCODERS))}"
        )
    return model_type


def inspect_published(bundle: Bundle, base: ModelFolder, labels: tuple[str, ...] | None = None) -> Published:
    """What a published adapter predicts, and how it is put together. Does not import torch.

    Args:
        bundle: of the kind ``peft``.
        base: the model that it is to be put on.
        labels: names of the classes in the order of the outputs; without them those in the base model's config.json, if
            their number fits, else ``0``, ``1``, ….

    Raises:
        InputError: an adapter without a head that is understood, for another base model, or of other labels.
    """
    config, model_type = bundle.adapter_config, _known_type(base)
    task_type = config.get("task_type")
    if task_type not in TASKS:
        raise InputError(
            f"the adapter is of the task type {task_type or 'null'} and brings no classification head, so there is "
            f"nothing to predict with; {' and '.join(TASKS)} have one"
        )
    task = TASKS[task_type]
    if task == "sequence-classification" and model_type not in FIRST_TOKEN:
        raise InputError(
            f"the head of a sequence classifier of type '{model_type}' {NOT_FIRST_TOKEN[model_type]}; "
            "token classifiers (TOKEN_CLS) of this type can be used"
        )
    encoder = inspect_encoder(bundle, base)
    head, head_tensors = _head(task, encoder.heads)
    family = recognise(base.path, base.config)
    if head["inputs"] != family.hidden_size:
        raise InputError(
            f"the adapter is for another base model: its head reads {head['inputs']} numbers, the base model gives "
            f"{family.hidden_size}"
        )
    if task == "sequence-classification" and head["outputs"] == 1:
        task = "sequence-regression"  # transformers takes a single output for a number
    names, notes = _labels(task, head["outputs"], labels, base.config)
    found = Published(task, names, head, head_tensors, encoder, (*encoder.notes, *notes))
    if task == "residue-classification":
        require_letter_tokens(family)
    return found


def _head(task: str, held: dict[str, tuple[str, tuple]]) -> tuple[dict, dict[str, str]]:
    """Description of the head, and its tensors by their names in :class:`seqlm.inference.tasks.Head`."""
    modules = {name.split(".")[0] for name in held}
    if not held:
        raise InputError(
            "the adapter's file has no classification head (classifier or score); where it was made, save it again "
            "from the model with its head"
        )
    if len(modules) > 1:
        raise InputError("the adapter's file has two heads, classifier and score, and does not say which one counts")
    (module,) = modules
    parts = MLP if task == "sequence-classification" else LINEAR
    found = {name.removeprefix(module + "."): entry for name, entry in held.items()}
    if found.keys() != parts.keys():
        raise InputError(
            f"the adapter's head has the tensors {shown(', '.join(sorted(found)), 120)}; for {task} "
            f"{', '.join(sorted(parts))} are expected"
        )
    shapes = {parts[name]: shape for name, (_, shape) in found.items()}
    sizes = shapes["out.weight"]
    outputs, last = sizes if len(sizes) == 2 else (0, 0)
    inputs = shapes["dense.weight"][-1] if "dense.weight" in shapes else last
    expected = {"out.weight": (outputs, last), "out.bias": (outputs,)}
    if parts is MLP:
        expected |= {"dense.weight": (last, inputs), "dense.bias": (last,)}
    if shapes != expected or not outputs or outputs > MOST_LABELS:
        described = ", ".join(f"{name} {shape_text(shape)}" for name, (_, shape) in sorted(found.items()))
        raise InputError(f"the sizes in the adapter's head do not fit each other: {shown(described, 200)}")
    if parts is LINEAR and outputs == 1:
        raise InputError("the adapter's head has one output a residue, which is no classification; it cannot be used")
    head = {"kind": "mlp" if parts is MLP else "linear", "inputs": inputs, "outputs": outputs}
    head["hidden"] = last if parts is MLP else 0
    return head, {parts[name]: source for name, (source, _) in found.items()}


def _labels(task: str, outputs: int, given: tuple[str, ...] | None, config: dict) -> tuple[tuple | None, list[str]]:
    """Names of the outputs, and what the user should know about them."""
    if task.endswith("regression"):
        if given:
            raise InputError(
                "the adapter has a single output, a number, so there are no labels to name; leave them out"
            )
        return None, []
    notes = []
    if task == "sequence-classification" and outputs > 2:
        notes.append(f"the {outputs} outputs are taken for classes of which one holds; the adapter does not say so")
    if given:
        if len(given) != outputs:
            raise InputError(
                f"the adapter has {outputs:,} outputs, and labels are given for {len(given):,}; name one for each, in "
                "their order"
            )
        check_labels(given)
        return tuple(given), notes
    if names := _named(config.get("id2label"), outputs):
        check_labels(names)
        return names, notes
    names = tuple(map(str, range(outputs)))
    notes.append(
        f"neither adapter nor base model names the {outputs} outputs, so they are called by their numbers; "
        "give the labels in the order of the outputs if you know them"
    )
    return names, notes


def _named(id2label: dict | None, outputs: int) -> tuple[str, ...] | None:
    """Names in a config.json, unless they are those that transformers makes up."""
    id2label = {str(number): str(name) for number, name in (id2label or {}).items()}
    if id2label.keys() != {str(number) for number in range(outputs)}:
        return None
    names = tuple(id2label[str(number)] for number in range(outputs))
    return None if names == tuple(f"LABEL_{number}" for number in range(outputs)) else names


def _base_notes(config: dict, base: ModelFolder) -> list[str]:
    """Names of models differ between copies, so another name is no mistake, but worth a look."""
    wanted = config.get("base_model_name_or_path") or ""
    last = wanted.rstrip("/").split("/")[-1].lower()
    known = f"{base.path} {base.config.get('_name_or_path') or ''}".lower()
    if not last:
        return ["the adapter does not say which base model it was trained on; only names and shapes could be compared"]
    if last in known:
        return []
    return [f"the adapter was trained on {wanted}; make sure that the base model given is that model"]
