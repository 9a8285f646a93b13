"""How sequences become tokens: every letter in one token, windows and weights, molecules whose atoms got lost."""

import contextlib
import io
import json
import random
import re
import shutil
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import RobertaConfig, RobertaModel

from makers.scripts import manifest, table
from seqlm.checkpoints.bundle import open_bundle
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.loading import load_backbone
from seqlm.tokenization.encoder import REPAIRED, Encoder
from seqlm.tokenization.reading import UNKNOWN, UNREAD
from seqlm.tokenization.unknown import refuse_unknown

SPECIAL = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
CONFIG = {
    "model_type": "roberta", "vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 515, "pad_token_id": 1, "type_vocab_size": 1,
}  # fmt: skip
# the letters that a published ChemBERTa-2 tokenizer can find, and the atoms that it cannot
SMILES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "c", "C", "(", ")", "O", "1", "2", "=", "N", ".", "n", "B", "F", "S"]
ATOMS = ["Cl", "Br", "[nH]", "[C@@H]", "[C@H]", "[O-]", "[N+]", "%10", ">>"]


def dna(count, shortest, longest, seed=1):
    rng = random.Random(seed)
    return ["".join(rng.choices("ACGT", k=rng.randint(shortest, longest))) for _ in range(count)]


def write(folder, tokenizer=None, **files):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    if tokenizer is not None:
        tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / name.replace("_txt", ".txt").replace("_json", ".json")).write_text(content)
    return folder


def byte_pairs(folder, unknown="[UNK]"):
    """A tokenizer of bases with some merges."""
    tokenizer = Tokenizer(models.BPE(unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        dna(200, 50, 100), trainers.BpeTrainer(vocab_size=150, special_tokens=SPECIAL, show_progress=False)
    )
    return write(folder, tokenizer)


def chemberta(folder):
    """A tokenizer with the defect of ChemBERTa-2: atoms of several letters, and no merges that could make them."""
    vocabulary = {token: number for number, token in enumerate(SMILES + ATOMS)}
    return write(
        folder,
        vocab_json=json.dumps(vocabulary),
        merges_txt="#version: 0.2\n",
        tokenizer_config_json=json.dumps(
            {
                "tokenizer_class": "RobertaTokenizer",
                "cls_token": "[CLS]",
                "sep_token": "[SEP]",
                "unk_token": "[UNK]",
                "pad_token": "[PAD]",
            }
        ),
    )


def encoder_of(folder, **options):
    return Encoder(recognise(folder, json.loads((folder / "config.json").read_text())), folder, **options)


def test_lengths_are_the_letters_of_each_token_and_together_the_sequence(tmp_path):
    folder = byte_pairs(tmp_path / "model")
    encoder, tokenizer = encoder_of(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = dna(50, 1, 400)
    for text, encoded in zip(texts, encoder.encode_many([("x", text) for text in texts]), strict=True):
        expected = tokenizer.encode(text, add_special_tokens=False)
        np.testing.assert_array_equal(encoded.rows[0][1:-1], expected.ids)
        assert encoded.lengths.tolist() == [len(token) for token in expected.tokens]
        assert encoded.lengths.sum() == len(text) and encoded.lengths.dtype == np.int32
        assert not encoded.changes()


def test_pieces_put_together_are_the_sequence(tmp_path, model_path):
    for folder, text in ((byte_pairs(tmp_path / "model"), dna(1, 300, 300)[0]), (model_path("esm"), "MKVLAXU")):
        encoder = encoder_of(folder)
        pieces = encoder.pieces(text)
        assert "".join(text[piece.start : piece.end] for piece in pieces) == text
        assert all(text[piece.start : piece.end] == piece.token for piece in pieces)
        assert [piece.id for piece in pieces] == encoder.encode(text).rows[0][1:-1].tolist()


def test_codes_for_several_bases_are_unknown_letters_and_are_counted(tmp_path):
    encoder = encoder_of(byte_pairs(tmp_path / "model"))
    encoded = encoder.encode("ACGTNNACGTRTT")
    assert encoded.changes() == {UNKNOWN: 3}
    assert encoded.lengths.sum() == 13
    assert [piece.token for piece in encoder.pieces("NN")] == ["[UNK]"] * 2


def test_a_letter_that_the_tokenizer_drops_is_counted_and_belongs_to_the_token_before_it(tmp_path):
    encoder = encoder_of(byte_pairs(tmp_path / "model", unknown=None))
    encoded = encoder.encode("NACNNGTN")
    assert encoded.changes() == {UNREAD: 4}
    assert encoded.lengths.sum() == 8
    # bases on both sides of a dropped letter can become one token
    pieces = encoder.pieces("NACNNGTNATNATAT")
    shown = ["NACNNGTNATNATAT"[piece.start : piece.end] for piece in pieces]
    assert "".join(shown) == "NACNNGTNATNATAT"
    assert [letters.replace("N", "") for letters in shown] == [piece.token for piece in pieces]
    with pytest.raises(InputError, match="'p1' has no token"):
        encoder.encode("NNN", "p1")


def test_bases_that_the_tokenizer_does_not_know_are_counted_and_most_of_most_sequences_refused(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 3, "<s>": 0, "</s>": 2, "A": 4, "C": 5, "G": 6, "T": 7}, "[UNK]"))
    folder = write(tmp_path / "model", tokenizer)  # the whole sequence is one word
    encoder = encoder_of(folder)
    assert encoder.encode("ACG").changes() == {UNKNOWN: 3} and encoder.encode("A").changes() == {}
    refuse_unknown(encoder, [["ACG"], ["A"]], "x.fasta")
    with pytest.raises(InputError, match=r"does not know 85.7 % of the letters, such as C, G and A \(2 of 3 sequences"):
        refuse_unknown(encoder, [["ACG"], ["A"], ["CGT"]], "x.fasta")


