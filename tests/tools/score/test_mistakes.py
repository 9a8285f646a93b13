"""What scoring cannot do is said in one line, before anything heavy is imported."""

from makers.models import with_head
from makers.scripts import mistake, one_line, run_batch, run_mistakes

GOOD = ">a\nMKTAYIAKQRQISFVKSHFSRQ\n"
ONE = {"sequences": GOOD}
MISTAKES = {
    "empty": ({"sequences": ""}, [], "is empty"),
    "letters": ({"sequences": ">a\nMK1\n"}, [], "has '1' at position 3"),
    "DNA": ({"sequences": ">a\n" + "ACGT" * 20 + "\n"}, [], "holds DNA"),
    "method of causal": (ONE, ["--method", "perplexity"], "is a masked model, which gives no probability to a whole"),
    "method of variants": (ONE, ["--method", "masked-marginals"], "give --variants or --scan, or take pseudo-perplex"),
    "method of sequences": (
        ONE,
        ["--scan", "--method", "pseudo-perplexity"],
        "for substitutions take masked-marginals",
    ),
    "both": (ONE | {"variants": "M1V\n"}, ["--scan"], "give one of them"),
    "column": (ONE, ["--variant-column", "x"], "--variant-column is about the table of --variants"),
    "two columns": (
        ONE | {"variants": "M1V\n"},
        ["--variant-column", "x", "--variant-sequence-column", "y"],
        "from one",
    ),
    "matrix": (ONE, ["--output-matrix", "m"], "--output-matrix needs --scan"),
    "positions": (ONE | {"variants": "M1V\n"}, ["--output-positions", "p"], "--output-positions needs --scan"),
    "fasta": (ONE, ["--scan", "--output-fasta", "f"], "--output-fasta is of whole sequences"),
    "filter": (ONE, ["--scan", "--keep-best", "2"], "--keep-best is about whole sequences"),
    "none kept": (ONE, ["--keep-best", "0"], "out of range"),
    "perplexity below 1": (ONE, ["--max-perplexity", "0.5"], "out of range"),
    "mismatch": (ONE | {"variants": "K1V\n"}, [], "'K1V' says K at position 1, where 'a' has M"),
    "outside": (ONE | {"variants": "M99V\n"}, [], "is outside 'a', whose positions are 1 to 22"),
    "numbering": (ONE | {"variants": "M1V\n"}, ["--first-position", "x"], "is not an integer"),
    "insertion": (
        ONE | {"variants": "s\tx\n" + GOOD.split()[1] + "G\t1\n"},
        ["--variant-sequence-column", "s"],
        "can be scored by --method log-likelihood-ratio alone",
    ),
    "very long": (
        {"sequences": ">a\n" + "MKTA" * 25_001 + "\n"},
        ["--scan"],
        "has 100,004 letters; a scan takes up to",
    ),
    "no outputs": (ONE, ["--output-table", ""], "no output was asked for"),
    "base": (ONE | {"base-model": "x"}, [], "leave the base model empty"),
}
OF_MODELS = {
    "causal for masked": (
        "tiny-llama",
        ["--scan", "--method", "masked-marginals"],
        "take --method log-likelihood-ratio",
    ),
    "causal pseudo": ("tiny-llama", ["--method", "pseudo-perplexity"], "take --method perplexity, or a masked model"),
    "no head": ("tiny-esm", [], "holds an encoder of the family ESM-2 without the head"),
    "T5": ("tiny-t5", [], "is of the family T5 encoder (ProtT5), an encoder that gives no probability to tokens"),
    "classifier": ("bundle_full_bert.zip", [], "was fine-tuned for"),
    "molecules": ("tiny-smiles-gpt2", ["--scan"], "substitutions are of proteins and DNA"),
    "no token": ("tiny-smiles-gpt2", [], "record 'a': the model's vocabulary has no token for a part"),
    "pieces": (
        "dnabert2",
        ["--scan", "--method", "masked-marginals"],
        "take --method log-likelihood-ratio, which compar",
    ),
}


def test_mistakes_are_one_line_before_torch_is_imported(tmp_path, model_path):
    common = ("--model", model_path("esm-mlm"), "--output-table", "t.tsv")
    for name, (one, work) in run_mistakes(tmp_path, MISTAKES, "score", common).items():
        one_line(one, MISTAKES[name][2], work)


def test_models_that_cannot_be_used_are_named_before_torch_is_imported(tmp_path, data, model_path):
    proteins = tmp_path / "p.fasta"
    proteins.write_text(GOOD)
    dnabert2 = with_head(model_path("dnabert2"), tmp_path / "dnabert2")
    calls = []
    for name, (model, options, _) in OF_MODELS.items():
        work = tmp_path / name / "work"
        work.mkdir(parents=True)
        path = dnabert2 if model == "dnabert2" else data / (f"models/{model}" if "tiny" in model else model)
        calls.append((work, "score", "--model", path, *options, "--sequences", proteins, "--output-table", "t"))
    for (_, _, message), call, one in zip(OF_MODELS.values(), calls, run_batch(calls, torch=False), strict=True):
        one_line(one, message, call[0])


def test_a_mistake_is_found_before_anything_heavy_is_imported(new_process, model_path, tmp_path):
    (tmp_path / "p.fasta").write_text(GOOD)
    (tmp_path / "v.txt").write_text("K1V\n")
    files = ["--sequences", tmp_path / "p.fasta", "--variants", tmp_path / "v.txt", "--output-table", "t"]
    assert "says K at position 1" in mistake(new_process, "score", "--model", model_path("esm-mlm"), *files)
