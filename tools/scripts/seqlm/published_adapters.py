"""LoRA adapters that others trained and published, with the classification head that peft saved beside them.

Such an adapter was put onto a class of transformers that holds an encoder and a head, ``EsmForTokenClassification`` for
one, and its tensors are named for that class::

    base_model.model.esm.encoder.layer.0.attention.self.query.lora_A.weight     the encoder, as ``esm``
    base_model.model.classifier.weight                                         the head

Here the encoder stands alone and the head is a :class:`seqlm.tasks.Head`, so names are translated. Whether adapter,
head and base model fit each other is told from the shapes in their files, before torch is imported.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .bundle import ADAPTER_WEIGHTS, Bundle
from .errors import InputError
from .families import recognise
from .manifest import check_labels
from .model_files import ModelFolder
from .safetensors_header import Tensors, read_tensors
from .tokens import Encoder

if TYPE_CHECKING:
    import torch

    from .loading import Finetuned

TASKS = {"TOKEN_CLS": "residue-classification", "SEQ_CLS": "sequence-classification"}
# what transformers calls the encoder in a model with a head: model_type -> its base_model_prefix
ENCODERS = {"esm": "esm", "bert": "bert", "roberta": "roberta", "t5": "transformer"}
HEADS = ("classifier", "score")
# parts of a head in the file -> in seqlm.tasks.Head
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

_START = "base_model.model."
# what peft puts between a module and its weights: a trained copy, or the layer that LoRA lies on
_WRAPPED = re.compile(r"\.(modules_to_save(\.default)?|base_layer)(?=\.)")
_LORA = re.compile(r"(.+)\.(lora_(?:A|B|embedding_A|embedding_B|magnitude_vector)(?:\.weight|\.bias)?)")
_FLOATS = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class Published:
    """What was found in an adapter.

    Attributes:
        labels: names of the classes in the order of the outputs; None for a number.
        head: as in seqlm.json: kind, inputs, outputs, hidden.
        head_tensors: name in :class:`seqlm.tasks.Head` -> name in the file.
        encoder_tensors: name on the bare encoder, as peft gives it -> name in the file.
        config: adapter_config.json for the bare encoder.
        notes: sentences for the user.
    """

    task: str
    labels: tuple[str, ...] | None
    head: dict
    head_tensors: dict[str, str]
    encoder_tensors: dict[str, str]
    config: dict
    notes: tuple[str, ...]

    @property
    def pooling(self) -> str:
        return "none" if self.task.startswith("residue") else "cls"


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
    config, model_type = bundle.adapter_config, base.config["model_type"]
    task_type = config.get("task_type")
    if task_type not in TASKS:
        raise InputError(
            f"the adapter is of the task type {task_type or 'null'} and brings no classification head, so there is "
            f"nothing to predict with; {' and '.join(TASKS)} have one"
        )
    if model_type not in ENCODERS:
        raise InputError(f"published adapters for models of type '{model_type}' are not supported")
    held = read_tensors(bundle.folder / ADAPTER_WEIGHTS)
    encoder, heads, ignored = _sorted(held, model_type)
    shapes = {name: held[source][1] for name, source in encoder.items()}
    encoder_config = _for_encoder(config, ENCODERS[model_type])
    _check_encoder(shapes, base, encoder_config, encoder)
    task = TASKS[task_type]
    head, head_tensors = _head(task, model_type, {name: (source, held[source][1]) for name, source in heads.items()})
    width = _hidden_size(base)
    if head["inputs"] != width:
        raise InputError(
            f"the adapter is for another base model: its head reads {head['inputs']} numbers, the base model gives "
            f"{width}"
        )
    if task == "sequence-classification" and head["outputs"] == 1:
        task = "sequence-regression"  # transformers takes a single output for a number
    names, notes = _labels(task, head["outputs"], labels, base.config)
    notes = [*_base_notes(config, base), *notes]
    if ignored:
        notes.append(f"{len(ignored)} tensors of the adapter are copies of untrained weights and were left out")
    found = Published(task, names, head, head_tensors, _as_peft(encoder), encoder_config, tuple(notes))
    Encoder(recognise(base.path, base.config), base.path, pooling=found.pooling)  # refuses what it cannot read
    return found


def load_published(
    bundle: Bundle,
    base: ModelFolder,
    device: torch.device,
    precision: str,
    labels: tuple[str, ...] | None = None,
) -> Finetuned:
    """Put base model, published adapter and its head together.

    Args:
        labels: see :func:`inspect_published`.

    Raises:
        InputError: as :func:`inspect_published`, or for weights that are no numbers.
    """
    import torch
    from safetensors.torch import load_file, save_file

    from .adapters import load_adapter
    from .loading import Finetuned, SequenceModel, load_backbone, precision_of
    from .tasks import Head, Task

    found = inspect_published(bundle, base, labels)
    family = recognise(base.path, base.config)
    dtype = precision_of(precision, device, family)
    tensors = load_file(bundle.folder / ADAPTER_WEIGHTS)
    for name in (*found.encoder_tensors.values(), *found.head_tensors.values()):
        if not torch.isfinite(tensors[name]).all():
            raise InputError(f"the adapter is damaged: its tensor {name} holds values that are no numbers")
    backbone = load_backbone(base.path, family, dtype, device)
    with tempfile.TemporaryDirectory(prefix="adapter_") as scratch:
        renamed = {name: tensors[source] for name, source in found.encoder_tensors.items()}
        save_file(renamed, Path(scratch) / ADAPTER_WEIGHTS)
        backbone = load_adapter(backbone, Path(scratch), found.config).to(device, dtype)
    described = found.head
    head = Head(described["inputs"], described["outputs"], kind=described["kind"], hidden=described["hidden"])
    own = {"shift": head.shift, "scale": head.scale}
    head.load_state_dict({name: tensors[source].float() for name, source in found.head_tensors.items()} | own)
    task = Task(found.task, found.labels)
    encoder = Encoder(family, base.path, pooling=found.pooling)
    return Finetuned(SequenceModel(backbone, family.hidden_size, head, task).to(device).eval(), encoder, task)


def _sorted(held: Tensors, model_type: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Tensors of the encoder and of the head by their plain names -> names in the file, and those left out."""
    encoder: dict[str, str] = {}
    heads: dict[str, str] = {}
    ignored = []
    others = {prefix: kind for kind, prefix in ENCODERS.items() if kind != model_type}
    # the longer name of two for the same tensor comes later and is left out
    for name in sorted(held, key=lambda name: (len(name), name)):
        dtype, _ = held[name]
        if dtype not in _FLOATS:
            raise InputError(
                f"the adapter's tensor {_cut(name)} has numbers of type {dtype}; weights are F32, F16 or BF16"
            )
        if not name.startswith(_START):
            raise InputError(f"the adapter's tensor {_cut(name)} is not named as peft names them, {_START}…")
        plain = _WRAPPED.sub("", name.removeprefix(_START))
        first, _, rest = plain.partition(".")
        if ".original_module." in plain:
            ignored.append(name)
        elif first in HEADS:
            if "lora_" in rest:
                raise InputError(f"the adapter has LoRA inside its head ({_cut(name)}), which is not supported")
            ignored.append(name) if plain in heads else heads.setdefault(plain, name)
        elif first == ENCODERS[model_type]:
            ignored.append(name) if rest in encoder else encoder.setdefault(rest, name)
        elif first in others:
            raise InputError(
                f"the adapter is for models of type '{others[first]}' ({_cut(name)}); the base model is of type "
                f"'{model_type}'"
            )
        else:
            raise InputError(
                f"the adapter's tensor {_cut(name)} belongs neither to the encoder of a '{model_type}' model nor to a "
                "head"
            )
    return encoder, heads, ignored


