"""The course on DNA models: DNA and proteins in one model, labels of bases, a LLaMA of text, and the page about it."""

import csv
import html
import re

import pytest

from makers.scripts import DATA, ROOT, manifest, repeated, run_batch, table

pytestmark = pytest.mark.slow

DNA, PROTEINS = DATA / "llama_contigs.fasta", DATA / "protein_family.fasta"
QUICK = ("--threads", 1, "--learning-rate", 0.005)
NEW = ("--architecture", "bert", "--layers", 1, "--width", 32, "--heads", 2, "--context", 64, *QUICK)
SECTIONS = (
    "1.1 Introduction to Large Model Runtime Environments",
    "1.2 Pre-trained and Fine-tuning Data Related to Genes",
    "1.3 Basic Usage of Datasets Library",
    "2.1 Building DNA Tokenizer",
    "2.2 Training DNA GPT2 Model from Scratch",
    "2.3 Training DNA Bert Model from Scratch",
    "2.4 Feature Extraction for Biological Sequences Using Gene Large Models",
    "2.5 Building Large Models Based on Multimodal Data",
    "3.1 Sequence Classification Task",
    "3.2 Structure Prediction Task",
    "3.3 Multi-sequence Interaction Analysis",
    "3.4 Function Prediction Task",
    "3.5 Regression Tasks",
    "4.1 Expanding LLaMA Vocabulary Based on Gene Data",
    "4.2 Introduction to DeepSpeed Distributed Training",
    "4.3 Continuous Pre-training of LLaMA Model Based on Gene Data",
    "4.4 Classification Task Using LLaMA-gene Large Model",
    "4.5 Instruction Fine-tuning Based on LLaMA-gene Large Model",
    "5.1 Application of DNABERT2",
    "5.2 Usage of LucaOne",
    "5.3 Usage of ESM3",
    "5.4 Application of MedGPT",
    "5.5 Application of LLaMA-gene",
)
PAGE_FOLDER = ROOT / "docs"
CHOICE = re.compile(r"(?<![*\w])\*([^*]+)\*(?!\*)")  # in italics


