"""Every family against transformers' own classes, and its own tokenizer, run one sequence at a time."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, T5EncoderModel

from makers import six_mer_models
from makers.models import LUCAONE, MAKERS, OWN, PROTEINBERT, SPACED, make, sequences
from makers.pieces import own_tokenizer
from makers.protein_models import written
from makers.scripts import run_batch, shown_by_card
from makers.scripts import table as read_table
from seqlm.checkpoints.bundle import check_tokenizer_files
from seqlm.checkpoints.config import check_config
from seqlm.checkpoints.folder import read_model_folder
from seqlm.checkpoints.tokenizer import copy_tokenizer
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN
from seqlm.families.recognition import recognise
from seqlm.inference.inference import pooled_vectors
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.tokenization.encoder import Encoder
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


@pytest.mark.slow
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
