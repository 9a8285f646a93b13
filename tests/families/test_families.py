"""Every family against transformers' own classes, and its own tokenizer, run one sequence at a time."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, T5EncoderModel

from makers import six_mer_models
from makers.models import LUCAONE, MAKERS, OWN, PROTEINBERT, SPACED, make, sequences
from makers.pieces import own_tokenizer
from makers.protein_models import written
from makers.scripts import run_batch, shown_by_card
from makers.scripts import table as read_table
from seqlm.checkpoints.adapter_config import check_adapter_config, ranks_agree
from seqlm.checkpoints.bundle import check_tokenizer_files, read_bundle_folder
from seqlm.checkpoints.config import check_config
from seqlm.checkpoints.folder import read_model_folder
from seqlm.checkpoints.published_adapters import inspect_published
from seqlm.checkpoints.safetensors_header import read_tensors
from seqlm.checkpoints.tokenizer import copy_tokenizer
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN
from seqlm.families.esmc import EsmC
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import (
    LoraSettings,
    RankAllocation,
    add_adapter,
    allocation_of,
    load_adapter,
    save_adapter,
)
from seqlm.inference.inference import pooled_vectors
from seqlm.inference.loading import SequenceModel, load_backbone, placed
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.finetune.costs import costs
from seqlm.training.recomputing import compute_again

ALPHABETS = {
    "grover": DNA, "nucleotide-transformer": DNA, "nucleotide-transformer-v2": DNA, "modernbert": DNA,
    "generator": DNA, "carbon": DNA, "hyenadna": DNA,
}  # fmt: skip
DECODERS = ("gpt2", "llama", "progen2", "generator", "carbon", "hyenadna")
T5 = ("prostt5", "ankh", "ankh3")
ADDED = {
    "nucleotide-transformer": (1, 0),
    "nucleotide-transformer-v2": (1, 0),
    "xlnet": (0, 2),
    "gpt2": (0, 0),
    "llama": (1, 0),
    "progen2": (1, 0),
    "generator": (1, 0),
    "carbon": (1, 0),
    "hyenadna": (0, 0),
    "ankh": (0, 1),
}  # special tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("families")
    return lambda name: make(name, parent)


def loaded(folder, **options):
    family = recognise(folder, read_model_folder(folder).config)
    backbone = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    return SequenceModel(backbone, family.hidden_size), Encoder(family, folder, **options), family


def own_tokens(folder, name, sequence):
    """What the model's own tokenizer gives, with its special tokens."""
    if name in six_mer_models.MAKERS:  # which are code
        return six_mer_models.plain_ids(name, sequence)
    if name == "hyenadna":  # whose tokenizer is code; the [SEP] that it puts at the end is seen by none before it
        return [7 + "ACGTN".index(base) for base in sequence]
    if name == "lucaone":  # likewise
        return [2, *map(LUCAONE.index, sequence), 3]
    if name == "proteinbert":  # whose tokenizer is of a library of its own
        return [1, *map(PROTEINBERT.index, sequence), 2]
    text = " ".join(sequence) if name in SPACED else written(name, sequence)
    text = "1" + text if name == "progen2" else text  # the N terminus
    ids = own_tokenizer(folder)(text)["input_ids"]
    # transformers adds an <eos> of its own to the Nucleotide Transformer, for which the model has no embedding
    return ids[:-1] if name.startswith("nucleotide-transformer") else ids


@pytest.mark.parametrize("name", MAKERS)
def test_tokens_are_those_of_the_model_s_own_tokenizer(folder, name):
    _, encoder, family = loaded(folder(name))
    assert family.alphabet == ALPHABETS.get(name, PROTEIN)
    for sequence in sequences(name):
        assert encoder.encode(sequence).rows[0].tolist() == own_tokens(folder(name), name, sequence)


