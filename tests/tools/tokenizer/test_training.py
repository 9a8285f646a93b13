"""New tokenizers: what they learn, that transformers reads them as the tools do, and what is refused."""

import csv
import gzip
import itertools
import json
import random
import re
import subprocess
import sys
import zipfile
from argparse import Namespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from makers.scripts import DATA, SCRIPTS, repeated, run_batch, table
from seqlm.checkpoints.tokenizer_bundle import open_trained_tokenizer
from seqlm.metrics.resampling import resample_weights
from seqlm.tokenization.corpus import pieces_of, read_corpus, reverse_complement, training_units, units_of
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.kmer_overlaps import KmerReader
from seqlm.tokenization.readers import LibraryReader, open_reader
from seqlm.tokenization.special_tokens import STYLES
from seqlm.tools.tokenizer.inputs import TokenizerAlone, family_of
from seqlm.tools.tokenizer.training import repeats

LONG = "ACGTAGCATCGACTACGACTAGCATCAGCAGCATCAGCATTTAGGAC" * 5
ODD = "ACNNGTACGTTGCAACGRACC"  # runs of all lengths, N, and a code that no vocabulary has


def dna(folder):
    """60 sequences of words, each with two bases that are not known between its halves."""
    rng = random.Random(3)
    words = ["".join(rng.choices("ACGT", k=rng.randint(4, 8))) for _ in range(60)]
    texts = [["".join(rng.choices(words, k=45)) for _ in range(2)] for _ in range(60)]
    path = folder / "dna.fasta"
    path.write_text("".join(f">s{number}\n{a}NN{b}\n" for number, (a, b) in enumerate(texts)))
    return path


RUNS = {
    "bpe": ("dna", "bert", "--algorithm bpe --vocab-size 200 --both-strands"),
    "bytes": ("dna", "gpt2", "--algorithm byte-bpe --vocab-size 400"),
    "unigram": ("dna", "roberta", "--algorithm unigram --vocab-size 120"),
    "wordpiece": ("dna", "esm", "--algorithm wordpiece --vocab-size 200"),
    "kmer": ("dna", "bert", "--algorithm kmer --kmer 4"),
    "overlapping": ("dna", "llama", "--algorithm kmer --kmer 3 --overlapping"),
    "letters": ("dna", "llama", "--algorithm character"),
    "protein": ("protein", "llama", "--algorithm bpe --vocab-size 200 --max-token-length 4"),
    "protein k-mers": ("protein", "esm", "--algorithm kmer --kmer 2 --overlapping"),
    "atoms": ("smiles", "gpt2", "--algorithm character"),
    "smiles": ("smiles", "roberta", "--algorithm unigram --vocab-size 60"),
    "smiles pieces": ("smiles", "bert", "--algorithm wordpiece --vocab-size 90"),
}
SEQUENCES = {
    "dna": ["ACGTTGCA", "A", "AC", ODD, LONG, "NACGT" * 4],
    "protein": ["MKTAYIAKQRQISFVKSHFSRQ", "M", "MKXXUAY"],
    "smiles": ["CC(=O)Oc1ccccc1C(=O)O", "C1CCNCC1C(=O)Br", "C[C@H](N)Cl"],
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, data):
    """What the tool wrote in one run after the other, by name."""
    folder = tmp_path_factory.mktemp("train")
    corpora = {"dna": [dna(folder)], "protein": [data / "protein_family.fasta", data / "other_proteins.fasta"],
               "smiles": [data / "halides.tsv"]}  # fmt: skip
    calls, folders = [], {}
    runs = RUNS | {"again": RUNS["bpe"], "unigram again": RUNS["unigram"], "unpacked twice": RUNS["overlapping"]}
    for name, (kind, style, options) in runs.items():
        work = folders[name] = folder / name
        work.mkdir()
        more = ["--sequence-column", "smiles"] if kind == "smiles" else []
        if name in ("bpe", "again"):
            for other in ("tiny-dnabert2", "tiny-esm"):
                more += ["--compare-with", data / "models" / other, "--compare-name", f"someone's {other}"]
        outputs = ["--output-tokenizer", "t.zip", "--output-vocabulary", "v.tsv", "--output-comparison", "c.tsv",
                   "--output-report", "r.md", "--output-figures", "figures", "--output-html", "r.html"]  # fmt: skip
        calls.append((work, "tokenizer", "--train", *repeated("--corpus", corpora[kind]), *options.split(),
                      "--special-tokens", style, *more, *outputs))  # fmt: skip
    done = run_batch(calls, torch=False, new=[*runs].index("again"))
    for one, call in zip(done, calls, strict=True):
        assert one.returncode == 0, one.stderr
        (call[0] / "stderr").write_text(one.stderr)
        zipfile.ZipFile(call[0] / "t.zip").extractall(call[0] / "unpacked")
    return folders


