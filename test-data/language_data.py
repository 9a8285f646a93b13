"""Tiny models that write or complete sequences, trained for seconds on made-up sequences, and inputs for them.

Proteins of this made-up world are words of a few residues, one after the other. One family of them descends from one
ancestor: some of its positions never change, the others do. What the models learnt is that, and nothing of biology.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import molecule_data
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import EsmConfig, EsmForMaskedLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

AMINO_ACIDS = "ALGVSREDTIPKFQNYMHWC"
END = "<|endoftext|>"
LINE = 60


class World:
    """The made-up proteins: words, and a family whose positions are kept to different degrees."""

    def __init__(self, seed: int = 5):
        rng = random.Random(seed)
        self.words = ["".join(rng.choices(AMINO_ACIDS, k=rng.randint(3, 7))) for _ in range(40)]
        self.ancestor = ("M" + "".join(rng.choices(self.words, k=12)))[:56]
        self.kept = [1.0, *(rng.choice([0.98, 0.9, 0.5]) for _ in self.ancestor[1:])]
        self.allowed = [rng.sample(AMINO_ACIDS, 3) for _ in self.ancestor]

    def protein(self, rng: random.Random) -> str:
        return "M" + "".join(rng.choice(self.words) for _ in range(rng.randint(5, 18)))

    def member(self, rng: random.Random) -> str:
        return "".join(
            letter if rng.random() < kept else rng.choice(allowed)
            for letter, kept, allowed in zip(self.ancestor, self.kept, self.allowed, strict=True)
        )


def train(model, batches, updates: int, rate: float) -> None:
    """A plain loop; ``batches(rng)`` gives the arguments of the model."""
    torch.set_num_threads(1)
    rng = random.Random(3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, updates)
    model.train()
    for _ in range(updates):
        model(**batches(rng)).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()


def causal_batch(rows: list[list[int]], padding: int) -> dict:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
    filled = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": filled, "labels": ids.masked_fill(filled == 0, -100)}


def tiny_protgpt2(folder: Path) -> None:
    """Two layers of ProtGPT2's kind: byte pairs, one token that begins and ends a text, lines of 60 residues."""
    world, rng = World(), random.Random(9)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator((lined(world.protein(rng)) for _ in range(600)), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_settings(folder, "GPT2Tokenizer", dict.fromkeys(("bos_token", "eos_token", "unk_token"), END))
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=420, n_positions=256, n_embd=48, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
    )

    def batch(rng: random.Random) -> dict:
        texts = [END + lined(world.protein(rng)) + END for _ in range(16)]
        return causal_batch([tokenizer.encode(text).ids for text in texts], 0)

    train(model, batch, 500, 1e-2)
    save(model, folder)


def lined(sequence: str) -> str:
    return "\n" + "".join(sequence[at : at + LINE] + "\n" for at in range(0, len(sequence), LINE))


