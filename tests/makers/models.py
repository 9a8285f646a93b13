"""Tiny models of every family with random weights, each with the tokenizer files that models of its kind are published
with."""

import itertools
import json
import random
import shutil

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from seqlm.models.gated_esm import GatedEsmConfig, GatedEsmForMaskedLM, GatedEsmModel
from seqlm.models.hyenadna import HyenaDnaConfig, HyenaDnaForCausalLM, HyenaDnaModel
from seqlm.models.lucaone import LucaOneConfig, LucaOneForMaskedLM, LucaOneModel
from seqlm.models.progen2 import ProGen2Config, ProGen2ForCausalLM, ProGen2Model
from seqlm.models.proteinbert import ProteinBertConfig, ProteinBertForMaskedLM, ProteinBertModel

from . import folding_models, protein_models, six_mer_models
from .pieces import CONTROL, NORMAL, UNKNOWN, piece_model
from .protein_models import AMINO_ACIDS, SIZES

SPACED = ("albert", "xlnet")
OWN = {  # that transformers has no class for
    "nucleotide-transformer-v2": GatedEsmModel,
    "progen2": ProGen2Model,
    "hyenadna": HyenaDnaModel,
    "lucaone": LucaOneModel,
    "proteinbert": ProteinBertModel,
}
DNA_FAMILIES = (
    "grover", "nucleotide-transformer", "nucleotide-transformer-v2", "modernbert", "dnabert2", "generator", "carbon",
    "hyenadna",
)  # fmt: skip


def sequences(name, count=8, shortest=1, longest=60, seed=3):
    """Random sequences that a model of this family reads."""
    rng = random.Random(seed)
    letters = "ACGT" if name in DNA_FAMILIES else AMINO_ACIDS
    return ["".join(rng.choices(letters, k=rng.randint(shortest, longest))) for _ in range(count)]


def pair_tokenizer(folder, letters, special, size, template=None, **names):
    """tokenizer.json of byte pairs learnt from random sequences; ``template`` puts special tokens around them."""
    rng = random.Random(1)
    tokenizer = Tokenizer(models.BPE(unk_token=names.get("unk_token")))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=list(letters), show_progress=False
    )
    tokenizer.train_from_iterator(("".join(rng.choices(letters, k=300)) for _ in range(60)), trainer)
    if template:
        used = [(token, special.index(token)) for token in special if token in template]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=used)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **names})
    )


BERT_TOKENS = {
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}


def grover(folder):
    pair_tokenizer(folder, "ACGT", [*BERT_TOKENS.values()], 120, "[CLS] $A [SEP]", **BERT_TOKENS)
    config = transformers.BertConfig(vocab_size=120, max_position_embeddings=64, pad_token_id=3, **SIZES)
    transformers.BertForMaskedLM(config).save_pretrained(folder)


def modernbert(folder):
    pair_tokenizer(folder, "ACGT", [*BERT_TOKENS.values()], 120, "[CLS] $A [SEP]", **BERT_TOKENS)
    ids = {"cls_token_id": 1, "bos_token_id": 1, "sep_token_id": 2, "eos_token_id": 2, "pad_token_id": 3}
    config = transformers.ModernBertConfig(
        vocab_size=120, max_position_embeddings=64, local_attention=8, **ids, **(SIZES | {"num_hidden_layers": 4})
    )
    transformers.ModernBertForMaskedLM(config).save_pretrained(folder)


def nucleotide_transformer(folder):
    kmers = ["".join(bases) for bases in itertools.product("ATCG", repeat=6)]
    (folder / "vocab.txt").write_text("\n".join(["<unk>", "<pad>", "<mask>", "<cls>", *kmers, *"ATCGN"]))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "EsmTokenizer", "model_max_length": 1000}')
    tokens = {"cls_token": "<cls>", "mask_token": "<mask>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    config = transformers.EsmConfig(
        vocab_size=4105,
        max_position_embeddings=1002,
        position_embedding_type="absolute",
        token_dropout=True,
        mask_token_id=2,
        pad_token_id=1,
        emb_layer_norm_before=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **SIZES,
    )
    transformers.EsmForMaskedLM(config).save_pretrained(folder)