def test_special_tokens_in_a_sequence_are_text(tmp_path):
    folder = chemberta(tmp_path / "model")
    for tokenizer in ("repaired", "as-published"):
        encoded = encoder_of(folder, tokenizer=tokenizer).encode("C[SEP]C[PAD]")
        assert not {0, 2, 3} & set(encoded.rows[0][1:-1].tolist())
    folder = byte_pairs(tmp_path / "pairs")
    family = recognise(folder, CONFIG, "text")  # an alphabet that lets such letters through
    assert not {SPECIAL.index("<s>"), SPECIAL.index("</s>")} & set(
        Encoder(family, folder).encode("AC<s>GT</s>").rows[0][1:-1].tolist()
    )


@pytest.mark.parametrize("name", ["roberta", "esm"])
def test_many_at_once_are_as_one_by_one(model_path, name):
    encoder = encoder_of(model_path(name), max_length=20)
    items = [(f"p{number}", text) for number, text in enumerate(dna(20, 1, 200))]
    for one, (name_, text) in zip(encoder.encode_many(items), items, strict=True):
        alone = encoder.encode(text, name_)
        assert all((a == b).all() for a, b in zip(one.rows, alone.rows, strict=True))
        assert all((a == b).all() for a, b in zip(one.weights, alone.weights, strict=True))


def test_last_pooling_is_the_last_real_token_of_the_last_window_alone(model_path):
    folder = model_path("esm")
    short = encoder_of(folder, pooling="last").encode("MKVL")
    assert short.weights[0].tolist() == [0, 0, 0, 0, 1, 0]
    long = encoder_of(folder, pooling="last", max_length=10).encode("MKVLAAGGWW" * 3)
    assert [weights.sum() for weights in long.weights] == [0] * (len(long.rows) - 1) + [1]
    assert long.weights[-1].tolist() == [0] * 10 + [1, 0]
    cut = encoder_of(folder, pooling="last", max_length=10, long_sequences="truncate").encode("MKVLAAGGWW" * 3)
    assert cut.weights[0].tolist() == [0] * 10 + [1, 0] and cut.cut == 20