def _for_encoder(config: dict, prefix: str) -> dict:
    """adapter_config.json with the names that modules have on the bare encoder, and without the head."""
    bare = {**config, "task_type": "FEATURE_EXTRACTION"}
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(bare.get(key), list):
            bare[key] = [name.removeprefix(prefix + ".") for name in bare[key] if name.split(".")[0] not in HEADS]
    for key in ("rank_pattern", "alpha_pattern"):
        if key in bare:
            bare[key] = {name.removeprefix(prefix + "."): value for name, value in bare[key].items()}
    if not bare.get("modules_to_save"):
        bare.pop("modules_to_save", None)
    return bare


def _check_encoder(shapes: dict[str, tuple], base: ModelFolder, config: dict, sources: dict[str, str]) -> None:
    """Compare the encoder's tensors with the weights of the base model that they change."""
    weights = _base_weights(base)
    adapted: dict[str, set[str]] = {}
    for name, shape in shapes.items():
        if match := _LORA.fullmatch(name):
            module, part = match.groups()
            weight = weights.get(f"{module}.weight")
            rank = _rank(shapes, module)
            adapted.setdefault(module, set()).add(part)
            needed = _lora_shape(part, rank, weight) if weight else None
        else:
            needed = weights.get(name)
        if needed is None:
            raise InputError(
                f"the adapter is for another base model: it changes {_cut(name)}, which the base model does not have"
            )
        if shape != needed:
            raise InputError(
                f"the adapter is for another base model: its tensor {_cut(sources[name])} has the shape "
                f"{_sizes(shape)}, the base model needs {_sizes(needed)}"
            )
    for module, parts in adapted.items():
        if not ({"lora_A.weight", "lora_B.weight"} <= parts or {"lora_embedding_A", "lora_embedding_B"} <= parts):
            raise InputError(f"the adapter is incomplete: of {_cut(module)} it has only {', '.join(sorted(parts))}")
        if not config.get("rank_pattern") and _rank(shapes, module) != config["r"]:
            raise InputError(
                f"adapter_config.json gives rank {config['r']}, but the weights of {_cut(module)} have rank "
                f"{_rank(shapes, module)}; the two files do not belong together"
            )
    parts = {module.split(".")[0] for module in adapted}
    here, there = _layers(adapted), _layers(name for name in weights if name.split(".")[0] in parts)
    if not config.get("layers_to_transform") and here and here != there:
        raise InputError(
            f"the adapter is for another base model: it changes {len(here)} layers, the base model has {len(there)}"
        )


