"""Adapters that peft saved predict here what they predict with peft and transformers; what does not fit is refused."""

import json
import subprocess
import sys
import zipfile

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    EsmForSequenceClassification,
    EsmForTokenClassification,
)

from makers.bundles import opened, refused, write_files, zipped
from seqlm.checkpoints.bundle import open_bundle, read_bundle_folder
from seqlm.checkpoints.folder import ModelFolder, read_model_folder
from seqlm.checkpoints.published_adapters import inspect_published
from seqlm.cli.errors import InputError
from seqlm.inference import inference
from seqlm.inference.adapters import load_adapter
from seqlm.inference.published_adapters import load_published

CPU = torch.device("cpu")
PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "MY", "ACDEFGHIKLMNPQRSTVWYX" * 3, "W"]
DNA = ["ACGTACGTTTACGGA", "ACG", "TTTTTTTTGGGGCCCAAAAT"]
CLASSES = {"TOKEN_CLS": AutoModelForTokenClassification, "SEQ_CLS": AutoModelForSequenceClassification}
LORA = {"r": 2, "lora_alpha": 4, "target_modules": ["query", "key", "value"]}


def published(folder, base, task, labels=2, seed=0, **options):
    """An adapter with random weights as peft saves it into ``folder``, and the model with it."""
    torch.manual_seed(seed)
    model = CLASSES[task].from_pretrained(base, num_labels=labels)
    model.name_or_path = "of/its-author"
    model = get_peft_model(model, LoraConfig(task_type=task, **LORA | options))
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(folder)
    if options.get("bias") == "lora_only":  # which not every version of peft saves
        file = folder / "adapter_model.safetensors"
        biases = {name: one for name, one in model.state_dict().items() if name.endswith(".base_layer.bias")}
        save_file(load_file(file) | biases, file, metadata={"format": "pt"})
    return model


def probabilities(model, encoder, sequences):
    """What transformers gives for one padded batch: (sequences, tokens, classes) or (sequences, classes)."""
    rows = [torch.from_numpy(encoder.encode(sequence).rows[0]).long() for sequence in sequences]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=encoder.padding)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=mask).logits.softmax(-1).numpy()


def predicted(found, sequences):
    return [
        values[0]
        for _, _, values in inference.predict(found.model, found.encoder, zip(sequences, sequences, strict=True), 4096)
    ]


def assert_equal(found, model, sequences):
    """The predictions of both, sequence by sequence; they must also differ from residue to residue to mean anything."""
    reference, before = probabilities(model, found.encoder, sequences), len(found.encoder.prefix)
    for number, (sequence, ours) in enumerate(zip(sequences, predicted(found, sequences), strict=True)):
        theirs = reference[number]
        if found.task.level == "residue":
            theirs = theirs[before : before + len(sequence)]
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert reference.std() > 0.02


# -- the same predictions ------------------------------------------------------------------------------------------


def test_the_adapter_of_the_test_data_predicts_what_peft_predicts_with_it(tmp_path, data, model_path):
    bundle = opened(zipped(tmp_path / "a.zip", zip_content(data / "published_adapter.zip")))
    found = load_published(bundle, read_model_folder(model_path("esm")), CPU, "fp32", ("other", "binding"))
    base = EsmForTokenClassification.from_pretrained(model_path("esm"), num_labels=2)
    model = PeftModel.from_pretrained(base, bundle.folder).eval()
    assert (found.task.name, found.task.labels) == ("residue-classification", ("other", "binding"))
    assert "modules_to_save" not in inspect_published(bundle, read_model_folder(model_path("esm"))).encoder.config
    assert_equal(found, model, PROTEINS)


@pytest.mark.parametrize(
    ("base", "task", "options"),
    [
        ("esm", "TOKEN_CLS", {}),
        ("esm", "TOKEN_CLS", {"use_dora": True, "use_rslora": True}),
        ("esm", "TOKEN_CLS", {"bias": "all"}),
        ("esm", "TOKEN_CLS", {"bias": "lora_only"}),
        ("esm", "TOKEN_CLS", {"target_modules": ["query", "word_embeddings"]}),
        (
            "esm",
            "TOKEN_CLS",
            {"layers_to_transform": [1], "rank_pattern": {"esm.encoder.layer.1.attention.self.key": 5}},
        ),
        ("esm", "SEQ_CLS", {}),
        ("esm", "SEQ_CLS", {"target_modules": "all-linear"}),
        ("esm", "SEQ_CLS", {"target_modules": ["dense"], "modules_to_save": ["LayerNorm", "emb_layer_norm_after"]}),
        ("bert", "TOKEN_CLS", {}),
        ("roberta", "SEQ_CLS", {}),
        ("t5", "TOKEN_CLS", {"target_modules": ["q", "v", "wo"]}),
    ],
)
def test_any_adapter_of_peft_predicts_what_it_predicts_there(tmp_path, model_path, base, task, options):
    model = published(tmp_path / "saved", model_path(base), task, labels=3, **options)
    found = load_published(read_bundle_folder(tmp_path / "saved"), read_model_folder(model_path(base)), CPU, "fp32")
    assert_equal(found, model, DNA if base == "roberta" else PROTEINS)


