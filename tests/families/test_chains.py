"""Heavy and light chain of an antibody in one text, from two columns, as IgBert and IgT5 were trained to read them."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertForMaskedLM, BertModel, T5EncoderModel

from makers.protein_models import LETTERS, t5
from makers.scripts import DATA, manifest, one_line, run_all, run_batch, shown_by_card, table, vectors
from seqlm.checkpoints.folder import read_model_folder
from seqlm.data.records import Record, Rules
from seqlm.data.sequences import SINGLE, clean
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import Encoder

pytestmark = pytest.mark.slow

BERT, IGBERT, ESM = (DATA / "models" / name for name in ("tiny-bert", "tiny-igbert", "tiny-esm"))
PAIRS = DATA / "antibodies.tsv"
COLUMNS = ["--id-column", "antibody", "--sequence-column", "heavy", "--light-column", "light"]
SINGLES, FEW = COLUMNS[:4], [tuple(row.values()) for row in table(PAIRS)[:10]]  # the last of these has no light chain
ALONE = FEW[-1][0]


def text(heavy, light, between):
    """Two chains as the authors give them to their tokenizers.

    Blanks around </s> are nothing to SentencePiece, which tests/reference has, and text to what stands in for it here.
    """
    return (between if between == "</s>" else f" {between} ").join(" ".join(chain) for chain in (heavy, light) if chain)


@pytest.fixture(scope="module")
def igt5(tmp_path_factory):
    folder = tmp_path_factory.mktemp("igt5")
    torch.manual_seed(5)
    t5(folder, ["<pad>", "</s>", "<unk>", *("▁" + letter for letter in LETTERS)], spaced=True)
    return folder


@pytest.fixture(scope="module")
def models(igt5):
    return {"bert": (BERT, BertModel, "[SEP]"), "t5": (igt5, T5EncoderModel, "</s>")}


@pytest.fixture(scope="module")
def runs(igt5, tmp_path_factory):
    """Embeddings and scores of two chains and of one, a fine-tuning on two, and what its bundle predicts."""
    work = tmp_path_factory.mktemp("runs")
    data = ["--sequences", PAIRS]
    train = ["--train", PAIRS, "--label-column", "binds", "--test-fraction", "0.3", "--epochs", "1"]
    train += ["--model", BERT, "--model-id", BERT]
    made = ["--model", "b.zip", "--base-model", BERT, *data]
    calls = [
        ("embed", "--model", BERT, *data, *COLUMNS, "--output-table", "bert.tsv", "--output-html", "bert.html"),
        ("embed", "--model", igt5, *data, *COLUMNS, "--output-table", "t5.tsv"),
        ("embed", "--model", BERT, *data, *COLUMNS, "--pooling", "none", "--output-table", "residues.tsv"),
        ("embed", "--model", BERT, *data, *SINGLES, "--output-table", "heavy.tsv"),
        ("finetune", *train, *COLUMNS, "--output-model", "b.zip", "--output-predictions", "of_test.tsv",
         "--output-html", "b.html"),
        ("finetune", *train, *SINGLES, "--output-model", "single.zip"),
        ("predict", *made, *COLUMNS, "--output-table", "predicted.tsv"),
        ("embed", *made, *SINGLES, "--output-table", "as_one.tsv"),
        ("score", "--model", IGBERT, *data, *COLUMNS, "--output-table", "s.tsv", "--output-fasta", "s.fasta",
         "--output-html", "s.html", "--keep-best", "40"),
        ("embed", "--model", IGBERT, *data, *COLUMNS, "--output-table", "both.tsv", "--append-scores", "exact",
         "--probe", "classes", "--label-column", "binds", "--output-html", "both.html"),
    ]  # fmt: skip
    return work, run_all([(work, *call) for call in calls])


@pytest.mark.parametrize("name", ["bert", "t5"])
def test_tokens_are_those_of_the_text_that_the_authors_write_and_what_stands_between_counts_nowhere(models, name):
    folder, _, between = models[name]
    encoder = Encoder(recognise(folder, read_model_folder(folder).config), folder, chains=True)
    tokens = AutoTokenizer.from_pretrained(folder)(text("EVQX", "DIM", between))
    record = Record("a", "EVQB", light="DI M")
    rules = Rules()
    encoded = encoder.encode(clean(record, "protein", {"B": "X"}, rules, "t.tsv"))
    assert encoded.rows[0].tolist() == tokens["input_ids"] and not any(tokens.get("token_type_ids", []))
    assert encoded.weights[0].tolist()[-9:] == [1, 1, 1, 1, 0, 1, 1, 1, 0] and encoded.tokens == 7
    assert rules.sequences["B read as X"] == 1 and SINGLE not in rules.sequences
    alone = clean(Record("a", "EVQX", light=""), "protein", {}, rules, "t.tsv")
    assert encoder.encode(alone).tokens == 4 and rules.sequences[SINGLE] == 1


@pytest.mark.parametrize("name", ["bert", "t5"])
def test_vectors_are_means_over_the_residues_of_both_chains_in_a_plain_loop(runs, models, name):
    folder, kind, between = models[name]
    model, tokenizer, ours = kind.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder), {}
    for one, heavy, light, _ in FEW[-5:]:
        read = tokenizer(text(heavy, light, between), return_tensors="pt")
        with torch.no_grad():
            hidden = model(input_ids=read["input_ids"], attention_mask=read["attention_mask"]).last_hidden_state[0]
        begin = int(name == "bert")
        residues = [*range(begin, begin + len(heavy)), *range(begin + len(heavy) + 1, len(hidden) - 1)]
        ours[one] = hidden[residues if light else slice(begin, begin + len(heavy))]
        np.testing.assert_allclose(vectors(runs[0] / f"{name}.tsv")[one], ours[one].mean(0), atol=1e-5)
    if name == "bert":
        rows = table(runs[0] / "residues.tsv")
        for one, heavy, light, _ in FEW[-5:]:
            mine = [row for row in rows if row["id"] == one]
            assert "".join(row["letter"] for row in mine) == heavy + light
            assert [int(row["position"]) for row in mine] == [*range(1, len(heavy + light) + 1)]
            found = np.array([[float(row[f"dim_{number}"]) for number in range(1, 65)] for row in mine])
            np.testing.assert_allclose(found, ours[one], atol=1e-5)


def test_a_row_without_a_light_chain_is_read_as_a_single_chain_and_counted(runs):
    work, done = runs
    both, heavy = vectors(work / "bert.tsv"), vectors(work / "heavy.tsv")
    np.testing.assert_allclose(both[ALONE], heavy[ALONE], atol=1e-5)
    assert np.abs(both[FEW[0][0]] - heavy[FEW[0][0]]).max() > 0.01
    assert f"note: {SINGLE}: 4 sequences" in done[0].stderr and SINGLE not in done[3].stderr
    read_as = "ead as: heavy and light chain in one text with [SEP] between"
    assert read_as in done[0].stderr and read_as in done[6].stderr and "ead as" not in done[3].stderr
    letters = sum(len(row["heavy"] + row["light"]) for row in table(PAIRS))
    for page in ("bert.html", "b.html"):
        assert SINGLE in (work / page).read_text() and "Kenlay" in (work / page).read_text()
    longest = max(len(row["heavy"] + row["light"]) for row in table(PAIRS))
    assert f"40 sequences of {letters:,} letters, the longest of {longest}" in (work / "bert.html").read_text()
    assert f" / {longest}<" in (work / "b.html").read_text()  # the lengths of a set
    assert {row["id"]: row["changed"] for row in table(work / "predicted.tsv")}[ALONE] == f"{SINGLE} (1)"


def test_each_residue_is_masked_in_its_turn_and_what_stands_between_never(runs):
    """Pseudo-perplexities of a plain loop over both chains, also where they stand beside vectors."""
    work, done = runs
    model, tokenizer = BertForMaskedLM.from_pretrained(IGBERT).eval(), AutoTokenizer.from_pretrained(IGBERT)
    scores, beside = ({row["id"]: row for row in table(work / name)} for name in ("s.tsv", "both.tsv"))
    for name, heavy, light, _ in FEW[-2:]:
        ids = tokenizer(text(heavy, light, "[SEP]"), return_tensors="pt")["input_ids"]
        places = [place for place in range(1, ids.shape[1] - 1) if ids[0, place] != tokenizer.sep_token_id]
        hidden = ids.repeat(len(places), 1)
        hidden[range(len(places)), places] = tokenizer.mask_token_id
        with torch.no_grad():
            found = (
                model(hidden).logits.double().log_softmax(-1)[range(len(places)), places, ids[0, places]].sum().item()
            )
        assert len(places) == len(heavy + light) == int(scores[name]["tokens"]) == int(scores[name]["length"])
        assert float(scores[name]["log_likelihood"]) == pytest.approx(found, rel=1e-5)
        assert float(beside[name]["pseudo_log_likelihood"]) == pytest.approx(found, rel=1e-5)
    kept = (work / "s.fasta").read_text()
    name, heavy, light, _ = FEW[0]
    assert f"{heavy}:{light}" in "".join(kept.partition(f">{name} ")[2].split(">")[0].splitlines()[1:])
    assert SINGLE in done[8].stderr and "not scored" not in done[8].stderr


def test_a_bundle_predicts_as_it_was_judged_and_so_does_the_code_of_its_card(runs):
    work, _ = runs
    assert manifest(work / "b.zip")["light_chains"] is True and "light_chains" not in manifest(work / "single.zip")
    keys = [key for key in table(work / "predicted.tsv")[0] if key.startswith("probability")]
    predicted = {row["id"]: [float(row[key]) for key in keys] for row in table(work / "predicted.tsv")}
    judged = [row for row in table(work / "of_test.tsv") if row["split"] == "test"]
    assert judged and keys
    for row in judged:
        assert predicted[row["id"]] == pytest.approx([float(row[key]) for key in keys], abs=1e-5)
    name, heavy, light, _ = FEW[0]
    assert shown_by_card(work / "b.zip", work / "card", heavy, light) == pytest.approx(predicted[name], abs=1e-4)


def test_the_vectors_of_a_bundle_that_is_read_otherwise_are_noted(runs):
    _, done = runs
    assert "was fine-tuned with light chains beside heavy ones, and reads them without here" in done[7].stderr
    assert "was fine-tuned" not in done[0].stderr


def test_mistakes_about_chains_are_one_line_before_torch(runs, tmp_path):
    work, _ = runs
    columns = ["--sequence-column", "vh", "--light-column", "vl"]
    (tmp_path / "one.fasta").write_text(">a LABEL=1\nEVQL\n>b LABEL=0\nEVQM\n")
    (tmp_path / "stop.tsv").write_text("id\tvh\tvl\tlabel\na\tEVQL\tDI*M\tx\n")
    (tmp_path / "none.tsv").write_text("id\tvh\tvl\tlabel\na\tEVQL\t\tx\nb\tEVQM\tNA\ty\n")
    pairs, out = ["--sequences", PAIRS], ["--output-table", "t.tsv"]
    embed, made = ["embed", "--model", BERT, *out], ["predict", "--base-model", BERT, *out]
    train = ["finetune", "--model", BERT, "--output-model", "n.zip", "--train"]
    calls = {
        "for models that read heavy and light chain together, IgBert and IgT5; this one is of the family ESM-2": (
            "embed", "--model", ESM, *out, *pairs, *COLUMNS),
        "one.fasta is FASTA and has no columns": [*embed, "--sequences", tmp_path / "one.fasta", "--light-column", "2"],
        "record 'a, light chain' (line 2) has '*' at position 3": [
            *embed, "--sequences", tmp_path / "stop.tsv", *columns],
        "column 'vl' has no light chain in any row": [*train, tmp_path / "none.tsv", *columns],
        "column 'heavy' was given for heavy and for light chains": [*embed, *pairs, *COLUMNS[:5], "heavy"],
        "the two chains of 'synthetic_ab_00' have": [*embed, *pairs, *COLUMNS, "--max-length", "40"],
        "residues, and the model reads 39 at once": [
            *train, PAIRS, *COLUMNS, "--label-column", "binds", "--max-length", "40"],
        "--light-column is for tasks of sequences; the task is residue-classification": [
            *train, PAIRS, *COLUMNS, "--task", "residue-classification", *pairs],
        "is for scores of whole sequences; leave out --variants and --scan": [
            "score", "--model", BERT, "--scan", *out, *pairs, *COLUMNS],
        "beside heavy ones, and explanations are of one sequence": [
            "explain", "--model", work / "b.zip", "--base-model", BERT, *pairs, *SINGLES, "--output-table", "t.tsv"],
        "b.zip was trained with light chains beside heavy ones; say which column": [
            *made, "--model", work / "b.zip", *pairs, *SINGLES],
        "single.zip was trained on single chains; leave the light chains out": [
            *made, "--model", work / "single.zip", *pairs, *COLUMNS],
    }  # fmt: skip
    places = [tmp_path / f"work{number}" for number in range(len(calls))]
    for place in places:
        place.mkdir()
    done = run_batch([(place, *call) for place, call in zip(places, calls.values(), strict=True)], torch=False)
    for place, message, one in zip(places, calls, done, strict=True):
        one_line(one, message, place)
