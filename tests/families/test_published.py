"""Folders as the authors of models publish them: with code beside the weights, and entries that nobody reads."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from makers.models import MAKERS, make, sequences
from seqlm.checkpoints.config import check_config
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.esmc import EsmC
from seqlm.families.recognition import recognise
from seqlm.inference.inference import pooled_vectors
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.tokenization.encoder import Encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("families")
    return lambda name: make(name, parent)


def loaded(folder, **options):
    family = recognise(folder, read_model_folder(folder).config)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    return SequenceModel(backbone, family.hidden_size), Encoder(family, folder, **options), family


# what folders of models that are code say in config.json: GENA-LM's BERT, and one that says to be an ESM
CODE = {
    "grover": (
        "modeling_bert.BertModel",
        {"pre_layer_norm": True, "auto_map": {"AutoModel": "modeling_bert.BertModel"}},
    ),
    "nucleotide-transformer": (
        "modeling_esm.EsmForMaskedLM",
        {
            "rescaling": 2,
            "auto_map": {"AutoConfig": "esm_config.EsmConfig", "AutoModelForMaskedLM": "modeling_esm.EsmForMaskedLM"},
        },
    ),
}


@pytest.mark.parametrize("name", CODE)
def test_a_model_that_is_code_of_its_authors_is_not_taken_for_a_plain_one(folder, name):
    """Even where all of its tensors fit."""
    code, entries = CODE[name]
    config = read_model_folder(folder(name)).config
    for said in (entries, {"auto_map": entries["auto_map"]}):
        with pytest.raises(InputError, match=rf"is code of its authors \({code}\), which is never run; it says to be"):
            recognise(folder(name), config | said)
    for harmless in ({"AutoConfig": "esm_config.EsmConfig"}, {"AutoModel": None}, {}, None, ["a.B"]):
        recognise(folder(name), config | {"auto_map": harmless})


def coded(folder, parent, entries=None, tensors=None):
    """ESM-C as its authors publish it: with code beside the weights, for versions of transformers that lack it."""
    target = parent / "published"
    shutil.copytree(folder("esmc"), target)
    config = json.loads((target / "config.json").read_text())
    named = {"AutoConfig": "configuration_esmc.EsmcConfig", "AutoModel": "modeling_esmc.EsmcModel"}
    (target / "config.json").write_text(json.dumps(config | {"auto_map": named} | (entries or {})))
    save_file(load_file(target / "model.safetensors") | (tensors or {}), target / "model.safetensors", {"format": "pt"})
    return target


needs_esmc = pytest.mark.skipif("esmc" not in MAKERS, reason="transformers before 5.16 has no ESM-C")


@needs_esmc
def test_a_class_that_its_authors_brought_into_transformers_is_taken_in_place_of_their_code(folder, tmp_path):
    target = coded(folder, tmp_path, tensors={"classifier.weight": torch.zeros(2, 48)})
    (ours, encoder, _), (plain, *_) = loaded(target), loaded(folder("esmc"))
    encoded = [encoder.encode(text) for text in sequences("esmc")]
    vectors = [pooled_vectors(model, encoded, encoder.padding, budget=500) for model in (ours, plain)]
    assert torch.equal(*vectors)


@needs_esmc
def test_every_entry_of_that_class_is_known_and_no_other(folder, tmp_path):
    config = AutoConfig.for_model("esmc", use_cache=False, torch_dtype="float32").to_dict()
    assert not config.keys() - EsmC.of_its_authors
    with pytest.raises(
        InputError, match=r"code of its authors \(modeling_esmc.EsmcModel\).*: its 'd_model' is no entry"
    ):
        loaded(coded(folder, tmp_path, {"d_model": 48}))


@needs_esmc
@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (
            {"esmc.layers.0.self_attn.gate.weight": (48, 48)},
            "0 weights are missing there, 0 have another shape and 1 no",
        ),
        (
            {"esmc.layers.0.mlp.down_proj.weight": (48, 32)},
            "0 weights are missing there, 1 have another shape and 0 no",
        ),
    ],
)
def test_code_whose_tensors_do_not_fit_that_class_is_refused(folder, tmp_path, tensors, reason):
    tensors = {name: torch.zeros(shape) for name, shape in tensors.items()}
    with pytest.raises(InputError, match=rf"code of its authors \(modeling_esmc.EsmcModel\).*{reason}"):
        loaded(coded(folder, tmp_path, tensors=tensors))


def test_a_model_without_its_sizes_is_refused_by_their_name(folder):
    config = read_model_folder(folder("grover")).config
    for entry, asked in (("hidden_size", "hidden_size"), ("vocab_size", "vocabulary_size"),
                         ("max_position_embeddings", "window")):  # fmt: skip
        family = recognise(folder("grover"), {key: value for key, value in config.items() if key != entry})
        with pytest.raises(InputError, match=f"does not say its {entry}"):
            getattr(family, asked)


PUBLISHED = {  # entries of published config.json files that say something, or seem to
    "modernbert": {
        "classifier_pooling": "mean", "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0,
        "gradient_checkpointing": False, "layer_norm_eps": 1e-12, "local_rope_theta": 10000.0,
        "position_embedding_type": "absolute", "reference_compile": True, "repad_logits_with_grad": False,
        "sparse_pred_ignore_index": -100, "torch_dtype": "float32",
    },
    "nucleotide-transformer": {"esmfold_config": None, "is_folding_model": False, "use_cache": False,
                               "vocab_list": None, "tie_word_embeddings": False},
    "albert": {"down_scale_factor": 1, "gap_size": 0, "net_structure_type": 0, "num_memory_blocks": 0},
    "xlnet": {"attn_type": "bi", "clamp_len": -1, "end_n_top": 5, "mem_len": 384, "reuse_len": None,
              "same_length": False, "summary_type": "last", "untie_r": True, "output_past": True},
    "gpt2": {"n_ctx": 1024, "summary_first_dropout": 0.1, "task_specific_params":
             {"text-generation": {"do_sample": True, "max_length": 50}}},
    "llama": {"pretraining_tp": 1, "rope_theta": 10000.0, "rope_scaling": None, "max_length": 4096},
    "generator": {"pretraining_tp": 1, "rope_theta": 500000.0, "rope_scaling": None, "torch_dtype": "float32"},
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_entries_of_published_configs_are_understood_in_an_upload(folder, name):
    found = read_model_folder(folder(name))
    config = check_config(found.config | {"auto_map": None} | PUBLISHED[name], found.parameters)
    assert recognise(folder(name), config).name


def test_a_model_with_relative_positions_is_not_counted_as_if_it_had_learnt_them(folder):
    """ModernBERT's configs say 'absolute'; 8,192 positions would be more than the whole of a small model."""
    config = read_model_folder(folder("modernbert")).config
    asked = {"max_position_embeddings": 1 << 18, "position_embedding_type": "absolute"}
    check_config(config | asked, read_model_folder(folder("modernbert")).parameters)
