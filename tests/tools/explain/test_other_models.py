"""explain.py with adapters that others published, and with DNA in byte pairs."""

import re

import numpy as np
import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoTokenizer, EsmForTokenClassification

from makers.scripts import DATA, run_script, table
from seqlm.checkpoints.bundle import open_bundle
from seqlm.checkpoints.folder import read_model_folder
from seqlm.inference.loading import load_finetuned
from seqlm.tools.explain.function import Function

MODELS = DATA / "models"
PROTEINS = {"a": "MKTAYIAKQRQISFVKSHFSRQ", "b": "GAVLIMCPFWYSTNQ"}
DNA = {"first": "ACGTTGACCATTGACCAGTTTACGACGATATTACCAGGGATCACGACCAT", "second": "TTTTAAAACCCCGGGGACGATCGACTACGACTA"}


def explained(folder, sequences, *arguments):
    """What explain.py printed, and its rows."""
    (folder / "s.fasta").write_text("".join(f">{name}\n{text}\n" for name, text in sequences.items()))
    one = run_script(folder, "explain", *arguments, "--sequences", "s.fasta", "--random-models", "2",
                     "--output-table", "t.tsv", "--output-report", "r.md")  # fmt: skip
    assert one.returncode == 0, one.stderr
    return one, table(folder / "t.tsv")


@torch.no_grad()
def test_a_published_adapter_is_explained_as_peft_predicts_with_it(tmp_path):
    adapter = open_bundle(DATA / "published_adapter.zip", tmp_path).folder
    plain = EsmForTokenClassification.from_pretrained(MODELS / "tiny-esm", num_labels=2)
    plain, tokenizer = (
        PeftModel.from_pretrained(plain, adapter).eval(),
        AutoTokenizer.from_pretrained(MODELS / "tiny-esm"),
    )

    def log_odds(ids, place):
        p = plain(torch.tensor([ids])).logits[0, place].double().softmax(-1)
        return float(torch.log(p[1] / p[0]))

    one, rows = explained(
        tmp_path, PROTEINS, "--model", DATA / "published_adapter.zip", "--base-model", MODELS / "tiny-esm",
        "--method", "occlusion", "--labels", "other,binding", "--explained-position", "5",
    )  # fmt: skip
    assert "how well a published adapter predicts is not known here" in one.stderr
    assert {(row["explained"], row["class"]) for row in rows} == {("5", "binding")}
    for name, text in PROTEINS.items():
        ids = tokenizer(text)["input_ids"]
        values = [float(row["value"]) for row in rows if row["id"] == name]
        assert len(values) == len(text) and np.ptp(values) > 0.01
        for place, value in enumerate(values):
            hidden = [*ids[: place + 1], tokenizer.mask_token_id, *ids[place + 2 :]]
            assert value == pytest.approx(log_odds(ids, 5) - log_odds(hidden, 5), abs=1e-4)


@torch.no_grad()
def test_bases_share_the_values_of_their_byte_pairs_which_add_up(tmp_path):
    base, bundle = MODELS / "tiny-dnabert2", tmp_path / "dna.zip"
    taught = run_script(tmp_path, "finetune", "--model", base, "--train", DATA / "promoters.tsv", "--method", "head",
                        "--epochs", "1", "--output-model", bundle)  # fmt: skip
    assert taught.returncode == 0, taught.stderr
    _, rows = explained(tmp_path, DNA, "--model", bundle, "--base-model", base, "--steps", "64")
    text = re.sub(r"\\(.)", r"\1", (tmp_path / "r.md").read_text())
    assert "several letters as one token; each base has an equal share" in text and "miss" not in text
    (tmp_path / "opened").mkdir()
    restored = load_finetuned(
        open_bundle(bundle, tmp_path / "opened"), read_model_folder(base), torch.device("cpu"), "fp32"
    )
    tokenizer, mask = Tokenizer.from_file(str(base / "tokenizer.json")), restored.encoder.vocabulary["[MASK]"]
    function = Function(restored, 1024, mask)
    for item in function.items(list(DNA.items()), None):
        values = np.asarray([float(row["value"]) for row in rows if row["id"] == item.id])
        spans = tokenizer.encode(item.sequence, add_special_tokens=False).offsets
        assert len(spans) < len(values) == len(item.sequence) and max(end - start for start, end in spans) > 1
        for start, end in spans:
            assert values[start:end] == pytest.approx(values[start], abs=1e-5)
        places = np.arange(item.tokens)
        whole, empty = function.values([item], [function.hide(0, item, places[:0]), function.hide(0, item, places)])
        assert values.sum() == pytest.approx(whole - empty, abs=0.02 * abs(whole - empty) + 1e-4)
