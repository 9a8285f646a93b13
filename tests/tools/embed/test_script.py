"""embed.py as a user runs it."""

import gzip
import random
import shutil
import zipfile

import h5py
import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModel, T5EncoderModel

from makers.models import make
from makers.scripts import mistake, one_line, run_batch, run_mistakes, table
from seqlm.checkpoints.folder import read_model_folder
from seqlm.data.records import Rules
from seqlm.data.sequences import read_records
from seqlm.embeddings.tables import read_embeddings
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.embed.summary import Summary

PROTEINS = {
    "b": "MKTAYIAKQRQISFVKSHFSRQ",
    "a/1": "GAVLIPFWMST",
    "again": "MKTAYIAKQRQISFVKSHFSRQ",
    "long": "".join(random.Random(1).choices("ACDEFGHIKLMNPQRSTVWY", k=300)),
}


def fasta(records):
    return "".join(f">{name} described\n{sequence}\n" for name, sequence in records.items())


@pytest.fixture(scope="module")
def done(tmp_path_factory, request):
    """Every run of this module, made once: name -> (what it printed, its folder)."""
    folder = tmp_path_factory.mktemp("embed")
    data = request.config.rootpath / "test-data"
    models = data / "models"
    proteins = folder / "proteins.fasta"
    proteins.write_text(fasta(PROTEINS))
    huge = shutil.copytree(models / "tiny-esm", folder / "huge")
    weights = load_file(huge / "model.safetensors")
    weights[next(name for name in weights if name.endswith("emb_layer_norm_after.bias"))][3] = 1e5
    save_file(weights, huge / "model.safetensors", metadata={"format": "pt"})
    sites = ["--sequences", data / "sites_test.fasta"]
    esm = ["--model", models / "tiny-esm", "--sequences", proteins]
    report = ["--output-report", "report.md", "--output-html", "report.html", "--output-figures", "figures"]
    calls = {
        "plain": [*esm, *report],
        "again": [*esm, *report],
        "small batches": [*esm, "--batch-tokens", "1", "--normalize"],
        "windows": [*esm, "--max-length", "100"],
        "truncated": [*esm, "--max-length", "100", "--long-sequences", "truncate", *report],
        "positions": [*esm, "--pooling", "none", "--max-length", "100"],
        "bases": ["--model", models / "tiny-dnabert2", "--sequences", data / "dna_pieces.fasta", "--pooling", "none"],
        "adapter": ["--model", data / "bundle_lora_t5.zip", "--base-model", models / "tiny-t5", *sites, *report],
        "its base": ["--model", models / "tiny-t5", *sites],
        "head": ["--model", data / "bundle_head_esm.zip", "--base-model", models / "tiny-esm", *sites],
        "base of head": ["--model", models / "tiny-esm", *sites],
        "published": ["--model", models / "published-adapter", "--base-model", models / "tiny-esm", *sites],
        "of residues": ["--model", data / "bundle_residues_esm.zip", "--base-model", models / "tiny-esm", *sites],
        "of pairs": ["--model", data / "bundle_pairs_esm.zip", "--base-model", models / "tiny-esm", *sites],
        "decoder": ["--model", make("gpt2", folder), "--sequences", proteins, "--max-length", "0"],
        "huge": ["--model", huge, "--sequences", proteins, "--precision-of-output", "fp16"],
    }
    outputs = [f"--output-{name}" for name in ("table", "npz", "h5", "parquet")]
    for name in calls:
        (folder / name).mkdir(exist_ok=True)
    works = {name: folder / "runs" / name for name in calls}
    for work in works.values():
        work.mkdir(parents=True)
    given = [
        (works[name], "embed", *call, *(part for option in outputs for part in (option, f"e.{option[9:]}")))
        for name, call in calls.items()
    ]
    return {
        name: (one, works[name]) for name, one in zip(calls, run_batch(given, new=[*calls].index("again")), strict=True)
    }


def embedded(done, name, format="npz"):
    one, work = done[name]
    assert one.returncode == 0, one.stderr
    return read_embeddings(work / f"e.{format}")


def by_hand(folder, sequences):
    """The mean over the residues, by transformers' own class, one protein at a time."""
    reference = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    family = recognise(folder, read_model_folder(folder).config)
    means = []
    for sequence in sequences:
        ids = torch.tensor(Encoder(family, folder).encode(sequence).rows[0][None].astype(np.int64))
        with torch.no_grad():
            means.append(
                reference(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1].mean(0)
            )
    return torch.stack(means).numpy()


