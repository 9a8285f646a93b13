"""Scores beside the vectors, against transformers' own classes in a plain loop, and what readers make of them."""

import h5py
import numpy as np
import pytest
import torch
from pyarrow import parquet
from transformers import AutoModelForMaskedLM, AutoTokenizer, GPT2LMHeadModel

from makers.models import make
from makers.scripts import DATA, one_line, run_batch, table
from seqlm.cli.errors import InputError
from seqlm.data.sequences import read_records
from seqlm.embeddings.tables import read_embeddings

ESM = DATA / "models" / "tiny-esm-mlm"
EXACT = ("pseudo_perplexity", "pseudo_log_likelihood")
FEW = 12
OUTPUTS = [part for name in ("table", "npz", "h5", "parquet") for part in (f"--output-{name}", f"e.{name}")]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """name -> (run, its folder)."""
    folder = tmp_path_factory.mktemp("appended")
    records = [record for record, _ in zip(read_records(DATA / "sites_test.fasta"), range(FEW), strict=False)]
    sequences = {record.id: record.sequence for record in records} | {"a/b": "MKTAYIAKQR"}
    proteins = folder / "proteins.fasta"
    proteins.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
    labels = folder / "labels.tsv"
    labels.write_text("id\tlabel\n" + "".join(f"{name}\t{place % 2}\n" for place, name in enumerate(sequences)))
    esm = ["--model", ESM, "--sequences", proteins]
    calls = {
        "exact": [*esm, "--append-scores", "exact", "--normalize", "--output-report", "r.md", *OUTPUTS],
        "one pass": [*esm, "--append-scores", "one-pass", *OUTPUTS],
        "without": [*esm, "--normalize", *OUTPUTS],
        "decoder": ["--model", make("gpt2", folder), "--sequences", proteins, "--append-scores", "exact", *OUTPUTS],
    }
    score = {"exact": ["--output-table", "s.tsv"],
             "one pass": ["--method", "pseudo-perplexity-one-pass", "--output-table", "s.tsv"]}  # fmt: skip
    for name in calls:
        (folder / name).mkdir()
    runs = run_batch(
        [(folder / name, "embed", *call) for name, call in calls.items()]
        + [(folder / name, "score", *esm, *more) for name, more in score.items()]
    )
    trained = ["--embeddings", "e.table", "--labels", labels, "--feature-column", EXACT[0]]
    runs += run_batch([
        (folder / "exact", "classify", *trained, "--cross-validation", "3", "--output-model", "c.zip",
         "--output-report", "c.md"),
        (folder / "exact", "plot", "--embeddings", "e.table", "--method", "pca", "--output-table", "p.tsv"),
        (folder / "without", "plot", "--embeddings", "e.table", "--method", "pca", "--output-table", "p.tsv"),
    ])  # fmt: skip
    runs += run_batch([
        (folder / place, "classify", "--embeddings", "e.table", "--model", folder / "exact" / "c.zip",
         "--output-predictions", "applied.tsv")
        for place in ("exact", "without")
    ])  # fmt: skip
    for run in runs[:-1]:
        assert run.returncode == 0, run.stderr[-800:]
    return {name: folder / name for name in calls}, sequences, runs[-1]


def columns(folder, *names):
    return np.array([[float(row[name]) for name in names] for row in table(folder / "e.table")])


def test_pseudo_perplexities_are_those_of_a_loop_that_masks_one_residue_at_a_time(done):
    folders, sequences, _ = done
    model = AutoModelForMaskedLM.from_pretrained(ESM).eval()
    tokenizer = AutoTokenizer.from_pretrained(ESM)
    expected = []
    for sequence in sequences.values():
        ids = tokenizer(sequence, return_tensors="pt")["input_ids"]
        logs = []
        for place in range(1, ids.shape[1] - 1):
            masked = ids.clone()
            masked[0, place] = tokenizer.mask_token_id
            with torch.no_grad():
                logs.append(model(masked).logits[0, place].log_softmax(-1)[ids[0, place]].item())
        expected.append((np.exp(-np.mean(logs)), np.sum(logs)))
    np.testing.assert_allclose(columns(folders["exact"], *EXACT), expected, rtol=1e-4)


def test_perplexities_of_a_decoder_are_those_of_its_own_loss(done):
    folders, sequences, _ = done
    folder = folders["decoder"].parent / "gpt2"
    model, tokenizer = GPT2LMHeadModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    sequence = next(iter(sequences.values()))
    end = tokenizer.eos_token_id
    ids = torch.tensor([[end, *tokenizer(sequence, add_special_tokens=False)["input_ids"], end]])
    with torch.no_grad():
        loss = float(model(ids, labels=ids).loss)
    found = columns(folders["decoder"], "perplexity", "log_likelihood")[0]
    np.testing.assert_allclose(found, [np.exp(loss), -loss * (ids.shape[1] - 1)], rtol=1e-4)


