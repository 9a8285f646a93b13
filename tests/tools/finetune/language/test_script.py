"""Fine-tuning of causal language models as a user runs it: finetune.py, and what the bundle is good for elsewhere."""

import math
import re
import zipfile
from argparse import Namespace

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GPT2Model

from makers.scripts import manifest as manifest_of
from makers.scripts import mistake, one_line, run_batch, run_mistakes, table
from seqlm.cli.errors import InputError
from seqlm.data.sequences import read_records
from seqlm.embeddings.tables import read_embeddings
from seqlm.inference.language_models import load_language_model, open_language_model
from seqlm.tokenization.language_text import LanguageText

MODELS = ["fine-tuned", "not fine-tuned", "uniform letters", "letter frequencies", "3-mers"]
REPORT = ["--output-report", "report.md", "--output-html", "report.html", "--output-figures", "figures"]
TABLES = ["--output-metrics", "metrics.tsv", "--output-predictions", "predictions.tsv", "--output-log", "log.tsv"]
MOLECULES = [
    "OCc1ccccc1",
    "NCCc1ccccc1",
    "c1ccncc1CO",
    "c1ccncc1CCl",
    "C1CCCCC1CO",
    "C1CCCCC1N",
    "NCCc1ccncc1",
    "BrCc1ccccc1",
]


@pytest.fixture(scope="module")
def done(tmp_path_factory, request):
    """Every run of this module, made once: name -> (what it printed, its folder)."""
    folder = tmp_path_factory.mktemp("language")
    data = request.config.rootpath / "test-data"
    models = data / "models"
    records = list(read_records(data / "protein_family.fasta"))
    sets = folder / "sets.tsv"
    splits = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10 + ["left out"] * 3
    rows = [f"{one.id}\t{one.sequence}\t{split}" for one, split in zip(records, splits, strict=False)]
    sets.write_text("name\tresidues\tsplit\n" + "\n".join([*rows, f"again\t{records[50].sequence}\ttrain"]) + "\n")
    molecules = folder / "molecules.csv"
    molecules.write_text("id,smiles\n" + "".join(f"m{n},{one}\n" for n, one in enumerate(MOLECULES * 4)))
    columns = ["--train", sets, "--id-column", "name", "--sequence-column", "residues", "--split-column", "split"]
    family = ["--train", data / "protein_family.fasta", "--test-fraction", "0.2", *REPORT]
    gpt2, llama = (
        ["--model", models / "tiny-protgpt2", "--model-id", "seqlm/tiny-protgpt2"],
        ["--model", models / "tiny-llama"],
    )
    works = folder / "runs"
    calls = {
        "lora": [*gpt2, *family, "--epochs", "3", "--learning-rate", "0.01"],
        "lora again": [*gpt2, *family, "--epochs", "3", "--learning-rate", "0.01"],
        "small passes": [*llama, *columns, "--epochs", "2", "--batch-tokens", "100", "--lora-dropout", "0"],
        "large passes": [*llama, *columns, "--epochs", "2", "--batch-tokens", "9000", "--lora-dropout", "0"],
        "full": [*llama, *family, "--epochs", "6", "--learning-rate", "0.003", "--method", "full"],
        "pissa": [*llama, *columns, "--epochs", "1", "--lora-start", "pissa", "--train-layer-norms",
                  "--duplicates", "remove"],
        "dora": [*llama, *columns, "--epochs", "1", "--method", "dora", "--lora-modules", "all-linear",
                 "--max-length", "20"],
        **{
            name: [*llama, *columns, "--epochs", "1", "--method", name, "--learning-rate", "0.02"]
            for name in ("adalora", "vera", "ia3")
        },
        "cut": [*llama, *columns, "--epochs", "1", "--max-length", "20", "--long-sequences", "truncate", *REPORT],
        "only training": [*gpt2, "--train", data / "beginnings.fasta", "--validation-fraction", "0", "--epochs", "1",
                          *REPORT],
        "molecules": ["--model", models / "tiny-smiles-gpt2", "--train", molecules, "--sequence-column", "smiles",
                      "--smiles", "canonical", "--epochs", "1"],
        "from a bundle": ["--model", works / "full" / "model.zip", *columns, "--epochs", "1"],
    }  # fmt: skip
    given = {
        name: ("finetune", "--task", "causal-lm", *call, "--output-model", "model.zip", *TABLES)
        for name, call in calls.items()
    }
    sequences = ["--sequences", data / "wild_type.fasta", "--output-npz", "e.npz"]
    given |= {
        "embed lora": ("embed", "--model", works / "lora" / "model.zip", "--base-model", models / "tiny-protgpt2",
                       *sequences),
        "embed full": ("embed", "--model", works / "full" / "model.zip", *sequences),
        "embed base": ("embed", "--model", models / "tiny-protgpt2", *sequences),
        "no label": ("predict", "--model", works / "full" / "model.zip", "--sequences", data / "wild_type.fasta",
                     "--output-table", "p.tsv"),
        "of labels": ("finetune", "--task", "causal-lm", "--model", data / "bundle_full_bert.zip", *columns,
                      "--output-model", "m.zip"),
        "too fast": ("finetune", "--task", "causal-lm", *llama, *columns, "--method", "full", "--learning-rate", "1",
                     "--weight-decay", "0", "--warmup", "0", "--epochs", "3", "--output-model", "m.zip"),
    }  # fmt: skip
    for name in given:
        (works / name).mkdir(parents=True)
    finished = run_batch([(works / name, *call) for name, call in given.items()])
    return {name: (one, works / name) for name, one in zip(given, finished, strict=True)}


