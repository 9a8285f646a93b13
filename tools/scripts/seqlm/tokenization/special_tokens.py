"""Special tokens of a new tokenizer: those that the architecture expects that will be trained with it.

The names and the places are those of the published models of each kind, so that transformers' configurations find
them where they look.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Special tokens of one kind of model.

    Attributes:
        made_for: the architectures, for people.
        tokens: in the order of their ids, from 0 on.
        roles: as tokenizer_config.json names them -> token.
        single, pair: what the tokenizer puts around one text and around two, in the words of ``TemplateProcessing``.
    """

    made_for: str
    tokens: tuple[str, ...]
    roles: dict[str, str]
    single: str
    pair: str

    @property
    def unknown(self) -> str:
        return self.roles["unk_token"]

    def around(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Tokens before and after one text."""
        before, after = self.single.split("$A")
        return tuple(before.split()), tuple(after.split())


STYLES = {
    "bert": Style(
        "BERT, ModernBERT",
        ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
         "mask_token": "[MASK]"},
        "[CLS] $A [SEP]",
        "[CLS] $A [SEP] $B:1 [SEP]:1",
    ),
    "roberta": Style(
        "RoBERTa",
        ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
        {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>",
         "unk_token": "<unk>", "mask_token": "<mask>"},
        "<s> $A </s>",
        "<s> $A </s> </s> $B </s>",
    ),
    "esm": Style(
        "ESM",
        ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>"),
        {"cls_token": "<cls>", "pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>",
         "mask_token": "<mask>"},
        "<cls> $A <eos>",
        "<cls> $A <eos> $B <eos>",
    ),
    "gpt2": Style(
        "GPT-2",
        ("<|endoftext|>", "<pad>", "<unk>"),
        {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<pad>", "unk_token": "<unk>"},
        "$A",
        "$A $B",
    ),
    "llama": Style(
        "LLaMA",
        ("<unk>", "<s>", "</s>", "<pad>"),
        {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
        "<s> $A",
        "<s> $A $B",
    ),
}  # fmt: skip


def post_processor(style: Style, ids: dict[str, int]):
    """What puts the special tokens around a text; None where there are none.

    Args:
        ids: of the special tokens.
    """
    from tokenizers.processors import TemplateProcessing

    used = [token for part in style.around() for token in part]
    if not used:
        return None
    return TemplateProcessing(
        single=style.single, pair=style.pair, special_tokens=[(token, ids[token]) for token in dict.fromkeys(used)]
    )