@pytest.mark.parametrize(("name", "names"), [("exact", EXACT), ("one pass", [f"{name}_one_pass" for name in EXACT])])
def test_scores_are_those_of_the_tool_that_scores(done, name, names):
    folder = done[0][name]
    scored = [[float(row["perplexity"]), float(row["log_likelihood"])] for row in table(folder / "s.tsv")]
    np.testing.assert_allclose(columns(folder, *names), scored, rtol=1e-4)


def test_every_format_holds_the_same_scores_and_vectors_as_without(done):
    folders, sequences, _ = done
    folder, plain = folders["exact"], folders["without"]
    expected = columns(folder, *EXACT)
    with np.load(folder / "e.npz", allow_pickle=False) as arrays, np.load(plain / "e.npz") as before:
        np.testing.assert_array_equal(np.stack([arrays[name] for name in EXACT], 1), expected)
        np.testing.assert_array_equal(arrays["embeddings"], before["embeddings"])
    held = parquet.read_table(folder / "e.parquet")
    assert held.column_names[-2:] == list(EXACT)
    np.testing.assert_array_equal(np.stack([held[name].to_numpy() for name in EXACT], 1), expected)
    with h5py.File(folder / "e.h5") as file:
        given = {group.attrs["id"]: [group.attrs[name] for name in EXACT] for group in file.values()}
    np.testing.assert_array_equal([given[name] for name in sequences], expected)


@pytest.mark.parametrize("format", ["table", "npz", "parquet"])
def test_scores_are_features_where_they_are_named_and_nowhere_else(done, format):
    folders, sequences, _ = done
    plain, found = (read_embeddings(folders[name] / f"e.{format}") for name in ("without", "exact"))
    assert found.columns == plain.columns
    np.testing.assert_array_equal(found.vectors, plain.vectors)
    more = found.with_features([EXACT[0]])
    assert more.columns == [*plain.columns, EXACT[0]]
    np.testing.assert_array_equal(more.vectors[:, :-1], plain.vectors)
    np.testing.assert_allclose(more.vectors[:, -1], columns(folders["exact"], EXACT[0])[:, 0], rtol=1e-6)
    with pytest.raises(InputError, match="holds the ids"):
        found.with_features(["id"])
    found.others[EXACT[1]][3] = ""
    with pytest.raises(InputError, match=f"'{list(sequences)[3].replace('|', '.')}' has '' in column {EXACT[1]}"):
        found.with_features([EXACT[1]])


def test_plots_are_not_changed_by_scores(done):
    folders = done[0]
    assert (folders["exact"] / "p.tsv").read_bytes() == (folders["without"] / "p.tsv").read_bytes()


def test_a_classifier_that_was_trained_on_scores_asks_for_them(done):
    folders, sequences, refused = done
    assert len(table(folders["exact"] / "applied.tsv")) == len(sequences)
    assert refused.returncode == 2
    assert "error: e.table has no column 'pseudo_perplexity', which c.zip was trained on too" in refused.stderr
    assert "49 dimensions (dim_1 to pseudo_perplexity)" in (folders["exact"] / "c.md").read_text().replace("\\", "")


def test_the_report_says_what_stands_beside_the_vectors(done):
    report = (done[0]["exact"] / "r.md").read_text().replace("\\", "")
    assert "## Scores beside the vectors" in report and "each of the n tokens masked in its turn" in report


MISTAKES = {
    "an encoder": ("tiny-t5", ["exact"], "an encoder that gives no probability to tokens"),
    "no head": ("tiny-esm", ["exact"], "without the head that gives probabilities to tokens"),
    "positions": ("tiny-esm-mlm", ["exact", "--pooling", "none"], "choose another pooling"),
    "a decoder": ("tiny-protgpt2", ["one-pass"], "take --append-scores exact"),
}


def test_mistakes_are_one_line_before_torch_is_imported(tmp_path):
    calls = []
    for name, (model, options, _) in MISTAKES.items():
        (tmp_path / name).mkdir()
        given = ["--model", DATA / "models" / model, "--sequences", DATA / "sites_test.fasta", "--append-scores"]
        calls.append((tmp_path / name, "embed", *given, *options, "--output-npz", "e.npz"))
    for (_, _, message), call, one in zip(MISTAKES.values(), calls, run_batch(calls, torch=False), strict=True):
        one_line(one, message, call[0])
