"""score.py as a user runs it."""

import math
import random
import re

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer, EsmForMaskedLM, GPT2LMHeadModel, LlamaForCausalLM

from makers.models import make, spread, with_head
from makers.scripts import run_batch, table
from seqlm.data.sequences import read_records

AMINO = "ACDEFGHIKLMNPQRSTVWY"
REPORT = ["--output-report", "report.md", "--output-html", "report.html", "--output-figures", "figures"]


@pytest.fixture(scope="module")
def done(tmp_path_factory, request):
    """Every run of this module, made once: name -> (what it printed, its folder)."""
    folder = tmp_path_factory.mktemp("score")
    data = request.config.rootpath / "test-data"
    models = data / "models"
    rng = random.Random(4)
    dna = folder / "dna.fasta"
    bases = ["".join(rng.choices("ACGT", k=80)) for _ in range(3)]
    dna.write_text("".join(f">d{number}\n{text}\n" for number, text in enumerate([*bases, bases[0][:40] + "N"])))
    (folder / "dna.txt").write_text(f"{bases[0][4]}5{'A' if bases[0][4] != 'A' else 'C'}\n")
    (folder / "one.fasta").write_text(f">d0\n{bases[0]}\n")
    long = "".join(rng.choices(AMINO, k=700))
    (folder / "long.fasta").write_text(f">long\n{long}\n>short\nMKTAYX\n")
    (folder / "standard.fasta").write_text(f">long\n{long}\n>short\nMKTAY\n")
    wild = next(read_records(data / "wild_type.fasta")).sequence
    (folder / "two.fasta").write_text(f">a\n{wild}\n>b\nMKTAYIAKQR\n")
    rows = [("a", f"{wild[4]}5W:{wild[20]}21A", ""), ("b", "K2R", "NA"), ("a", "WT", "1"), ("b", "A4A", "2"),
            ("b", "K2R", "0.5"), ("a", f"{wild[4]}5W", "3")]  # fmt: skip
    (folder / "two.tsv").write_text("protein\tvariant\tfitness\n" + "".join("\t".join(row) + "\n" for row in rows))
    whole = ["MKTAYIAKQR", "MKTAWIAKQR", "MKTAYIAKQRGG"]
    (folder / "whole.csv").write_text("sequence,y\n" + "".join(f"{text},{len(text)}\n" for text in whole))
    (folder / "scores.tsv").write_text((data / "variants.tsv").read_text().replace("activity", "score", 1))
    (folder / "b.fasta").write_text(">b\nMKTAYIAKQR\n")
    esm = ["--model", spread(models / "tiny-esm-mlm", folder / "esm")]
    llama, gpt2 = ["--model", models / "tiny-llama"], ["--model", models / "tiny-protgpt2"]
    ancestor = ["--sequences", data / "wild_type.fasta"]
    measured = ["--variants", data / "variants.tsv", "--measured-column", "activity"]
    two = ["--sequences", folder / "two.fasta", "--variants", folder / "two.tsv", "--measured-column", "fitness"]
    family = ["--sequences", data / "protein_family.fasta"]
    dnabert2 = ["--model", with_head(models / "tiny-dnabert2", folder / "dnabert2")]
    scan = ["--scan", "--output-matrix", "m.tsv", "--output-positions", "p.tsv"]
    calls = {
        "variants": [*esm, *ancestor, *measured, *REPORT, "--figure-format", "svg"],
        "again": [*esm, *ancestor, *measured, *REPORT, "--figure-format", "svg"],
        "measured score": [*esm, *ancestor, "--variants", folder / "scores.tsv", "--measured-column", "score"],
        "small batches": [*esm, *ancestor, *measured, "--batch-tokens", "1"],
        "scan": [*esm, *ancestor, *scan, *REPORT, "--first-position", "-4"],
        "wild-type scan": [*esm, *ancestor, *scan, "--method", "wild-type-marginals"],
        "two": [*esm, *two, *REPORT],
        "two wild-type": [*esm, *two, "--method", "wild-type-marginals"],
        "masked ratio": [*esm, *two, "--method", "log-likelihood-ratio"],
        "pseudo": [*esm, "--sequences", folder / "two.fasta", *REPORT],
        "one pass": [*esm, *family, "--method", "pseudo-perplexity-one-pass", *REPORT],
        "long scan": [*esm, "--sequences", folder / "long.fasta", "--scan", "--method", "wild-type-marginals", *REPORT],
        "gpt2": [*gpt2, *family, "--output-fasta", "kept.fasta", "--max-perplexity", "200", "--keep-best", "7",
                 *REPORT],
        "all": [*gpt2, *family, "--output-fasta", "kept.fasta"],
        "llama": [*llama, *family],
        "ratio": [*llama, *ancestor, *measured, *REPORT],
        "ratio scan": [*llama, "--sequences", folder / "b.fasta", *scan],
        "whole": [*llama, "--sequences", folder / "b.fasta", "--variants", folder / "whole.csv",
                  "--variant-sequence-column", "sequence"],
        "pieces": [*dnabert2, "--sequences", dna],
        "pieces ratio": [*dnabert2, "--sequences", folder / "one.fasta", "--variants", folder / "dna.txt"],
        "windows": ["--model", make("gpt2", folder), "--sequences", folder / "standard.fasta"],
    }  # fmt: skip
    torch.manual_seed(1)
    settings = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = get_peft_model(LlamaForCausalLM.from_pretrained(models / "tiny-llama"), settings)
    adapted.save_pretrained(folder / "adapter")
    calls["adapter"] = ["--model", folder / "adapter", "--base-model", models / "tiny-llama", *family]
    works = {name: folder / "runs" / name for name in calls}
    for work in works.values():
        work.mkdir(parents=True)
    given = [(works[name], "score", *call, "--output-table", "t.tsv") for name, call in calls.items()]
    return {
        name: (one, works[name]) for name, one in zip(calls, run_batch(given, new=[*calls].index("again")), strict=True)
    } | {"": (None, folder)}