@pytest.fixture(scope="module")
def data():
    return DATA


def report(folder):
    return (folder / "r.md").read_text().replace("&ensp;", "").replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("name", RUNS)
def test_plain_transformers_gives_the_ids_of_the_tools(ran, name, tmp_path):
    folder, (kind, style, _) = ran[name] / "unpacked", RUNS[name]
    opened = open_trained_tokenizer(ran[name] / "t.zip", tmp_path / "opened")
    encoder = Encoder(family_of(opened.folder, None, "auto"), opened.folder)
    # letters are a table that reads codes for several bases as N
    texts = [text.replace("R", "N") if name == "letters" else text for text in SEQUENCES[kind]]
    ours = [one.rows[0].tolist() for one in encoder.encode_many([(text, text) for text in texts])]
    for architecture in (None, "gpt2", "llama", "bert", "esm"):
        if architecture:  # a class of its own may not take the place of the one that takes the file as it stands
            (folder / "config.json").write_text(json.dumps({"model_type": architecture, "vocab_size": opened.size}))
        for kind_of in (AutoTokenizer, PreTrainedTokenizerFast):
            assert [kind_of.from_pretrained(folder)(text)["input_ids"] for text in texts] == ours
    (folder / "config.json").unlink()
    before, after = STYLES[style].around()
    known = opened.vocabulary
    assert ours[0][: len(before)] == [known[token] for token in before]
    assert not after or ours[0][-len(after) :] == [known[token] for token in after]
    assert opened.alphabet == {"dna": "DNA", "protein": "protein", "smiles": "text"}[kind]
    assert opened.special == STYLES[style].roles
    assert opened.special_ids()["pad_token_id"] == STYLES[style].tokens.index(STYLES[style].roles["pad_token"])