def _base_weights(base: ModelFolder) -> dict[str, tuple]:
    """Shape of each weight of the base model by its name on the bare encoder."""
    prefix = ENCODERS[base.config["model_type"]] + "."
    renamed = {"gamma": "weight", "beta": "bias"}  # of layer norms, in old files and in those of ESM
    weights = {}
    for name, (_, shape) in base.tensors.items():
        module, _, last = name.removeprefix(prefix).rpartition(".")
        weights[f"{module}.{renamed.get(last, last)}"] = shape
    return weights


def _rank(shapes: dict[str, tuple], module: str) -> int:
    for part in ("lora_A.weight", "lora_embedding_A"):
        if shape := shapes.get(f"{module}.{part}"):
            return shape[0]
    return 0


def _lora_shape(part: str, rank: int, weight: tuple) -> tuple | None:
    """Shape of one tensor of LoRA on a weight (outputs, inputs), or on an embedding (tokens, width)."""
    if len(weight) != 2:
        return None
    return {
        "lora_A.weight": (rank, weight[1]),
        "lora_B.weight": (weight[0], rank),
        "lora_B.bias": (weight[0],),
        "lora_embedding_A": (rank, weight[0]),
        "lora_embedding_B": (weight[1], rank),
        "lora_magnitude_vector": (weight[0],),
        "lora_magnitude_vector.weight": (weight[0],),
    }.get(part)


