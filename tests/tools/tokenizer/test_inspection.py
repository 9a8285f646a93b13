"""The tool that shows tokens: its tables, what it says of a tokenizer, and what it refuses."""

import csv
import gzip
import io
import json
import random
import re
import tarfile
import zipfile

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer

from makers.models import make
from makers.scripts import run_batch, run_script

# As DNABERT-2's own tokenizer reads this sequence: the split, and the ids of these tokens
PUBLISHED = "ACGTAGCATCGGATCTATCTATCGACACTTGGTTATCGATCTACGAGCATCTCGTTAGC"
SPLIT = "A CGTA GCA TCGGA TCTATCTA TCGACA CTTGG TTA TCGA TCTA CGA GCA TCTC GTTA GC"
IDS = "1 5 194 32 757 1239 2092 294 24 359 88 93 32 75 77 19 2"
SPECIAL = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "[MASK]": 4}
BASES = {"A": 5, "C": 6, "G": 7, "T": 8}


def table(path):
    with path.open() as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def published_tokenizer(folder):
    """A tokenizer with the tokens of the published example at their ids, and merges that lead to each of them."""
    tokens = dict(zip(SPLIT.split(), map(int, IDS.split()[1:-1]), strict=True))
    taken = {*SPECIAL.values(), *BASES.values(), *tokens.values()}
    free = (number for number in range(9, 4096) if number not in taken)
    vocabulary, merges = {**SPECIAL, **BASES, **tokens}, []
    # merges in an order in which no other token than those of the example is ever complete within it
    order = (
        "T A, G TA, C GTA, G C, GC A, T C, TC TC, G G, G T, GT TA, GG A, TC GGA, TC G, TC TA, TCTA TCTA, TCG A, C A, "
        "TCGA CA, T T, C TT, CTT GG, T TA, G A, C GA"
    )
    for pair in order.split(", "):
        first, second = pair.split()
        vocabulary.setdefault(first + second, 0)
        if not vocabulary[first + second]:
            vocabulary[first + second] = next(free)
        merges.append((first, second))
    for number in free:
        vocabulary[f"[unused{number}]"] = number
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return published_tokenizer(tmp_path_factory.mktemp("dnabert2") / "tokenizer")


@pytest.fixture(scope="module")
def ran(tmp_path_factory, example):
    """What the tool wrote in one run after the other, by name."""
    from makers.scripts import DATA

    folder = tmp_path_factory.mktemp("tokens")
    rng = random.Random(8)
    dna = folder / "dna.fasta.gz"
    records = [
        ("example", PUBLISHED),
        ("codes", "ACGTNNNNGATTAR"),
        *((f"random{number}", rng.choices("ACGT", k=90)) for number in range(40)),
    ]
    dna.write_bytes(gzip.compress("".join(f">{name}\n{''.join(text)}\n" for name, text in records).encode()))
    halides = ["--sequences", DATA / "halides.tsv", "--id-column", "name", "--sequence-column", "smiles"]
    chemberta = ["--model", DATA / "models" / "tiny-chemberta", *halides]
    each = ("--rows", "token")
    runs = {
        "example": ["--model", example, "--sequences", dna],
        "tokens": ["--model", example, "--sequences", dna, "--shown", 2, "--model-id", "someone/model", *each],
        "again": ["--model", example, "--sequences", dna, "--shown", 2, "--model-id", "someone/model", *each],
        "roberta": [
            "--model",
            DATA / "models" / "tiny-roberta",
            "--sequences",
            DATA / "promoters.tsv",
            "--rows",
            "sequence",
        ],
        "protein": ["--model", DATA / "tiny_esm_folder.tar.gz", "--sequences", DATA / "odd_proteins.fasta.gz", *each],
        "t5": ["--model", DATA / "models" / "tiny-t5", "--sequences", DATA / "sites_test.fasta", "--rows", "sequence"],
        "repaired": [*chemberta],
        "as published": [*chemberta, "--rows", "sequence", "--tokenizer", "as-published"],
        "canonical": [*chemberta, "--rows", "sequence", "--smiles", "canonical"],
    }
    calls, folders = [], {}
    for name, options in runs.items():
        work = folders[name] = folder / name
        work.mkdir()
        outputs = ["--output-table", "t.tsv", "--output-usage", "u.tsv", "--output-report", "r.md",
                   "--output-figures", "figures", "--output-html", "r.html"]  # fmt: skip
        calls.append((work, "tokenizer", "--inspect", *options, *outputs))
    for one, call in zip(run_batch(calls), calls, strict=True):
        assert one.returncode == 0, one.stderr
        (call[0] / "stderr").write_text(one.stderr)
    return folders


