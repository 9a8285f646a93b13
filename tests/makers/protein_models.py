"""Tiny models of proteins that are told what they read, or read more than residues, with random weights and the token
ids of the published ones."""

import json

import transformers
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

AMINO_ACIDS = "LAGVSERTIDPKQNFYMHWC"
SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
T5_SIZES = {"d_model": 48, "d_kv": 12, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
LETTERS = "ALGVSREDTIPKFQNYMHWCXBOUZ"  # in the order of their ids, from 3 on, in ProtT5 and Ankh
STATES = "algvsredtipkfqnymhwc"  # of ProstT5, from 128 on
SAPROT = ("ACDEFGHIKLMNPQRSTVWY#", "pynwrqhgdlvtmfsaeikc#")  # residues and states, each with each
ESM_TOKENS = {"cls_token": "<cls>", "eos_token": "<eos>", "mask_token": "<mask>", "pad_token": "<pad>",
              "unk_token": "<unk>"}  # fmt: skip


def t5(folder, pieces, added=(), spaced=False):
    """A T5 whose tokenizer.json has these pieces as a unigram model, and these tokens after them."""
    vocabulary = [(piece, 0.0 if number < 3 else -float(number) / 10) for number, piece in enumerate(pieces)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    if spaced:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    # blanks around an added token are no part of the text
    tokenizer.add_tokens([AddedToken(token, lstrip=spaced, rstrip=spaced, normalized=False) for token in added])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **names})
    )
    config = transformers.T5Config(
        vocab_size=len(pieces) + len(added), is_encoder_decoder=False, use_cache=False, **T5_SIZES
    )
    transformers.T5EncoderModel(config).save_pretrained(folder)


def prostt5(folder):
    extra = [f"<extra_id_{number}>" for number in range(99, -1, -1)]
    pieces = ["<pad>", "</s>", "<unk>", *("▁" + letter for letter in LETTERS), *extra]
    t5(folder, pieces, [*"algvsredtipkfqnymhwc", "<fold2AA>", "<AA2fold>"], spaced=True)


def ankh(folder):
    t5(folder, ["<pad>", "</s>", "<unk>", *LETTERS, *(f"<extra_id_{number}>" for number in range(99, -1, -1))])


def ankh3(folder):
    t5(folder, ["<pad>", "</s>", "<unk>", *LETTERS], ["[NLU]", "[S2S]"])


def esm_tokenizer(folder, tokens):
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "EsmTokenizer", "model_max_length": 1024}')
    (folder / "special_tokens_map.json").write_text(json.dumps(ESM_TOKENS))


def esm(folder, tokens, **settings):
    """An ESM of the library's own class, without dropout."""
    esm_tokenizer(folder, tokens)
    config = transformers.EsmConfig(
        vocab_size=len(tokens),
        token_dropout=True,
        mask_token_id=tokens.index("<mask>"),
        pad_token_id=tokens.index("<pad>"),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **settings,
        **SIZES,
    )
    transformers.EsmForMaskedLM(config).save_pretrained(folder)


def saprot(folder):
    residues, states = SAPROT
    pairs = [residue + state for residue in residues for state in states]
    settings = {"max_position_embeddings": 1026, "position_embedding_type": "rotary", "emb_layer_norm_before": False}
    esm(folder, ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *pairs], **settings)


def esm1b(folder):
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", *AMINO_ACIDS, *"XBUZO.-", "<null_1>", "<mask>"]
    settings = {"max_position_embeddings": 1026, "position_embedding_type": "absolute", "emb_layer_norm_before": True}
    esm(folder, tokens, **settings)


# what differs from other families is how they read; their layers are those of a T5 and of an ESM-2
ALIKE = ("prostt5", "ankh", "ankh3", "saprot")
MAKERS = {"prostt5": prostt5, "ankh": ankh, "ankh3": ankh3, "saprot": saprot, "esm1b": esm1b}


def written(name, sequence):
    """A sequence as the model's authors give it to its own tokenizer."""
    if name == "prostt5":
        return "<AA2fold> " + " ".join(sequence)
    if name == "ankh3":
        return "[NLU]" + sequence
    return "".join(letter + "#" for letter in sequence) if name == "saprot" else sequence


def zymctrl(folder, **sizes):
    """A GPT-2 whose sequences have the number of an enzyme class before them; its own names and none of its weights."""
    special = ["<pad>", "<|endoftext|>", "<start>", "<end>", "<sep>", "<unk>"]
    tokens = [*special, *"0123456789.-", *"ACDEFGHIKLMNPQRSTVWYXBZUO"]
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"unk_token": "<unk>", "eos_token": "<end>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    usual = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 128}
    config = transformers.GPT2Config(vocab_size=len(tokens), bos_token_id=2, eos_token_id=3, **(usual | sizes))
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