def test_ids_and_order_are_those_of_the_input_and_vectors_those_of_transformers(done, model_path):
    found = embedded(done, "plain")
    assert found.ids == list(PROTEINS)
    np.testing.assert_allclose(found.vectors, by_hand(model_path("esm"), PROTEINS.values()), atol=1e-5)
    np.testing.assert_array_equal(found.vectors[0], found.vectors[2])
    for format in ("table", "parquet"):
        np.testing.assert_array_equal(embedded(done, "plain", format).vectors, found.vectors)


def test_the_same_run_gives_the_same_bytes(done):
    first, second = done["plain"][1], done["again"][1]
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 6, "four files, report and page; too few vectors for a figure"
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_normalized_vectors_have_length_1_and_the_batch_changes_nothing(done):
    plain, scaled = embedded(done, "plain").vectors, embedded(done, "small batches").vectors
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(scaled, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-5)


def test_long_sequences_are_windowed_or_truncated_and_both_are_said(done):
    plain, windows, cut = (embedded(done, name).vectors for name in ("plain", "windows", "truncated"))
    np.testing.assert_allclose(plain[:3], windows[:3], atol=1e-5)
    assert np.abs(plain[3] - windows[3]).max() > 1e-3 < np.abs(cut[3] - windows[3]).max()
    assert "note: read in overlapping windows of 100 tokens: 1 sequence, 300 letters" in done["windows"][0].stderr
    assert "note: truncated to 100 tokens: 1 sequence, 200 letters" in done["truncated"][0].stderr
    assert "of 1 only the beginning was read" in (done["truncated"][1] / "report.md").read_text()


def test_positions_have_the_mean_of_the_windows_that_cover_them(done):
    """Their mean over a sequence is then the pooled vector."""
    one, work = done["positions"]
    assert one.returncode == 0, one.stderr
    rows = table(work / "e.table")
    assert [row["id"] for row in rows] == [name for name, sequence in PROTEINS.items() for _ in sequence]
    assert "".join(row["letter"] for row in rows) == "".join(PROTEINS.values())
    pooled = embedded(done, "windows")
    with h5py.File(work / "e.h5") as file, np.load(work / "e.npz") as arrays:
        assert arrays["lengths"].tolist() == [len(sequence) for sequence in PROTEINS.values()]
        for name, vector in zip(pooled.ids, pooled.vectors, strict=True):
            own = file[name.replace("/", "_")]["embedding"][()]
            assert own.shape == (len(PROTEINS[name]), 64)
            np.testing.assert_allclose(own.mean(0), vector, atol=1e-5)
            mine = [row for row in rows if row["id"] == name]
            assert [int(row["position"]) for row in mine] == list(range(1, len(own) + 1))
            np.testing.assert_array_equal(np.float32([row["dim_5"] for row in mine]), own[:, 4])


def test_each_base_has_the_vector_of_its_token(done, data, model_path):
    one, work = done["bases"]
    assert one.returncode == 0, one.stderr
    family = recognise(model_path("dnabert2"), read_model_folder(model_path("dnabert2")).config)
    encoder = Encoder(family, model_path("dnabert2"))
    with h5py.File(work / "e.h5") as file:
        for record in read_records(data / "dna_pieces.fasta"):
            vectors, lengths = file[record.id]["embedding"][()], encoder.encode(record.sequence).lengths
            assert len(vectors) == len(record.sequence) and max(lengths) > 1
            starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
            np.testing.assert_array_equal(vectors, vectors[starts])
            np.testing.assert_array_equal((np.diff(vectors, axis=0) != 0).any(1), np.diff(starts) != 0)


def test_an_adapter_gives_the_vectors_that_peft_gives_with_it(done, data, model_path, tmp_path):
    zipfile.ZipFile(data / "bundle_lora_t5.zip").extractall(tmp_path)
    model = PeftModel.from_pretrained(T5EncoderModel.from_pretrained(model_path("t5")), tmp_path).eval()
    family = recognise(model_path("t5"), read_model_folder(model_path("t5")).config)
    found, base = embedded(done, "adapter"), embedded(done, "its base")
    records = list(read_records(data / "sites_test.fasta"))
    for record, vector in list(zip(records, found.vectors, strict=True))[:5]:
        ids = torch.tensor(Encoder(family, model_path("t5")).encode(record.sequence).rows[0][None].astype(np.int64))
        with torch.no_grad():
            expected = model(input_ids=ids).last_hidden_state[0, :-1].mean(0)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)
    assert np.abs(found.vectors - base.vectors).max() > 0.1
    report = (done["adapter"][1] / "report.md").read_text()
    assert "a model fine-tuned from seqlm/tiny-t5" in report
    assert (done["adapter"][1] / "figures" / "alikeness.png").stat().st_size > 5000