def test_every_position_by_itself_is_possible_with_tokens_of_several_letters(tmp_path):
    encoded = encoder_of(byte_pairs(tmp_path / "model"), pooling="none", max_length=8).encode(dna(1, 200, 200)[0])
    counted = np.zeros(encoded.tokens)
    for weights, start in zip(encoded.weights, encoded.starts, strict=True):
        counted[start : start + 8] += weights[1:-1]
    np.testing.assert_allclose(counted, 1, atol=1e-6)


def test_a_tokenizer_that_loses_atoms_is_repaired(tmp_path):
    folder = chemberta(tmp_path / "model")
    repaired, published = encoder_of(folder), encoder_of(folder, tokenizer="as-published")
    assert repaired.repairs and not published.repairs
    place = {token: number for number, token in enumerate(SMILES + ATOMS)}
    split = {
        "CCCl": ["C", "C", "Cl"],
        "BrC=C": ["Br", "C", "=", "C"],
        "C[C@@H](N)Cl": ["C", "[C@@H]", "(", "N", ")", "Cl"],
        "[O-].c1c[nH]cn1": ["[O-]", ".", "c", "1", "c", "[nH]", "c", "n", "1"],
        "C%10C>>C": ["C", "%10", "C", ">>", "C"],
    }
    for smiles, tokens in split.items():
        encoded = repaired.encode(smiles)
        assert encoded.rows[0].tolist() == [place["[CLS]"], *(place[token] for token in tokens), place["[SEP]"]]
        assert encoded.lengths.tolist() == list(map(len, tokens))
        assert encoded.changes() == {REPAIRED: 1}
        assert published.encode(smiles).rows[0].tolist() != encoded.rows[0].tolist()
    # chlorine and bromine are gone as published
    ids = [published.encode(smiles).rows[0].tolist() for smiles in ("CCCl", "CCC")]
    assert ids[0] == ids[1]
    assert published.encode("CCCl").changes() == {UNREAD: 1}
    # and where no atom is lost both read the same
    assert repaired.encode("CC(=O)N").rows[0].tolist() == published.encode("CC(=O)N").rows[0].tolist()
    assert not repaired.encode("CC(=O)N").changes()


def test_what_the_repaired_tokenizer_reads_otherwise_is_what_the_published_one_reads_otherwise(tmp_path):
    folder = chemberta(tmp_path / "model")
    repaired, published = encoder_of(folder), encoder_of(folder, tokenizer="as-published")
    rng = random.Random(4)
    seen = set()
    for _ in range(300):
        smiles = "C" + "".join(rng.choices([*SMILES[4:], *ATOMS, "[Se]", "I"], k=rng.randint(0, 4)))
        one = repaired.encode(smiles)
        assert one.repaired == (one.rows[0].tolist() != published.encode(smiles).rows[0].tolist()), smiles
        seen.add(one.repaired)
    assert seen == {True, False}


def test_an_atom_without_a_token_is_unknown_and_counted(tmp_path):
    encoder = encoder_of(chemberta(tmp_path / "model"))
    assert encoder.encode("C[Se]C").changes() == {UNKNOWN: 4, REPAIRED: 1}
    assert [piece.token for piece in encoder.pieces("C[Se]C")] == ["C", "[UNK]", "C"]


