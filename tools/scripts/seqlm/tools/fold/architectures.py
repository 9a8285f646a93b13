"""The architectures that predict structures, as transformers has them: what each asks of a machine, and how it folds.

ESMFold (Lin et al. 2023, https://doi.org/10.1126/science.ade2574)::

    ESM-2 ─► a vector a residue ─┐
                                 ├─► trunk: blocks on residues and on pairs of residues ─► structure module ─► atoms
    nothing ─► a vector a pair ──┘       └───────────────── again, some times ───────────────────┘

ESMFold2 (Biohub 2026, https://huggingface.co/biohub/ESMFold2) has ESM-C for ESM-2, no vectors of residues in its trunk,
and draws the atoms by diffusion, several times; a head then says how good each of these structures is.

Numbers of memory and time are those of the pairs, of which there are the square of the residues. No torch before a
model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import LETTERS, PROTEIN
from seqlm.families.recognition import folds

STANDARD = "ACDEFGHIKLMNPQRSTVWY"


@dataclass(frozen=True)
class Fold:
    """The structure of one protein.

    Attributes:
        pdb: the text of a PDB file as transformers writes it, chain A, residues numbered from 1.
        plddt: (residues,) from 0 to 100; what stands as B factor of the atoms of each residue.
        pae: (residues, residues) Å, the expected error of the place of the second residue where the structures are
            laid over each other at the first.
        ptm: from 0 to 1.
    """

    pdb: str
    plddt: np.ndarray
    pae: np.ndarray
    ptm: float


class Architecture:
    """One of them, by its config.json."""

    name: ClassVar[str]
    citation: ClassVar[str]
    chunks: ClassVar[tuple[int, ...]] = (128, 64, 32, 16, 8)  # rows of pairs computed at once where memory is short
    halves: ClassVar[tuple[str, ...]]  # half precision that its language model can be computed in
    atoms_of_unknown: ClassVar[bool]  # whether a residue of unknown kind has any
    largest_pae: ClassVar[float]  # Å, the largest error that the model can expect
    shortest: ClassVar[int] = 1  # residues
    draws: ClassVar[bool] = False  # whether structures are drawn at random

    # what the pass over the sequences asks of a family
    alphabet = PROTEIN
    one_letter_tokens = True
    replacements: ClassVar[dict[str, str]] = {
        letter: "X" for letter in LETTERS[PROTEIN] if letter not in STANDARD + "X"
    }

    def __init__(self, config: dict):
        self.config = config

    def size(self, *path: str, otherwise: int) -> int:
        """A number of the config, or what the class of transformers takes where it says none."""
        value = self.config
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return otherwise if value is None else value

    @property
    def recycles(self) -> int:
        """How often the trunk is gone through, as config.json counts it."""
        raise NotImplementedError

    @property
    def samples(self) -> int:
        """How many structures are drawn of a protein, of which the best is kept."""
        return 1

    def taken(self, length: int, chunk: int, samples: int) -> float:
        """Bytes that a protein of so many residues takes beside the weights; ``chunk`` 0: as config.json has it."""
        raise NotImplementedError

    def operations(self, length: int, recycles: int, samples: int, language_model: int) -> float:
        """Floating-point operations of folding one protein; ``language_model`` is the number of its weights."""
        raise NotImplementedError

    def of_language_model(self, tensor: str) -> bool:
        """Whether a tensor of the weights is of the language model."""
        raise NotImplementedError

    def load(self, folder: Path, precision: str, device):
        """The model; its language model in this precision, all else in fp32."""
        raise NotImplementedError

    def fold(self, model, sequence: str, recycles: int, samples: int, chunk: int) -> Fold:
        raise NotImplementedError


class EsmFold(Architecture):
    """``EsmForProteinFolding``, as facebook/esmfold_v1."""

    name = "ESMFold"
    citation = "esmfold"
    halves = ("fp16",)
    atoms_of_unknown = False
    largest_pae = 31.75

    def _trunk(self, name: str, otherwise: int) -> int:
        return self.size("esmfold_config", "trunk", name, otherwise=otherwise)

    @property
    def recycles(self) -> int:
        return self._trunk("max_recycles", 4)

    @property
    def _pair(self) -> tuple[int, int]:
        """Width of a pair, and heads of its attention."""
        width = self._trunk("pairwise_state_dim", 128)
        return width, max(1, width // max(1, self._trunk("pairwise_head_width", 32)))

    def taken(self, length: int, chunk: int, samples: int) -> float:
        chunk = chunk or self._trunk("chunk_size", 0)
        # copies of all pairs, and scores of the attention along rows: measured on the trunk of esmfold_v1 with fp32
        width, heads = self._pair
        layers, hidden = self.size("num_hidden_layers", otherwise=12), self.size("hidden_size", otherwise=768)
        pairs = 4 * length**2 * ((16 if chunk else 18) * width + 1.3 * heads * min(chunk or length, length))
        states = 4 * length * (2 * (layers + 1) * hidden + 30 * self._trunk("sequence_state_dim", 1024))
        return pairs + states

    def operations(self, length: int, recycles: int, samples: int, language_model: int) -> float:
        width, _ = self._pair
        maps = (2 * 6 + 2 * 5 + 8) * 2 * width**2  # of two products, two attentions and a transition for each pair
        across = (2 * 2 + 2 * 4) * length * width
        single = 2 * 12 * self._trunk("sequence_state_dim", 1024) ** 2 * length
        block = length**2 * (maps + across) + single
        return 2.0 * language_model * length + recycles * self._trunk("num_blocks", 48) * block

    def of_language_model(self, tensor: str) -> bool:
        return tensor.startswith("esm.")

    def load(self, folder: Path, precision: str, device):
        import torch
        from transformers import EsmConfig, EsmForProteinFolding

        from seqlm.inference.loading import load_weights

        def load(path, **options):
            config = EsmConfig.from_pretrained(path, local_files_only=True)
            config.esmfold_config.fp16_esm = precision == "fp16"  # as its authors run it, frequencies of positions too
            options.pop("attn_implementation")  # it has one way to attend
            model, info = EsmForProteinFolding.from_pretrained(path, config=config, **options)
            # the published weights have no head for contacts, which is a part of the class and is not used
            info["missing_keys"] = {name for name in info["missing_keys"] if not name.startswith("esm.contact_head.")}
            return model, info

        return load_weights(load, folder, torch.float32, device, mixed=True)

    def fold(self, model, sequence: str, recycles: int, samples: int, chunk: int) -> Fold:
        import torch

        with torch.inference_mode():
            model.trunk.set_chunk_size(chunk or self._trunk("chunk_size", 0) or None)
            model.trunk.config.max_recycles = recycles
            output = model.infer(sequence)
            # of each of 37 atoms, from 0 to 1; as in AlphaFold's files a residue has that of its Cα, from 0 to 100
            plddt = 100 * output["plddt"][0, :, 1]
            output["plddt"] = plddt[None, :, None].expand(1, -1, 37)
            wanted = ("positions", "atom37_atom_exists", "residx_atom37_to_atom14", "aatype", "residue_index", "plddt")
            pdb = model.output_to_pdb({key: output[key] for key in wanted})[0]
            pae = output["predicted_aligned_error"][0]
            return Fold(pdb, plddt.float().cpu().numpy(), pae.float().cpu().numpy(), float(output["ptm"]))


class EsmFold2(Architecture):
    """``EsmFold2Model``, as biohub/ESMFold2; one chain, no alignment."""

    name = "ESMFold2"
    citation = "esmfold2"
    chunks = ()  # fewer rows at once than its authors compute take as much
    halves = ("bf16",)
    atoms_of_unknown = True
    largest_pae = 31.75
    shortest = 2  # transformers' class fails where there is a single one
    draws = True

    @property
    def recycles(self) -> int:
        return self.size("num_loops", otherwise=10)

    @property
    def samples(self) -> int:
        return self.size("structure_head", "num_diffusion_samples", otherwise=8)

    def taken(self, length: int, chunk: int, samples: int) -> float:
        # copies of all pairs, and of each structure's confidences: measured on layers of the published sizes
        width = self.size("pairwise_hidden_size", otherwise=256)
        layers = self.size("esmc_config", "num_hidden_layers", otherwise=30)
        hidden = self.size("esmc_config", "hidden_size", otherwise=960)
        pairs = 4 * length**2 * width * (24 + 5 * samples)
        return pairs + 4 * length * 2 * (layers + 1) * hidden

    def operations(self, length: int, recycles: int, samples: int, language_model: int) -> float:
        width = self.size("pairwise_hidden_size", otherwise=256)
        inner = self.size("pair_transition_intermediate_size", otherwise=4 * width)
        layer = length**2 * (2 * (6 * 2 * width**2 + 2 * length * width) + 3 * 2 * width * inner)
        again = self.size("folding_trunk_num_hidden_layers", otherwise=24)
        again += self.size("lm_encoder", "num_hidden_layers", otherwise=4)
        again += self.size("msa_encoder", "num_hidden_layers", otherwise=4)
        once = self.size("parcae_num_coda_layers", otherwise=2)
        once += samples * self.size("confidence_head", "num_hidden_layers", otherwise=4)
        part = ("structure_head", "diffusion_module")
        wide = self.size(*part, "hidden_size", otherwise=768)
        blocks = self.size(*part, "num_hidden_layers", otherwise=12)
        steps = self.size("structure_head", "inference_num_steps", otherwise=68)
        drawing = steps * samples * blocks * length * (2 * 12 * wide**2 + 4 * length * wide)
        return 2.0 * language_model * length + ((recycles + 1) * again + once) * layer + drawing

    def of_language_model(self, tensor: str) -> bool:
        return tensor.startswith("esmc.")

    def load(self, folder: Path, precision: str, device):
        import torch
        import transformers

        from seqlm.inference.loading import load_weights, placed

        if not hasattr(transformers, "EsmFold2Model"):
            raise InputError(
                f"ESMFold2 needs transformers 5.16 or newer, and this server has {transformers.__version__}"
            )
        model = load_weights(transformers.EsmFold2Model.from_pretrained, folder, torch.float32, device, mixed=True)
        if precision != "fp32":
            placed(model.esmc, device, torch.bfloat16)
        return model

    def fold(self, model, sequence: str, recycles: int, samples: int, chunk: int) -> Fold:
        import torch
        from transformers.models.esmfold2.protein_utils import output_to_pdb, prepare_protein_features

        with torch.inference_mode():
            features = prepare_protein_features(sequence, device=model.device)
            output = model.fold(**features, num_loops=recycles, num_diffusion_samples=samples)
            best = int(output["ptm"].float().argmax())  # as transformers ranks them
            output["plddt"] = 100 * output["plddt"]  # of each residue
            pdb = output_to_pdb(output, features, sample_idx=best)
            plddt, pae = (output[name][best].float().cpu().numpy() for name in ("plddt", "pae"))
            return Fold(pdb, plddt, pae, float(output["ptm"][best]))


ARCHITECTURES: dict[str, type[Architecture]] = {"esm": EsmFold, "esmfold2": EsmFold2}


def architecture_of(config: dict, name: str) -> Architecture:
    """The architecture of a config.json.

    Raises:
        InputError: a model that predicts no structures.
    """
    if not folds(config) or config["model_type"] not in ARCHITECTURES:
        raise InputError(
            f"{name} predicts no structures: its config.json says to be of type '{config['model_type'][:40]}'; take "
            "ESMFold (facebook/esmfold_v1) or ESMFold2 (biohub/ESMFold2)"
        )
    return ARCHITECTURES[config["model_type"]](config)
