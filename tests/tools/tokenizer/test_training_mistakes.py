"""Corpora that nothing can be learnt from, and those that allow less than was asked for."""

import random
import re

from makers.scripts import one_line, run_batch, run_mistakes


def report(folder):
    return (folder / "r.md").read_text().replace("&ensp;", "").replace("\N{NO-BREAK SPACE}", " ")


SOME_DNA = ">a\n" + "ACGTTGCAAC" * 8 + "\n>b\n" + "GGATCCATTA" * 8 + "\n"
MISTAKES = {
    "empty": ({"corpus": ""}, [], "corpus is empty"),
    "neither": ({"corpus": "Two words\n"}, [], "neither FASTA nor a table"),
    "all N": ({"corpus": ">a\n" + "N" * 50 + "\n"}, [], "no letter of the sequences is A, C, G or T"),
    "shorter than k": (
        {"corpus": ">a\nACGTA\n"}, ["--algorithm", "kmer", "--kmer", "6"], "has 6 known letters in a row",
    ),
    "one letter": ({"corpus": ">a\nA\n>b\nC\n"}, [], "two known letters in a row"),
    "small vocabulary": ({"corpus": SOME_DNA}, ["--vocab-size", "10"], "choose 11 or more"),
    "few bytes": ({"corpus": SOME_DNA}, ["--vocab-size", "200", "--algorithm", "byte-bpe"], "255 bytes"),
    "protein as DNA": ({"corpus": ">a\nMKVLE\n"}, ["--alphabet", "DNA"], "is this a protein?"),
    "DNA as protein": ({"corpus": SOME_DNA}, ["--alphabet", "protein"], "holds DNA or RNA (2 of 2"),
    "k too large": ({"corpus": SOME_DNA}, ["--algorithm", "kmer", "--kmer", "10"], "1,048,576 words of 10 letters"),
    "k of proteins": (
        {"corpus": ">a\nMKVLELLIRRPQWYTDE\n"}, ["--algorithm", "kmer", "--kmer", "5"], "3,200,000 words of 5 letters",
    ),
    "k of molecules": (
        {"corpus": "id\tsequence\na\tCC(=O)Oc1ccccc1\n"}, ["--algorithm", "kmer"], "k-mers are for DNA or for proteins",
    ),
    "strands of proteins": ({"corpus": ">a\nMKVLELLIRR\n"}, ["--both-strands"], "only DNA has two strands"),
    "overlapping pairs": ({"corpus": SOME_DNA}, ["--overlapping"], "only k-mers can overlap"),
    "size of k-mers": (
        {"corpus": SOME_DNA}, ["--algorithm", "kmer", "--vocab-size", "99"], "--vocab-size has no meaning for kmer",
    ),
    "canonical DNA": ({"corpus": SOME_DNA}, ["--smiles", "canonical"], "only molecules can be written"),
    "no molecule": (
        {"corpus": "id\tsequence\na\tCC(=O\n"}, ["--smiles", "canonical", "--alphabet", "text"], "corpus: record 'a'",
    ),
    "not ASCII": ({"corpus": "id\tsequence\na\tCCé\n"}, ["--alphabet", "text"], "written in ASCII"),
    "nothing to compare": ({"corpus": SOME_DNA, "compare-with": b"hello"}, [], "compare-with, to compare with:"),
    "names": ({"corpus": SOME_DNA}, ["--compare-name", "x"], "names 1 tokenizers and --compare-with gives 0"),
    "a model": ({"corpus": SOME_DNA, "model": b"x"}, [], "leave out --model"),
}  # fmt: skip


def test_a_mistake_is_one_line_without_torch(tmp_path):
    common = ("--train", "--output-tokenizer", "t.zip", "--output-report", "r.md")
    for name, (done, folder) in run_mistakes(tmp_path, MISTAKES, "tokenizer", common).items():
        print(name)
        one_line(done, MISTAKES[name][2], folder)


def test_what_the_corpus_does_not_allow_is_said_and_not_refused(tmp_path):
    path = tmp_path / "one.fasta"
    path.write_text(">only\nACGTACGGTTACGAACCATTNNNNACGTACGATTACA\n")
    runs = {"one": ["--vocab-size", "5000"], "less": ["--training-letters", "100"]}
    many = tmp_path / "many.fasta"
    rng = random.Random(4)
    many.write_text("".join(f">a\n{''.join(rng.choices('ACGT', k=60))}\n" for _ in range(40)))
    calls = []
    for name, options in runs.items():
        work = tmp_path / name
        work.mkdir()
        corpus = path if name == "one" else many
        calls.append((work, "tokenizer", "--train", "--corpus", corpus, *options, "--output-report", "r.md"))
    one, less = run_batch(calls, torch=False)
    assert one.returncode == less.returncode == 0
    text = report(tmp_path / "one")
    size = int(re.search(r"5,000 tokens were asked for, and (\d+) were found", text).group(1))
    assert 10 < size < 40
    assert "too small to hold anything out" in text and "that it was learnt from" in text
    assert "letters that stand for several left out of training: 4 letters" in text
    assert "Only one sequence or stretch was looked at" in text
    assert re.search(r"Of 2,[0-9]{3} letters that could be learnt from, \d+ were used", report(tmp_path / "less"))