def rows_of(done, name, file="t.tsv"):
    one, work = done[name]
    assert one.returncode == 0, one.stderr
    return table(work / file)


def report_of(done, name):
    assert done[name][0].returncode == 0, done[name][0].stderr
    return re.sub(r"\\(.)", r"\1", (done[name][1] / "report.md").read_text())


@pytest.fixture(scope="module")
def loop(done):
    """ESM by transformers, one row a pass: log-probabilities of each token where some positions are masked."""
    folder = done[""][1] / "esm"
    model = EsmForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def ask(sequence, masked):
        given = tokenizer(sequence, return_tensors="pt")
        for place in masked:
            given["input_ids"][0, place + 1] = tokenizer.mask_token_id
        with torch.no_grad():
            found = model(**given).logits[0].double().log_softmax(-1)
        return lambda place, letter: float(found[place + 1, tokenizer.convert_tokens_to_ids(letter)])

    return ask


@pytest.fixture(scope="module")
def ancestor(data_folder):
    return next(read_records(data_folder / "wild_type.fasta")).sequence


@pytest.fixture(scope="module")
def data_folder(request):
    return request.config.rootpath / "test-data"


def changes_of(text):
    found = [] if text == "WT" else [(part[0], int(part[1:-1]) - 1, part[-1]) for part in text.split(":")]
    return [one for one in found if one[0] != one[2]]