@pytest.mark.parametrize("bias", ["lora_only", "all"])
def test_an_adapter_whose_trained_biases_are_not_in_its_file_is_refused_for_that(tmp_path, model_path, bias):
    """peft before 0.21 left those of ``lora_only`` out when it saved."""
    base = read_model_folder(model_path("esm"))
    published(tmp_path / "saved", model_path("esm"), "TOKEN_CLS", bias=bias)
    file = tmp_path / "saved" / "adapter_model.safetensors"
    kept = {
        name: one
        for name, one in load_file(file).items()
        if not name.endswith("layer.1.attention.self.key.base_layer.bias")
    }
    save_file(kept, file, metadata={"format": "pt"})
    reason = (
        rf"biases of the base model \(bias '{bias}'\), and its file lacks 1 of 6, such as \S+layer.1.attention.self.key"
    )
    with pytest.raises(InputError, match=reason):
        inspect_published(read_bundle_folder(tmp_path / "saved"), base)


def test_a_decoder_s_adapter_without_its_trained_biases_is_refused_for_that(tmp_path, model_path):
    """Its tensors are compared with the whole model's where that is loaded."""
    options = {"target_modules": ["c_attn"], "bias": "lora_only", "r": 2, "lora_alpha": 4}
    model = AutoModelForCausalLM.from_pretrained(model_path("protgpt2"))
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    trained = {name: one for name, one in model.state_dict().items() if "lora_" in name or ".base_layer.bias" in name}
    torch.manual_seed(1)
    trained = {name.replace(".default", ""): torch.randn_like(one) / 3 for name, one in trained.items()}
    model.load_state_dict(
        {name.replace(".weight", ".default.weight"): one for name, one in trained.items()}, strict=False
    )
    config, ids = {**options, "peft_type": "LORA", "task_type": "CAUSAL_LM"}, torch.arange(20)[None]
    save_file(trained, tmp_path / "adapter_model.safetensors")
    again = load_adapter(AutoModelForCausalLM.from_pretrained(model_path("protgpt2")), tmp_path, config)
    torch.testing.assert_close(again(ids).logits, model(ids).logits)
    save_file({name: one for name, one in trained.items() if "lora_" in name}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(
        InputError, match=r"its file lacks 2 of 2, such as base_model.model.transformer.h.0.attn.c_attn"
    ):
        load_adapter(AutoModelForCausalLM.from_pretrained(model_path("protgpt2")), tmp_path, config)


def test_a_single_output_is_a_number(tmp_path, model_path):
    model = published(tmp_path / "saved", model_path("esm"), "SEQ_CLS", labels=1)
    found = load_published(read_bundle_folder(tmp_path / "saved"), read_model_folder(model_path("esm")), CPU, "fp32")
    assert (found.task.name, found.task.labels) == ("sequence-regression", None)
    ids = torch.tensor([found.encoder.encode("MKTAYIAKQR").rows[0].tolist()])
    with torch.inference_mode():
        assert predicted(found, ["MKTAYIAKQR"]) == [pytest.approx(model(input_ids=ids).logits.item(), abs=1e-5)]


def test_biases_are_found_under_the_names_of_older_versions_of_peft(tmp_path, model_path):
    base = read_model_folder(model_path("esm"))
    model = published(tmp_path / "saved", model_path("esm"), "TOKEN_CLS", bias="all")
    file = tmp_path / "saved" / "adapter_model.safetensors"
    old = {name.replace(".base_layer.bias", ".bias"): tensor for name, tensor in load_file(file).items()}
    assert any(name.endswith("query.bias") for name in old)
    old["base_model.model.classifier.modules_to_save.bias"][0] += (
        1  # a copy, and which of the two counts is no accident
    )
    save_file(old, file)
    bundle = read_bundle_folder(tmp_path / "saved")
    assert_equal(load_published(bundle, base, CPU, "fp32"), model, PROTEINS)
    assert "2 tensors of the adapter" in " ".join(inspect_published(bundle, base).notes)


def test_an_adapter_without_a_task_type_has_the_task_of_its_class(tmp_path, model_path):
    torch.manual_seed(0)
    model = EsmForSequenceClassification.from_pretrained(model_path("esm"), num_labels=2)
    get_peft_model(model, LoraConfig(**LORA, modules_to_save=["classifier"])).save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "adapter_config.json").read_text())["task_type"] is None
    found = inspect_published(read_bundle_folder(tmp_path / "saved"), read_model_folder(model_path("esm")))
    assert found.task == "sequence-classification"


