"""Tiny encoders with random weights, in the true architectures; called by make_test_data.py."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    EsmConfig,
    EsmModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
)

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from makers.pieces import CONTROL, NORMAL, UNKNOWN, piece_model

AMINO_ACIDS = "ALGVSREDTIPKFQNYMHWC"  # by falling frequency


def save(model, folder: Path) -> None:
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def tiny_t5(folder: Path) -> None:
    """Two layers of ProtT5's kind: 128 tokens, of which 28 in use, ReLU feed-forward, relative positions."""
    save(
        T5EncoderModel(
            T5Config(
                vocab_size=128,
                d_model=64,
                d_kv=16,
                num_heads=4,
                d_ff=128,
                num_layers=2,
                num_decoder_layers=0,
                feed_forward_proj="relu",
                relative_attention_num_buckets=32,
                relative_attention_max_distance=128,
                is_encoder_decoder=False,
                use_cache=False,
                tie_word_embeddings=True,
            )
        ),
        folder,
    )
    kinds = [("<pad>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN)]
    kinds += [("▁" + letter, NORMAL) for letter in AMINO_ACIDS + "XBOUZ"]
    pieces = [(piece, -float(number) / 10, kind) for number, (piece, kind) in enumerate(kinds)]
    trainer = [(3, 1), (4, 28), (40, 2), (41, -1), (42, 1), (43, 0)]  # unigram; ids of what is special
    (folder / "spiece.model").write_bytes(piece_model(pieces, trainer, [(1, "identity"), (3, 1)]))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "T5Tokenizer",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "extra_ids": 100,
            "do_lower_case": False,
        },
    )


def tiny_esm(folder: Path) -> None:
    """Two layers of ESM-2's kind: rotary positions, token dropout, 33 tokens."""
    save(
        EsmModel(
            EsmConfig(
                vocab_size=33,
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=128,
                max_position_embeddings=1026,
                position_embedding_type="rotary",
                token_dropout=True,
                mask_token_id=32,
                pad_token_id=1,
                emb_layer_norm_before=False,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
            add_pooling_layer=False,
        ),
        folder,
    )
    special = ["<cls>", "<pad>", "<eos>", "<unk>"]
    tokens = [*special, *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "EsmTokenizer",
            "cls_token": "<cls>",
            "pad_token": "<pad>",
            "eos_token": "<eos>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
        },
    )


def tiny_igbert(folder: Path) -> None:
    """Two layers of IgBert's kind with the head for masked residues: heavy and light chain in one text."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=30, max_position_embeddings=258, pad_token_id=0, initializer_range=0.3, **sizes)
    save(BertForMaskedLM(config), folder)
    protbert_tokenizer(folder)


def tiny_bert(folder: Path) -> None:
    """Two layers of ProtBERT's kind: residues set apart by spaces, 30 tokens."""
    save(
        BertModel(
            BertConfig(
                vocab_size=30,
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=128,
                max_position_embeddings=514,
                pad_token_id=0,
            ),
            add_pooling_layer=False,
        ),
        folder,
    )
    protbert_tokenizer(folder)


def protbert_tokenizer(folder: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *AMINO_ACIDS, *"XUBZO"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": False,
            "unk_token": "[UNK]",
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
    )


def tiny_roberta(folder: Path) -> None:
    """Two layers of RoBERTa's kind, for DNA: 256 tokens of byte-pair encoding, learnt from random sequences."""
    rng = random.Random(7)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=256,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=list("ACGTN"),
        show_progress=False,
    )
    tokenizer.train_from_iterator(("".join(rng.choices("ACGT", k=400)) for _ in range(200)), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    save(
        RobertaModel(
            RobertaConfig(
                vocab_size=256,
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=128,
                max_position_embeddings=130,
                type_vocab_size=1,
                pad_token_id=1,
                bos_token_id=0,
                eos_token_id=2,
            ),
            add_pooling_layer=False,
        ),
        folder,
    )
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "cls_token": "<s>",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
        },
    )


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