def codon_places(folder):
    """Genes, and beside them the place of each base in its codon, as two FASTA files."""
    with open(DATA / "llama_pieces_train.csv") as file:
        genes = {row["id"]: row["sequence"] for row in csv.DictReader(file) if row["label"] == "gene"}
    (folder / "genes.fasta").write_text("".join(f">{name}\n{gene}\n" for name, gene in genes.items()))
    labels = {name: "012" * (len(gene) // 3) for name, gene in genes.items()}
    (folder / "places.fasta").write_text("".join(f">{name}\n{line}\n" for name, line in labels.items()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Everything that the tests below look at, run once."""
    folder = tmp_path_factory.mktemp("course")
    codon_places(folder)
    both = repeated("--corpus", (DNA, PROTEINS))
    calls = [
        ("tokenizer", "--train", *both, "--algorithm", "bpe", "--vocab-size", 120, "--special-tokens", "bert",
         "--output-tokenizer", "tokenizer.zip", "--output-vocabulary", "vocabulary.tsv"),
        ("pretrain", *both, "--both-strands", *NEW, "--tokenizer", "tokenizer.zip", "--epochs", 1, "--output-model",
         "both.zip", "--output-report", "both.md"),
        ("embed", "--model", "both.zip", "--sequences", DATA / "llama_pieces_new.fasta", "--output-table", "dna.tsv",
         "--threads", 1),
        ("embed", "--model", "both.zip", "--sequences", DATA / "protein_family_held_out.fasta", "--output-table",
         "proteins.tsv", "--threads", 1),
        ("finetune", "--model", "both.zip", "--train", DATA / "llama_pieces_train.csv", "--test",
         DATA / "llama_pieces_test.csv", "--label-column", "label", "--sequence-column", "sequence", "--epochs", 1,
         *QUICK, "--output-model", "genes.zip", "--output-metrics", "genes.tsv"),
        ("finetune", "--model", "both.zip", "--train", DATA / "stability.csv", "--id-column", "name", "--label-column",
         "melting", "--task", "sequence-regression", "--test-fraction", 0.2, "--epochs", 1, *QUICK, "--output-model",
         "melting.zip"),
        ("pretrain", "--corpus", DNA, *NEW, "--tokenizer", DATA / "tokenizer_dna_bert.zip", "--epochs", 1,
         "--output-model", "letters.zip"),
        ("finetune", "--model", "letters.zip", "--train", "places.fasta", "--sequences", "genes.fasta", "--task",
         "residue-classification", "--test-fraction", 0.2, "--epochs", 5, *QUICK, "--output-model", "places.zip",
         "--output-metrics", "places.tsv"),
        ("pretrain", "--objective", "instruction", "--model", DATA / "models" / "tiny-text-llama", "--corpus",
         DATA / "llama_questions_train.jsonl", "--test", DATA / "llama_questions_test.jsonl", "--epochs", 10,
         "--max-answer", 8, "--batch-size", 8, *QUICK, "--output-model", "answers.zip", "--output-predictions",
         "answers.tsv"),
    ]  # fmt: skip
    done = run_batch([(folder, *call) for call in calls])
    wrong = [(call[0], one.stderr[-1500:]) for call, one in zip(calls, done, strict=True) if one.returncode]
    assert not wrong, wrong
    return folder


def score(path, metric, model="fine-tuned"):
    wanted = ("test", model, metric)
    return next(float(row["value"]) for row in table(path) if (row["split"], row["model"], row["metric"]) == wanted)


def test_dna_and_proteins_have_one_vocabulary_with_words_of_both(runs):
    words = {row["token"] for row in table(runs / "vocabulary.tsv") if int(row["length"] or 0) > 2}
    of_dna = {word for word in words if set(word) <= set("ACGT")}
    assert len(of_dna) > 20 and len(words - of_dna) > 10


def test_one_model_learns_from_both_and_gives_vectors_of_both(runs):
    said = manifest(runs / "both.zip")
    assert said["alphabet"] == "text" and said["task"] == "masked-lm"
    assert "Both strands were learnt from" in (runs / "both.md").read_text()
    dna, proteins = table(runs / "dna.tsv"), table(runs / "proteins.tsv")
    assert len(dna) == 8 and len(proteins) == 40
    assert list(dna[0]) == list(proteins[0]) == ["id", *(f"dim_{number}" for number in range(1, 33))]


def test_a_model_of_both_is_fine_tuned_on_dna_and_on_proteins(runs):
    assert {manifest(runs / name)["alphabet"] for name in ("genes.zip", "melting.zip")} == {"text"}
    assert score(runs / "genes.tsv", "auroc") > 0.7


def test_bases_have_labels_where_a_token_is_one_base(runs):
    """Which place of its codon a base has: the made-up genes have few codons."""
    assert manifest(runs / "places.zip")["task"] == "residue-classification"
    assert score(runs / "places.tsv", "accuracy") > score(runs / "places.tsv", "accuracy", "majority") + 0.05


def test_a_model_of_text_is_asked_in_words_and_its_answers_keep_their_blanks(runs):
    answers = table(runs / "answers.tsv")
    assert len(answers) == 80 and {row["truth"] for row in answers} == {"yes", "no", "A and T", "C and G"}
    assert "C and G" in {row["answer"] for row in answers}
    assert sum(row["equal"] == "yes" for row in answers) > 80 / 2
    assert manifest(runs / "answers.zip")["settings"]["template"] == r"{instruction}\n{input}\n"


# The page -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "dnagpt2.md").read_text()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_of_the_course_has_a_row_with_something_to_do_and_to_see(page, section):
    rows = [row for row in page.splitlines() if row.startswith(f"| {section} |")]
    assert len(rows) == 1
    _, _, how, seen, _ = rows[0].split("|")
    assert "seqlm_" in how or "](" in how or "make " in how
    assert seen.strip()


def test_every_tool_folder_and_page_that_is_named_exists(page):
    tools = {path.stem for path in (ROOT / "tools").glob("seqlm_*.xml")}
    assert set(re.findall(r"seqlm_\w+", page)) <= tools
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
    assert links and [link for link in links if not (PAGE_FOLDER / link).exists()] == []
    workflows = [PAGE_FOLDER / link for link in links if "workflows/" in link]
    assert workflows and all(list(folder.glob("*-tests.yml")) for folder in workflows)


def test_every_test_that_is_named_exists(page):
    named = re.findall(r"`([\w/]+/test_\w+\.py)::(test_\w+)`", page)
    assert len(named) > 10
    assert [one for one in named if f"def {one[1]}(" not in (ROOT / "tests" / one[0]).read_text()] == []
    in_forms = re.findall(r"`(seqlm_\w+): ([^`]+)`", page)
    assert len(in_forms) > 5
    assert [one for one in in_forms if f"<!-- {one[1]} -->" not in form(one[0])] == []


def test_every_choice_that_is_named_is_in_a_form(page):
    forms = "".join(html.unescape(form(path.stem)) for path in (ROOT / "tools").glob("*.xml"))
    choices = {choice for row in page.splitlines() if row.startswith("| ") for choice in CHOICE.findall(row)}
    assert len(choices) > 10
    assert [choice for choice in choices if choice not in forms] == []


def form(tool):
    return (ROOT / "tools" / f"{tool}.xml").read_text()