def test_adapters_are_looked_at_without_torch(tmp_path, data):
    code = f"""
import sys
from seqlm.checkpoints.bundle import open_bundle
from seqlm.checkpoints.folder import read_model_folder
from seqlm.checkpoints.published_adapters import inspect_published
bundle = open_bundle({str(data / "published_adapter.zip")!r}, {str(tmp_path)!r})
found = inspect_published(bundle, read_model_folder({str(data / "models" / "tiny-esm")!r}))
print(found.task, "torch" in sys.modules)
"""
    scripts = str(data.parent / "tools" / "scripts")
    done = subprocess.run([sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["residue-classification", "False"]


# -- names ---------------------------------------------------------------------------------------------------------


def zip_content(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def adapter(tmp_path, data):
    """The bundle of the test adapter, its tensors and config changed."""

    def make(changed_tensors=lambda tensors: tensors, **changed_config):
        files = zip_content(data / "published_adapter.zip")
        write_files(tmp_path / "plain", files)
        tensors = changed_tensors(load_file(tmp_path / "plain" / "adapter_model.safetensors"))
        config = json.loads(files["adapter_config.json"]) | changed_config
        files |= {"adapter_model.safetensors": save(tensors), "adapter_config.json": json.dumps(config).encode()}
        return opened(zipped(tmp_path / "a.zip", files))

    return make


@pytest.fixture
def esm(model_path):
    return read_model_folder(model_path("esm"))


def named(model: ModelFolder, **id2label) -> ModelFolder:
    id2label = {key.removeprefix("n"): label for key, label in id2label.items()}
    return ModelFolder(model.path, model.config | {"id2label": id2label}, model.weights, model.tensors)


def test_labels_come_from_the_user_else_from_the_base_model_else_are_numbers(adapter, esm):
    bundle = adapter()
    of_base = named(esm, n0="none", n1="site")
    assert inspect_published(bundle, of_base, ("a", "b")).labels == ("a", "b")
    assert inspect_published(bundle, of_base).labels == ("none", "site")
    for base in (esm, named(esm, n0="a", n1="b", n2="c"), named(esm, n0="LABEL_0", n1="LABEL_1")):
        found = inspect_published(bundle, base)
        assert found.labels == ("0", "1")
        assert "names the 2 outputs" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(("a", "b", "c"), "2 outputs, and labels are given for 3"), (("a", "a"), "label twice"), (("a", "\n"), "line")],
)
def test_labels_that_do_not_fit_are_refused(adapter, esm, labels, reason):
    with pytest.raises(InputError, match=reason):
        inspect_published(adapter(), esm, labels)


@pytest.mark.parametrize(
    ("name", "note"),
    [("another-home/Tiny-ESM", ""), ("facebook/esm2_t12", "trained on facebook/esm2_t12"), (None, "does not say")],
)
def test_another_name_of_the_base_model_is_worth_a_note_and_no_mistake(adapter, esm, name, note):
    notes = " ".join(inspect_published(adapter(base_model_name_or_path=name), esm, ("a", "b")).notes)
    assert note in notes
    assert bool(note) == bool(notes)


# -- what does not fit ---------------------------------------------------------------------------------------------

QUERY = "base_model.model.esm.encoder.layer.0.attention.self.query"


def without(*parts):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if not any(part in name for part in parts)}


def renamed(old, new):
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


def extra(name, *shape, dtype=torch.float32):
    return lambda tensors: tensors | {name: torch.zeros(*shape, dtype=dtype)}


def resized(part, *shape):
    return lambda tensors: {name: torch.zeros(*shape) if part in name else t for name, t in tensors.items()}