def test_a_head_leaves_the_vectors_of_its_base_model(done):
    np.testing.assert_array_equal(embedded(done, "head").vectors, embedded(done, "base of head").vectors)
    assert "note: only a head was trained" in done["head"][0].stderr


def test_a_published_adapter_changes_the_vectors(done):
    assert np.abs(embedded(done, "published").vectors - embedded(done, "base of head").vectors).max() > 1e-3


def test_the_pooling_suits_the_model_where_none_was_chosen(done, tmp_path):
    """Of residues the mean, as of any encoder; of a decoder the last token, the one that has seen all."""
    for name in ("of residues", "of pairs"):
        with h5py.File(done[name][1] / "e.h5") as file:
            assert file.attrs["pooling"] == "mean"
            assert file.attrs["base_model"] == "seqlm/tiny-esm"
    folder = make("gpt2", tmp_path)
    family = recognise(folder, read_model_folder(folder).config)
    reference = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    found = embedded(done, "decoder")
    with h5py.File(done["decoder"][1] / "e.h5") as file:
        assert file.attrs["pooling"] == "last"
    for sequence, vector in list(zip(PROTEINS.values(), found.vectors, strict=True))[:3]:
        ids = torch.tensor(Encoder(family, folder).encode(sequence).rows[0][None].astype(np.int64))
        with torch.no_grad():
            np.testing.assert_allclose(vector, reference(input_ids=ids).last_hidden_state[0, -1].numpy(), atol=1e-5)


def test_what_is_cut_off_of_a_sequence_of_pieces_is_counted_in_letters(model_path):
    family = recognise(model_path("dnabert2"), read_model_folder(model_path("dnabert2")).config)
    dna = "".join(random.Random(0).choices("ACGT", k=200))
    for how, rule in (("truncate", "truncated to 10 tokens"), ("window", "read in overlapping windows of 10 tokens")):
        one = Encoder(family, model_path("dnabert2"), max_length=10, long_sequences=how).encode(dna)
        summary = Summary(1, 0, Rules())
        summary.count([one], 10)
        letters = 200 - int(one.lengths[:10].sum()) if how == "truncate" else 200
        assert summary.rules.letters == {rule: letters}


def test_numbers_that_fp16_cannot_hold_are_an_error(done):
    one_line(done["huge"][0], "has a number of 100000, and fp16 ends at 65504; choose fp32", done["huge"][1])


def test_equal_sequences_are_counted_in_the_report(done):
    report = (done["plain"][1] / "report.md").read_text()
    assert "1 sequence is equal to an earlier one" in report
    assert "4 sequences became vectors of 64 numbers each; every sequence was read whole" in report


