"""Write what the table of models says of each to where it is shown: the options of the data manager's form, and the
table of docs/models.md, whose memory is what the tools themselves expect of a model of these sizes.

    python deploy/models_table.py           write both; with the Python of .venvs/tools
    python deploy/models_table.py --check   only say what is out of date

The facts stand in models.tsv of the data manager. Weights are counted by making the architecture without memory for
them, so that no published file is needed.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from xml.sax.saxutils import escape

REPOSITORY = Path(__file__).resolve().parents[1]
MANAGER = REPOSITORY / "data_managers" / "data_manager_huggingface" / "data_manager"
sys.path[:0] = [str(REPOSITORY / "scripts"), str(MANAGER)]

from fetching.presets import FEATURES, PRESETS, facts  # noqa: E402
from seqlm.data.records import DNA, LETTERS, PROTEIN, TEXT  # noqa: E402
from seqlm.families.family import Family  # noqa: E402
from seqlm.families.recognition import families  # noqa: E402
from seqlm.families.vocabulary import AMINO_ACIDS, DNA_BEGINS, DNA_ENDS, OOV, SIX_MERS  # noqa: E402
from seqlm.inference.fitting import Memory  # noqa: E402
from seqlm.inference.machine import Machine  # noqa: E402
from seqlm.inference.memory import LEARNING, Adapter, Need, adapted_numbers, weights_in  # noqa: E402

FORM = MANAGER / "fetch_model.xml"
OPTIONS = re.compile(r'(<param name="preset"[^>]*>\n).*?(\n +</param>)', re.DOTALL)
PAGE = REPOSITORY / "docs" / "models.md"
TABLE = re.compile(r"(<!-- python deploy/models_table\.py writes this table -->\n\n).*?(\n\n)", re.DOTALL)
READS = {"protein": ("Proteins", PROTEIN), "dna": ("DNA", DNA), "molecule": ("Molecules", TEXT)}
LONGEST = 1024  # tokens of the rows that memory is told for, or as many as the model reads
# with memory that never decides, so that nothing is computed otherwise than usual
CPU = Machine("cpu", 1e18)
GPU = Machine("cuda", 1e18, 1e18, (9, 0))

# what these do and were compared with
WITHOUT_SIZES = {
    "adapter": ["predict", "adapters made with peft"],
    "folding": ["fold, and nothing else", "transformers"],
}

_BERT = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
_T5 = ("num_layers", "d_model", "num_heads", "d_ff", "vocab_size")
_GPT2 = ("n_layer", "n_embd", "n_head", "n_inner", "vocab_size")
_RESIDUES = (*AMINO_ACIDS, "X")
_SPACED = tuple("▁" + letter for letter in _RESIDUES)
_PIECES = ("ACG", "TTA", "A", "C", "G", "T")
_STATES = tuple(one + state for one in (*AMINO_ACIDS, "#") for state in "acdefghiklmnpqrstvwy#")
_ESM = ("<cls>", "<eos>", "<mask>")
_LLAMA = {"model_type": "llama", "num_key_value_heads": 4, "max_position_embeddings": 32768}
_SIX_MERS = ("<s>", "</s>", OOV, *SIX_MERS)
_BY_TRANSFORMERS = "transformers"


@dataclass(frozen=True)
class Architecture:
    """How an architecture calls its sizes, and what else of its config.json memory and counts follow from.

    Attributes:
        model: class with all the tensors that are published, of transformers or of a module of ``seqlm.models``.
        sizes: what config.json calls layers, width, heads, feed-forward width and vocabulary.
        config: further entries.
        vocabulary: tokens that tell what a token is.
        beside: what its results were compared with.
    """

    model: str
    sizes: tuple[str, ...]
    config: dict
    vocabulary: tuple[str, ...]
    beside: str = _BY_TRANSFORMERS

    def entries(self, line: dict[str, str]) -> dict:
        """config.json of a line of the table."""
        numbers = (line[name] for name in ("layers", "width", "heads", "inner", "vocabulary"))
        return self.config | dict(zip(self.sizes, map(int, numbers), strict=True))


def _t5(model: str, *vocabulary: str, **config) -> Architecture:
    entries = {"model_type": "t5", "dropout_rate": 0.1, **config}
    return Architecture(model, _T5, entries, ("</s>", *vocabulary))


def _esm(positions: int, kind: str, vocabulary: tuple[str, ...], **config) -> Architecture:
    entries = {
        "model_type": "esm", "max_position_embeddings": positions, "position_embedding_type": kind,
        "mask_token_id": 2, "attention_probs_dropout_prob": 0.0, **config,
    }  # fmt: skip
    return Architecture("EsmForMaskedLM", _BERT, entries, vocabulary)


def _bert(kind: str, model: str, vocabulary: tuple[str, ...], beside: str = _BY_TRANSFORMERS, **config) -> Architecture:
    return Architecture(model, _BERT, {"model_type": kind, **config}, ("[CLS]", "[SEP]", *vocabulary), beside)


def _hyena(tokens: int) -> Architecture:
    return Architecture(
        "hyenadna.HyenaDnaForCausalLM", ("n_layer", "d_model", "heads", "d_inner", "vocab_size"),
        {"model_type": "hyenadna", "max_seq_len": tokens, "pad_vocab_size_multiple": 8}, ("[SEP]", *"ACGTN"),
        "MultiMolecule, at its size",
    )  # fmt: skip


_ANKH = {"d_kv": 64, "num_decoder_layers": 24, "feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 64}
ARCHITECTURES = {
    "esm2": _esm(1026, "rotary", (*_ESM, *_RESIDUES)),
    "esm1": _esm(1026, "absolute", (*_ESM, *_RESIDUES)),
    "saprot": _esm(1026, "rotary", (*_ESM, *_STATES)),
    "nt": _esm(1002, "absolute", ("<cls>", "AAAAAA", *"ACGT"), tie_word_embeddings=False),
    "agront": _esm(1026, "absolute", ("<cls>", "AAAAAA", *"ACGT"), tie_word_embeddings=False),
    "nt-v2": Architecture(
        "gated_esm.GatedEsmForMaskedLM", _BERT,
        _esm(2050, "rotary", ()).config | {"add_bias_fnn": False, "tie_word_embeddings": False},
        ("<cls>", "AAAAAA", *"ACGT"), "its layers by hand, its authors' code once",
    ),
    "esmc": Architecture(
        "EsmcForMaskedLM", _BERT, {"model_type": "esmc", "max_position_embeddings": 2048},
        (*_ESM, *_RESIDUES),
    ),
    "t5": _t5("T5ForConditionalGeneration", *_SPACED, d_kv=128),
    "t5-encoder": _t5("T5EncoderModel", *_SPACED, d_kv=128),
    "ankh": _t5("T5ForConditionalGeneration", *_RESIDUES, tie_word_embeddings=False, **_ANKH),
    "bert": _bert("bert", "BertForMaskedLM", _RESIDUES, max_position_embeddings=40000),
    "dna-bert": _bert("bert", "BertForMaskedLM", _PIECES, max_position_embeddings=512),
    "dnabert2": _bert("bert", "dnabert2.DnaBert2ForMaskedLM", _PIECES, "MultiMolecule, at its size",
                      max_position_embeddings=512, alibi_starting_size=512),
    "albert": _bert("albert", "AlbertForMaskedLM", _SPACED, embedding_size=128, max_position_embeddings=40000),
    "xlnet": Architecture("XLNetLMHeadModel", ("n_layer", "d_model", "n_head", "d_inner", "vocab_size"),
                          {"model_type": "xlnet"}, ("<sep>", "<cls>", *_SPACED)),
    "modernbert": _bert("modernbert", "ModernBertForMaskedLM", _PIECES, max_position_embeddings=8192),
    "roberta": _bert("roberta", "RobertaForMaskedLM", ("=", "(", "c"), max_position_embeddings=515, type_vocab_size=1),
    "gpt2": Architecture("GPT2LMHeadModel", _GPT2, {"model_type": "gpt2", "n_positions": 1024}, ("MK", *_RESIDUES)),
    "zymctrl": Architecture("GPT2LMHeadModel", _GPT2, {"model_type": "gpt2", "n_positions": 1024}, _RESIDUES),
    "lucaone": Architecture(
        "lucaone.LucaOneForMaskedLM", tuple(name.replace("intermediate_size", "ffn_dim") for name in _BERT),
        {"model_type": "lucaone"}, ("[CLS]", "[SEP]", *"12345", *LETTERS[PROTEIN]),
        "its authors' code, at its width",
    ),
    "proteinbert": Architecture(
        "proteinbert.ProteinBertForMaskedLM",
        tuple(name.replace("intermediate_size", "global_hidden_size") for name in _BERT),
        {"model_type": "proteinbert"}, ("<cls>", "<eos>", *LETTERS[PROTEIN]), "MultiMolecule, at its size",
    ),
    "progen2": Architecture(
        "progen2.ProGen2ForCausalLM", ("n_layer", "embed_dim", "n_head", "n_inner", "vocab_size_emb"),
        {"model_type": "progen", "n_positions": 1024, "rotary_dim": 32}, ("1", "2", *_RESIDUES),
        "MultiMolecule, at its size",
    ),
    "generator": Architecture("LlamaForCausalLM", _BERT, {**_LLAMA, "max_position_embeddings": 16384}, _SIX_MERS),
    "carbon": Architecture("LlamaForCausalLM", _BERT, {**_LLAMA, "tie_word_embeddings": True},
                           (*_SIX_MERS, DNA_BEGINS, DNA_ENDS)),
    "carbon-8b": Architecture("LlamaForCausalLM", _BERT, {**_LLAMA, "num_key_value_heads": 8},
                              (*_SIX_MERS, DNA_BEGINS, DNA_ENDS)),
    **{f"hyenadna-{name}": _hyena(bases + 2) for name, bases in (
        ("1k", 1 << 10), ("16k", 1 << 14), ("32k", 1 << 15), ("160k", 160_000), ("450k", 450_000), ("1m", 1_000_000),
    )},
}  # fmt: skip


def _class_of(name: str):
    module, _, name = name.rpartition(".")
    return getattr(importlib.import_module(f"seqlm.models.{module}" if module else "transformers"), name)


@cache
def _counted(model: str, config: tuple) -> tuple[int, int]:
    """Numbers of all weights, and of those that are loaded without decoder and head."""
    import torch

    kind = _class_of(model)
    sizes = {key: value for key, value in config if key != "model_type"}
    tokens = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")) | {"pad_token_id": 0}
    with torch.device("meta"):
        made = kind(kind.config_class(**tokens, **sizes))
    held = made.state_dict(keep_vars=True)  # with what is no weight and is published, a tensor of several names once
    tensors = {id(one): (name, one) for name, one in reversed(held.items())}.values()
    folder = SimpleNamespace(tensors={name: ("F32", tuple(one.shape)) for name, one in tensors})
    return weights_in(folder, encoder=False)[0], weights_in(folder)[0]


@dataclass(frozen=True)
class Sizes:
    """What follows from a line of the table: the family, numbers of weights, and of memory in bytes."""

    family: Family
    weights: int
    read: int
    stored: int

    @classmethod
    def of(cls, line: dict[str, str]) -> Sizes | None:
        """None where the line names no sizes: an adapter, or what predicts structures."""
        if not line["layers"]:
            return None
        architecture = ARCHITECTURES[line["architecture"]]
        config = architecture.entries(line)
        vocabulary = {token: number for number, token in enumerate(architecture.vocabulary)}
        kind = next(one for one in families() if one.fits(config) and one.reads(vocabulary))
        family = kind(config, vocabulary, READS[line["reads"]][1])
        every, read = _counted(architecture.model, tuple(config.items()))
        return cls(family, every, read, int(line["bits"]) // 8)

    @property
    def to_download(self) -> float:
        return self.weights * self.stored

    def memory(self, machine: Machine, training: bool) -> float:
        """Bytes that a job with usual settings expects: embedding, or LoRA as the form of fine-tuning begins with."""
        family = self.family
        longest = min(LONGEST, family.window + len(family.prefix) + len(family.suffix))
        need = Need(family, self.read, self.read * self.stored, longest)
        if training:
            modules = "attention" if "attention" in family.lora_modules else "all-linear"
            adapter = Adapter.of(family, modules, 8, 0.1)
            need = Need(
                family, self.read, self.read * self.stored, longest, item=longest, held=LEARNING, single=True,
                trains=True, trained=adapted_numbers(family, adapter, family.depth), adapter=adapter,
            )  # fmt: skip
        job = Memory(need, Namespace(device="auto", precision="auto", batch_tokens="auto"))
        job.fit(machine)
        return job.expected


def can_do(family: Family, tag: str) -> str:
    """What of the suite a model can do beside embeddings, and labels of sequences and pairs."""
    head = tag != FEATURES and family.language_head is not None
    found = {"residues": family.one_letter_tokens, "score": head, "train": head, "generate": family.causal}
    return ", ".join(name for name, does in found.items() if does)


def options() -> Iterator[str]:
    """The choices of the data manager's form."""
    for model, preset in PRESETS.items():
        terms = f" (not for commercial use: {preset.terms})" if preset.terms else ""
        text = escape(f"{READS[preset.reads][0]}: {preset.name}{terms}")
        yield f'                    <option value="{escape(model)}">{text}</option>'