def test_a_bundle_keeps_how_molecules_are_read_and_its_card_gives_the_same(tmp_path, data, script):
    """Fine-tuning with canonical SMILES, prediction, and the code on the model card, which needs none of this."""
    model, train = data / "models" / "tiny-chemberta", data / "halides.tsv"
    common = ["--id-column", "name", "--sequence-column", "smiles"]
    script(
        "finetune", "--model", model, "--model-id", model, "--train", train, *common, "--label-column", "class",
        "--method", "lora", "--epochs", "1", "--smiles", "canonical", "--output-model", "b.zip", "--threads", "1",
    )  # fmt: skip
    bundle = tmp_path / "work" / "b.zip"
    said = manifest(bundle)
    assert (said["alphabet"], said["tokenizer"]) == ("canonical SMILES", "repaired")
    # two ways to write one molecule are one molecule
    given = tmp_path / "given.csv"
    given.write_text("name,smiles\na,CC(=O)Oc1ccccc1C(=O)O\nb,OC(=O)c1ccccc1OC(C)=O\nc,CC(Cl)Br\nd,CC\n")
    script(
        "predict", "--model", bundle, "--base-model", model, "--sequences", given, *common, "--output-table", "p.tsv"
    )
    rows = table(tmp_path / "work" / "p.tsv")
    assert rows[0]["probability_halide"] == rows[1]["probability_halide"]
    assert "SMILES written in canonical form" in rows[1]["changed"] and "repaired" in rows[2]["changed"]
    assert not rows[3]["changed"]
    folder = tmp_path / "card"
    zipfile.ZipFile(bundle).extractall(folder)
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S).group(1)
    for row, smiles in zip(rows[::2], ("CC(=O)Oc1ccccc1C(=O)O", "CC(Cl)Br"), strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code.replace('folder = "."', f"folder = {str(folder)!r}").replace("CC(=O)Oc1ccccc1C(=O)O", smiles), {})
        shown = [float(number) for number in re.findall(r"\d\.\d+(?:e-\d+)?", printed.getvalue())]
        # other is what is not the class of interest, and therefore comes first
        assert shown == pytest.approx([float(row["probability_other"]), float(row["probability_halide"])], abs=1e-4)


def test_a_tokenizer_with_merges_is_left_alone(tmp_path, model_path):
    assert not encoder_of(byte_pairs(tmp_path / "model")).repairs
    assert not encoder_of(model_path("roberta")).repairs


def test_a_model_trained_on_many_properties_is_read_as_the_encoder_that_it_is(tmp_path, data):
    """ChemBERTa-2 MTR: its checkpoint has a regression head of its own, its config lists of means and deviations."""
    torch.manual_seed(1)
    folder = shutil.copytree(data / "models" / "tiny-chemberta", tmp_path / "mtr")
    config = json.loads((folder / "config.json").read_text())
    reference = RobertaModel(RobertaConfig(**config), add_pooling_layer=False).eval()
    tensors = {f"roberta.{name}": tensor for name, tensor in reference.state_dict().items()}
    tensors |= {f"regression.{name}": torch.zeros(3, 48) for name in ("dense.weight", "out_proj.weight")}
    save_file(tensors | {"norm_mean": torch.zeros(3)}, folder / "model.safetensors", metadata={"format": "pt"})
    config |= {"architectures": ["RobertaForRegression"], "norm_mean": [0.5, 1.0, 2.0], "norm_std": [1.0, 2.0, 0.1]}
    (folder / "config.json").write_text(json.dumps(config))
    archive = tmp_path / "mtr.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in folder.iterdir():
            out.write(file, file.name)
    (tmp_path / "unpacked").mkdir()
    uploaded = open_bundle(archive, tmp_path / "unpacked").model.path
    for path in (folder, uploaded):
        family = recognise(path, json.loads((path / "config.json").read_text()))
        backbone = load_backbone(path, family, torch.float32, torch.device("cpu"))
        ids = torch.from_numpy(Encoder(family, path).encode("CC(=O)NCCl").rows[0].astype(np.int64))[None]
        with torch.no_grad():
            expected = reference(ids).last_hidden_state
            torch.testing.assert_close(backbone(ids).last_hidden_state, expected, atol=1e-6, rtol=1e-5)
