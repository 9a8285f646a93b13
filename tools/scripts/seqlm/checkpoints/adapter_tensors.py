"""Names and shapes of the tensors in a LoRA adapter that others trained, and where they belong on the bare encoder.

peft names them for the class that the adapter was put onto, ``EsmForTokenClassification`` for one::

    base_model.model.esm.encoder.layer.0.attention.self.query.lora_A.weight     the encoder, as ``esm``
    base_model.model.classifier.weight                                         the head
    base_model.model.encoder.layer.0.attention.self.query.lora_A.weight        the encoder, put on it alone

Everything here is told from headers of files, without torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable

from seqlm.cli.errors import InputError
from seqlm.cli.text import shown

from .folder import ModelFolder
from .safetensors_header import Tensors

# what transformers calls the encoder in a model with a head: model_type -> its base_model_prefix
ENCODERS = {"esm": "esm", "bert": "bert", "roberta": "roberta", "t5": "transformer"}
HEADS = ("classifier", "score")

_START = "base_model.model."
# what peft puts between a module and its weights: a trained copy, or the layer that LoRA lies on
_WRAPPED = re.compile(r"\.(modules_to_save(\.default)?|base_layer)(?=\.)")
_LORA = re.compile(r"(.+)\.(lora_(?:A|B|embedding_A|embedding_B|magnitude_vector)(?:\.weight|\.bias)?)")
_FLOATS = ("F32", "F16", "BF16", "F64")


def sort_tensors(held: Tensors, model_type: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Tell the tensors of the encoder from those of the head.

    Returns:
        twice plain name -> name in the file, of the encoder without its prefix; and the names left out, which are
        copies: with trained biases peft saves those of the head up to three times.

    Raises:
        InputError: a tensor that belongs to neither, or to another kind of model.
    """
    encoder: dict[str, str] = {}
    heads: dict[str, str] = {}
    ignored = []
    others = {prefix: kind for kind, prefix in ENCODERS.items() if kind != model_type}
    # the longer name of two for the same tensor comes later and is left out
    for name in sorted(held, key=lambda name: (len(name), name)):
        dtype, _ = held[name]
        if dtype not in _FLOATS:
            raise InputError(
                f"the adapter's tensor {shown(name, 120)} has numbers of type {dtype}; weights are F32, F16 or BF16"
            )
        if not name.startswith(_START):
            raise InputError(f"the adapter's tensor {shown(name, 120)} is not named as peft names them, {_START}…")
        plain = _WRAPPED.sub("", name.removeprefix(_START))
        first, _, rest = plain.partition(".")
        if ".original_module." in plain:
            ignored.append(name)
        elif first in HEADS:
            if "lora_" in rest:
                raise InputError(f"the adapter has LoRA inside its head ({shown(name, 120)}), which is not supported")
            if heads.setdefault(plain, name) != name:
                ignored.append(name)
        elif first == ENCODERS[model_type]:
            if encoder.setdefault(rest, name) != name:
                ignored.append(name)
        elif first in others:
            raise InputError(
                f"the adapter is for models of type '{others[first]}' ({shown(name, 120)}); the base model is of type "
                f"'{model_type}'"
            )
        elif first in ("encoder", "embeddings"):  # the adapter was put on a bare encoder
            encoder.setdefault(plain, name)
        else:
            raise InputError(
                f"the adapter's tensor {shown(name, 120)} belongs neither to the encoder of a '{model_type}' model nor "
                "to a head"
            )
    return encoder, heads, ignored


def config_for_encoder(config: dict, prefix: str) -> dict:
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


def check_encoder(shapes: dict[str, tuple], base: ModelFolder, config: dict, sources: dict[str, str]) -> None:
    """Compare the encoder's tensors with the weights of the base model that they change.

    Args:
        shapes, sources: of each tensor by its plain name, the shape and the name in the file.
        config: adapter_config.json.

    Raises:
        InputError: naming the tensor that does not fit, with both sizes.
    """
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
                f"the adapter is for another base model: it changes {shown(name, 120)}, which the base model does not "
                "have"
            )
        if shape != needed:
            raise InputError(
                f"the adapter is for another base model: its tensor {shown(sources[name], 120)} has the shape "
                f"{shape_text(shape)}, the base model needs {shape_text(needed)}"
            )
    for module, parts in adapted.items():
        if not ({"lora_A.weight", "lora_B.weight"} <= parts or {"lora_embedding_A", "lora_embedding_B"} <= parts):
            raise InputError(
                f"the adapter is incomplete: of {shown(module, 120)} it has only {', '.join(sorted(parts))}"
            )
        if not config.get("rank_pattern") and _rank(shapes, module) != config["r"]:
            raise InputError(
                f"adapter_config.json gives rank {config['r']}, but the weights of {shown(module, 120)} have rank "
                f"{_rank(shapes, module)}; the two files do not belong together"
            )
    if config.get("bias", "none") != "none":
        require_biases([f"{module}.bias" for module in adapted if f"{module}.bias" in weights], shapes, config["bias"])
    parts = {module.split(".")[0] for module in adapted}
    here, there = _layers(adapted), _layers(name for name in weights if name.split(".")[0] in parts)
    if _every_layer(config) and here and here != there:
        raise InputError(
            f"the adapter is for another base model: it is for {len(here)} layers, the base model has {len(there)}"
        )


def require_biases(trained: Collection[str], held: Container[str], kind: str) -> None:
    """Refuse an adapter whose file lacks biases that were trained with it.

    Versions of peft before 0.21 left those of ``lora_only`` out when they saved it, without a word.

    Args:
        trained, held: names of the biases of the adapted layers, and of what is in the file.
        kind: ``bias`` of adapter_config.json.
    """
    if lost := [name for name in trained if name not in held]:
        raise InputError(
            f"the adapter was trained together with biases of the base model (bias '{kind}'), and its file lacks "
            f"{len(lost)} of {len(trained)}, such as {shown(lost[0], 120)}; peft before 0.21 leaves them out when it "
            "saves, so what its author measured cannot be computed: ask for a file that holds them"
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


def _every_layer(config: dict) -> bool:
    """Whether an adapter is on all layers alike, as far as its config says."""
    targets = config["target_modules"]
    numbered = any(part.isdigit() for name in targets for part in name.split("."))
    return not (numbered or config.get("layers_to_transform") or config.get("exclude_modules"))


def _layers(names: Iterable[str]) -> set[int]:
    """Numbers of the layers that names of modules or tensors speak of."""
    numbers = (re.search(r"\.(\d{1,4})\.", name) for name in names)
    return {int(number.group(1)) for number in numbers if number}


def names_on_encoder(encoder: dict[str, str]) -> dict[str, str]:
    """Tensor names as peft gives them on the bare encoder -> names in the file.

    Of a layer with LoRA, peft today calls the trained bias ``base_layer.bias``, before version 0.6 ``bias``.
    """
    adapted = {match.group(1) for name in encoder if (match := _LORA.fullmatch(name))}
    renamed = {}
    for name, source in encoder.items():
        module, _, last = name.rpartition(".")
        renamed[_START + (f"{module}.base_layer.{last}" if module in adapted and last == "bias" else name)] = source
    return renamed


def shape_text(shape: tuple) -> str:
    """A shape as it stands in messages."""
    return " × ".join(map(str, shape)) or "of a single number"
