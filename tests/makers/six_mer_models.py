"""Tiny LLaMAs of 6-mers with the tokenizer files that GENERator and Carbon are published with, and what their
tokenizers do, written as a plain loop."""

import itertools
import json

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from .protein_models import SIZES

SIX_MERS = ["".join(bases) for bases in itertools.product("ATCG", repeat=6)]
SPECIAL = ["<oov>", "<s>", "</s>", "<pad>", "<mask>", "<bog>", "<eog>", "<bok>", "<eok>", "<+>", "<->", "<cds>",
           "<pseudo>", "<tRNA>", "<rRNA>", "<ncRNA>", "<miscRNA>", "<mam>", "<vrt>", "<inv>", "<pln>", "<fng>", "<prt>",
           "<arc>", "<bct>", "<mit>", "<plt>", "<plm>", "<vir>", "<sp0>", "<sp1>", "<sp2>"]  # fmt: skip
DNA = ["<dna>", "</dna>", "<oov>"]
CODE = {"generator": "tokenizer.DNAKmerTokenizer", "carbon": "tokenizer.HybridDNATokenizer"}
ENGLISH = 300  # tokens of the tiny Carbon for English, the special one behind them; its 6-mers follow


def plain_ids(name, sequence):
    """Ids of a sequence with what begins it, base by base."""
    first, begins, unknown = (32, 1, 0) if name == "generator" else (ENGLISH + 4, ENGLISH + 1, ENGLISH + 3)
    ids, word = [begins], ""
    for base in sequence:
        word += base
        if len(word) == 6:
            ids.append(first + SIX_MERS.index(word) if set(word) <= set("ATCG") else unknown)
            word = ""
    if word and name == "carbon" and set(word) <= set("ATCG"):
        ids.append(first + SIX_MERS.index(word + "A" * (6 - len(word))))
    elif word:
        ids.append(unknown)
    return ids


def _llama(folder, size, **options):
    usual = {"num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.2, **SIZES}
    config = transformers.LlamaConfig(vocab_size=size, rope_theta=500000.0, **(usual | options))
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def _settings(folder, name, **settings):
    said = {"auto_map": {"AutoTokenizer": [CODE[name], None]}, "k": 6, "tokenizer_class": CODE[name].split(".")[1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | said))


def generator(folder, **sizes):
    """As published: numbers in vocab.txt, code for tokenizer and model."""
    tokens = [*SPECIAL, *SIX_MERS]
    (folder / "vocab.txt").write_text("".join(f"{token} {number}\n" for number, token in enumerate(tokens)))
    roles = ("unk", "bos", "eos", "pad", "mask")
    names = {f"{role}_token": token for role, token in zip(roles, SPECIAL, strict=False)}
    _settings(folder, "generator", add_bos_token=True, add_eos_token=False, **names)
    (folder / "special_tokens_map.json").write_text(json.dumps(names))
    _llama(folder, len(tokens), bos_token_id=1, eos_token_id=2, **sizes)
    said = json.loads((folder / "config.json").read_text())
    code = {"AutoModelForCausalLM": "modeling_generator.GENERatorForCausalLM"}
    said |= {"architectures": ["GENERatorForCausalLM"], "auto_map": code, "pretraining_tp": 1}
    (folder / "config.json").write_text(json.dumps(said))


def carbon(folder):
    """As published: a whole tokenizer of English, of which CCCCCC is a token too, and the numbers of 6-mers apart."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, "CC", "CCC", "CCCCCC", *(f"t{number}" for number in range(ENGLISH - len(letters) - 3))]
    vocabulary, merges = {word: number for number, word in enumerate(words)}, [("C", "C"), ("CC", "C"), ("CCC", "CCC")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    (folder / "added_tokens.json").write_text(json.dumps({"<|endoftext|>": ENGLISH}))
    _settings(folder, "carbon", auto_dna_tags=False, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    size = 128 * -(-(ENGLISH + 4 + len(SIX_MERS)) // 128)
    dna = {"k": 6, "dna_start_id": ENGLISH + 1, "dna_vocab_size": size - ENGLISH - 1, "dna_special_tokens": DNA}
    (folder / "dna_config.json").write_text(json.dumps(dna | {"auto_dna_tags": False}))
    _llama(folder, size, bos_token_id=None, eos_token_id=ENGLISH, pad_token_id=ENGLISH)


MAKERS = {"generator": generator, "carbon": carbon}