def nucleotide_transformer_v2(folder, **sizes):
    """As published: with code for a class, and without the type of the model."""
    kmers = ["".join(bases) for bases in itertools.product("ATCG", repeat=6)]
    special = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
    (folder / "vocab.txt").write_text("\n".join([*special, *kmers, *"ATCGN"]))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "EsmTokenizer", "model_max_length": 2048}')
    tokens = {"cls_token": "<cls>", "mask_token": "<mask>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    config = GatedEsmConfig(
        vocab_size=4107,
        max_position_embeddings=2050,
        position_embedding_type="rotary",
        token_dropout=False,
        add_bias_fnn=False,
        mask_token_id=2,
        pad_token_id=1,
        emb_layer_norm_before=False,
        tie_word_embeddings=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **(SIZES | sizes),
    )
    GatedEsmForMaskedLM(config).save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    del said["model_type"]
    said["architectures"] = ["EsmForMaskedLM"]
    said["auto_map"] = {
        "AutoConfig": "esm_config.EsmConfig",
        "AutoModelForMaskedLM": "modeling_esm.EsmForMaskedLM",
        "AutoModelForSequenceClassification": "modeling_esm.EsmForSequenceClassification",
    }
    (folder / "config.json").write_text(json.dumps(said))


def esmc(folder):
    transformers.EsmcTokenizer().save_pretrained(folder)
    config = transformers.EsmcConfig(vocab_size=64, max_position_embeddings=128, **SIZES)
    transformers.EsmcForMaskedLM(config).save_pretrained(folder)


def pieces_model(folder, kind, special):
    """spiece.model of one token a residue, and its tokenizer_config.json."""
    listed = [*((token, UNKNOWN if token == "<unk>" else CONTROL) for token in special)]
    listed += [*(("▁" + one, NORMAL) for one in AMINO_ACIDS), ("▁X", NORMAL)]
    pieces = [(piece, -float(number) / 10, sort) for number, (piece, sort) in enumerate(listed)]
    trainer = [(3, 1), (4, len(pieces)), (40, special.index("<unk>")), (41, -1), (42, -1), (43, -1)]
    (folder / "spiece.model").write_bytes(piece_model(pieces, trainer, [(1, "identity"), (3, 1)]))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind, "do_lower_case": False}))


def albert(folder):
    pieces_model(folder, "AlbertTokenizer", ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])
    config = transformers.AlbertConfig(vocab_size=34, embedding_size=16, max_position_embeddings=128, **SIZES)
    transformers.AlbertForMaskedLM(config).save_pretrained(folder)