def test_masked_marginals_are_those_of_a_loop_over_transformers_own_model(done, loop, ancestor, data_folder):
    """All changed positions masked together, one variant a pass."""
    found = rows_of(done, "variants")
    given = table(data_folder / "variants.tsv")
    assert [row["variant"] for row in found] == [row["variant"] for row in given]
    assert [float(row["activity"]) for row in found] == [float(row["activity"]) for row in given]
    for row in found:
        changes = changes_of(row["variant"])
        ask = loop(ancestor, [place for _, place, _ in changes])
        expected = sum(ask(place, new) - ask(place, old) for old, place, new in changes)
        assert float(row["score"]) == pytest.approx(expected, abs=1e-4)
        assert int(row["substitutions"]) == len(changes) and row["id"] == "ancestor"
    assert len({row["score"] for row in found}) > 70


def test_a_scan_is_masked_marginals_of_every_letter_at_every_position(done, loop, ancestor):
    long, matrix = rows_of(done, "scan"), rows_of(done, "scan", "m.tsv")
    assert len(long) == 19 * len(ancestor) and len(matrix) == len(ancestor)
    scores = {row["variant"]: float(row["score"]) for row in long}
    assert len(scores) == len(long)
    for place, (letter, row) in enumerate(zip(ancestor, matrix, strict=True)):
        ask = loop(ancestor, [place])
        assert row["wild_type"] == letter and int(row["position"]) == place - 4
        for new in AMINO:
            expected = ask(place, new) - ask(place, letter)
            assert float(row[new]) == pytest.approx(expected, abs=1e-4)
            if new != letter:
                assert scores[f"{letter}{place - 4}{new}"] == float(row[new])


def test_positions_are_summaries_of_the_matrix(done, ancestor):
    matrix = np.array([[float(row[letter]) for letter in AMINO] for row in rows_of(done, "scan", "m.tsv")])
    for values, row, old in zip(matrix, rows_of(done, "scan", "p.tsv"), ancestor, strict=True):
        others = {letter: value for letter, value in zip(AMINO, values, strict=True) if letter != old}
        shares = np.exp(values) / np.exp(values).sum()
        assert float(row["mean"]) == pytest.approx(np.mean(list(others.values())), abs=1e-4)
        assert row["lowest_new"] == min(others, key=others.get) and row["highest_new"] == max(others, key=others.get)
        assert float(row["lowest"]) == pytest.approx(min(others.values()), abs=1e-4)
        assert float(row["highest"]) == pytest.approx(max(others.values()), abs=1e-4)
        assert float(row["entropy"]) == pytest.approx(-(shares * np.log2(shares)).sum(), abs=1e-4)
        assert float(row["wild_type_probability"]) == pytest.approx(shares[AMINO.index(old)], abs=1e-4)


def test_wild_type_marginals_are_those_of_one_pass_without_masks(done, loop, ancestor):
    ask = loop(ancestor, [])
    for place, row in enumerate(rows_of(done, "wild-type scan", "m.tsv")):
        for new in AMINO:
            assert float(row[new]) == pytest.approx(ask(place, new) - ask(place, ancestor[place]), abs=1e-4)
    assert "rows of tokens computed: 1\n" in done["wild-type scan"][0].stderr


def test_a_measured_column_that_is_called_score_is_told_from_the_score(done):
    rows, renamed = rows_of(done, "variants"), rows_of(done, "measured score")
    assert [*renamed[0]][3:5] == ["score", "measured_score"]
    for row, other in zip(rows, renamed, strict=True):
        assert (row["score"], row["activity"]) == (other["score"], other["measured_score"])


@pytest.mark.parametrize("name", ["two", "two wild-type"])
def test_variants_of_several_proteins_are_scored_on_their_own(done, loop, ancestor, name):
    for row in rows_of(done, name):
        wild = {"a": ancestor, "b": "MKTAYIAKQR"}[row["id"]]
        changes = changes_of(row["variant"])
        ask = loop(wild, [place for _, place, _ in changes] if name == "two" else [])
        expected = sum(ask(place, new) - ask(place, old) for old, place, new in changes)
        assert float(row["score"]) == pytest.approx(expected, abs=1e-4)
    assert [row["note"] for row in rows_of(done, name)] == ["", "", "wild type", "synonymous", "", ""]
    assert [row["fitness"] for row in rows_of(done, name)] == ["", "", "1", "2", "0.5", "3"]


