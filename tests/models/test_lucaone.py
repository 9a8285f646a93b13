"""LucaOne, written here: what it is told, its letters, its published files. The reference tests compare its mathematics
with its authors'."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from makers.models import LUCAONE, make
from makers.scripts import manifest, one_line, run_all, run_batch, shown_by_card, table, vectors
from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN, Record, Rules
from seqlm.data.sequences import clean
from seqlm.families.recognition import recognise
from seqlm.inference.loading import load_backbone
from seqlm.models.lucaone import LucaOneConfig, LucaOneForMaskedLM, LucaOneModel
from seqlm.tokenization.encoder import Encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make("lucaone", tmp_path_factory.mktemp("models"))


def family_of(folder, **options):
    return recognise(folder, read_model_folder(folder).config, **options)


def test_it_is_told_whether_it_reads_genes_or_proteins(folder):
    for options, told, alphabet in (
        ({}, "prot", PROTEIN),
        ({"prefix": "prot"}, "prot", PROTEIN),
        ({"prefix": "gene"}, "gene", DNA),
        ({"alphabet": DNA}, "gene", DNA),
        ({"alphabet": DNA, "prefix": "none"}, "gene", DNA),
    ):
        family = family_of(folder, **options)
        assert (family.told, family.alphabet) == (told, alphabet)
        assert family.one_letter_tokens and told in family.read_as
        assert Encoder(family, folder).read_as == family.read_as
    with pytest.raises(InputError, match=r"no prefix 'rna'; it has prot, gene \(--prefix\)"):
        family_of(folder, prefix="rna")


def test_bases_are_other_tokens_than_residues(folder):
    """The ids of its authors' tokenizer: A 1, T and U 2, C 3, G 4, all else 5, each in the place where it stands."""
    family, rules = family_of(folder, prefix="gene"), Rules()
    text = clean(Record("g", "ACGTURYN"), family.alphabet, family.replacements, rules, "g.fasta")
    assert Encoder(family, folder).encode(text).rows[0].tolist() == [2, 5, 7, 8, 6, 6, 9, 9, 9, 3]
    assert [rules.letters[f"{rule} read as {new}"] for rule, new in ("UT", "RN", "YN")] == [1, 1, 1]
    proteins = Encoder(family_of(folder), folder).encode("ACGTURYN").rows[0].tolist()
    assert proteins == [2, *map(LUCAONE.index, "ACGTURYN"), 3] and family_of(folder).replacements == {}


def test_what_it_was_told_is_added_to_every_token(folder):
    """Without a word, it is told by the tokens; in a file that was written here, by the file."""
    ids = torch.tensor([[2, 5, 7, 8, 3, 0], [2, 11, 29, 4, 12, 3]])
    mask = (ids != 0).long()
    gene, prot = (
        load_backbone(folder, family_of(folder, prefix=told), torch.float32, torch.device("cpu"))
        for told in ("gene", "prot")
    )
    plain = LucaOneModel.from_pretrained(folder).eval()
    with torch.no_grad():
        as_gene, as_prot, as_tokens = (one(ids, mask).last_hidden_state for one in (gene, prot, plain))
        typed = plain(ids, mask, token_type_ids=torch.zeros_like(ids)).last_hidden_state
    real = mask.bool()
    torch.testing.assert_close(as_tokens[0][real[0]], as_gene[0][real[0]])
    torch.testing.assert_close(as_tokens[1], as_prot[1])
    torch.testing.assert_close(typed[real], as_gene[real])
    assert (as_gene - as_prot)[real].abs().amax(-1).min() > 1e-3
    assert gene.config.sequence_type == "gene"


def test_the_published_sizes_give_the_published_size_of_the_file():
    """Files of 4.93 and 1.36 GB, in single precision."""
    with torch.device("meta"):
        model = LucaOneForMaskedLM(LucaOneConfig())
    assert 4 * sum(each.numel() for each in model.parameters()) == pytest.approx(6.29e9, rel=0.01)


