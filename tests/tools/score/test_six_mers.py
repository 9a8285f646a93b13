"""Models of 6-mers: each base has a probability of its own, the sum of those of 6-mers, beside a plain loop over
transformers' class in double precision; and the likelihood of what is written is that of what is scored."""

import math
import random

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from makers.models import make
from makers.scripts import one_line, run_batch, table
from makers.six_mer_models import ENGLISH, MAKERS, SIX_MERS, plain_ids
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.inference.batching import collate
from seqlm.inference.language_rows import windows
from seqlm.inference.likelihood import TokenModel, likelihoods
from seqlm.inference.loading import load_weights
from seqlm.tokenization.language_text import LanguageText

pytestmark = pytest.mark.slow

LENGTHS = (1, 4, 6, 7, 17, 30, 64)
OF_BOTH = ("all", "next", "written", "greedy")  # Carbon differs by its reader and its marks alone
LONG = 800  # bases, more than the models read at once


def sequences(seed=2, lengths=LENGTHS):
    rng = random.Random(seed)
    return ["".join(rng.choices("ACGT", k=length)) for length in lengths]


class Plain:
    """log p(base | those before it) of every base and its three others, summed 6-mer by 6-mer in double precision."""

    def __init__(self, folder, name):
        self.name, self.first = name, 32 if name == "generator" else ENGLISH + 4
        self.model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()

    def six_mers(self, sequence):
        """(6-mers of the sequence and one more, 4096) probabilities, in the order of ``SIX_MERS``."""
        whole = sequence[: len(sequence) // 6 * 6]
        with torch.no_grad():
            logits = self.model(torch.tensor([plain_ids(self.name, whole)])).logits[0]
        return logits.softmax(-1)[:, self.first : self.first + 4096].numpy()

    def bases(self, sequence):
        """(bases, 4) log p(A, C, G and T | those before)."""
        tables, found = self.six_mers(sequence), []
        for place in range(len(sequence)):
            before = sequence[place // 6 * 6 : place]
            one = {word: p for word, p in zip(SIX_MERS, tables[place // 6], strict=True) if word.startswith(before)}
            agree = sum(one.values()) if before else 1
            found.append([math.log(sum(p for word, p in one.items() if word.startswith(before + base)) / agree)
                          for base in "ACGT"])  # fmt: skip
        return np.asarray(found)

    def sequence(self, sequence):
        return sum(each["ACGT".index(base)] for each, base in zip(self.bases(sequence), sequence, strict=True))

    def phases(self, sequence):
        """(bases, 4): the mean over six readings of the same."""
        sums, counts = np.zeros((len(sequence), 4)), np.zeros((len(sequence), 1))
        for phase in range(min(6, len(sequence))):
            sums[phase:] += self.bases(sequence[phase:])
            counts[phase:] += 1
        return sums / counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("six_mers")
    return lambda name: make(name, parent)


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    """name -> (what was printed, its folder) of each run."""
    parent = tmp_path_factory.mktemp("six_mer_runs")
    (parent / "all.fasta").write_text("".join(f">s{len(one)}\n{one}\n" for one in sequences()))
    (parent / "long.fasta").write_text(f">long\n{sequences(3, [LONG])[0]}\n")
    (parent / "one.fasta").write_text(f">one\n{sequences()[4]}\n")
    (parent / "unknown.fasta").write_text(">one\nACGTACNACGT\n")
    old = sequences()[4]
    changes = [(place, "ACGT"[("ACGT".index(old[place]) + 1) % 4]) for place in (0, 5, 6, 16)]
    listed = [f"{old[place]}{place + 1}{new}" for place, new in changes]
    (parent / "variants.txt").write_text("\n".join([*listed, ":".join(listed), "WT"]) + "\n")
    prompts = {"p5": "ACGTA", "p7": "ACGTACT", "p1": "T", "p6": "ACGTAC"}
    (parent / "prompts.fasta").write_text("".join(f">{name}\n{one}\n" for name, one in prompts.items()))
    calls = {}
    for name in MAKERS:
        model = ["--model", folder(name), "--device", "cpu"]
        scored = ["score", *model, "--output-table", "t.tsv", "--sequences"]
        next_letter = ["--method", "next-letter"]
        scan = ["--scan", "--output-positions", "p.tsv", "--output-matrix", "m.tsv"]
        calls |= {
            (name, "all"): [*scored, parent / "all.fasta", "--output-report", "report.md"],
            (name, "alone"): [*scored, parent / "all.fasta", "--batch-tokens", "1"],
            (name, "bf16"): [*scored, parent / "all.fasta", "--precision", "bf16"],
            (name, "long"): [*scored, parent / "long.fasta"],
            (name, "scan"): [*scored, parent / "one.fasta", *scan],
            (name, "next"): [*scored, parent / "one.fasta", *scan, *next_letter, "--output-report", "report.md"],
            (name, "long next"): [*scored, parent / "long.fasta", *scan, *next_letter],
            (name, "variants"): [*scored, parent / "one.fasta", "--variants", parent / "variants.txt", *next_letter],
            (name, "written"): [
                "generate", *model, "--prompts", parent / "prompts.fasta", "--num-sequences", "4", "--max-length", "9",
                "--max-letters", "40", "--equal-only", "--output-table", "t.tsv", "--output-fasta", "g.fasta",
            ],
            (name, "greedy"): [
                "generate", *model, "--prompts", parent / "prompts.fasta", "--strategy", "greedy", "--max-length", "4",
                "--equal-only", "--output-table", "t.tsv",
            ],
            (name, "beam"): [
                "generate", *model, "--prompts", parent / "prompts.fasta", "--strategy", "beam", "--num-beams", "4",
                "--max-length", "3", "--num-sequences", "1", "--equal-only", "--output-table", "t.tsv",
            ],
            (name, "stopped"): [
                "generate", *model, "--prompt", "ACGTA", "--num-sequences", "20", "--max-length", "9", "--stop-at",
                "AC", "--equal-only", "--output-table", "t.tsv",
            ],
        }  # fmt: skip
    calls = {key: call for key, call in calls.items() if key[0] == "generator" or key[1] in OF_BOTH}
    works = {}
    for key in calls:
        works[key] = parent / "-".join(key).replace(" ", "-")
        works[key].mkdir()
    runs = run_batch([(works[key], *call) for key, call in calls.items()])
    for name in MAKERS:
        works[name, "again"] = parent / f"{name}-again"
        works[name, "again"].mkdir()
    again = [
        (works[name, "again"], "score", "--model", folder(name), "--device", "cpu", "--output-table", "t.tsv",
         "--sequences", works[name, "written"] / "g.fasta")
        for name in MAKERS
    ]  # fmt: skip
    runs += run_batch(again)
    return {key: (one, work) for (key, work), one in zip(works.items(), runs, strict=True)}


def rows(done, *key, file="t.tsv"):
    one, work = done[key]
    assert one.returncode == 0, one.stderr
    return table(work / file)


@pytest.mark.parametrize("name", MAKERS)
def test_a_sequence_is_as_probable_as_its_bases_by_a_plain_sum_over_6_mers(folder, done, name):
    plain = Plain(folder(name), name)
    for row, letters in zip(rows(done, name, "all"), sequences(), strict=True):
        expected = plain.sequence(letters)
        assert float(row["log_likelihood"]) == pytest.approx(expected, rel=2e-5)
        assert float(row["perplexity"]) == pytest.approx(math.exp(-expected / len(letters)), rel=2e-5)
        assert int(row["tokens"]) == int(row["length"]) == len(letters)
        assert float(row["bits_per_letter"]) == pytest.approx(-expected / len(letters) / math.log(2), rel=2e-5)
    report = (done[name, "all"][1] / "report.md").read_text()
    assert "as probable as all 6-mers together that agree with it" in report


def test_padding_changes_nothing_and_half_precision_little(done):
    expected = np.asarray([float(row["log_likelihood"]) for row in rows(done, "generator", "all")])
    for how, tolerance in (("alone", 2e-5), ("bf16", 0.03)):
        found = [float(row["log_likelihood"]) for row in rows(done, "generator", how)]
        np.testing.assert_allclose(found, expected, rtol=tolerance)


def test_a_long_sequence_is_read_in_windows_each_with_its_start(folder, done):
    (row,) = rows(done, "generator", "long")
    (letters,) = sequences(3, [LONG])
    family = recognise(folder("generator"), read_model_folder(folder("generator")).config)
    text = LanguageText(family, folder("generator"))
    (ids,) = text.encode([letters], text.closes)
    model, total = LlamaForCausalLM.from_pretrained(folder("generator"), dtype=torch.float64).eval(), 0.0
    plain = Plain(folder("generator"), "generator")
    for window in windows(ids, 64):
        read = window.ids.copy()
        if read[-1] >= text.six_mers.size:
            read[-1] = 0  # what is last is never read
        with torch.no_grad():
            found = model(torch.tensor(read[None])).logits[0].log_softmax(-1).numpy()
        for place in np.flatnonzero(window.weights).tolist():
            number = int(window.ids[place])
            begun = text.six_mers.letters(number) if number >= text.six_mers.size else ""
            places = [plain.first + at for at, word in enumerate(SIX_MERS) if begun and word.startswith(begun)]
            total += np.log(np.exp(found[place - 1, places or [number]]).sum())
    assert float(row["log_likelihood"]) == pytest.approx(total, rel=2e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_scans_compare_whole_sequences_or_letters_by_what_is_before_them(folder, done, name):
    plain, letters = Plain(folder(name), name), sequences()[4]
    wild = plain.sequence(letters)
    scanned = rows(done, name, "scan", file="m.tsv") if name == "generator" else []
    for place, row in enumerate(scanned):
        for base in "ACGT":
            expected = plain.sequence(letters[:place] + base + letters[place + 1 :]) - wild
            assert float(row[base]) == pytest.approx(expected, abs=2e-4)
    found = plain.phases(letters)
    own = np.asarray([each["ACGT".index(base)] for each, base in zip(found, letters, strict=True)])
    given = np.asarray([[float(row[base]) for base in "ACGT"] for row in rows(done, name, "next", file="m.tsv")])
    np.testing.assert_allclose(given, found - own[:, None], atol=1e-4)
    assert "rows of tokens computed: 6" in done[name, "next"][0].stderr
    for row, each, base in zip(rows(done, name, "next", file="p.tsv"), found, letters, strict=True):
        shares = np.exp(each) / np.exp(each).sum()
        assert float(row["wild_type_probability"]) == pytest.approx(shares["ACGT".index(base)], rel=1e-4)
        assert float(row["entropy"]) == pytest.approx(-(shares * np.log2(shares)).sum(), rel=1e-3)
    assert "the mean over six readings" in (done[name, "next"][1] / "report.md").read_text()


def test_windows_of_a_long_sequence_give_every_position_its_letters(done):
    found = rows(done, "generator", "long next", file="p.tsv")
    assert [int(row["position"]) for row in found] == [*range(1, LONG + 1)]
    assert all(0 < float(row["wild_type_probability"]) < 1 for row in found)


def test_variants_by_the_next_letter_are_sums_over_their_positions(folder, done):
    found, letters = Plain(folder("generator"), "generator").phases(sequences()[4]), sequences()[4]
    scores = [float(row["score"]) for row in rows(done, "generator", "variants")]
    each = []
    for place in (0, 5, 6, 16):
        old = "ACGT".index(letters[place])
        each.append(found[place, (old + 1) % 4] - found[place, old])
    assert scores == pytest.approx([*each, sum(each), 0], abs=1e-4)


@pytest.mark.parametrize("name", MAKERS)
def test_what_was_written_has_the_likelihood_that_it_is_scored_with(done, name):
    written, scored = rows(done, name, "written"), {row["id"]: row for row in rows(done, name, "again")}
    assert len(written) == len(scored) == 16
    for row in written:
        assert row["sequence"].startswith({"p5": "ACGTA", "p7": "ACGTACT", "p1": "T", "p6": "ACGTAC"}[row["prompt"]])
        assert len(row["sequence"]) == 40 and set(row["sequence"]) <= set("ACGT")  # no multiple of six
        assert row["perplexity"] == row["perplexity_per_letter"] == scored[row["id"]]["perplexity"]


@pytest.mark.parametrize("name", MAKERS)
def test_a_prompt_goes_on_with_the_6_mer_that_begins_as_it_ends(folder, done, name):
    plain = Plain(folder(name), name)
    found = {row["prompt"]: row["sequence"] for row in rows(done, name, "greedy")}
    beams = {row["prompt"]: row["sequence"] for row in rows(done, "generator", "beam")} if name == "generator" else {}
    for prompt, start in (("p5", "ACGTA"), ("p7", "ACGTACT"), ("p1", "T"), ("p6", "ACGTAC")):
        letters = start[: len(start) // 6 * 6]
        rest = start[len(letters) :]
        while len(letters) < 18:
            table = plain.six_mers(letters)[-1]
            letters += max((p, word) for word, p in zip(SIX_MERS, table, strict=True) if word.startswith(rest))[1]
            rest = ""
        assert found[prompt] == letters
        for beam in [beams[prompt]] if beams else []:
            assert beam.startswith(start)
            assert plain.sequence(beam) >= plain.sequence(letters[: len(beam)]) - 1e-6


def test_a_text_to_stop_at_is_looked_for_behind_the_prompt(done):
    """ACGTA and what is drawn begin with a 6-mer of which five bases are the prompt's."""
    for row in rows(done, "generator", "stopped"):
        found = row["sequence"].find("AC", 5)
        assert found < 0 and row["sequence"].startswith("ACGTA")
        assert (row["status"] == "complete") == (len(row["sequence"]) < 48)


@pytest.mark.parametrize("name", MAKERS)
def test_a_beginning_is_learnt_as_the_sum_over_the_6_mers_that_begin_so(folder, name):
    family = recognise(folder(name), read_model_folder(folder(name)).config)
    text = LanguageText(family, folder(name))
    model = load_weights(family.load_language_model, folder(name), torch.float32, torch.device("cpu"))
    (ids,) = text.encode(["ACGTACTG"])  # and the token that ends it
    batch = collate(windows(ids, 64), 0)
    reads = TokenModel(model, text.six_mers)
    logits = reads.logits(batch)[0]
    (completed,) = text.encode(["ACGTACTGAAAA"])
    torch.testing.assert_close(logits, model(torch.tensor(completed[None])).logits[0])
    lost = reads.lost(logits[:-1], torch.from_numpy(ids[1:]))
    shares = logits.double().softmax(-1)
    first = 32 if name == "generator" else ENGLISH + 4
    agree = sum(shares[1, first + at] for at, word in enumerate(SIX_MERS) if word.startswith("TG"))
    expected = [-shares[0, ids[1]].log(), -agree.log(), -shares[2, ids[3]].log()]
    torch.testing.assert_close(lost.double(), torch.stack(expected), rtol=1e-5, atol=1e-5)
    (found,) = likelihoods(reads, text.encode(["ACGTACTG"], text.closes), 100, units=[8])
    assert found.log_probability == pytest.approx(-float(expected[0] + expected[1]), rel=1e-5)


def test_what_follows_a_prompt_is_as_frequent_as_the_model_says(folder, tmp_path):
    """1,000 draws of the base behind ACGTA, which the 6-mers that begin so decide."""
    ((one),) = run_batch(
        [(tmp_path, "generate", "--model", folder("generator"), "--device", "cpu", "--prompt", "ACGTA",
          "--num-sequences", "1000", "--max-length", "2", "--equal-only", "--output-table", "t.tsv")]
    )  # fmt: skip
    assert one.returncode == 0, one.stderr
    drawn = [row["sequence"][5] for row in table(tmp_path / "t.tsv")]
    shares = np.exp(Plain(folder("generator"), "generator").bases("ACGTAC")[5])
    for base, share in zip("ACGT", shares, strict=True):
        assert drawn.count(base) / 1000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1000))


def test_letters_and_methods_that_cannot_be_are_one_line(folder, done, tmp_path):
    parent = done["carbon", "all"][1].parent
    mistakes = {
        "letter": ([parent / "unknown.fasta"], "the model has no token for 'N', position 7"),
        "tag": ([parent / "all.fasta", "--control", "<dna>"], "are given no control tag"),
        "method": ([parent / "one.fasta", "--scan", "--method", "masked-marginals"], "is a causal model"),
    }
    calls = []
    for name, (arguments, _) in mistakes.items():
        (tmp_path / name).mkdir()
        model = ["--model", folder("carbon"), "--output-table", "t.tsv", "--sequences"]
        calls.append((tmp_path / name, "score", *model, *arguments))
    for (name, (_, message)), one in zip(mistakes.items(), run_batch(calls, torch=False), strict=True):
        one_line(one, message, tmp_path / name)


def test_letters_that_are_tokens_have_the_probability_of_what_would_be_written_next(folder, tmp_path):
    letters, model = "MKTAYIAKQR", folder("progen2")
    (tmp_path / "one.fasta").write_text(f">one\n{letters}\n")
    asked = ["--method", "next-letter", "--scan", "--device", "cpu", "--sequences", tmp_path / "one.fasta"]
    asked += ["--output-table", "t.tsv", "--output-matrix", "m.tsv", "--model"]
    for name in ("progen2", "hyenadna"):
        (tmp_path / name).mkdir()
    one, none = run_batch([(tmp_path / name, "score", *asked, folder(name)) for name in ("progen2", "hyenadna")])
    one_line(none, "has no token that begins a sequence", tmp_path / "hyenadna")
    assert one.returncode == 0, one.stderr
    family = recognise(model, read_model_folder(model).config)
    text = LanguageText(family, model)
    asked = TokenModel(load_weights(family.load_language_model, model, torch.float32, torch.device("cpu")))
    for place, row in enumerate(table(tmp_path / "progen2" / "m.tsv")):
        begun = [letters[:place] + new for new in (letters[place], *"ACDWY")]
        wild, *others = [one.log_probability for one in likelihoods(asked, text.encode(begun, False), 1000)]
        given = [float(row[new]) for new in "ACDWY"]
        assert given == pytest.approx([other - wild for other in others], abs=1e-4)