def new_llama(tokens: int, **special: int) -> LlamaForCausalLM:
    """Random weights; tokens 1 and 2 begin and end a text."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokens,
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=1,
            eos_token_id=2,
            **special,
        )
    )


def tiny_llama(folder: Path) -> None:
    """Two layers of LLaMA's kind that read one residue a token, with tokens of their own for start and end."""
    world, special = World(), ["<unk>", "<s>", "</s>", "<pad>"]
    vocabulary = {token: number for number, token in enumerate([*special, *sorted(AMINO_ACIDS), *"XBZUO"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = ("unk_token", "bos_token", "eos_token", "pad_token")
    write_settings(folder, "PreTrainedTokenizerFast", dict(zip(names, special, strict=True)))
    model = new_llama(len(vocabulary), pad_token_id=3)

    def batch(rng: random.Random) -> dict:
        proteins = [world.protein(rng) for _ in range(16)]
        return causal_batch([[1, *(vocabulary[letter] for letter in text), 2] for text in proteins], 3)

    train(model, batch, 300, 1e-2)
    save(model, folder)


def tiny_smiles_gpt2(folder: Path) -> None:
    """Two layers of GPT-2's kind for molecules: whole atoms as words, and nothing in the tokenizer that splits them."""
    atoms = ["<BOS>", "<EOS>", "<PAD>", "<UNKNOWN>", *molecule_data.TOKENS]
    vocabulary = {token: number for number, token in enumerate(atoms)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<UNKNOWN>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([])
    tokenizer.add_special_tokens(atoms[:3])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_settings(folder, "PreTrainedTokenizer", {"bos_token": "<BOS>", "eos_token": "<EOS>", "pad_token": "<PAD>"})
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(atoms),
            n_positions=80,
            n_embd=48,
            n_layer=2,
            n_head=4,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )

    def batch(rng: random.Random) -> dict:
        return causal_batch([[0, *(vocabulary[piece] for piece in molecule(rng)), 1] for _ in range(16)], 2)

    train(model, batch, 300, 1e-2)
    save(model, folder)


def molecule(rng: random.Random) -> list[str]:
    """Atoms of a ring with a chain and an end, of those that halides.tsv is made of."""
    ring = rng.choice([list("c1ccccc1"), list("c1ccncc1"), ["c", "1", "c", "c", "[nH]", "c", "1"], list("C1CCCCC1")])
    middle = rng.choice([[], list("C(=O)"), list("C(C)"), ["[C@H]", "(", "C", ")"]])
    end = rng.choice([["O"], ["N"], ["Cl"], ["Br"], list("C(=O)O"), ["C", "Cl"]])
    return [*ring, *"C" * rng.randint(0, 4), *middle, *end]


def tiny_esm_mlm(folder: Path) -> None:
    """Two layers of ESM-2's kind with its head for masked residues, trained on the family and on other proteins."""
    world = World()
    special = ["<cls>", "<pad>", "<eos>", "<unk>"]
    tokens = [*special, *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    names = ("cls_token", "pad_token", "eos_token", "unk_token")
    settings = dict(zip(names, special, strict=True)) | {"mask_token": "<mask>"}
    write_settings(folder, "EsmTokenizer", settings)
    number = {token: place for place, token in enumerate(tokens)}
    mask = number["<mask>"]
    model = EsmForMaskedLM(
        EsmConfig(
            vocab_size=len(tokens),
            mask_token_id=mask,
            pad_token_id=1,
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=96,
            max_position_embeddings=1026,
            position_embedding_type="rotary",
            token_dropout=True,
            emb_layer_norm_before=False,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )

    def batch(rng: random.Random) -> dict:
        texts = [(world.member if place % 2 else world.protein)(rng) for place in range(16)]
        arguments = causal_batch([[0, *(number[letter] for letter in text), 2] for text in texts], 1)
        chosen = torch.tensor([[rng.random() < 0.15 for _ in row] for row in arguments["input_ids"]])
        chosen &= (arguments["input_ids"] > 3) & (arguments["attention_mask"] == 1)
        labels = arguments["input_ids"].masked_fill(~chosen, -100)
        return arguments | {"input_ids": arguments["input_ids"].masked_fill(chosen, mask), "labels": labels}

    train(model, batch, 600, 5e-3)
    save(model, folder)


def save(model, folder: Path) -> None:
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def write_settings(folder: Path, kind: str, tokens: dict[str, str]) -> None:
    text = json.dumps({"tokenizer_class": kind, **tokens}, indent=2, sort_keys=True)
    (folder / "tokenizer_config.json").write_text(text + "\n")


def make(here: Path) -> None:
    """A family, its ancestor, variants of it with measured effects, and beginnings to go on from."""
    world, rng = World(), random.Random(21)
    held_out = random.Random(22)  # of its own, so that it changes nothing else
    (here / "protein_family_held_out.fasta").write_text(
        "".join(f">held_out_{number:02d}\n{world.member(held_out)}\n" for number in range(40))
    )
    members = [world.member(rng) for _ in range(160)]
    (here / "protein_family.fasta").write_text(
        "".join(f">member_{number:03d}\n{text}\n" for number, text in enumerate(members))
    )
    others = [world.protein(rng) for _ in range(60)]
    (here / "other_proteins.fasta").write_text(
        "".join(f">other_{number:02d}\n{text}\n" for number, text in enumerate(others))
    )
    (here / "wild_type.fasta").write_text(f">ancestor\n{world.ancestor}\n")
    rows, whole = ["variant\tactivity\n"], ["id\tsequence\tactivity\n"]
    for number in range(80):
        places = sorted(rng.sample(range(1, len(world.ancestor)), rng.choice([1, 1, 1, 2, 3])))
        changes, effect = [], 0.0
        for place in places:
            letter = rng.choice([one for one in AMINO_ACIDS if one != world.ancestor[place]])
            changes.append(f"{world.ancestor[place]}{place + 1}{letter}")
            effect -= 2 * world.kept[place] - 0.5 * (letter in world.allowed[place])
        rows.append(f"{':'.join(changes)}\t{effect + rng.gauss(0, 0.4):.3f}\n")
        # the same as whole sequences, of which the last twenty are not measured
        letters = list(world.ancestor)
        for change in changes:
            letters[int(change[1:-1]) - 1] = change[-1]
        measured = rows[-1].split("\t")[1].strip() if number < 60 else ""
        whole.append(f"variant_{number:02d}\t{''.join(letters)}\t{measured}\n")
    (here / "variants.tsv").write_text("".join(rows))
    (here / "measured_variants.tsv").write_text("".join(whole))
    # the same protein, counted from 101
    listed = ["WT", *(f"{world.ancestor[place]}{place + 101}W" for place in (5, 11, 23)), "Q106V:I124F", "p.Gln106Val"]
    (here / "variants.txt").write_text("".join(f"{one}\n" for one in listed))
    members = [world.member(held_out) for _ in range(10)]
    places = [set(held_out.sample(range(1, len(one)), 6)) for one in members]
    (here / "templates.fasta").write_text(
        "".join(
            f">family_{number}\n{''.join(a.lower() if at in own else a for at, a in enumerate(one))}\n"
            for number, (one, own) in enumerate(zip(members, places, strict=True), start=1)
        )
    )
    (here / "beginnings.fasta").write_text(
        f">start_of_ancestor\n{world.ancestor[:12]}\n>start_of_other\n{others[0][:10]}\n"
    )