@pytest.mark.parametrize("name", [name for name in RUNS if "verlap" not in name and "k-mers" not in name])
def test_what_was_split_can_be_joined_again(ran, name):
    tokenizer = AutoTokenizer.from_pretrained(ran[name] / "unpacked")
    for text in SEQUENCES[RUNS[name][0]]:
        if "R" not in text or RUNS[name][0] != "dna":
            assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_byte_pairs_are_those_of_the_library(ran):
    """The pieces that the tool learns from are both strands of the runs of known bases, without what is held out."""
    corpus = read_corpus(arguments(corpus=[ran["bpe"].parent / "dna.fasta"]), ran["bpe"])
    units = units_of(corpus, 0.1, 512)
    pieces = [piece for piece, _ in pieces_of(units, training_units(units, 20_000_000, True), 512)]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    trainer = trainers.BpeTrainer(
        vocab_size=200, min_frequency=2, special_tokens=list(STYLES["bert"].tokens), initial_alphabet=list("ACGTN"),
        max_token_length=16, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([strand for one in pieces for strand in (one, reverse_complement(one))], trainer)
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(ran["bpe"] / "unpacked").get_vocab()


def split_in_words(text, k, overlapping):
    """K-mers of a text, written in another way: what is not known for sure stands alone."""
    for run in re.findall("[ACGT]+|.", text):
        if len(run) < k or run not in re.findall("[ACGT]+", run):
            yield from run
        elif overlapping:
            yield from (run[at : at + k] for at in range(len(run) - k + 1))
        else:
            whole = len(run) // k * k
            yield from (run[at : at + k] for at in range(0, whole, k))
            yield from run[whole:]


@pytest.mark.parametrize(("name", "k", "overlapping"), [("kmer", 4, False), ("overlapping", 3, True)])
def test_k_mers_are_every_word_once(ran, name, k, overlapping):
    tokenizer = AutoTokenizer.from_pretrained(ran[name] / "unpacked")
    assert {"".join(word) for word in itertools.product("ACGT", repeat=k)} <= set(tokenizer.get_vocab())
    for text in SEQUENCES["dna"]:
        expected = list(split_in_words(text, k, overlapping))
        unknown = tokenizer.unk_token
        assert tokenizer.tokenize(text) == [unknown if token == "R" else token for token in expected]


def test_k_mers_that_overlap_are_read_by_a_table_as_by_the_library(ran):
    folder = ran["overlapping"] / "unpacked"
    vocabulary = TokenizerAlone(folder, "DNA").vocabulary
    ours = open_reader(folder, vocabulary)
    assert isinstance(ours, KmerReader)
    library = LibraryReader(Tokenizer.from_file(str(folder / "tokenizer.json")))
    rng = random.Random(1)
    texts = ["".join(rng.choices("ACGTNR", [20, 20, 20, 20, 1, 1], k=rng.randint(1, 80))) for _ in range(200)]
    for text, one, other in zip(texts, ours.read(texts), library.read(texts), strict=True):
        assert one.ids.tolist() == other.ids.tolist(), text
        assert one.lengths.sum() == len(text)
        assert one.unknown == "".join(letter for letter in text if letter == "R")


def test_word_pieces_are_the_longest_from_the_left(ran):
    tokenizer = AutoTokenizer.from_pretrained(ran["wordpiece"] / "unpacked")
    vocabulary = tokenizer.get_vocab()
    expected, at = [], 0
    while at < 64:  # the first word of WordPiece
        prefix = "##" if at else ""
        end = next(end for end in range(64, at, -1) if prefix + LONG[at:end] in vocabulary)
        expected.append(prefix + LONG[at:end])
        at = end
    assert tokenizer.tokenize(LONG)[: len(expected)] == expected


def test_atoms_of_molecules_are_single_tokens(ran):
    tokenizer = AutoTokenizer.from_pretrained(ran["atoms"] / "unpacked")
    assert tokenizer.tokenize("C1CCNCC1C(=O)Br") == [*"C1CCNCC1C(=O)", "Br"]
    assert tokenizer.tokenize("CCCl") == ["C", "C", "Cl"]
    assert tokenizer("CCCl")["input_ids"] != tokenizer("CCC")["input_ids"]


def test_the_vocabulary_table_is_the_vocabulary(ran):
    for name in RUNS:
        rows, tokenizer = table(ran[name] / "v.tsv"), AutoTokenizer.from_pretrained(ran[name] / "unpacked")
        assert {row["token"]: int(row["token_id"]) for row in rows} == tokenizer.get_vocab()
        special = [row for row in rows if row["special"] == "yes"]
        assert {row["token"] for row in special} == set(tokenizer.all_special_tokens)
        assert all(row["length"] == "" and row["count"] == "0" for row in special)
        longest = max(int(row["length"]) for row in rows if row["length"])
        assert longest <= {"protein": 4}.get(name, 16)
    lengths = {row["token"]: int(row["length"] or 0) for row in table(ran["wordpiece"] / "v.tsv")}
    assert lengths["##ACG" if "##ACG" in lengths else "##A"] == (3 if "##ACG" in lengths else 1)


def arguments(**given):
    known = {"alphabet": "auto", "format": "auto", "id_column": None, "sequence_column": None, "smiles": "as-given"}
    return Namespace(**known | given)


def held_out(path, scratch, share=0.1):
    units = units_of(read_corpus(arguments(corpus=[path]), scratch), share, 512)
    return units, [units.text(unit) for unit in np.flatnonzero(units.held_out)]


def test_letters_per_token_are_those_of_transformers_on_what_was_held_out(ran):
    _, texts = held_out(ran["bpe"].parent / "dna.fasta", ran["bpe"])
    tokenizer = AutoTokenizer.from_pretrained(ran["bpe"] / "unpacked")
    tokens = np.asarray([len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts])
    letters = np.asarray([len(text) for text in texts])
    with (ran["bpe"] / "c.tsv").open() as lines:
        new, shuffled, dnabert2, esm = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert (int(new["letters"]), int(new["tokens"])) == (letters.sum(), tokens.sum())
    assert float(new["letters_per_token"]) == pytest.approx(letters.sum() / tokens.sum(), rel=1e-5)
    drawn = np.concatenate([(w @ letters) / (w @ tokens) for w in resample_weights(len(texts), 1000, 42)])
    bounds = [float(new[end]) for end in ("low", "high")]
    assert bounds == pytest.approx(np.percentile(drawn, [2.5, 97.5]), rel=1e-5)
    assert dnabert2["tokenizer"] == "someone's tiny-dnabert2"
    assert (float(esm["letters_per_token"]), int(esm["unknown"])) == (1.0, 0)
    # of the words that the sequences are made of more tokens were learnt than of their letters in another order
    assert float(shuffled["ratio_high"]) < 1
    unknown = sum(text.count("N") for text in texts)
    assert int(dnabert2["unknown"]) + int(dnabert2["unread"]) == unknown


def test_numbers_of_the_report_are_those_of_the_tables(ran):
    text, rows = report(ran["bpe"]), table(ran["bpe"] / "v.tsv")
    new = table(ran["bpe"] / "c.tsv")[0]
    assert f"reads {float(new['letters_per_token']):.2f} bases per token" in text
    used = sum(int(row["count"]) > 0 for row in rows)
    assert f"| used by the sequences held out | {used} ({100 * used / 195:.1f} %) |" in text
    assert "| tokens in the vocabulary | 200 |" in text
    words = {row["token"] for row in rows if row["special"] == "no" and len(row["token"]) > 1}
    both = sum(reverse_complement(word) in words for word in words)
    assert f"| whose reverse complement is a token too | {both} of {len(words)} (" in text
    assert f"| short units repeated, such as AAAA | {sum(map(repeats, words))} (" in text
    assert "someone's tiny-esm" in text


def test_reports_fit_into_galaxy_and_show_their_figures(ran):
    for folder in ran.values():
        text = (folder / "r.md").read_text()
        assert len(text.encode()) < 10_000
        assert {path.stem for path in (folder / "figures").iterdir()} == set(re.findall(r'path="(\w+)\.png"', text))
        assert "<script" not in (folder / "r.html").read_text()


@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "wordpiece"])
def test_every_process_gives_the_same_bytes(tmp_path, algorithm):
    """The tokenizers library goes over its tables in another order in every process."""
    options = ["--corpus", DATA / "protein_family.fasta", "--vocab-size", "250", "--output-tokenizer", "t.zip"]
    made = set()
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, SCRIPTS / "tokenizer.py", "--train", "--algorithm", algorithm, *options]
        subprocess.run(list(map(str, command)), cwd=folder, check=True, capture_output=True)
        made.add((folder / "t.zip").read_bytes())
    assert len(made) == 1


