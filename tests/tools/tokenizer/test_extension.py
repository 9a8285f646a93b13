"""A vocabulary that is extended: old tokens stay, new rows are means, and transformers loads what comes of it."""

import json
import random
import re
import shutil
import zipfile
from argparse import Namespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (  # fmt: skip
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from makers.models import make
from makers.scripts import DATA, manifest, one_line, run_batch, run_mistakes, run_script, table
from seqlm.checkpoints.bundle import open_bundle
from seqlm.families.recognition import recognise
from seqlm.tokenization.encoder import Encoder
from seqlm.tools.tokenizer.extended_tokenizer import _words
from seqlm.tools.tokenizer.extension import TEXTS

ENGLISH = [*TEXTS, "a cat sat on a mat and that was that", "CATEGORY: TAGGED DATA AT GATES", "the end"] * 4


def text_gpt2(folder):
    """A GPT-2 of text, with a token that was added later behind all others, and weights in shards."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(ENGLISH, trainer)
    tokenizer.add_special_tokens([AddedToken("<pad>", special=True, normalized=False)])
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=size, n_positions=64, n_embd=32, n_layer=2, n_head=4,
                                       bos_token_id=0, eos_token_id=0, pad_token_id=size - 1))  # fmt: skip
    model.save_pretrained(folder, max_shard_size="40KB")
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"pad_token": "<pad>"}))
    assert len(list(folder.glob("*.safetensors"))) > 1


def text_llama(folder):
    """A LLaMA of text as the second version was: words begin with ▁, bytes for what is unknown, rows to spare, bf16."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(
        vocab_size=420, show_progress=False, initial_alphabet=list("ACGTDEFHIKLMNPQRSVWY"),
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))],
    )  # fmt: skip
    tokenizer.train_from_iterator(ENGLISH, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=448, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    ))  # fmt: skip
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **names}))