def pseudo(loop, sequence):
    return sum(loop(sequence, [place])(place, letter) for place, letter in enumerate(sequence))


def test_pseudo_perplexity_masks_each_residue_in_its_turn(done, loop, ancestor):
    for row, sequence in zip(rows_of(done, "pseudo"), (ancestor, "MKTAYIAKQR"), strict=True):
        expected = pseudo(loop, sequence)
        assert float(row["log_likelihood"]) == pytest.approx(expected, rel=1e-5)
        assert float(row["perplexity"]) == pytest.approx(math.exp(-expected / len(sequence)), rel=1e-5)
        assert float(row["bits_per_letter"]) == pytest.approx(-expected / len(sequence) / math.log(2), rel=1e-5)
        assert int(row["tokens"]) == int(row["length"]) == len(sequence)


def test_one_pass_asks_for_every_residue_unmasked_and_says_how_far_off_it_is(done, loop, data_folder):
    records = list(read_records(data_folder / "protein_family.fasta"))[:3]
    for row, record in list(zip(rows_of(done, "one pass"), records, strict=False)):
        ask = loop(record.sequence, [])
        expected = sum(ask(place, letter) for place, letter in enumerate(record.sequence))
        assert float(row["log_likelihood"]) == pytest.approx(expected, rel=1e-5)
    text = report_of(done, "one pass")
    checked = re.search(r"On 2 of the sequences the median is ([\d.]+), and ([\d.]+) where each token is masked", text)
    assert checked and float(checked[1]) != float(checked[2])
    # as much work again as all of it at most: of 54 residues, 54 passes each
    assert "rows of tokens computed: 268\n" in done["one pass"][0].stderr


def test_a_masked_model_s_ratio_is_that_of_pseudo_likelihoods(done, loop, ancestor):
    for row in rows_of(done, "masked ratio"):
        wild = {"a": ancestor, "b": "MKTAYIAKQR"}[row["id"]]
        variant = list(wild)
        for _, place, new in changes_of(row["variant"]):
            variant[place] = new
        expected = pseudo(loop, "".join(variant)) - pseudo(loop, wild)
        assert float(row["score"]) == pytest.approx(expected, abs=1e-3)


def losses(model, rows):
    """Log-probability of each row of tokens, from transformers' own loss."""
    found = []
    for ids in rows:
        ids = torch.tensor([ids])
        with torch.no_grad():
            found.append(-float(model(ids, labels=ids).loss) * (ids.shape[1] - 1))
    return found


def test_perplexity_is_the_exponential_of_transformers_own_loss(done, data_folder):
    records = list(read_records(data_folder / "protein_family.fasta"))
    gpt2 = GPT2LMHeadModel.from_pretrained(data_folder / "models" / "tiny-protgpt2").eval()
    tokenizer = AutoTokenizer.from_pretrained(data_folder / "models" / "tiny-protgpt2")
    end = "<|endoftext|>"
    texts = [end + "\n" + record.sequence + "\n" + end for record in records]  # none is over 60 residues
    rows = [tokenizer(text)["input_ids"] for text in texts]
    for row, ids, expected in zip(rows_of(done, "all"), rows, losses(gpt2, rows), strict=True):
        assert float(row["log_likelihood"]) == pytest.approx(expected, rel=1e-5)
        assert float(row["perplexity"]) == pytest.approx(math.exp(-expected / (len(ids) - 1)), rel=1e-5)
        assert int(row["tokens"]) == len(ids) - 1
    llama = LlamaForCausalLM.from_pretrained(data_folder / "models" / "tiny-llama").eval()
    own = AutoTokenizer.from_pretrained(data_folder / "models" / "tiny-llama")
    rows = [[*own(record.sequence)["input_ids"], 2] for record in records]
    for row, expected in zip(rows_of(done, "llama"), losses(llama, rows), strict=True):
        assert float(row["log_likelihood"]) == pytest.approx(expected, rel=1e-5)


