"""The script that trains language models, as a user runs it: what it makes, stopping and going on, bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile

import pytest

from makers.scripts import DATA, SCRIPTS, manifest, one_line, run_batch, run_mistakes, table

FAMILY = DATA / "protein_family.fasta"
GENOME = DATA / "made_up_genome.fasta"
SMALL = ("--layers", 1, "--width", 16, "--heads", 2, "--context", 64, "--threads", 1)
NEW = ("--corpus", FAMILY, "--architecture", "llama", "--tokenizer", DATA / "models" / "tiny-llama", *SMALL,
       "--batch-size", 16, "--epochs", 4, "--learning-rate", 0.005)  # fmt: skip
OF_GENOME = ("--corpus", GENOME, "--gap", 100, *SMALL, "--batch-size", 16, "--epochs", 2, "--learning-rate", 0.005)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Everything that ends well, run once."""
    folder = tmp_path_factory.mktemp("pretraining")
    calls, names = [], []

    def call(name, script, *arguments):
        outputs = ()
        if script == "pretrain":
            outputs = ("--output-model", f"{name}.zip", "--output-log", f"{name}.log", "--output-metrics",
                       f"{name}.tsv", "--output-report", f"{name}.md")  # fmt: skip
        calls.append((folder, script, *arguments, *outputs))
        names.append(name)

    for kind in ("roberta", "esm"):
        call(f"tokenizer-{kind}", "tokenizer", "--train", "--corpus", FAMILY, "--algorithm", "character",
             "--special-tokens", kind, "--output-tokenizer", f"tokenizer-{kind}.zip")  # fmt: skip
    call("whole", "pretrain", *NEW)
    call("paused", "pretrain", *NEW, "--pause-after", 13, "--output-checkpoint", "paused.checkpoint")
    call("resumed", "pretrain", *NEW, "--resume", "paused.checkpoint")
    call("even", "pretrain", *NEW, "--dropout", 0)
    call("fsdp", "pretrain", *NEW, "--dropout", 0, "--processes", 2, "--strategy", "fsdp")
    call("fewer", "pretrain", *NEW, "--dropout", 0, "--batch-tokens", 130)
    call("gpt2", "pretrain", *OF_GENOME, "--both-strands", "--architecture", "gpt2", "--tokenizer",
         DATA / "tokenizer_dna_gpt2.zip")  # fmt: skip
    for kind in ("bert", "modernbert"):
        call(kind, "pretrain", *OF_GENOME, "--architecture", kind, "--tokenizer", DATA / "tokenizer_dna_bert.zip",
             "--masking", "codon", "--overlap", 0.25)  # fmt: skip
    for kind in ("roberta", "esm"):
        call(kind, "pretrain", "--corpus", FAMILY, *SMALL, "--architecture", kind, "--tokenizer",
             f"tokenizer-{kind}.zip", "--masking", "span", "--epochs", 1)  # fmt: skip
    for kind in ("protgpt2", "esm-mlm"):
        adapter = ["pretrain", "--corpus", FAMILY, "--model", DATA / "models" / f"tiny-{kind}", "--method", "lora",
                   "--context", 64, "--epochs", 2, "--threads", 1, "--learning-rate", 0.01]  # fmt: skip
        call(f"lora-{kind}", *adapter)
        call(f"merged-{kind}", *adapter, "--lora-output", "merged")
    call("continued", "pretrain", "--corpus", FAMILY, "--model", "whole.zip", "--epochs", 1, "--threads", 1)
    call("answers", "pretrain", "--corpus", DATA / "instructions.jsonl", "--objective", "instruction", "--model",
         DATA / "models" / "tiny-llama", "--template", "{instruction}{input}", "--epochs", 8, "--batch-size", 16,
         "--learning-rate", 0.005, "--threads", 1, "--output-predictions", "answers.table")  # fmt: skip
    call("written", "generate", "--model", "whole.zip", "--num-sequences", 3, "--max-length", 40, "--output-fasta",
         "written.fasta", "--threads", 1)  # fmt: skip
    done = dict(zip(names, run_batch(calls, new=names.index("resumed")), strict=True))
    wrong = {name: one.stderr[-1500:] for name, one in done.items() if one.returncode}
    assert not wrong, wrong
    return folder, done