def test_speeds_of_rotation_in_published_files_are_computed_and_not_read(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    weights = load_file(tmp_path / "other" / "model.safetensors")
    for layer in range(2):
        weights[f"lucaone.encoder.layers.{layer}.self_attn.rot_emb.inv_freq"] = torch.full((6,), 7.0)
    save_file(weights, tmp_path / "other" / "model.safetensors", metadata={"format": "pt"})
    ids = torch.tensor([[2, 11, 29, 12, 3]])
    with torch.no_grad():
        first, second = (
            family_of(one).load_language_model(one).eval()(ids).logits for one in (folder, tmp_path / "other")
        )
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphabet": "prot"}, "has not the 39 tokens of genes and proteins"),
        ({"num_attention_heads": None}, "does not say its num_attention_heads"),
        ({"num_attention_heads": 5}, "cannot be shared by 5 heads"),
        ({"no_position_embeddings": False}, "rotary positions"),
    ],
)
def test_files_that_say_something_else_are_refused(folder, tmp_path, changes, message):
    shutil.copytree(folder, tmp_path / "other")
    said = json.loads((folder / "config.json").read_text()) | changes
    (tmp_path / "other" / "config.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match=message):
        load_backbone(tmp_path / "other", family_of(tmp_path / "other"), torch.float32, torch.device("cpu"))


def test_a_tokenizer_that_is_code_and_has_other_tokens_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "vocab.json").write_text(json.dumps({"[PAD]": 0, "ACG": 1, "M": 2}))
    with pytest.raises(InputError, match=r"is code of its authors \(tokenization_lucaone.LucaGPLMTokenizer\)"):
        read_model_folder(tmp_path / "other")


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """Genes and proteins embedded, a fine-tuning on each, and what the bundles predict."""
    work = tmp_path_factory.mktemp("runs")
    rng, calls = random.Random(2), []
    for kind, letters in (("gene", "ACGT"), ("prot", "ACDEFGHIKLMNPQRSTVWY")):
        texts = ["".join(rng.choices(letters, k=rng.randint(30, 50))) for _ in range(24)]
        lines = (f">{kind}{at} LABEL={at % 2}\n{text}\n" for at, text in enumerate(texts))
        (work / f"{kind}.fasta").write_text("".join(lines))
        sequences = ["--sequences", f"{kind}.fasta"]
        given = [] if kind == "prot" else ["--prefix=gene"]
        method = "full" if kind == "gene" else "lora"
        tuned = ("finetune", "--model", folder, "--model-id", folder, "--train", f"{kind}.fasta", *given, "--epochs", 1)
        calls += [
            (work, "embed", "--model", folder, *sequences, *given, "--output-table", f"{kind}.tsv", "--output-html",
             f"{kind}.html"),
            (work, *tuned, "--method", method, "--label-pattern", r"LABEL=(\d)", "--output-model", f"{kind}.zip"),
            (work, "predict", "--model", f"{kind}.zip", "--base-model", folder, *sequences, "--output-table",
             f"{kind}.predicted.tsv"),
        ]  # fmt: skip
    calls.append(
        (work, "score", "--model", folder, "--sequences", "prot.fasta", "--scan", "--output-table", "scan.tsv")
    )
    return work, run_all(calls)


def sequence_of(path, name):
    lines = path.read_text().split("\n")
    return next(lines[at + 1] for at, line in enumerate(lines) if line.split(" ")[0] == f">{name}")


@pytest.mark.parametrize("kind", ["gene", "prot"])
def test_vectors_are_the_mean_of_a_plain_loop_over_its_letters(runs, folder, kind):
    work, _ = runs
    model = LucaOneModel.from_pretrained(folder).eval()
    letters = (
        dict(zip("ACGT", (5, 7, 8, 6), strict=True)) if kind == "gene" else {one: n for n, one in enumerate(LUCAONE)}
    )
    for name, vector in list(vectors(work / f"{kind}.tsv").items())[:4]:
        ids = [letters[letter] for letter in sequence_of(work / f"{kind}.fasta", name)]
        with torch.no_grad():
            types = torch.full((1, len(ids) + 2), int(kind == "prot"))
            hidden = model(torch.tensor([[2, *ids, 3]]), token_type_ids=types).last_hidden_state[0, 1:-1]
        np.testing.assert_allclose(vector, hidden.mean(0), atol=1e-5)
    assert f"told ({kind})" in (work / f"{kind}.html").read_text()


@pytest.mark.parametrize("kind", ["gene", "prot"])
def test_a_bundle_knows_what_the_model_was_told_and_so_does_its_card(runs, kind):
    work, _ = runs
    said = manifest(work / f"{kind}.zip")
    assert (said["prefix"], said["alphabet"]) == (kind, {"gene": DNA, "prot": PROTEIN}[kind])
    row = table(work / f"{kind}.predicted.tsv")[0]
    shown = shown_by_card(work / f"{kind}.zip", work / f"card_{kind}", sequence_of(work / f"{kind}.fasta", row["id"]))
    predicted = [float(value) for key, value in row.items() if key.startswith("p_") or key.startswith("probability")]
    assert predicted and shown == pytest.approx(predicted, abs=1e-4)
    assert f"told that it reads `{kind}`" in (work / f"card_{kind}" / "README.md").read_text()


def test_substitutions_are_scored_by_its_head(runs):
    rows = table(runs[0] / "scan.tsv")
    assert len(rows) > 24 * 30 * 19 and np.std([float(row["score"]) for row in rows]) > 0


def test_genes_for_a_model_that_was_not_told_so_are_refused(runs, folder, tmp_path):
    options = ["--model", folder, "--sequences", runs[0] / "gene.fasta", "--output-table", "t.tsv"]
    (done,) = run_batch([(tmp_path, "embed", *options)], torch=False)
    one_line(done, "DNA or RNA", tmp_path)