MODELS = {  # name -> (corpus, new tokens, way, class of transformers)
    "text-gpt2": ("dna", 40, "merges", AutoModelForCausalLM),
    "text-llama": ("dna", 60, "merges", AutoModelForCausalLM),
    "tiny-protgpt2": ("protein", 40, "merges", AutoModelForCausalLM),
    "tiny-llama": ("protein", 40, "words", AutoModelForCausalLM),
    "tiny-esm-mlm": ("protein", 40, "words", AutoModelForMaskedLM),
    "tiny-bert": ("protein", 40, "words", AutoModel),
    "tiny-roberta": ("dna", 40, "merges", AutoModel),
    "tiny-dnabert2": ("dna", 40, "merges", None),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of each model, and what the tool made of it."""
    folder = tmp_path_factory.mktemp("extend")
    rng = random.Random(11)
    words = ["".join(rng.choices("ACGT", k=rng.randint(4, 8))) for _ in range(30)]
    dna = folder / "dna.fasta"
    dna.write_text("".join(f">{number}\n{''.join(rng.choices(words, k=40))}\n" for number in range(60)))
    corpora = {"dna": dna, "protein": DATA / "protein_family.fasta"}
    for name, write in (("text-gpt2", text_gpt2), ("text-llama", text_llama)):
        (folder / name).mkdir()
        write(folder / name)
    calls, found = [], {}
    for name, (corpus, number, _, _) in [*MODELS.items(), ("again", MODELS["text-gpt2"])]:
        model = folder / name if name.startswith("text") else DATA / "models" / name
        model = folder / "text-gpt2" if name == "again" else model
        work = folder / f"out-{name}"
        work.mkdir()
        found[name] = model, work
        calls.append((work, "tokenizer", "--extend", "--model", model, "--corpus", corpora[corpus], "--vocab-size",
                      number, "--model-id", "someone/model", "--output-model", "m.zip", "--output-vocabulary", "v.tsv",
                      "--output-report", "r.md", "--output-figures", "figures"))  # fmt: skip
    (folder / "short.fasta").write_text(">a\nACGT\n")
    nothing = folder / "nothing"
    nothing.mkdir()
    calls.append((nothing, "tokenizer", "--extend", "--model", DATA / "models" / "tiny-dnabert2", "--corpus",
                  folder / "short.fasta", "--output-model", "m.zip"))  # fmt: skip
    *done, refused = run_batch(calls)
    found["nothing"] = refused, "no new token was found", nothing
    for one, call in zip(done, calls[:-1], strict=True):
        assert one.returncode == 0, one.stderr
        zipfile.ZipFile(call[0] / "m.zip").extractall(call[0] / "unpacked")
    return found


def weights(folder):
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def sizes(model):
    return json.loads((model / "config.json").read_text())["vocab_size"]


@pytest.mark.parametrize("name", MODELS)
def test_old_rows_stay_and_new_rows_are_the_mean_of_their_pieces(made, name):
    model, work = made[name]
    before, after, rows = weights(model), weights(work / "unpacked"), table(work / "v.tsv")
    old, new = sizes(model), sizes(work / "unpacked")
    assert len(rows) == MODELS[name][1] and set(before) == set(after)
    numbers = [int(row["token_id"]) for row in rows]
    kept = [number for number in range(old) if number not in numbers]  # spare rows are used first
    assert new == max(old, numbers[-1] + 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    larger = []
    for tensor in before:
        assert after[tensor].dtype == before[tensor].dtype
        if before[tensor].shape[0] != old:
            assert torch.equal(after[tensor], before[tensor])
            continue
        larger.append(tensor)
        assert torch.equal(after[tensor][kept], before[tensor][kept])
        for row in rows:
            mean = before[tensor][list(map(int, row["piece_ids"].split()))].double().mean(0)
            assert torch.equal(after[tensor][int(row["token_id"])], mean.to(before[tensor].dtype))
    assert larger and any("head" in one or "predictions" in one for one in larger) == any(
        "lm_head" in one or "predictions.decoder" in one for one in before if before[one].shape[0] == old
    )


@pytest.mark.parametrize("name", MODELS)
def test_old_tokens_keep_their_ids_and_pieces_are_what_was_read_before(made, name):
    model, work = made[name]
    old, new = (AutoTokenizer.from_pretrained(folder) for folder in (model, work / "unpacked"))
    vocabulary = new.get_vocab()
    assert {token: vocabulary.get(token) for token in old.get_vocab()} == old.get_vocab()
    assert len(vocabulary) == len(old.get_vocab()) + MODELS[name][1]
    assert dict(old.special_tokens_map) == dict(new.special_tokens_map)
    config = json.loads((model / "config.json").read_text())
    encoder = Encoder(recognise(model, config), model)
    same = 0
    for row in table(work / "v.tsv"):
        assert vocabulary[row["token"]] == int(row["token_id"]) and row["token"] not in old.get_vocab()
        assert len(row["token"]) == int(row["length"]) and 1 < len(row["piece_ids"].split()) <= 16
        assert row["pieces"].replace(" ", "").replace("##", "") == row["token"]
        read = encoder.encode(row["token"]).rows[0][len(encoder.prefix) :]
        same += " ".join(map(str, read[: len(read) - len(encoder.suffix)])) == row["piece_ids"]
    # by itself a token may be split otherwise than in a sequence: its neighbours are missing
    assert same >= (0 if name == "text-llama" else 0.9 * MODELS[name][1])


@pytest.mark.parametrize("name", ["text-gpt2", "text-llama"])
def test_text_is_read_as_before_and_sequences_in_larger_tokens(made, name):
    model, work = made[name]
    old, new = (AutoTokenizer.from_pretrained(folder) for folder in (model, work / "unpacked"))
    for text in (*TEXTS, "it was a cat"):
        assert new(text)["input_ids"] == old(text)["input_ids"]
        assert new.decode(new(text)["input_ids"], skip_special_tokens=True) == text
    sequence = (work.parent / "dna.fasta").read_text().split("\n")[1]
    ids = new(f"Is this a promoter: {sequence}")["input_ids"]
    assert max(ids) >= int(table(work / "v.tsv")[0]["token_id"])
    assert new.decode(ids, skip_special_tokens=True) == f"Is this a promoter: {sequence}"
    assert len(new(sequence)["input_ids"]) < 0.7 * len(old(sequence)["input_ids"])
    text = (work / "r.md").read_text()
    assert "sentences read as before, to try it&ensp; | 7 of 7" in text


def test_tokens_that_bytes_pairs_would_form_next_are_added(made):
    """On a text of one word of ten letters, merging goes on until the word is one token."""
    model, work = made["text-gpt2"]
    new = AutoTokenizer.from_pretrained(work / "unpacked")
    old = AutoTokenizer.from_pretrained(model)
    sequence = (work.parent / "dna.fasta").read_text().split("\n")[1]
    # undoing the new tokens gives what was read before
    pieces = {int(row["token_id"]): list(map(int, row["piece_ids"].split())) for row in table(work / "v.tsv")}
    undone = [piece for number in new(sequence)["input_ids"] for piece in pieces.get(number, [number])]
    assert undone == old(sequence)["input_ids"]


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name][3]])
def test_transformers_loads_it_and_it_says_of_old_tokens_what_it_said(made, name):
    """Its own way to add rows gives the same model; the head of the old tokens is as it was."""
    model, work = made[name]
    kind = MODELS[name][3]
    old, new = (kind.from_pretrained(folder, dtype=torch.float32).eval() for folder in (model, work / "unpacked"))
    text = "ACGTACGA" if MODELS[name][0] == "dna" else "MKTA"
    # of letter tokens without new ones between them
    ids = torch.tensor([AutoTokenizer.from_pretrained(model)(text)["input_ids"]])
    with torch.no_grad():
        one, other = old(ids)[0], new(ids)[0]
    if kind is AutoModel:
        assert torch.equal(one, other)
        return
    first = int(table(work / "v.tsv")[0]["token_id"])
    torch.testing.assert_close(other[..., :first], one[..., :first], rtol=0, atol=1e-5)
    old.resize_token_embeddings(sizes(work / "unpacked"), mean_resizing=False)
    rows = weights(work / "unpacked")
    embedding = next(tensor for tensor in rows if tensor.endswith(("wte.weight", "embed_tokens.weight",
                                                                   "word_embeddings.weight")))  # fmt: skip
    with torch.no_grad():
        old.get_input_embeddings().weight.copy_(rows[embedding])
        if "lm_head.weight" in rows:
            old.get_output_embeddings().weight.copy_(rows["lm_head.weight"])
        if "lm_head.bias" in rows:
            old.lm_head.bias = torch.nn.Parameter(rows["lm_head.bias"])  # transformers leaves it short
        more = torch.tensor([[first, first + 1, *ids[0].tolist()]])
        torch.testing.assert_close(old.eval()(more)[0], new(more)[0])


@pytest.mark.parametrize("name", MODELS)
def test_the_bundle_is_opened_by_the_reader_that_trusts_nobody(made, name, tmp_path):
    _, work = made[name]
    bundle = open_bundle(work / "m.zip", tmp_path)
    # an encoder without a head for tokens is a plain model
    headless = name in ("tiny-bert", "tiny-roberta")
    assert bundle.kind == ("model" if headless else "full")
    if not headless:
        said = manifest(work / "m.zip")
        assert said["task"] == ("masked-lm" if name in ("tiny-esm-mlm", "tiny-dnabert2") else "causal-lm")
        assert said["base_model"]["id"] == "someone/model"
        assert said["alphabet"] == {"dna": "DNA", "protein": "protein"}[MODELS[name][0]]
    family = recognise(bundle.model.path, bundle.model.config, (bundle.manifest or {}).get("alphabet", "auto"))
    encoder = Encoder(family, bundle.model.path)
    text = "ACGTTGACGATTAC" if MODELS[name][0] == "dna" else "MKTAYIAKQRCPTCPYY"
    plain = AutoTokenizer.from_pretrained(work / "unpacked")(text, add_special_tokens=False)["input_ids"]
    assert encoder.read([("x", text)])[0].ids.tolist() == plain


def test_the_report_says_what_has_changed(made):
    for name, (_, number, way, _) in MODELS.items():
        text = (made[name][1] / "r.md").read_text().replace("&ensp;", "")
        assert f"**{number} tokens were added to the" in text and "All old tokens kept their ids." in text
        assert ("Merging goes on" in text) == (way == "merges")
        assert f"| new tokens | {number} |" in text
        assert len(text.encode()) < 10_000


def test_the_same_model_and_corpus_give_the_same_bytes(made):
    first, second = made["text-gpt2"][1], made["again"][1]
    for name in ("m.zip", "v.tsv", "r.md", "figures/lengths.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


DNA = ">a\n" + "ACGTTGCAAC" * 30 + "\n>b\n" + "ACGTTGCAAT" * 30 + "\n"
PROTEINS = ">a\nMKVLELLIRRPQWYTDE\n>b\nMKVLELLIRRPQWYTDEFHILKMKVL\n"


def mistakes(data, folder):
    models = data / "models"
    misfit = folder / "misfit"
    shutil.copytree(models / "tiny-roberta", misfit)
    config = json.loads((misfit / "config.json").read_text())
    (misfit / "config.json").write_text(json.dumps(config | {"vocab_size": 40}))
    strange = folder / "strange"
    shutil.copytree(models / "tiny-protgpt2", strange)
    tensors = load_file(strange / "model.safetensors")
    tensors["transformer.tokens.weight"] = tensors.pop("transformer.wte.weight")
    save_file(tensors, strange / "model.safetensors", metadata={"format": "pt"})
    esm, dnabert2 = models / "tiny-esm-mlm", models / "tiny-dnabert2"
    return {
        "no model": ({"corpus": DNA}, [], "--model is needed"),
        "no corpus": ({"model": esm}, [], "--corpus is needed"),
        "tokenizer and model": ({"model": misfit, "corpus": DNA}, [], "tokenizer and model do not fit each other"),
        "unknown weights": ({"model": strange, "corpus": PROTEINS}, [], "no embedding of 420 tokens"),
        "an adapter": (
            {"model": data / "bundle_lora_t5.zip", "corpus": PROTEINS}, [], "holds an adapter",
        ),
        "fine-tuned": ({"model": data / "bundle_full_bert.zip", "corpus": PROTEINS}, [], "was fine-tuned for"),
        "6-mers": ({"model": make("carbon", folder), "corpus": DNA}, [], "words of six bases"),
        "T5": ({"model": models / "tiny-t5", "corpus": PROTEINS}, [], "set apart by blanks"),
        "lost atoms": (
            {"model": models / "tiny-chemberta", "corpus": data / "halides.tsv"}, ["--sequence-column", "smiles"],
            "loses atoms",
        ),
        "DNA for proteins": ({"model": esm, "corpus": DNA}, [], "tokens of DNA would change"),
        "proteins for DNA": ({"model": dnabert2, "corpus": PROTEINS}, [], "tokenizer and corpus do not fit"),
        "all N": ({"model": dnabert2, "corpus": ">a\n" + "N" * 60 + "\n"}, [], "all N?"),
        "empty": ({"model": dnabert2, "corpus": ""}, [], "corpus is empty"),
        "k-mers": ({"model": esm, "corpus": PROTEINS}, ["--algorithm", "kmer"], "leave out --algorithm"),
        "compared": ({"model": esm, "corpus": PROTEINS}, ["--compare-with", esm], "has no meaning where"),
    }  # fmt: skip


def test_a_mistake_is_one_line_without_torch(tmp_path, data):
    asked = mistakes(data, tmp_path)
    common = ("--extend", "--output-model", "m.zip", "--output-report", "r.md")
    for name, (done, folder) in run_mistakes(tmp_path, asked, "tokenizer", common).items():
        print(name)
        one_line(done, asked[name][2], folder)


def test_a_corpus_without_anything_new_is_refused(made):
    one_line(*made["nothing"])


def test_words_are_as_long_as_they_may_be():
    motif = "MKTAYIAKQRQISFVKSHFS"
    pieces = [motif[:end] for end in range(2, 21) for _ in range(4)]
    for longest in (3, 5, 8, 0):
        words = _words(pieces, Namespace(vocabulary={}), 100, 2, longest)
        assert max(map(len, words)) == (longest or len(motif))


def test_new_tokens_that_make_sequences_longer_are_called_so(tmp_path):
    rng = random.Random(5)
    words = ["".join(rng.choices("ACGT", k=5)) for _ in range(40)]
    corpus = tmp_path / "dna.fasta"
    corpus.write_text("".join(f">{number}\n{''.join(rng.choices(words, k=60))}\n" for number in range(40)))
    model = DATA / "models" / "dna-modernbert-0.2m"
    call = (tmp_path, "tokenizer", "--extend", "--model", model, "--corpus", corpus, "--vocab-size", "30",
            "--max-token-length", "4", "--output-model", "m.zip", "--output-report", "r.md")  # fmt: skip
    (done,) = run_batch([call])
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "r.md").read_text()
    for text in (done.stderr, report):
        assert "30 tokens that were added make sequences longer" in text and "change little" not in text
        assert re.search(r"With the new tokens, sequences have \d+ % more tokens than before, not fewer", text)


def test_all_names_that_a_config_has_for_the_vocabulary_grow(tmp_path):
    """ProGen2 names what it reads and what its head gives apart."""
    model = make("progen2", tmp_path)
    run = ("--model", model, "--corpus", DATA / "protein_family.fasta", "--vocab-size", 10, "--output-model", "m.zip")
    done = run_script(tmp_path, "tokenizer", "--extend", *run)
    assert done.returncode == 0, done.stderr
    config = json.loads(zipfile.ZipFile(tmp_path / "m.zip").read("config.json"))
    assert {name: config[name] for name in config if "vocab" in name} == {
        "vocab_size_emb": 40,
        "vocab_size_lm_head": 40,
    }
    (tmp_path / "new.fasta").write_text(">one\nMKTAYIAKQR\n")
    done = run_script(tmp_path, "score", "--model", "m.zip", "--sequences", "new.fasta", "--output-table", "t.tsv")
    assert done.returncode == 0, done.stderr