def scores(folder, name, split="test"):
    return {
        (row["model"], row["metric"]): float(row["value"])
        for row in table(folder / f"{name}.tsv")
        if row["split"] == split
    }


@pytest.mark.parametrize("name", ["gpt2", "whole", "bert", "roberta", "esm", "modernbert"])
def test_a_new_model_is_read_by_transformers_and_judged_beside_models_of_letters(runs, tmp_path, name):
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    folder, _ = runs
    said = manifest(folder / f"{name}.zip")
    assert said["method"] == "pretrain" and said["base_model"] is None
    zipfile.ZipFile(folder / f"{name}.zip").extractall(tmp_path)
    kind = AutoModelForCausalLM if said["task"] == "causal-lm" else AutoModelForMaskedLM
    model, info = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.num_hidden_layers == 1 and model.config.hidden_size == 16
    assert len(AutoTokenizer.from_pretrained(tmp_path)("ACGT")["input_ids"]) >= 1
    found = scores(folder, name)
    for baseline in ("uniform letters", "letter frequencies", "3-mers"):
        difference = found["trained", "bits_per_letter"] - found[baseline, "bits_per_letter"]
        assert found[f"trained less {baseline}", "bits_per_letter"] == pytest.approx(difference, abs=1e-4)
    report = (folder / f"{name}.md").read_text()
    assert ("a count of 3-mers" in report.replace("\\", "")) == (found["trained less 3-mers", "bits_per_letter"] > 0)
    assert len(report.encode()) < 10_000


def test_the_perplexity_is_that_of_transformers_on_the_sequences_held_out(runs, tmp_path):
    from argparse import Namespace

    import torch
    from transformers import AutoModelForCausalLM

    from seqlm.tokenization.corpus import read_corpus
    from seqlm.tools.pretrain.split import TEST, split_corpus

    folder, _ = runs
    zipfile.ZipFile(folder / "whole.zip").extractall(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    arguments = Namespace(
        corpus=[FAMILY], alphabet="auto", smiles="as-given", format="auto", id_column=None, sequence_column=None,
        validation_fraction=0.1, test_fraction=0.1, split="auto", gap=1000, held_out_letters=200_000, seed=42,
        both_strands=False, validation_pattern="", test_pattern="",
    )  # fmt: skip
    corpus = read_corpus(arguments, tmp_path)
    documents = split_corpus(corpus, arguments, 64)
    vocabulary = json.loads((tmp_path / "model" / "tokenizer.json").read_text())["model"]["vocab"]
    lost = tokens = 0
    for number in documents.of(TEST):
        text = corpus.text(documents.start[number], documents.end[number])
        ids = torch.tensor([[1, *(vocabulary[letter] for letter in text), 2]])
        with torch.no_grad():
            lost += model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert scores(folder, "whole")["trained", "perplexity"] == pytest.approx(
        torch.tensor(lost / tokens).exp().item(), rel=1e-4
    )


def test_training_that_was_paused_goes_on_as_if_it_had_not_been(runs):
    folder, done = runs
    assert "paused after 13 of 32 updates" in done["paused"].stderr
    assert (folder / "whole.log").read_text() == (folder / "resumed.log").read_text()
    assert (folder / "whole.zip").read_bytes() == (folder / "resumed.zip").read_bytes()


def test_two_processes_lose_what_one_loses(runs):
    """The same rows in an update; losses agree to a relative difference of 1e-4."""
    folder, _ = runs
    for one, two in zip(table(folder / "even.log"), table(folder / "fsdp.log"), strict=True):
        for name in ("train_loss", "validation_loss"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-4)


def test_the_tokens_computed_at_once_do_not_change_the_result(runs):
    folder, _ = runs
    for one, two in zip(table(folder / "even.log"), table(folder / "fewer.log"), strict=True):
        assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), rel=1e-4)