def _layers(names) -> set[int]:
    """Numbers of the layers that names of modules or tensors speak of."""
    numbers = (re.search(r"\.(\d{1,4})\.", name) for name in names)
    return {int(number.group(1)) for number in numbers if number}


def _as_peft(encoder: dict[str, str]) -> dict[str, str]:
    """Tensor names as peft gives them on the bare encoder -> names in the file.

    Of a layer with LoRA, peft today calls the trained bias ``base_layer.bias``, before version 0.6 ``bias``.
    """
    adapted = {match.group(1) for name in encoder if (match := _LORA.fullmatch(name))}
    renamed = {}
    for name, source in encoder.items():
        module, _, last = name.rpartition(".")
        renamed[_START + (f"{module}.base_layer.{last}" if module in adapted and last == "bias" else name)] = source
    return renamed


def _head(task: str, model_type: str, held: dict[str, tuple[str, tuple]]) -> tuple[dict, dict[str, str]]:
    """Description of the head, and its tensors by their names in :class:`seqlm.tasks.Head`."""
    modules = {name.split(".")[0] for name in held}
    if not held:
        raise InputError(
            "the adapter's file has no classification head (classifier or score); where it was made, save it again "
            "from the model with its head"
        )
    if len(modules) > 1:
        raise InputError("the adapter's file has two heads, classifier and score, and does not say which one counts")
    (module,) = modules
    if task == "sequence-classification" and model_type not in FIRST_TOKEN:
        raise InputError(
            f"the head of a sequence classifier of type '{model_type}' {NOT_FIRST_TOKEN[model_type]}; "
            "token classifiers (TOKEN_CLS) of this type can be used"
        )
    parts = MLP if task == "sequence-classification" else LINEAR
    found = {name.removeprefix(module + "."): entry for name, entry in held.items()}
    if found.keys() != parts.keys():
        raise InputError(
            f"the adapter's head has the tensors {_cut(', '.join(sorted(found)))}; for {task} on a '{model_type}' "
            f"model {', '.join(sorted(parts))} are expected"
        )
    shapes = {parts[name]: shape for name, (_, shape) in found.items()}
    sizes = shapes["out.weight"]
    outputs, last = sizes if len(sizes) == 2 else (0, 0)
    inputs = shapes["dense.weight"][-1] if "dense.weight" in shapes else last
    expected = {"out.weight": (outputs, last), "out.bias": (outputs,)}
    if parts is MLP:
        expected |= {"dense.weight": (last, inputs), "dense.bias": (last,)}
    if shapes != expected or not outputs or outputs > MOST_LABELS:
        described = ", ".join(f"{name} {_sizes(shape)}" for name, (_, shape) in sorted(found.items()))
        raise InputError(f"the sizes in the adapter's head do not fit each other: {_cut(described, 200)}")
    if parts is LINEAR and outputs == 1:
        raise InputError("the adapter's head has one output a residue, which is no classification; it cannot be used")
    head = {"kind": "mlp" if parts is MLP else "linear", "inputs": inputs, "outputs": outputs}
    head["hidden"] = last if parts is MLP else 0
    return head, {parts[name]: source for name, (source, _) in found.items()}


def _hidden_size(base: ModelFolder) -> int:
    return recognise(base.path, base.config).hidden_size


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
                f"the adapter has {outputs} outputs, and {len(given)} labels are given; name one for each, in their "
                "order"
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
    known = f"{base.path.name} {base.config.get('_name_or_path') or ''}".lower()
    if not last:
        return ["the adapter does not say which base model it was trained on; only names and shapes could be compared"]
    if last in known:
        return []
    return [f"the adapter was trained on {wanted}; make sure that the base model given is that model"]


def _sizes(shape: tuple) -> str:
    return " × ".join(map(str, shape)) or "of a single number"


def _cut(text: str, longest: int = 120) -> str:
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