GOOD = ">a\nMKTAYIAKQRQISFVKSHFSRQ\n"
MISTAKES = {
    "empty": ({"sequences": ""}, [], "is empty"),
    "no FASTA": ({"sequences": "Two words\n"}, [], "neither FASTA nor a table"),
    "letters": ({"sequences": ">a\nMK1\n"}, [], "has '1' at position 3"),
    "DNA": ({"sequences": ">a\n" + "ACGT" * 20 + "\n"}, [], "holds DNA"),
    "cut short": ({"sequences": gzip.compress(GOOD.encode() * 99)[:-9]}, [], "cut short or damaged"),
    "no column": ({"sequences": "id\thelix\na\tMKT\n"}, [], "no column 'sequence'"),
    "layer": ({"sequences": GOOD}, ["--layer", "3"], "the model has no layer 3: it has 2 layers"),
    "pooling": ({"sequences": GOOD}, ["--pooling", "mode"], "invalid choice"),
    "too long": ({"sequences": GOOD}, ["--max-length", "20", "--long-sequences", "refuse"], "over the limit of 20"),
    "over the window": ({"sequences": GOOD}, ["--max-length", "9999"], "reads at most 1022 tokens"),
    "positions": ({"sequences": GOOD}, ["--pooling", "none", "--long-sequences", "truncate"], "every position read"),
    "SMILES": ({"sequences": GOOD}, ["--smiles", "canonical"], "are for models of molecules"),
    "base": ({"sequences": GOOD, "base-model": "x"}, [], "holds a whole model; leave the base model empty"),
    "no outputs": ({"sequences": GOOD}, ["--output-npz", ""], "no output was asked for"),
    "longest id": ({"sequences": f"id\tsequence\n{'x' * 2000}\tMKT\n"}, [], "npz takes ids of up to 1,000"),
}
OF_MODELS = {
    "no adapter's base": ("bundle_lora_t5.zip", [], "give its base model too, seqlm/tiny-t5"),
    "other base": ("bundle_lora_t5.zip", ["--base-model", "tiny-esm"], "was trained on another base model"),
    "truncated archive": ("cut.zip", [], "cut.zip"),
    "no first token": ("tiny-t5", ["--pooling", "cls"], "has no token at the start of a sequence"),
    "no model": ("nothing", [], "nothing"),
}


def test_mistakes_are_one_line_before_torch_is_imported(tmp_path, data, model_path):
    common = ("--model", model_path("esm"), "--output-npz", "e.npz")
    for name, (one, work) in run_mistakes(tmp_path, MISTAKES, "embed", common).items():
        one_line(one, MISTAKES[name][2], work)


def test_models_that_cannot_be_used_are_named_before_torch_is_imported(tmp_path, data, model_path):
    cut = tmp_path / "cut.zip"
    cut.write_bytes((data / "bundle_lora_t5.zip").read_bytes()[:-300])
    proteins = tmp_path / "p.fasta"
    proteins.write_text(GOOD)
    paths = {"cut.zip": cut, "tiny-t5": model_path("t5"), "tiny-esm": model_path("esm")}
    calls = []
    for name, (model, options, _) in OF_MODELS.items():
        work = tmp_path / name / "work"
        work.mkdir(parents=True)
        model = paths.get(model, data / model)
        options = [paths.get(option, option) for option in options]
        calls.append((work, "embed", "--model", model, *options, "--sequences", proteins, "--output-npz", "e.npz"))
    for (_, _, message), call, one in zip(OF_MODELS.values(), calls, run_batch(calls, torch=False), strict=True):
        one_line(one, message, call[0])


def test_a_mistake_is_found_before_anything_heavy_is_imported(new_process, model_path, tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("id,sequence\na,MKT\na,MKV\n")
    line = mistake(new_process, "embed", "--model", model_path("esm"), "--sequences", path, "--output-npz", "e")
    assert "same id" in line


def test_vectors_that_hardly_differ_are_called_collapsed():
    generator = np.random.default_rng(0)
    spreads = {}
    for scale in (1e-5, 1):
        summary = Summary(500, 1, Rules())
        vectors = 3 + scale * generator.standard_normal((500, 8)).astype(np.float32)
        summary.see(vectors[:200], np.linalg.norm(vectors[:200], axis=1))
        summary.see(vectors[200:], np.linalg.norm(vectors[200:], axis=1))
        spreads[scale] = summary.spread()
    assert spreads[1e-5].collapsed and not spreads[1].collapsed
    # of isotropic noise around a point: mean cosine 9 / (9 + 1), no correlation, all directions alike
    assert abs(spreads[1].cosines.mean() - 0.9) < 0.02
    assert abs(spreads[1].centred.mean()) < 0.02
    assert 7 < spreads[1].dimensions <= 8


def test_a_sample_is_drawn_from_all_vectors_of_a_stream():
    summary = Summary(5000, 3, Rules())
    for start in range(0, 5000, 700):
        vectors = np.arange(start, min(start + 700, 5000), dtype=np.float32)[:, None]
        summary.see(vectors, vectors[:, 0])
    vectors, norms = summary.sample()
    np.testing.assert_array_equal(vectors[:, 0], norms)
    assert len(norms) == 1000 and len(set(norms.tolist())) == 1000
    assert norms.min() < 50 and norms.max() > 4950 and abs(norms.mean() - 2500) < 150
    assert summary.mean_norm == pytest.approx(2499.5) and summary.largest == 4999 and summary.zeros == 1