def report(folder):
    return (folder / "r.md").read_text().replace("&ensp;", "").replace("\N{NO-BREAK SPACE}", " ")


def test_the_published_example_is_split_as_published(ran):
    row = table(ran["example"] / "t.tsv")[0]
    assert row["tokens"] == SPLIT
    assert row["token_ids"] == IDS
    assert row["count"] == "15"
    assert float(row["letters_per_token"]) == pytest.approx(59 / 15, abs=1e-5)


def test_a_row_a_token_says_where_it_begins_and_ends(ran):
    rows = [row for row in table(ran["tokens"] / "t.tsv") if row["id"] == "example"]
    assert [row["token"] for row in rows] == SPLIT.split() == [row["letters"] for row in rows]
    assert [row["token_id"] for row in rows] == IDS.split()[1:-1]
    assert [int(row["number"]) for row in rows] == list(range(1, 16))
    assert all(PUBLISHED[int(row["start"]) - 1 : int(row["end"])] == row["letters"] for row in rows)
    # the next begins where one ends
    assert [int(row["start"]) for row in rows[1:]] == [int(row["end"]) + 1 for row in rows[:-1]]


def test_the_letters_of_a_sequence_s_tokens_are_the_sequence(ran):
    joined = {}
    for row in table(ran["tokens"] / "t.tsv"):
        joined[row["id"]] = joined.get(row["id"], "") + row["letters"]
    assert joined["example"] == PUBLISHED and joined["codes"] == "ACGTNNNNGATTAR" and len(joined) == 42


def test_ids_are_those_of_transformers(ran, model_path, data):
    tokenizer = AutoTokenizer.from_pretrained(model_path("roberta"))
    sequences = {row["id"]: row["sequence"] for row in table(data / "promoters.tsv")}
    rows = table(ran["roberta"] / "t.tsv")
    assert len(rows) == len(sequences)
    for row in rows:
        expected = tokenizer(sequences[row["id"]], add_special_tokens=False)["input_ids"]
        assert list(map(int, row["token_ids"].split()))[1:-1] == expected
        assert row["tokens"].split() == tokenizer.convert_ids_to_tokens(expected)


def test_use_of_the_vocabulary_adds_up(ran):
    usage, tokens = table(ran["tokens"] / "u.tsv"), table(ran["tokens"] / "t.tsv")
    counts = {row["token"]: int(row["count"]) for row in usage}
    assert sum(counts.values()) == len(tokens)
    for token in ("GATC", "TCG", "A", "[UNK]", "GTTA"):
        assert counts.get(token, 0) == sum(row["token"] == token for row in tokens)
    assert len(usage) == len({row["token_id"] for row in usage}) == 4096
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert sum(float(row["share"]) for row in usage) == pytest.approx(1, abs=1e-4)


def test_unknown_letters_are_counted_in_the_report(ran):
    text = report(ran["example"])
    assert "| bases read as unknown | 5 (0.1 %) |" in text
    assert "has no token of its own for 5 of 3,673 bases" in text
    assert "N and other codes for several bases kept: 1 sequence, 5 letters" in text


def test_numbers_of_the_report_are_those_of_the_table(ran):
    rows, text = table(ran["example"] / "t.tsv"), report(ran["example"])
    counts = [int(row["count"]) for row in rows]
    assert f"| tokens | {sum(counts):,} |" in text
    assert f"| bases per token | {3673 / sum(counts):.2f} |" in text
    assert f"(fewest, median, most) | {min(counts)}, {sorted(counts)[20]}, {max(counts)} |" in text