def work_of(done, name):
    one, work = done[name]
    assert one.returncode == 0, one.stderr
    return work


def scores_of(done, name, split="test"):
    """(model, metric) -> value, low, high."""
    rows = table(work_of(done, name) / "metrics.tsv")
    return {
        (row["model"], row["metric"]): tuple(float(row[key]) for key in ("value", "low", "high"))
        for row in rows
        if row["split"] == split
    }


def test_fine_tuning_lowers_the_perplexity_of_held_out_members_of_the_family(done):
    for name in ("lora", "full"):
        scores = scores_of(done, name)
        assert scores["fine-tuned", "perplexity"][0] < 0.6 * scores["not fine-tuned", "perplexity"][0]
        value, low, high = scores["fine-tuned less not fine-tuned", "perplexity"]
        assert low < value < high < 0
        difference = scores["fine-tuned", "perplexity"][0] - scores["not fine-tuned", "perplexity"][0]
        assert value == pytest.approx(difference, rel=1e-4)


def test_every_score_stands_beside_the_models_of_letters(done):
    work = work_of(done, "lora")
    rows = table(work / "metrics.tsv")
    assert list(rows[0]) == ["split", "model", "metric", "value", "low", "high", "sequences"]
    assert [*dict.fromkeys(row["model"] for row in rows)][:5] == MODELS
    assert {row["sequences"] for row in rows if row["split"] == "test"} == {"32"}
    for split in ("train", "validation", "test"):
        scores = scores_of(done, "lora", split)
        bits = [scores[model, "bits_per_letter"][0] for model in MODELS[2:]]
        assert bits == sorted(bits, reverse=True) and bits[0] == pytest.approx(math.log2(21) * 55 / 54, rel=1e-5)
        for model in MODELS:
            assert 2 ** scores[model, "bits_per_letter"][0] == pytest.approx(
                scores[model, "letter_perplexity"][0], rel=1e-4
            )


def test_the_same_seed_gives_the_same_bytes(done):
    first, second = work_of(done, "lora"), work_of(done, "lora again")
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 10, "bundle, three tables, report, page, four figures"
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_token_budget_changes_nothing_but_speed(done):
    small, large = scores_of(done, "small passes"), scores_of(done, "large passes")
    for key, values in small.items():
        assert values == pytest.approx(large[key], rel=1e-3, abs=1e-3), key


@pytest.mark.parametrize("name", ["lora", "pissa", "dora", "adalora", "vera", "ia3"])
def test_peft_reads_the_adapter_and_gives_the_perplexities_of_the_table(done, model_path, tmp_path, name):
    work = work_of(done, name)
    zipfile.ZipFile(work / "model.zip").extractall(tmp_path)
    base = model_path("protgpt2" if name == "lora" else "llama")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path).eval()
    assert model.peft_config["default"].task_type == "CAUSAL_LM"
    text = text_of(base)
    sequences = {
        record.id: record.sequence for record in read_records(model_path("x").parents[1] / "protein_family.fasta")
    }
    rows = table(work / "predictions.tsv")
    for row in rows[:4]:
        ids = torch.tensor(text.encode([sequences[row["id"]]])[0][None])
        with torch.no_grad():
            loss = model.get_base_model()(ids, labels=ids).loss.item()
        assert (int(row["tokens"]), int(row["letters"])) == (ids.shape[1] - 1, len(sequences[row["id"]]))
        if name != "dora":  # whose sequences were read in windows of 20 tokens
            assert float(row["perplexity_after"]) == pytest.approx(math.exp(loss), rel=1e-3)
            bits = loss * int(row["tokens"]) / int(row["letters"]) / math.log(2)
            assert float(row["bits_per_letter_after"]) == pytest.approx(bits, rel=1e-3)