def test_a_causal_model_is_scored_with_its_adapter(done, data_folder):
    base = LlamaForCausalLM.from_pretrained(data_folder / "models" / "tiny-llama")
    adapted = PeftModel.from_pretrained(base, done[""][1] / "adapter").eval()
    own = AutoTokenizer.from_pretrained(data_folder / "models" / "tiny-llama")
    records = list(read_records(data_folder / "protein_family.fasta"))[:5]
    expected = losses(adapted, [[*own(record.sequence)["input_ids"], 2] for record in records])
    without = [float(row["log_likelihood"]) for row in rows_of(done, "llama")]
    for row, value, other in list(zip(rows_of(done, "adapter"), expected, without, strict=False)):
        assert float(row["log_likelihood"]) == pytest.approx(value, rel=1e-5)
        assert abs(value - other) > 1


def test_the_ratio_of_a_causal_model_is_the_difference_of_its_losses(done, data_folder, ancestor):
    llama = LlamaForCausalLM.from_pretrained(data_folder / "models" / "tiny-llama").eval()
    own = AutoTokenizer.from_pretrained(data_folder / "models" / "tiny-llama")

    def probability(text):
        return losses(llama, [[*own(text)["input_ids"], 2]])[0]

    wild = probability(ancestor)
    for row in rows_of(done, "ratio")[:20]:
        variant = list(ancestor)
        for _, place, new in changes_of(row["variant"]):
            variant[place] = new
        assert float(row["score"]) == pytest.approx(probability("".join(variant)) - wild, abs=1e-3)
    wild = probability("MKTAYIAKQR")
    matrix = rows_of(done, "ratio scan", "m.tsv")
    assert float(matrix[3]["W"]) == pytest.approx(probability("MKTWYIAKQR") - wild, abs=1e-3)
    assert float(matrix[9]["R"]) == 0
    whole = rows_of(done, "whole")
    assert [row["variant"] for row in whole] == ["WT", "Y5W", "of 12 letters"]
    assert float(whole[2]["score"]) == pytest.approx(probability("MKTAYIAKQRGG") - wild, abs=1e-3)
    assert whole[2]["note"] == "of another length than its wild type" and whole[2]["blosum62"] == ""


def test_ranks_filters_and_fasta_agree(done, data_folder):
    records = {record.id: record.sequence for record in read_records(data_folder / "protein_family.fasta")}
    everything, some = rows_of(done, "all"), rows_of(done, "gpt2")
    assert [row["id"] for row in everything] == list(records) and "kept" not in everything[0]
    ranked = sorted(everything, key=lambda row: float(row["perplexity"]))
    assert [int(row["rank"]) for row in ranked] == list(range(1, 161))
    kept = list(read_records(done["gpt2"][1] / "kept.fasta"))
    assert [record.id for record in kept] == [row["id"] for row in ranked[:7]]
    assert all(record.sequence == records[record.id] for record in kept)
    assert [record.header.split()[2] for record in kept] == [f"rank={number}" for number in range(1, 8)]
    assert {row["id"] for row in some if row["kept"] == "yes"} == {record.id for record in kept}
    assert len(list(read_records(done["all"][1] / "kept.fasta"))) == 160
    assert "7 were kept" in report_of(done, "gpt2")


def test_the_same_run_gives_the_same_bytes_and_the_batch_changes_nothing(done):
    first, second = done["variants"][1], done["again"][1]
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 7, "table, report, page, two figures twice"
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    for one, other in zip(rows_of(done, "variants"), rows_of(done, "small batches"), strict=True):
        assert float(one["score"]) == pytest.approx(float(other["score"]), abs=1e-4)