def xlnet(folder):
    pieces_model(folder, "XLNetTokenizer", ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>"])
    config = transformers.XLNetConfig(vocab_size=37, d_model=48, n_layer=2, n_head=4, d_inner=64, pad_token_id=5)
    transformers.XLNetLMHeadModel(config).save_pretrained(folder)


def gpt2(folder):
    pair_tokenizer(folder, AMINO_ACIDS, ["<|endoftext|>"], 200, unk_token="<|endoftext|>", eos_token="<|endoftext|>")
    config = transformers.GPT2Config(
        vocab_size=200, n_embd=48, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)


def progen2(folder, **sizes):
    """As published: a tokenizer of letters and ends of the chain, two names for the size of the vocabulary."""
    tokens = ["<|pad|>", "<|bos|>", "<|eos|>", "1", "2", *"ABCDEFGHIKLMNOPQRSTUVWXYZ"]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, []))
    tokenizer.add_special_tokens(tokens[:3])
    tokenizer.save(str(folder / "tokenizer.json"))
    usual = {"embed_dim": 48, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_positions": 512, "initializer_range": 0.2}
    ProGen2ForCausalLM(ProGen2Config(**(usual | sizes))).save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    said["auto_map"] = {
        "AutoConfig": "configuration_progen.ProGenConfig",
        "AutoModelForCausalLM": "modeling_progen.ProGenForCausalLM",
    }
    (folder / "config.json").write_text(json.dumps(said | {"architectures": ["ProGenForCausalLM"]}))


HYENA_TOKENS = {0: "[CLS]", 1: "[SEP]", 2: "[BOS]", 3: "[MASK]", 4: "[PAD]", 6: "[UNK]"}  # and 7 to 11 for ACGTN


def hyenadna(folder):
    """As published: the tokenizer is code, and its tokens stand in no file."""
    config = HyenaDnaConfig(d_model=48, d_inner=96, n_layer=2, max_seq_len=514, filter_order=16, initializer_range=0.2)
    HyenaDnaForCausalLM(config).save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    said["auto_map"] = {
        "AutoConfig": "configuration_hyena.HyenaConfig",
        "AutoModel": "modeling_hyena.HyenaDNAModel",
        "AutoModelForCausalLM": "modeling_hyena.HyenaDNAForCausalLM",
    }
    (folder / "config.json").write_text(json.dumps(said | {"architectures": ["HyenaDNAForCausalLM"]}))
    plain = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    tokens = {str(number): {"content": token, **plain, "special": True} for number, token in HYENA_TOKENS.items()}
    names = dict(zip(("cls", "sep", "bos", "mask", "pad", "unk"), HYENA_TOKENS.values(), strict=True))
    settings = {
        "add_prefix_space": False,
        "added_tokens_decoder": tokens,
        "auto_map": {"AutoTokenizer": ["tokenization_hyena.HyenaDNATokenizer", None]},
        "clean_up_tokenization_spaces": True,
        "eos_token": "[SEP]",
        "model_max_length": 514,
        "padding_side": "left",
        "tokenizer_class": "HyenaDNATokenizer",
        **{f"{role}_token": token for role, token in names.items()},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


LUCAONE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"12345", *"LAGVSERTIDPKQNFYMHWCXBUZOJ.-*"]


def lucaone(folder, **sizes):
    """As published: a list of tokens, a tokenizer that is code, and entries for heads that are no part of the file."""
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(LUCAONE)}))
    code = {"AutoTokenizer": ["tokenization_lucaone.LucaGPLMTokenizer", None]}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LucaGPLMTokenizer", "auto_map": code, **BERT_TOKENS})
    )
    usual = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.2}
    LucaOneForMaskedLM(LucaOneConfig(**(usual | sizes))).save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    said["auto_map"] = {
        "AutoConfig": "configuration_lucaone.LucaGPLMConfig",
        "AutoModel": "modeling_lucaone.LucaGPLMModel",
        "AutoModelForMaskedLM": "modeling_lucaone.LucaGPLMForMaskedLM",
    }
    said |= {"architectures": ["LucaGPLMForMaskedLM"], "ffn_dim": 10240, "ignore_index": -100, "hidden_act": "gelu"}
    said |= {
        "task_level": "seq_level",
        "task_type": "embedding",
        "classifier_num_labels": -1,
        "classifier_weight": None,
    }
    said |= {"classifier_loss_type": "cross_entropy", "classifier_pooling_type": "value_attention", "unk_token_id": 1}
    said |= {"classifier_loss_reduction": "mean", "classifier_pos_weight": 1.0, "classifier_dropout_prob": 0.1}
    said |= {"hidden_dropout_prob": 0.0, "layer_norm_eps": 1e-12, "sep_token_id": 3, "token_dropout": False}
    del said["sequence_type"]
    (folder / "config.json").write_text(json.dumps(said))


PROTEINBERT = ["<pad>", "<cls>", "<eos>", "<unk>", "<mask>", "<null>", *"ACDEFGHIKLMNPQRSTVWYXZBJUO|.*-?"]