@pytest.mark.parametrize("name", MAKERS)
def test_pooled_vector_is_the_mean_of_a_plain_loop(folder, name):
    """One sequence at a time, no padding, special tokens cut away by slicing, and the published class."""
    model, encoder, _ = loaded(folder(name))
    cls = T5EncoderModel if name in T5 else OWN.get(name, AutoModel)
    reference = cls.from_pretrained(folder(name), attn_implementation="eager").eval()
    texts = sequences(name)
    ours = pooled_vectors(model, [encoder.encode(text) for text in texts], encoder.padding, budget=150)
    first, last = ADDED.get(name, (1, 1))
    for text, vector in zip(texts, ours, strict=True):
        ids = torch.tensor([own_tokens(folder(name), name, text)])
        with torch.no_grad():
            hidden = reference(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        torch.testing.assert_close(vector, hidden[first : len(hidden) - last].mean(0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_padding_and_the_order_of_a_batch_change_nothing(folder, name):
    model, encoder, _ = loaded(folder(name))
    encoded = [encoder.encode(text) for text in sequences(name, 12)]
    alone = pooled_vectors(model, encoded, encoder.padding, budget=1)
    together = pooled_vectors(model, encoded, encoder.padding, budget=100_000)
    backwards = pooled_vectors(model, encoded[::-1], encoder.padding, budget=100_000).flip(0)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together, backwards, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MAKERS)
def test_half_precision_gives_nearly_the_same(folder, name, dtype):
    model, encoder, family = loaded(folder(name))
    rounded = SequenceModel(load_backbone(folder(name), family, dtype, torch.device("cpu")), family.hidden_size)
    encoded = [encoder.encode(text) for text in sequences(name)]
    first, second = (pooled_vectors(one, encoded, encoder.padding, budget=300) for one in (model, rounded))
    assert torch.isfinite(second).all()
    assert torch.cosine_similarity(first, second, dim=1).min() > 0.999


@pytest.mark.parametrize("name", MAKERS)
def test_an_adapter_in_half_precision_leaves_positions_in_single(folder, name, tmp_path):
    """Rotary frequencies rounded to bf16 would put the tokens of a long sequence at wrong places."""
    model, encoder, family = loaded(folder(name))
    save_adapter(add_adapter(model.backbone, family, LoraSettings(rank=2, modules="all-linear"), "base"), tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    exact = dict(loaded(folder(name))[0].backbone.named_buffers())
    half = load_backbone(folder(name), family, torch.bfloat16, torch.device("cpu"))
    adapted = placed(load_adapter(half, tmp_path, config), torch.device("cpu"), torch.bfloat16)
    # HyenaDNA takes sines of ten times a number for its filters
    rounded = {one.dtype for name, one in adapted.named_parameters() if ".filter_fn." not in name}
    assert rounded == {torch.bfloat16}
    for buffer, value in adapted.get_base_model().named_buffers():
        torch.testing.assert_close(value, exact[buffer], rtol=0, atol=0)
    encoded = [encoder.encode(sequences(name)[0])]
    assert torch.isfinite(pooled_vectors(SequenceModel(adapted, family.hidden_size), encoded, 0, budget=300)).all()


@pytest.mark.parametrize("name", MAKERS)
def test_all_layers_come_out_and_the_last_is_the_vector(folder, name):
    model, encoder, family = loaded(folder(name))
    ids = torch.tensor([encoder.encode(sequences(name)[0]).rows[0].tolist()])
    given = model.backbone(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    assert len(given.hidden_states) == family.depth + 1
    torch.testing.assert_close(given.hidden_states[-1], given.last_hidden_state)


@pytest.mark.parametrize("name", MAKERS)
def test_a_sequence_of_the_whole_window_is_read(folder, name):
    model, encoder, family = loaded(folder(name), long_sequences="truncate")
    encoded = encoder.encode(sequences(name, 1, 13_000, 13_000)[0])
    assert len(encoded.rows[0]) == encoder.max_length + len(family.prefix) + len(family.suffix)
    assert torch.isfinite(pooled_vectors(model, [encoded], encoder.padding, budget=1000)).all()


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_sees_only_what_comes_before(folder, name):
    model, encoder, family = loaded(folder(name))
    assert family.causal
    row = encoder.encode(sequences(name, 1, 42, 42)[0]).rows[0]
    changed = np.append(row[:-1], row[-1] - 1)
    with torch.no_grad():
        first, second = (model.backbone(input_ids=torch.tensor(ids[None])).last_hidden_state for ids in (row, changed))
    torch.testing.assert_close(first[:, :-1], second[:, :-1])
    assert (first[:, -1] - second[:, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in DECODERS])
def test_an_encoder_sees_what_comes_after_as_well(folder, name):
    model, encoder, family = loaded(folder(name))
    assert not family.causal
    row = encoder.encode(sequences(name, 1, 40, 40)[0]).rows[0]
    last = len(row) - len(family.suffix) - 1
    changed = row.copy()
    changed[last] = row[last - 1] if row[last] != row[last - 1] else row[last - 2]
    with torch.no_grad():
        first, second = (model.backbone(input_ids=torch.tensor(ids[None])).last_hidden_state for ids in (row, changed))
    assert (first[:, last - 1] - second[:, last - 1]).abs().max() > 1e-6


@pytest.mark.parametrize("modules", ["query-value", "attention", "all-linear"])
@pytest.mark.parametrize("name", MAKERS)
def test_an_adapter_is_trained_and_nothing_else(folder, name, modules):
    model, encoder, family = loaded(folder(name))
    if modules not in family.lora_modules:
        with pytest.raises(InputError, match=f"take no adapter on '{modules}'; choose all-linear"):
            add_adapter(model.backbone, family, LoraSettings(rank=2, modules=modules), "base")
        return
    settings = LoraSettings(rank=2, modules=modules, layer_norms=True)
    model.backbone = add_adapter(model.backbone, family, settings, "base")
    trained = {name for name, parameter in model.backbone.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "norm" in name.lower() or ".ln_" in name for name in trained)
    targets = {name.split(".lora_")[0] for name in trained if "lora_" in name}
    for target in family.lora_modules[modules]:
        # the gated T5 has two maps in place of one
        assert any(one.endswith(target) for one in targets) or (name in T5 and target.startswith("wi")), target
    for norm in family.layer_norms:
        kept = [name for name in trained if f"{norm}.modules_to_save" in name]
        assert kept or norm == "emb_layer_norm_after" or name == "modernbert"
    batch = torch.tensor([encoder.encode(sequences(name)[0]).rows[0].tolist()])
    model.backbone(input_ids=batch).last_hidden_state.sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters() if not p.requires_grad)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.backbone.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", MAKERS)
def test_an_uploaded_config_of_each_family_is_understood(folder, name):
    found = read_model_folder(folder(name))
    kept = check_config(found.config | {"auto_map": None}, found.parameters)
    assert recognise(folder(name), kept).window == recognise(folder(name), found.config).window
    (folder(name) / "config.json").write_text(json.dumps(kept))
    loaded(folder(name))


@pytest.mark.parametrize("name", MAKERS)
def test_weights_that_are_missing_are_named(folder, name, tmp_path):
    shutil.copytree(folder(name), tmp_path / "damaged")
    weights = load_file(tmp_path / "damaged" / "model.safetensors")
    lost = sorted(name for name in weights if ("layer" in name or ".h." in name) and not name.startswith("lm_head"))[0]
    del weights[lost]
    save_file(weights, tmp_path / "damaged" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="is incomplete: 1 weights are missing"):
        loaded(tmp_path / "damaged")


def test_six_bases_are_a_token_and_what_is_left_is_read_base_by_base(folder):
    """The Nucleotide Transformer: 6-mers from the start, single bases at the end and around an N, no <eos>."""
    _, encoder, family = loaded(folder("nucleotide-transformer"))
    names = {number: token for token, number in family.vocabulary.items()}
    read = [names[number] for number in encoder.encode("ACGTACGGGTTTCATAGNACCGTAACG").rows[0]]
    assert read == ["<cls>", "ACGTAC", "GGGTTT", *"CATAGN", "ACCGTA", *"ACG"]
    assert (family.window, family.prefix, family.suffix) == (999, ("<cls>",), ())
    assert not family.one_letter_tokens


def test_an_end_without_an_embedding_is_left_away(folder, tmp_path):
    """AgroNT: a Nucleotide Transformer whose vocabulary has <eos> and <bos> behind the 4,105 tokens of the model."""
    shutil.copytree(folder("nucleotide-transformer"), tmp_path / "agront")
    with open(tmp_path / "agront" / "vocab.txt", "a") as file:
        file.write("\n<eos>\n<bos>")
    plain, other = (loaded(one)[1] for one in (folder("nucleotide-transformer"), tmp_path / "agront"))
    for sequence in sequences("nucleotide-transformer"):
        assert other.encode(sequence).rows[0].tolist() == plain.encode(sequence).rows[0].tolist()


def test_rare_residues_are_x_in_the_models_of_prottrans(folder):
    for name in SPACED:
        _, encoder, family = loaded(folder(name))
        assert family.replacements == dict.fromkeys("UZOBJ", "X")
        assert family.one_letter_tokens and family.citations == ("prottrans",)
        assert len(encoder.encode("MKXXA").rows[0]) == 7


def test_pieces_of_several_letters_are_no_single_residues(folder):
    """A vocabulary of byte pairs holds every single letter too."""
    _, _, family = loaded(folder("gpt2"))
    assert set("ACDEFGHIKLMNPQRSTVWY") <= set(family.vocabulary)
    assert not family.one_letter_tokens


@pytest.mark.parametrize("method", ["adalora", "ia3", "vera"])
@pytest.mark.parametrize("name", MAKERS)
def test_every_adapter_learns_and_is_read_back(folder, name, method, tmp_path):
    model, encoder, family = loaded(folder(name))
    modules = "attention" if "attention" in family.lora_modules else "all-linear"
    last = 1 if name not in ("albert", "proteinbert") else 0  # whose layers are one, or hand on more
    settings = LoraSettings(method=method, rank=2, dropout=0.0, modules=modules, last_layers=last, layer_norms=True)
    adapted = add_adapter(model.backbone, family, settings, "base")
    ids = torch.tensor([encoder.encode(sequences(name)[0]).rows[0].tolist()])
    before = adapted(input_ids=ids).last_hidden_state.detach()
    learning = torch.optim.AdamW([one for one in adapted.parameters() if one.requires_grad], lr=0.1)
    ranks = RankAllocation(allocation_of(adapted), 4) if method == "adalora" else None
    for step in range(4):
        adapted(input_ids=ids).last_hidden_state.square().sum().backward()
        learning.step()
        if ranks:
            ranks.allocate(step + 1)
        learning.zero_grad()
    trained = {name for name, one in adapted.named_parameters() if one.requires_grad}
    said = {one.method: one for one in costs(family.load, folder(name), family, settings, [method, "full", "qlora"])}
    assert said[method].trained == sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    assert said["full"].memory > said["qlora"].memory
    mark = {"adalora": ".lora_E.", "ia3": ".ia3_l.", "vera": ".vera_lambda_d."}[method]
    found = {name.split(mark)[0] for name in trained if mark in name}
    if method == "ia3":
        maps = [module for module in adapted.modules() if hasattr(module, "is_feedforward")]
        attends = name not in ("xlnet", "proteinbert")
        assert [any(one.is_feedforward is kind for one in maps) for kind in (True, False)] == [True, attends]
        assert not any("attention.output" in one for one in found)
    if last:
        assert len({re.search(r"\.(\d+)\.", one).group(1) for one in found}) == 1
    with torch.no_grad():
        after = adapted.eval()(input_ids=ids).last_hidden_state
    assert (after - before).abs().max() > 1e-2
    save_adapter(adapted, tmp_path)
    config = check_adapter_config(json.loads((tmp_path / "adapter_config.json").read_text()))
    held = read_tensors(tmp_path / "adapter_model.safetensors")
    ranks_agree(config, {name: shape for name, (_, shape) in held.items()}, "a.zip")
    again = load_adapter(loaded(folder(name))[0].backbone, tmp_path, config)
    plain = PeftModel.from_pretrained(loaded(folder(name))[0].backbone, tmp_path).eval()
    half = placed(load_adapter(loaded(folder(name))[0].backbone, tmp_path, config), torch.device("cpu"), torch.bfloat16)
    with torch.no_grad():
        for one, away in ((again, 1e-6), (plain, 1e-6), (half, 0.1)):
            given = one(input_ids=ids).last_hidden_state.float()
            torch.testing.assert_close(given, after, atol=away * float(after.abs().max()), rtol=0)


@pytest.mark.parametrize("name", MAKERS)
def test_activations_are_computed_again_where_the_architecture_can(folder, name):
    model, _, family = loaded(folder(name))
    if family.checkpointing:
        family.check_training(checkpointing=True)
        compute_again(model.backbone)
        return
    with pytest.raises(InputError, match="cannot be trained with gradient checkpointing"):
        family.check_training(checkpointing=True)
    with pytest.raises(ValueError, match="does not support"):
        compute_again(model.backbone)


def test_training_that_an_architecture_does_not_allow_is_refused_before_torch(folder, data, tmp_path):
    options = ["--train", data / "sites_train.fasta", "--output-model", "bundle.zip", "--model", folder("xlnet")]
    (adapted, checkpointed) = run_batch(
        [
            (tmp_path, "finetune", *options, "--lora-modules", "attention"),
            (tmp_path, "finetune", *options, "--lora-modules", "all-linear", "--gradient-checkpointing"),
        ],
        torch=False,
    )
    assert adapted.returncode == checkpointed.returncode == 2
    assert adapted.stderr.startswith("error: XLNet models take no adapter on 'attention'; choose all-linear")
    assert checkpointed.stderr.startswith("error: XLNet models cannot be trained with gradient checkpointing")


def test_a_published_adapter_of_another_family_is_refused_by_name(folder, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(folder("gpt2"), num_labels=2)
    config = LoraConfig(task_type=TaskType.SEQ_CLS, target_modules=["c_attn"], fan_in_fan_out=True)
    get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    bundle = read_bundle_folder(tmp_path / "adapter")
    with pytest.raises(InputError, match="published adapters for models of type 'gpt2' are not supported; supported"):
        inspect_published(bundle, read_model_folder(folder("gpt2")))


def test_a_model_that_no_bundle_can_be_made_of_is_refused_before_training(folder, data, tmp_path):
    shutil.copytree(folder("gpt2"), tmp_path / "tokenizer")
    settings = json.loads((tmp_path / "tokenizer" / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings | {"odd_habit": 7}))
    shutil.copytree(folder("gpt2"), tmp_path / "config")
    config = json.loads((tmp_path / "config" / "config.json").read_text())
    (tmp_path / "config" / "config.json").write_text(json.dumps(config | {"odd_habit": 7}))
    options = ["--train", data / "sites_train.fasta", "--output-model", "bundle.zip", "--model"]
    tokenizer, full, adapter = run_batch(
        [
            (tmp_path, "finetune", *options, tmp_path / "tokenizer"),
            (tmp_path, "finetune", *options, tmp_path / "config", "--method", "full"),
            (tmp_path, "finetune", *options, tmp_path / "config", "--epochs", "1"),
        ]
    )
    assert tokenizer.stderr.startswith("error: 'odd_habit' in tokenizer_config.json in the base model is not known")
    assert full.stderr.startswith("error: 'odd_habit' in config.json of the base model is not known")
    assert adapter.returncode == 0, adapter.stderr  # its config stays where it is


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


def test_every_family_goes_through_fine_tuning_the_bundle_prediction_and_the_python_of_its_card(folder, data, tmp_path):
    named = ["--id-column", "protein", "--sequence-column", "residues"]
    tables = {DNA: ("promoters.tsv", "label", []), PROTEIN: ("locations.tsv", "location", named)}
    one = {DNA: "TTGACAGCTATTGACCGTAC", PROTEIN: "MKTAYIAKQRQISFVKSHFS"}
    calls = []
    for number, name in enumerate(MAKERS):
        table, label, columns = tables[ALPHABETS.get(name, PROTEIN)]
        method = ("full", "lora")[number % 2]  # each has its own way into the bundle
        made = ["--method", method, "--lora-modules", "all-linear", "--epochs", "1", "--output-model", "bundle.zip"]
        base = ["--base-model", folder(name)] if method == "lora" else []
        work = tmp_path / name
        work.mkdir()
        model = ["--model", folder(name), "--model-id", folder(name), "--train", data / table]
        calls.append((work, "finetune", *model, "--label-column", label, *columns, *made))
        (work / "one.fasta").write_text(f">one\n{one[ALPHABETS.get(name, PROTEIN)]}\n")
        read = ["--model", "bundle.zip", *base, "--sequences", "one.fasta", "--output-table", "table.tsv"]
        calls.append((work, "predict", *read))
    for (work, script, *_), done in zip(calls, run_batch(calls), strict=True):
        assert done.returncode == 0, f"{work.name} {script}: {done.stderr[-500:]}"
    for name in sorted({*MAKERS} - {"albert", "xlnet"}):  # the cards of these need SentencePiece
        letters, work = one[ALPHABETS.get(name, PROTEIN)], tmp_path / name
        row = read_table(work / "table.tsv")[0]
        predicted = [float(value) for key, value in row.items() if key.startswith("probability")]
        shown = shown_by_card(work / "bundle.zip", work / "card", letters)
        assert shown == pytest.approx(predicted, abs=1e-4), name


@pytest.mark.parametrize("name", MAKERS)
def test_the_tokenizer_of_each_family_may_be_in_a_bundle(folder, name, tmp_path):
    """Or a fine-tuning would fail when all is done."""
    copy_tokenizer(folder(name), tmp_path)
    check_tokenizer_files(tmp_path, {file.name for file in tmp_path.iterdir()}, "the model", lambda *_: None)


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
    config = check_config(found.config | PUBLISHED[name], found.parameters)
    assert recognise(folder(name), config).name


def test_a_model_with_relative_positions_is_not_counted_as_if_it_had_learnt_them(folder):
    """ModernBERT's configs say 'absolute'; 8,192 positions would be more than the whole of a small model."""
    config = read_model_folder(folder("modernbert")).config
    asked = {"max_position_embeddings": 1 << 18, "position_embedding_type": "absolute"}
    check_config(config | asked, read_model_folder(folder("modernbert")).parameters)