def test_each_set_of_positions_is_one_pass(done):
    rows = rows_of(done, "variants")
    sets = {tuple(place for _, place, _ in changes_of(row["variant"])) for row in rows}
    assert len(sets) < len(rows)
    assert f"rows of tokens computed: {len(sets)}\n" in done["variants"][0].stderr


def test_the_report_sets_the_correlation_beside_baselines(done):
    text = report_of(done, "ratio")
    assert "80 variants were scored; they follow the measured activity with Spearman 0.53" in text
    assert "worse than the number of substitutions" in text
    for baseline in ("the number of substitutions", "the sum of BLOSUM62", "the summed change of hydropathy"):
        assert f"| {baseline}" in text
    assert "zero-shot" in text and len((done["ratio"][1] / "report.md").read_bytes()) < 10_000
    two = report_of(done, "two")
    assert "without a measured value, and so no part of the correlation: 2" in two
    assert "changing nothing (wild type or synonymous), with the score 0: 2" in two
    assert "equal to one before them, with the same score: 1" in two
    assert "over the variants of all proteins together" in two


def test_a_model_that_knows_nothing_is_said_to(done):
    """With spread weights nothing is left of what was learnt."""
    text = report_of(done, "long scan")
    assert "the model tells less of the sequence than the frequencies of its letters do" in text
    assert "its scores are noise" in text
    assert "Only the first 500 of 700 positions are drawn" in text and "the first of 2 sequences" in text
    assert "positions of X and the like, in the tables but left out of all summaries: 1 sequence" in text
    assert len(rows_of(done, "long scan")) == 705 * 19 + 20
    assert (done["long scan"][1] / "figures" / "heat_map.png").stat().st_size > 20_000


def test_figures_have_the_formats_asked_for(done):
    for name, figures in (("variants", ["correlations", "effects"]), ("scan", ["heat_map", "positions"])):
        endings = ("png", "svg") if name == "variants" else ("png",)
        found = sorted(path.name for path in (done[name][1] / "figures").iterdir())
        assert found == [f"{figure}.{ending}" for figure in figures for ending in endings]
    page = (done["scan"][1] / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2


def test_a_model_of_pieces_scores_whole_sequences_and_leaves_unknown_tokens_out(done):
    rows = rows_of(done, "pieces")
    assert len(rows) == 4 and all(float(row["perplexity"]) > 1 for row in rows)
    assert "tokens for unknown letters read, but not scored: 1 sequence" in done["pieces"][0].stderr
    (row,) = rows_of(done, "pieces ratio")
    assert math.isfinite(float(row["score"])) and float(row["score"]) != 0
    assert "note: the model reads several letters as one token" in done["pieces ratio"][0].stderr
    assert row["transversions"] in "01" and "blosum62" not in row


def test_a_causal_model_reads_what_is_longer_in_windows_and_says_so(done):
    """Windows of 64 tokens, a quarter of which, or more, is context from the second window on."""
    rows, folder = rows_of(done, "windows"), done[""][1] / "gpt2"
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    sequence = next(read_records(done[""][1] / "standard.fasta")).sequence
    ids = torch.tensor([[0, *AutoTokenizer.from_pretrained(folder)(sequence)["input_ids"], 0]])
    total, scored = 0.0, 1
    for start in [*range(0, ids.shape[1] - 64, 48), ids.shape[1] - 64]:
        window = ids[:, start : start + 64]
        with torch.no_grad():
            found = model(window).logits[0, :-1].log_softmax(-1).gather(1, window[0, 1:, None])[:, 0]
        total += float(found[scored - start - 1 :].sum())
        scored = start + 64
    assert int(rows[0]["tokens"]) == ids.shape[1] - 1 > 64
    assert float(rows[0]["log_likelihood"]) == pytest.approx(total, rel=1e-5)
    assert "note: read in overlapping windows of 64 tokens: 1 sequence, 700 letters" in done["windows"][0].stderr