def proteinbert(folder, **sizes):
    """As MultiMolecule publishes it: a tokenizer of its own, and weights of annotations that take no part."""
    (folder / "vocab.txt").write_text("\n".join(PROTEINBERT))
    names = {"cls_token": "<cls>", "eos_token": "<eos>", "mask_token": "<mask>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ProteinTokenizer", **names}))
    usual = {"hidden_size": 48, "global_hidden_size": 64, "num_hidden_layers": 2, "attention_key_size": 16}
    config = ProteinBertConfig(**({"initializer_range": 0.2} | usual | sizes))
    ProteinBertForMaskedLM(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.embeddings.annotation_embeddings.weight"] = torch.randn(config.global_hidden_size, 20)
    weights["annotation_head.decoder.weight"] = torch.randn(20, config.global_hidden_size)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    said = json.loads((folder / "config.json").read_text()) | {"annotation_size": 20, "null_token_id": 5, "head": None}
    said |= {"architectures": ["ProteinBertForPreTraining"], "hidden_act": "gelu", "lm_head": {"bias": True}}
    (folder / "config.json").write_text(json.dumps(said | {"num_labels": 1, "unk_token_id": 3}))


def llama(folder):
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    pair_tokenizer(folder, AMINO_ACIDS, ["<unk>", "<s>", "</s>"], 200, "<s> $A", **names)
    config = transformers.LlamaConfig(vocab_size=200, num_key_value_heads=2, max_position_embeddings=64, **SIZES)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def structured(folder):
    """A masked ESM whose tokens are a residue and a letter of its structure, ``Mh``, as SaProt's are ``Md``."""
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *(one + where for one in AMINO_ACIDS for where in "hec")]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "EsmTokenizer"}')
    config = transformers.EsmConfig(
        vocab_size=len(tokens), max_position_embeddings=66, position_embedding_type="rotary", mask_token_id=4,
        pad_token_id=1, **SIZES,
    )  # fmt: skip
    transformers.EsmForMaskedLM(config).save_pretrained(folder)


def words(folder, tokens, **options):
    """A masked BERT that splits at blanks and reads words in pieces; one of over 100 letters is unknown whole."""
    vocabulary = {token: number for number, token in enumerate((*BERT_TOKENS.values(), *tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **BERT_TOKENS}))
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=66, pad_token_id=3, **SIZES)
    transformers.BertForMaskedLM(config).save_pretrained(folder)


def english(folder):
    """A BERT of English: every letter is a piece, and so every short protein is made of known pieces."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words(folder, [*letters, *("##" + one for one in letters), "the", "of", "and", "protein", "##ing", "##ed"])


def kmers(folder):
    """The first DNABERT: words of three bases that overlap and are set apart by blanks, ``ACG CGT``."""
    words(folder, ["".join(bases) for bases in itertools.product("ACGT", repeat=3)], lowercase=False)


# models whose tokens are of another kind than the letters of a sequence; they pass no test of families
OTHER_TOKENS = {"structured": structured, "english": english, "kmers": kmers}

MAKERS = {
    "grover": grover,
    "nucleotide-transformer": nucleotide_transformer,
    "nucleotide-transformer-v2": nucleotide_transformer_v2,
    "modernbert": modernbert,
    "esmc": esmc,
    "albert": albert,
    "xlnet": xlnet,
    "gpt2": gpt2,
    "llama": llama,
    "progen2": progen2,
    "lucaone": lucaone,
    "proteinbert": proteinbert,
    **six_mer_models.MAKERS,
    "hyenadna": hyenadna,
    **protein_models.MAKERS,
}


if not hasattr(transformers, "EsmcModel"):  # before 5.16
    del MAKERS["esmc"]


def make(name, parent):
    """Make the tiny model of this name in a folder of its own; with spread weights, so that a mistake shows."""
    folder = parent / name
    if not folder.exists():
        folder.mkdir(parents=True)
        torch.manual_seed(5)
        (MAKERS | OTHER_TOKENS | folding_models.MAKERS)[name](folder)
    return folder


def with_head(folder, target):
    """The tiny DNABERT-2, whose file has no more than the names of a head, with a whole one."""
    shutil.copytree(folder, target)
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(2)
    width, words = (weights[f"bert.embeddings.{name}.weight"].shape for name in ("LayerNorm", "word_embeddings"))
    weights["cls.predictions.transform.dense.weight"] = torch.randn(width[0], width[0]) / 7
    weights["cls.predictions.transform.dense.bias"] = torch.randn(width[0])
    weights["cls.predictions.transform.LayerNorm.weight"] = torch.rand(width[0]) + 0.5
    weights["cls.predictions.transform.LayerNorm.bias"] = torch.randn(width[0])
    weights["cls.predictions.decoder.bias"] = torch.randn(words[0])
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def spread(folder, target, seed=3, widest=0.2):
    """A copy of a tiny model with weights that are not small, so that a mistake shows."""
    shutil.copytree(folder, target)
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(seed)
    for name, value in weights.items():
        if value.ndim > 1:
            weights[name] = value + widest * torch.randn(value.shape, generator=generator)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target