def text_of(folder):
    from seqlm.checkpoints.folder import read_model_folder
    from seqlm.families.recognition import recognise

    return LanguageText(recognise(folder, read_model_folder(folder).config), folder)


@pytest.mark.parametrize("name", ["lora", "full", "molecules", "adalora", "vera"])
def test_the_code_of_the_card_gives_what_the_tools_give(done, model_path, tmp_path, capsys, name):
    """Pasted from README.md, with the base model's folder in place of its name."""
    folder = {"lora": "protgpt2", "molecules": "smiles-gpt2"}.get(name, "llama")
    opened = opened_of(done, model_path, name, folder, tmp_path / "opened")
    zipfile.ZipFile(work_of(done, name) / "model.zip").extractall(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert 'pipeline_tag: "text-generation"' in card and "It writes sequences" in card
    code = re.search(r"```python\n(.*?)```", card, re.S).group(1)
    code = code.replace('folder = "."', f"folder = {str(tmp_path)!r}")
    for base in ("seqlm/tiny-protgpt2", "tiny-smiles-gpt2", "tiny-llama"):
        code = code.replace(f'"{base}"', repr(str(model_path(folder))))
    exec(code, {})
    perplexity, written = capsys.readouterr().out.split("\n", 1)
    sequence = re.search(r'text = "(\w.*)"', code).group(1)
    text = LanguageText(opened.family, opened.base.path, tokenizer=opened.tokenizer)
    ids = torch.tensor(text.encode([sequence])[0][None])
    model = load_language_model(opened, torch.device("cpu"), "fp32")
    with torch.no_grad():
        model = model.get_base_model() if name == "adalora" else model
        expected = model(ids, labels=ids).loss.exp().item()
    assert float(perplexity) == pytest.approx(expected, rel=1e-4) and written.strip()


def opened_of(done, model_path, name, base, scratch):
    scratch.mkdir()
    base = None if name == "full" else model_path(base)
    arguments = Namespace(model=work_of(done, name) / "model.zip", base_model=base, model_id="")
    return open_language_model(arguments, scratch)


def test_a_bundle_says_what_it_is_and_what_it_was_trained_from(done, model_path):
    lora = manifest_of(work_of(done, "lora") / "model.zip")
    assert (lora["task"], lora["method"], lora["head"], lora["pooling"], lora["labels"]) == (
        "causal-lm", "lora", None, None, None,
    )  # fmt: skip
    assert lora["base_model"]["id"] == "seqlm/tiny-protgpt2" and len(lora["base_model"]["sha256"]) == 64
    assert set(lora["data_sha256"]) == {"train", "validation", "test"} and lora["max_length"] == 256
    value, low, high = lora["metrics"]["test"]["perplexity"]
    assert (value, low, high) == pytest.approx(scores_of(done, "lora")["fine-tuned", "perplexity"], rel=1e-5)
    molecules = manifest_of(work_of(done, "molecules") / "model.zip")
    assert (molecules["alphabet"], molecules["tokenizer"]) == ("canonical SMILES", "repaired")
    assert manifest_of(work_of(done, "from a bundle") / "model.zip")["alphabet"] == "protein"


def test_a_whole_model_can_be_trained_further(done):
    """The table of both runs has the same sequences, of which the first has learnt already."""
    first, second = scores_of(done, "small passes"), scores_of(done, "from a bundle")
    assert second["not fine-tuned", "perplexity"][0] < 0.6 * first["not fine-tuned", "perplexity"][0]


def test_the_log_has_an_epoch_a_row_and_says_which_was_kept(done):
    rows = table(work_of(done, "lora") / "log.tsv")
    assert list(rows[0]) == ["epoch", "learning_rate", "train_loss", "validation_loss", "validation_perplexity", "kept"]
    losses = [float(row["validation_loss"]) for row in rows]
    assert [row["kept"] for row in rows].index("yes") == int(np.argmin(losses))
    kept = scores_of(done, "lora", "validation")["fine-tuned", "perplexity"][0]
    assert math.exp(min(losses)) == pytest.approx(kept, rel=1e-3), "what is kept is what the bundle holds"


def test_splits_of_the_table_are_used_and_what_leaks_is_said_or_removed(done):
    cut, pissa = done["cut"], done["pissa"]
    report = (work_of(done, "cut") / "report.md").read_text()
    assert (
        "Equal sequences in both train and test: 1." in report and "left out, as its split says: 3 sequences" in report
    )
    assert "1 of the sequences in the test set are also in the training set" in report
    assert "was given; relatives of its sequences" in report and cut[0].returncode == 0
    assert str(counts(work_of(done, "pissa"))) == "{'test': 10, 'train': 40, 'validation': 10}", pissa[0].stderr


def counts(work):
    return dict(sorted({row["split"]: int(row["sequences"]) for row in table(work / "metrics.tsv")}.items()))


def test_long_sequences_are_windowed_or_cut_off_and_both_are_said(done):
    rows = table(work_of(done, "cut") / "predictions.tsv")
    assert {(row["letters"], row["tokens"]) for row in rows} == {("20", "20")}
    assert "cut off at 21 tokens: 61 sequences" in (work_of(done, "cut") / "report.md").read_text()
    assert {row["letters"] for row in table(work_of(done, "dora") / "predictions.tsv")} == {"54"}


def test_the_report_says_in_words_whether_it_helped_and_how_to_go_on(done):
    report = (work_of(done, "lora") / "report.md").read_text()
    assert (
        "**Fine-tuning lowered the perplexity on the test set, but a model that only counts 3-mers is better" in report
    )
    for heading in ("Verdict", "Scores", "Learning curves", "Sequences before and after", "How to go on", "Data",
                    "Versions and model", "How to cite"):  # fmt: skip
        assert f"## {heading}" in report
    for words in ("drawn at random, so of a family there are close relatives", "seqlm\\_generate", "93,696 weights",
                  "Only 32 sequences decide", 'path="before-after.png"'):  # fmt: skip
        assert words in report, words
    assert len(report.encode()) < 10_000
    page = (work_of(done, "lora") / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4 and "<script" not in page
    alone = (work_of(done, "only training") / "report.md").read_text()
    assert "There is neither a test nor a validation set" in alone and "as nothing could choose it" in alone


def test_a_language_model_embeds_with_its_adapter_by_its_last_token(done, model_path):
    base, lora = (read_embeddings(work_of(done, f"embed {name}") / "e.npz").vectors[0] for name in ("base", "lora"))
    plain = GPT2Model.from_pretrained(model_path("protgpt2")).eval()
    sequence = next(read_records(model_path("x").parents[1] / "wild_type.fasta")).sequence
    from tokenizers import Tokenizer

    ids = torch.tensor([Tokenizer.from_file(str(model_path("protgpt2") / "tokenizer.json")).encode(sequence).ids])
    with torch.no_grad():
        np.testing.assert_allclose(base, plain(ids).last_hidden_state[0, -1].numpy(), atol=1e-4)
    merged = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(model_path("protgpt2")), unpacked(done, "lora")
    ).merge_and_unload()
    with torch.no_grad():
        expected = merged.transformer(ids).last_hidden_state[0, -1].numpy()
    np.testing.assert_allclose(lora, expected, atol=1e-4)
    assert np.abs(lora - base).max() > 1e-2
    assert read_embeddings(work_of(done, "embed full") / "e.npz").vectors.shape == (1, 48)


def unpacked(done, name):
    folder = work_of(done, name).parent / f"unpacked {name}"
    zipfile.ZipFile(work_of(done, name) / "model.zip").extractall(folder)
    return folder


def test_a_truncated_bundle_is_refused(done, model_path, tmp_path):
    whole = (work_of(done, "lora") / "model.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "scratch").mkdir()
    arguments = Namespace(model=tmp_path / "half.zip", base_model=model_path("protgpt2"), model_id="")
    with pytest.raises(InputError, match=r"half\.zip"):
        open_language_model(arguments, tmp_path / "scratch")
    other = Namespace(model=work_of(done, "lora") / "model.zip", base_model=model_path("llama"), model_id="")
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="trained on another base model, seqlm/tiny-protgpt2"):
        open_language_model(other, tmp_path / "other")


def test_what_cannot_be_is_said_in_one_line(done):
    for name, message in {
        "no label": "predicts tokens and no labels; give it to the tools that generate",
        "of labels": "models of the family BERT cannot write sequences from left to right",
    }.items():
        one_line(done[name][0], message, done[name][1])
    # at such a rate no epoch is better than the model as it came, which is then what is kept
    assert "Fine-tuning did not clearly change the perplexity on the test set" in done["too fast"][0].stderr


FAMILY = "".join(f">{name}\nMKTAYI{name.upper()}KQR\n" for name in "acdefghik")


def mistakes(models, data):
    llama = ("--model", models / "tiny-llama")
    return {
        "empty": ({"train": ""}, llama, "train is empty"),
        "one sequence": ({"train": ">a\nMKT\n"}, llama, "1 different sequences are too few for a validation set"),
        "one, no validation": (
            {"train": ">a\nMKT\n"}, (*llama, "--validation-fraction", "0"), "1 training example is left",
        ),
        "all the same": (
            {"train": ">a\nMKT\n>b\nMKT\n", "validation": FAMILY}, llama, "all training sequences are the same",
        ),
        "wrong letter": ({"train": FAMILY + ">x\nMK1T\n"}, llama, "record 'x' (line 19) has '1' at position 3"),
        "DNA": ({"train": "".join(f">{n}\n{'ACGTTACG' * 5}{n * 'A'}\n" for n in range(9))}, llama, "holds DNA"),
        "a masked model": (
            {"train": FAMILY}, ("--model", models / "tiny-esm-mlm"),
            "family ESM-2 cannot write sequences from left to right; choose a causal one, of the families ",
        ),
        "T5": ({"train": FAMILY}, ("--model", models / "tiny-t5"), "cannot write sequences from left to right"),
        "an adapter": ({"train": FAMILY}, ("--model", data / "bundle_lora_t5.zip"), "holds only an adapter or a head"),
        "head": ({"train": FAMILY}, (*llama, "--method", "head"), "choose the method lora, dora or full"),
        "too long": (
            {"train": FAMILY + f">long\n{'MKTAY' * 9}\n"}, (*llama, "--long-sequences", "refuse", "--max-length", "20"),
            "the sequence 'long' has 47 tokens, start and end included, over the limit of 21",
        ),
        "too short": ({"train": FAMILY}, (*llama, "--max-length", "3"), "must read at least 8 tokens at once"),
        "too far": ({"train": FAMILY}, (*llama, "--max-length", "999"), "reads at most 255 tokens at once"),
        "labels": ({"train": FAMILY}, (*llama, "--label-column", "label"), "--label-column is for tasks with labels"),
        "weights": ({"train": FAMILY}, (*llama, "--class-weights", "balanced"), "--class-weights is for tasks with"),
        "sites": ({"train": FAMILY}, (*llama, "--position-column", "x"), "--position-column is for tasks with labels"),
        "pairs": ({"train": FAMILY}, (*llama, "--pair-split", "pair"), "--pair-split is for tasks with labels"),
        "metric": ({"train": FAMILY}, (*llama, "--metric", "mcc"), "keeps the epoch of the lowest validation loss"),
        "leaks": (
            {"train": FAMILY, "test": ">x\nMKTAYIAKQR\n"}, (*llama, "--duplicates", "refuse"),
            "1 training sequences are in the validation or test set too",
        ),
        "canonical proteins": ({"train": FAMILY}, (*llama, "--smiles", "canonical"), "are for models of molecules"),
        "no molecule": (
            {"train": "id,sequence\na,CCO\nb,C1CC\n"},
            ("--model", models / "tiny-smiles-gpt2", "--smiles", "canonical"), "is no molecule that RDKit can read",
        ),
        "no such atom": (
            {"train": "id,sequence\na,CCO\nb,CC[Xe]\nc,CN\n", "test": "id,sequence\na,CC\n"},
            ("--model", models / "tiny-smiles-gpt2", "--validation-fraction", "0"),
            "the sequence 'b' cannot be read: the model's vocabulary has no token for",
        ),
        "modules": ({"train": FAMILY}, (*llama, "--lora-start", "pissa", "--method", "dora"), "cannot be combined"),
    }  # fmt: skip


def test_every_mistake_is_named_in_one_line_without_torch(tmp_path, model_path, data):
    wanted = mistakes(model_path("x").parent, data)
    common = ("--task", "causal-lm", "--output-model", "model.zip")
    found = run_mistakes(tmp_path, wanted, "finetune", common)
    for name, (one, work) in found.items():
        one_line(one, wanted[name][2], work)


def test_a_mistake_is_said_before_any_library_is_imported(new_process, model_path, data):
    line = mistake(
        new_process, "finetune", "--task", "causal-lm", "--model", model_path("esm-mlm"), "--train",
        data / "protein_family.fasta", "--output-model", "m.zip",
    )  # fmt: skip
    assert "cannot write sequences" in line