@pytest.mark.parametrize("name", ["protgpt2", "esm-mlm"])
def test_an_adapter_with_embeddings_and_head_is_read_by_peft(runs, tmp_path, name):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    folder, _ = runs
    zipfile.ZipFile(folder / f"lora-{name}.zip").extractall(tmp_path)
    kind = AutoModelForCausalLM if name == "protgpt2" else AutoModelForMaskedLM
    base = kind.from_pretrained(DATA / "models" / f"tiny-{name}")
    before = base.get_input_embeddings().weight.detach().clone()
    model = PeftModel.from_pretrained(base, tmp_path).eval()
    assert len(model.peft_config["default"].modules_to_save) == 2
    assert not torch.equal(model.get_input_embeddings().weight, before)
    found = scores(folder, f"lora-{name}")
    better = found["trained", "perplexity"] < found["before training", "perplexity"]
    assert better or name == "esm-mlm"  # which has learnt this family before


@pytest.mark.parametrize("name", ["protgpt2", "esm-mlm"])
def test_an_adapter_that_was_worked_into_the_model_gives_what_it_gave_beside_it(runs, tmp_path, name):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    folder, _ = runs
    kind = AutoModelForCausalLM if name == "protgpt2" else AutoModelForMaskedLM
    for way in ("lora", "merged"):
        zipfile.ZipFile(folder / f"{way}-{name}.zip").extractall(tmp_path / way)
    assert manifest(folder / f"merged-{name}.zip")["method"] == "full"
    whole, info = kind.from_pretrained(tmp_path / "merged", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    beside = PeftModel.from_pretrained(kind.from_pretrained(DATA / "models" / f"tiny-{name}"), tmp_path / "lora")
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected = beside.eval()(input_ids=ids).logits
        torch.testing.assert_close(whole.eval()(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
    assert scores(folder, f"merged-{name}") == pytest.approx(scores(folder, f"lora-{name}"), rel=1e-4)


def test_a_bundle_is_gone_on_with(runs):
    folder, _ = runs
    said = manifest(folder / "continued.zip")
    assert said["method"] == "full" and said["base_model"]["id"] == "whole.zip"
    found = scores(folder, "continued")
    assert found["before training", "perplexity"] == pytest.approx(
        scores(folder, "whole")["trained", "perplexity"], rel=1e-4
    )


def test_instructions_are_learnt_and_answered(runs):
    folder, _ = runs
    rows = table(folder / "answers.table")
    assert len(rows) == 12 and {row["truth"] for row in rows} == {"Y", "N"}
    right = sum(row["answer"] == row["truth"] for row in rows) / 12
    found = scores(folder, "answers")
    assert found["trained", "exact_match"] == pytest.approx(right, abs=1e-4) and right > 0.8
    assert (
        found["trained", "exact_match"]
        > found["always 'N'" if ("always 'N'", "exact_match") in found else "always 'Y'", "exact_match"]
    )


def test_a_job_that_is_killed_leaves_a_checkpoint_that_goes_on_to_the_same_curve(runs, tmp_path):
    folder, _ = runs
    arguments = [sys.executable, SCRIPTS / "pretrain.py", *NEW, "--output-model", "killed.zip", "--output-checkpoint",
                 "killed.checkpoint", "--checkpoint-minutes", 60]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(list(map(str, arguments)), cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
    for line in job.stderr:
        if line.startswith("training:"):
            job.send_signal(signal.SIGTERM)
            break
    rest = job.stderr.read()
    assert job.wait() == 143 and "stopped after update" in rest, rest
    assert [file.name for file in tmp_path.iterdir()] == ["killed.checkpoint"]
    goes_on = (
        tmp_path,
        "pretrain",
        *NEW,
        "--resume",
        "killed.checkpoint",
        "--output-model",
        "on.zip",
        "--output-log",
        "on.log",
    )
    other = (
        tmp_path,
        "pretrain",
        *NEW,
        "--seed",
        7,
        "--dropout",
        0.2,
        "--resume",
        "killed.checkpoint",
        "--output-model",
        "x.zip",
    )
    on, refused = run_batch([goes_on, other])
    assert on.returncode == 0, on.stderr
    assert (tmp_path / "on.log").read_text() == (folder / "whole.log").read_text()
    assert refused.returncode == 2
    assert "dropout was 0.1 and is 0.2; seed was 42 and is 7" in refused.stderr


FASTA = ">a\n" + "ACGTTGCA" * 20 + "\n"
LLAMA = ("--model", DATA / "models" / "tiny-llama")
DNA_GPT2 = ("--architecture", "gpt2", "--tokenizer", DATA / "tokenizer_dna_gpt2.zip")
ASKED = ("--objective", "instruction", *LLAMA, "--template", "{input}")
MISTAKES = {
    "one short sequence": ({"corpus": FASTA}, DNA_GPT2, "too short to hold out stretches 1,000 letters away"),
    "shorter than a context": (
        {"corpus": FASTA}, (*DNA_GPT2, "--validation-fraction", "0", "--test-fraction", "0"),
        "leaves 160 letters to learn from, less than one context of 512 tokens",
    ),
    "all N": ({"corpus": ">a\n" + "N" * 500 + "\n"}, (*DNA_GPT2, "--alphabet", "DNA"), "all N"),
    "the tokenizer has not the tokens of the model": (
        {"corpus": FASTA}, ("--architecture", "bert", "--tokenizer", DATA / "tokenizer_dna_gpt2.zip"),
        "tokenizer and model do not fit each other: a BERT needs mask token and [CLS] and [SEP]",
    ),
    "a tokenizer of proteins for DNA": (
        {"corpus": FASTA}, ("--architecture", "llama", "--tokenizer", DATA / "models" / "tiny-llama"),
        "splits protein, and the corpus holds DNA",
    ),
    "a masked model that is to write": ({"corpus": FASTA}, (*DNA_GPT2, "--objective", "masked"), "learns causal"),
    "codons of byte pairs": (
        {"corpus": FASTA},
        ("--architecture", "bert", "--tokenizer", DATA / "models" / "tiny-dnabert2", "--masking", "codon"),
        "each base of DNA is one token",
    ),
    "neither a new nor an old model": ({"corpus": FASTA}, (), "say what to train"),
    "heads that do not divide": ({"corpus": FASTA}, (*DNA_GPT2, "--heads", "3"), "cannot be shared by 3 heads"),
    "a model with a head for labels": (
        {"corpus": FAMILY}, ("--model", DATA / "bundle_full_bert.zip"), "has no head for tokens",
    ),
    "an encoder without its head": ({"corpus": FAMILY}, ("--model", DATA / "models" / "tiny-esm"), "without the head"),
    "no name fits": (
        {"corpus": FAMILY}, (*NEW[2:], "--test-pattern", "^chr8$"), "no name of a sequence fits '^chr8$'",
    ),
    "strands of proteins": ({"corpus": FAMILY}, (*NEW[2:], "--both-strands"), "only DNA has two strands"),
    "a pause without a checkpoint": ({"corpus": FAMILY}, (*NEW[2:], "--pause-after", "3"), "--output-checkpoint"),
    "other parameters than the checkpoint's": (
        {"corpus": FAMILY, "resume": DATA / "interrupted_training.zip"}, (*NEW[2:], "--learning-rate", "0.001"),
        "learning-rate was 0.005 and is 0.001",
    ),
    "another corpus than the checkpoint's": (
        {"corpus": DATA / "other_proteins.fasta", "resume": DATA / "interrupted_training.zip"}, NEW[2:], "corpus was",
    ),
    "a bundle is no checkpoint": (
        {"corpus": FAMILY, "resume": DATA / "bundle_full_bert.zip"}, NEW[2:], "is no checkpoint of this tool",
    ),
    "DeepSpeed where it is not": (
        {"corpus": FAMILY}, (*NEW[2:], "--processes", "2", "--strategy", "deepspeed"), "DeepSpeed is not installed",
    ),
    "more processes than rows": ({"corpus": FAMILY}, (*NEW[2:], "--processes", "17"), "17 processes cannot share"),
    "a broken line": (
        {"corpus": '{"input": "ACD", "output": "Y"}\n{"input": "ACD", "output": \n'}, ASKED,
        "corpus, line 2 is no JSON",
    ),
    "a line without an output": ({"corpus": '{"input": "ACD", "answer": "Y"}\n'}, ASKED, "line 1 has no 'output'"),
    "a line that is no object": ({"corpus": '["ACD", "Y"]\n'}, ASKED, "line 1 is no JSON object"),
    "an answer that is a number": ({"corpus": '{"input": "ACD", "output": 3}\n'}, ASKED, "'output' must be a text"),
    "letters without a token": (
        {"corpus": "".join(json.dumps({"input": "AC" + one, "output": "yes"}) + "\n" for one in "DEFG")},
        ASKED, "has no token for 'y' in 'yes'",
    ),
    "one instruction": ({"corpus": '{"input": "ACD", "output": "Y"}\n'}, ASKED, "leave nothing to learn from"),
    "an instruction longer than the context": (
        {"corpus": '{"input": "%s", "output": "Y"}\n' % ("ACD" * 200)}, (*ASKED, "--test-fraction", "0",
        "--validation-fraction", "0"), "over the context of 256",
    ),
    "a question without a question": ({"corpus": FAMILY}, (*ASKED[:4], "--template", "x"), "the template must hold"),
}  # fmt: skip


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    return run_mistakes(tmp_path_factory.mktemp("mistakes"), MISTAKES, "pretrain", ("--output-model", "m.zip"))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_in_one_line_before_torch_is_imported(mistakes, name):
    done, folder = mistakes[name]
    one_line(done, MISTAKES[name][2], folder)


def test_a_checkpoint_that_was_tampered_with_is_refused(tmp_path):
    from seqlm.checkpoints.safetensors_header import read_tensors
    from seqlm.cli.errors import InputError
    from seqlm.tools.pretrain.checkpoint import MOMENTS, WEIGHTS, check_tensors, open_checkpoint

    checkpoint = open_checkpoint(DATA / "interrupted_training.zip", tmp_path / "whole")
    shapes = {name: shape for name, (_, shape) in read_tensors(checkpoint.folder / WEIGHTS, "w").items()}
    check_tensors(checkpoint, shapes)
    with pytest.raises(InputError, match=r"1 tensors of weights\.safetensors are missing"):
        check_tensors(checkpoint, {**shapes, "more": (2,)})
    shutil.copyfile(checkpoint.folder / WEIGHTS, checkpoint.folder / MOMENTS)
    with pytest.raises(InputError, match=r"of moments\.safetensors"):
        check_tensors(checkpoint, shapes)
    with zipfile.ZipFile(DATA / "interrupted_training.zip") as archive:
        content = json.loads(archive.read("checkpoint.json"))
        for key, value in (("step", "3"), ("step", -1), ("history", [{"epoch": 1}]), ("best_epoch", -9), ("format", 2)):
            with zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
                bad.writestr("checkpoint.json", json.dumps({**content, key: value}))
                for name in archive.namelist():
                    if name != "checkpoint.json":
                        bad.writestr(name, archive.read(name))
            with pytest.raises(InputError, match=key):
                open_checkpoint(tmp_path / "bad.zip", tmp_path / f"bad_{key}_{value!s:.5}")
