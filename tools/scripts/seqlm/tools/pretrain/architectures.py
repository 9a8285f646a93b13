"""What can be trained from scratch, in which sizes, and what can be learnt.

The named sizes are those of the small BERT models of Turc et al. 2019 (https://doi.org/10.48550/arXiv.1908.08962).
"""

from __future__ import annotations

from dataclasses import dataclass

OBJECTIVES = CAUSAL, MASKED, INSTRUCTION = "causal", "masked", "instruction"
SIZES = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "medium": (8, 512, 8), "base": (12, 768, 12)}


@dataclass(frozen=True)
class Architecture:
    """A kind of model that can be trained from scratch.

    Attributes:
        objective: what it learns: the next token, or masked ones.
        special: roles of tokens that its tokenizer must have.
        gated: its feed-forward has three matrices, so the same number of weights has two thirds of the inner width.
        named: tokens that must have these very names.
    """

    name: str
    model_class: str
    objective: str
    special: tuple[str, ...]
    style: str
    gated: bool = False
    named: tuple[str, ...] = ()


ARCHITECTURES = {
    "gpt2": Architecture("GPT-2", "GPT2LMHeadModel", CAUSAL, ("eos_token",), "gpt2"),
    "llama": Architecture("LLaMA", "LlamaForCausalLM", CAUSAL, ("bos_token", "eos_token"), "llama", gated=True),
    "bert": Architecture(
        "BERT", "BertForMaskedLM", MASKED, ("mask_token", "pad_token"), "bert", named=("[CLS]", "[SEP]")
    ),
    "roberta": Architecture(
        "RoBERTa", "RobertaForMaskedLM", MASKED, ("mask_token", "pad_token", "cls_token", "sep_token"), "roberta"
    ),
    "esm": Architecture("ESM", "EsmForMaskedLM", MASKED, ("mask_token", "pad_token"), "esm", named=("<cls>",)),
    "modernbert": Architecture(
        "ModernBERT", "ModernBertForMaskedLM", MASKED, ("mask_token", "pad_token", "cls_token", "sep_token"), "bert",
        gated=True,
    ),
}  # fmt: skip