def _short(number: float, unit: float) -> str:
    """Two digits, and none behind the point from ten."""
    return f"{number / unit:.1f}" if number < 9.95 * unit else f"{number / unit:,.0f}"


def rows() -> Iterator[str]:
    """The table of docs/models.md."""
    columns = "model | licence | weights, million | download, GB | embed: CPU | GPU | LoRA: CPU | GPU"
    yield f"| {columns} | beside embeddings and labels | compared with |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for line in facts():
        licence, sizes = line["licence"] or "–", Sizes.of(line)
        cells = [line["id"], licence]
        if sizes is None:
            cells += ["–"] * 6 + WITHOUT_SIZES[line["architecture"]]
        else:
            jobs = [(machine, training) for training in (False, True) for machine in (CPU, GPU)]
            cells += [_short(sizes.weights, 1e6), f"{sizes.to_download / 1e9:.2g}"]
            cells += [_short(sizes.memory(*job), 1e9) for job in jobs]
            cells += [can_do(sizes.family, line["pipeline_tag"]) or "–", ARCHITECTURES[line["architecture"]].beside]
        yield f"| {' | '.join(cells)} |"


def up_to_date(path: Path, place: re.Pattern, lines: Callable[[], Iterator[str]]) -> str:
    """The text of a file with ``lines`` in their place."""
    text, found = place.subn(lambda match: match[1] + "\n".join(lines()) + match[2], path.read_text(encoding="utf-8"))
    if found != 1:
        raise SystemExit(f"error: {path.name} has {found} places for what deploy/models_table.py writes, not one")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where something would change")
    arguments = parser.parse_args()
    status = 0
    for path, place, lines in ((FORM, OPTIONS, options), (PAGE, TABLE, rows)):
        text = up_to_date(path, place, lines)
        if text == path.read_text(encoding="utf-8"):
            continue
        if arguments.check:
            print(f"error: {path.relative_to(REPOSITORY)} is not what models.tsv says; run deploy/models_table.py")
            status = 1
        else:
            path.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