def test_proteins_are_read_residue_by_residue_and_long_ones_are_noted(ran):
    text = report(ran["protein"])
    assert "Every residue is one token" in text
    assert "more than the 1,022 tokens that the model reads at once" in text
    assert len(table(ran["protein"] / "t.tsv")) == 16 + 3000 + 2 - 1
    assert table(ran["t5"] / "t.tsv")[0]["tokens"].startswith("▁")


def test_a_tokenizer_that_loses_atoms_is_named_and_both_readings_stand_side_by_side(ran):
    text = report(ran["repaired"])
    assert "As published, this tokenizer loses atoms: 52 of 72 molecules would be read as something else" in text
    assert "C 1 C C N C C 1 C C ( = O ) Br | 15" in text
    assert "C 1 C C N C C 1 C C ( = O ) B | 15" in text
    repaired, published = (
        {row["id"]: row["token_ids"] for row in table(ran[name] / "t.tsv")} for name in ("repaired", "as published")
    )
    assert sum(repaired[name] != published[name] for name in repaired) == 52
    assert "This tokenizer drops" in report(ran["as published"])


def test_the_published_reading_is_that_of_transformers(ran, model_path, data):
    tokenizer = AutoTokenizer.from_pretrained(model_path("chemberta"))
    smiles = {row["name"]: row["smiles"] for row in table(data / "halides.tsv")}
    for row in table(ran["as published"] / "t.tsv"):
        assert list(map(int, row["token_ids"].split())) == tokenizer(smiles[row["id"]])["input_ids"]


def test_canonical_molecules_are_read_as_rdkit_writes_them(ran, data):
    from rdkit import Chem

    smiles = {row["name"]: row["smiles"] for row in table(data / "halides.tsv")}
    for row in table(ran["canonical"] / "t.tsv"):
        assert row["tokens"].replace(" ", "") == Chem.CanonSmiles(smiles[row["id"]])


def test_the_same_run_gives_the_same_bytes(ran):
    first, second = ran["tokens"], ran["again"]
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file() and path.name != "stderr")
    assert len(files) == 6
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_report_fits_into_galaxy_and_shows_its_figures(ran):
    for folder in ran.values():
        text = (folder / "r.md").read_text()
        assert len(text.encode()) < 10_000
        assert {path.stem for path in (folder / "figures").iterdir()} == set(re.findall(r'path="(\w+)\.png"', text))
        assert "<script" not in (folder / "r.html").read_text()


def packed(folder, *names, more=None):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name in names:
            out.write(folder / name, name)
        for name, content in (more or {}).items():
            out.writestr(name, content)
    return archive.getvalue()


DNA_TEXT = ">a\nACGTTGCA\n"