@pytest.mark.parametrize(
    ("change", "config", "reason"),
    [
        (without("classifier"), {}, "no classification head"),
        (without("classifier.bias"), {}, "bias, weight are expected"),
        (renamed("classifier", "qa_outputs"), {}, "neither to the encoder of a 'esm' model nor to a head"),
        (extra("base_model.model.score.weight", 2, 64), {}, "two heads"),
        (extra("base_model.model.classifier.lora_A.weight", 2, 64), {}, "LoRA inside its head"),
        (extra("base_model.model.lm_head.dense.weight", 64, 64), {}, "nor to a head"),
        (extra("esm.encoder.layer.0.output.dense.bias", 64), {}, "not named as peft names"),
        (extra(QUERY + ".extra", 64), {}, "which the base model does not have"),
        (extra(QUERY + ".lora_A.extra.weight", 64), {}, "which the base model does not have"),
        (resized("classifier.bias", 3), {}, "do not fit each other: bias 3, weight 2 × 64"),
        (resized("classifier.weight", 2), {}, "do not fit each other"),
        (resized("classifier.weight", 2, 480), {}, "head reads 480 numbers, the base model gives 64"),
        (resized("query.lora_A", 2, 480), {}, "query.lora_A.weight has the shape 2 × 480, the base model needs 2 × 64"),
        (resized("query.lora_B", 64, 3), {}, "has the shape 64 × 3, the base model needs 64 × 2"),
        (without("query.lora_B"), {}, "it has only lora_A.weight"),
        (without("layer.1."), {}, "is for 1 layers, the base model has 2"),
        (renamed("layer.1.", "layer.7."), {}, "changes encoder.layer.7.attention"),
        (renamed(".esm.", ".bert."), {}, "for models of type 'bert'"),
        (renamed(".esm.", ".transformer."), {}, "for models of type 't5'"),
        (renamed("classifier.", "classifier.dense."), {"task_type": "SEQ_CLS"}, "out_proj.weight are expected"),
        (extra(QUERY + ".lora_A.bias", 64, dtype=torch.int8), {}, "numbers of type I8"),
        (without(), {"task_type": "FEATURE_EXTRACTION"}, "brings no classification head"),
        (without(), {"task_type": "CAUSAL_LM"}, "task type CAUSAL_LM"),
        (without(), {"task_type": None}, "task type null"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_before_anything_is_loaded(adapter, esm, change, config, reason):
    with pytest.raises(InputError) as refusal:
        inspect_published(adapter(change, **config), esm)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_rank_that_the_weights_do_not_have_is_refused_when_the_archive_is_opened(tmp_path, data):
    files = zip_content(data / "published_adapter.zip")
    files["adapter_config.json"] = files["adapter_config.json"].replace(b'"r": 2', b'"r": 1024')
    assert "gives rank 1024, but the weights have rank 2" in refused(zipped(tmp_path / "a.zip", files))


def test_a_rank_of_one_layer_alone_is_refused(adapter, esm):
    def other_rank(tensors):
        return tensors | {QUERY + ".lora_A.weight": torch.zeros(4, 64), QUERY + ".lora_B.weight": torch.zeros(64, 4)}

    with pytest.raises(InputError, match=r"rank 2, but the weights of encoder.layer.0.*query have rank 4"):
        inspect_published(adapter(other_rank), esm)


@pytest.mark.parametrize(
    ("base", "prefix", "reason"), [("bert", ".bert.", "pooler"), ("t5", ".transformer.", "the decoder")]
)
def test_sequence_classifiers_that_need_more_than_the_encoder_are_refused(adapter, model_path, base, prefix, reason):
    bundle = adapter(renamed(".esm.", prefix), task_type="SEQ_CLS")
    with pytest.raises(InputError, match=reason):
        inspect_published(bundle, read_model_folder(model_path(base)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["query.lora_A", "classifier.weight"])
def test_weights_that_are_no_numbers_are_refused(adapter, esm, part, value):
    bundle = adapter(lambda tensors: {n: t * value if part in n else t for n, t in tensors.items()})
    with pytest.raises(InputError, match=f"damaged: its tensor .*{part}"):
        load_published(bundle, esm, CPU, "fp32")


def test_a_layer_that_the_config_adapts_and_the_file_lacks_is_refused(adapter, esm):
    bundle = adapter(target_modules=["query", "key", "value", "dense"])
    with pytest.raises(InputError, match="does not fit this base model"):
        load_published(bundle, esm, CPU, "fp32")


def test_a_pickled_adapter_is_never_opened_and_the_way_out_is_named(tmp_path, data):
    files = zip_content(data / "published_adapter.zip")
    del files["adapter_model.safetensors"]
    files["adapter_model.bin"] = b"\x80\x02cos\nsystem\n"
    with pytest.raises(InputError, match=r"adapter_model.bin.*save_pretrained\(new_folder, safe_serialization=True\)"):
        read_bundle_folder(write_files(tmp_path / "folder", files))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"adapter_model.bin.*save_pretrained\(new_folder, safe_serialization=True\)"):
        open_bundle(zipped(tmp_path / "a.zip", files), tmp_path / "empty")