@pytest.mark.parametrize("pair", [("bpe", "again"), ("unigram", "unigram again"), ("overlapping", "unpacked twice")])
def test_the_same_corpus_gives_the_same_bytes(ran, pair):
    first, second = (ran[name] for name in pair)
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert len(files) > 8
    for name in files:
        if name.name not in ("stderr", "corpus", "config.json"):
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_what_is_held_out_is_not_learnt_from_and_equal_sequences_stay_together(tmp_path):
    rng = random.Random(5)
    texts = ["".join(rng.choices("ACGT", k=100)) for _ in range(200)]
    path = tmp_path / "x.fasta"
    path.write_text("".join(f">same\n{text}\n" for text in texts * 2))  # ids come twice, which is allowed
    units, out = held_out(path, tmp_path)
    learnt = {piece for piece, _ in pieces_of(units, training_units(units, 10**9, False), 512)}
    assert not set(out) & learnt and set(out) | learnt == set(texts)
    assert len(out) == 2 * len(set(out)) == pytest.approx(40, abs=2)
    assert units.corpus.repeated == 200
    # in another order of the records the same ones are held out
    other = tmp_path / "y.fasta"
    other.write_text("".join(f">a\n{text}\n" for text in reversed(texts * 2)))
    assert sorted(held_out(other, tmp_path)[1]) == sorted(out)


def test_a_genome_is_held_out_in_stretches(tmp_path):
    rng = random.Random(6)
    genome = "".join(rng.choices("ACGT", k=200_000))
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(gzip.compress(f">chr\n{genome}\n".encode()))
    units, out = held_out(path, tmp_path)
    assert {len(text) for text in out} == {1000}
    assert sum(map(len, out)) == pytest.approx(20_000, abs=1000)
    assert all(text in genome for text in out)
    pieces = [piece for piece, _ in pieces_of(units, training_units(units, 10**9, False), 300)]
    assert max(map(len, pieces)) == 300 and sum(map(len, pieces)) == 200_000 - sum(map(len, out))
    fewer = training_units(units, 50_000, True)
    assert units.lengths[fewer].sum() == 25_000 and not units.held_out[fewer].any()


def test_kinds_of_files_are_told_and_may_be_mixed(tmp_path, data):
    found = read_corpus(arguments(corpus=[data / "coding_new.fasta", data / "protein_family.fasta"]), tmp_path)
    assert (found.alphabets, found.alphabet) == (("DNA", "protein"), "text")
    assert found.alphabet_at(0) == "DNA" and found.alphabet_at(found.records - 1) == "protein"
    smiles = read_corpus(arguments(corpus=[data / "halides.tsv"], sequence_column="smiles"), tmp_path)
    assert smiles.alphabet == "text" and "[" in smiles.characters()


def test_a_new_tokenizer_can_be_inspected(ran, tmp_path, script):
    script(
        "tokenizer", "--inspect", "--model", ran["overlapping"] / "t.zip", "--sequences",
        ran["bpe"].parent / "dna.fasta", "--rows", "sequence", "--output-table", tmp_path / "t.tsv",
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(ran["overlapping"] / "unpacked")
    row = table(tmp_path / "t.tsv")[0]
    text = (ran["bpe"].parent / "dna.fasta").read_text().split("\n")[1]
    assert row["tokens"].split() == tokenizer.tokenize(text)
    assert list(map(int, row["token_ids"].split())) == tokenizer(text)["input_ids"]