def mistakes(models, example):
    dna, esm, chemberta = models / "tiny-dnabert2", models / "tiny-esm", models / "tiny-chemberta"
    tokenizer = (example / "tokenizer.json").read_bytes()
    random_splits = json.loads(tokenizer)
    random_splits["model"]["dropout"] = 0.5
    table_of = "id,sequence\n"
    return {
        "empty": ({"model": dna, "sequences": ""}, [], "sequences is empty"),
        "neither": ({"model": dna, "sequences": "Two words\n"}, [], "neither FASTA nor a table"),
        "cut gzip": ({"model": dna, "sequences": gzip.compress(DNA_TEXT.encode())[:-9]}, [], "cut short or damaged"),
        "protein": ({"model": dna, "sequences": ">a\nMKVLE\n"}, [], "is this a protein?"),
        "arginines": ({"model": dna, "sequences": ">a\n" + "MARYRCCRSRSRSRCRRR" * 3}, [], "holds proteins (1 of 1"),
        "dna": ({"model": esm, "sequences": ">a\n" + "ACGTTGCA" * 5}, [], "holds DNA or RNA (1 of 1"),
        "gaps": ({"model": dna, "sequences": ">a\nAC--GT\n"}, [], "remove the gaps"),
        "no sequence": ({"model": dna, "sequences": ">a\n>b\nACGT\n"}, [], "record 'a' (line 1) has no sequence"),
        "no molecule": ({"model": chemberta, "sequences": table_of + "a,\n"}, [], "has no molecule"),
        "no smiles": (
            {"model": chemberta, "sequences": table_of + "a,c1cc\n"},
            ["--smiles", "canonical"],
            "unclosed ring",
        ),
        "canonical dna": ({"model": dna, "sequences": DNA_TEXT}, ["--smiles", "canonical"], "this one reads DNA"),
        "no column": ({"model": dna, "sequences": "id,helix\na,ACGT\n"}, [], "no column 'sequence'"),
        "no archive": ({"model": b"hello", "sequences": DNA_TEXT}, [], "model"),
        "no tokenizer": ({"model": packed(dna, "config.json"), "sequences": DNA_TEXT}, [], "holds no tokenizer"),
        "broken": ({"model": packed(dna, more={"tokenizer.json": b"{"}), "sequences": DNA_TEXT}, [], "is not JSON"),
        "dropout": (
            {"model": packed(dna, more={"tokenizer.json": json.dumps(random_splits)}), "sequences": DNA_TEXT},
            [],
            "splits at random",
        ),
        "cut archive": ({"model": packed(esm, "vocab.txt", "config.json")[:-40], "sequences": DNA_TEXT}, [], "model"),
        "absent": ({"model": models / "none", "sequences": DNA_TEXT}, [], "does not exist"),
    }  # fmt: skip


def test_a_mistake_is_one_line_without_torch(tmp_path, data, example):
    from makers.scripts import one_line, run_mistakes

    asked = mistakes(data / "models", example)
    common = ("--inspect", "--output-table", "t.tsv", "--output-report", "r.md")
    for name, (done, folder) in run_mistakes(tmp_path, asked, "tokenizer", common).items():
        print(name)
        one_line(done, asked[name][2], folder)


def test_tokenizer_files_alone_are_enough_and_give_the_model_s_reading(tmp_path, data, script):
    """Without config.json nothing is known but the tokenizer; weights in an archive are never unpacked."""
    model = data / "models" / "tiny-dnabert2"
    alone, whole = tmp_path / "alone.zip", tmp_path / "whole.tar"
    alone.write_bytes(packed(model, "tokenizer.json"))
    with tarfile.open(whole, "w") as archive:
        archive.add(model / "tokenizer.json", "m/tokenizer.json")
        big = tarfile.TarInfo("m/pytorch_model.bin")  # it could run code where it is opened
        big.size = 4
        archive.addfile(big, io.BytesIO(b"evil"))
    texts = []
    for number, given in enumerate((model, alone, whole)):
        target = tmp_path / f"{number}.tsv"
        script(
            "tokenizer", "--inspect", "--model", given, "--sequences", data / "promoters.tsv", "--rows", "sequence",
            "--output-table", target,
        )  # fmt: skip
        texts.append(target.read_text())
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("uploaded", [False, True])
def test_a_model_whose_config_says_no_type_is_read(tmp_path, uploaded):
    """As the second Nucleotide Transformers are published."""
    model = make("nucleotide-transformer-v2", tmp_path)
    (tmp_path / "dna.fasta").write_text(">one\nACGTACGTACGTGG\n")
    if uploaded:
        config = json.loads((model / "config.json").read_text())
        del config["auto_map"]
        (model / "config.json").write_text(json.dumps(config))
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
            for file in model.iterdir():
                archive.write(file, file.name)
        model = tmp_path / "model.zip"
    run = ("--inspect", "--model", model, "--sequences", "dna.fasta", "--output-table", "t.tsv")
    done = run_script(tmp_path, "tokenizer", *run)
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "t.tsv")[0]["tokens"] == "ACGTAC GTACGT G G"
