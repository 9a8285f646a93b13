"""What folding starts from: the model and the proteins. Checked without torch."""

from __future__ import annotations

import re
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.opening import open_alone
from seqlm.cli.errors import InputError
from seqlm.tokenization.survey import Survey, survey

from .architectures import STANDARD, Architecture, architecture_of
from .memory import Memory, weights_in
from .values import Values, read_values

LONGEST = 7000  # residues: a PDB file numbers at most 99,999 atoms, of which a residue may have fourteen
LAST = 9999  # number of a residue in a PDB file
OUTPUTS = ("output_pdb", "output_cif", "output_pae", "output_table", "output_residues")


@dataclass
class Protein:
    """One protein, read.

    Attributes:
        name: of its files, without an ending.
        sequence: of the twenty standard residues and X.
        chunk: rows of pairs that are computed at once, 0 for all.
        left_out: why it is not folded; empty where it is.
    """

    id: str
    name: str
    sequence: str
    chunk: int = 0
    left_out: str = ""

    @property
    def unknown(self) -> int:
        """Residues that the model is told nothing of."""
        return self.sequence.count("X")


@dataclass
class Plan:
    """Checked inputs.

    Attributes:
        proteins: in the order of the file.
        recycles: how often the trunk is gone through, as the config of the model counts it.
        samples: structures that are drawn of each protein.
        values: what stands as B factors in place of the pLDDT.
    """

    arguments: Namespace
    base: ModelFolder
    architecture: Architecture
    proteins: list[Protein]
    survey: Survey
    recycles: int
    samples: int
    values: Values | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def model_name(self) -> str:
        return self.arguments.model_id or Path(self.arguments.model).name

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        language_model, others = weights_in(self.base.tensors, self.architecture)
        return Memory(self.architecture, language_model, others, self.arguments)

    @property
    def to_fold(self) -> list[Protein]:
        """The longest first, so that what takes most is known soonest."""
        return sorted((one for one in self.proteins if not one.left_out), key=lambda one: -len(one.sequence))


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model, read all proteins, and foresee memory and time where no GPU is used.

    Raises:
        InputError: for whatever is wrong with them.
    """
    wanted = [*OUTPUTS, "output_report", "output_html", "output_figures"]
    if not any(getattr(arguments, name) for name in wanted):
        raise InputError("no output was asked for; give at least one, such as --output-pdb")
    _, base = open_alone(arguments.model, scratch)
    model = arguments.model_id or Path(arguments.model).name
    if base is None:
        raise InputError(f"{model} holds an adapter or a head, which predicts no structures; take ESMFold or ESMFold2")
    architecture = architecture_of(base.config, model)
    proteins: list[Protein] = []
    names: set[str] = set()

    def visit(record, sequence: str) -> None:
        proteins.append(Protein(record.id, _file_name(record.id, names), sequence))

    found = survey(arguments, architecture, visit)
    if arguments.samples and not architecture.draws:
        raise InputError(f"{architecture.name} draws no structures, it gives one; leave --samples out")
    recycles, samples = arguments.recycles or architecture.recycles, arguments.samples or architecture.samples
    plan = Plan(arguments, base, architecture, proteins, found, recycles, samples)
    if arguments.values:
        given = ((one.id, one.sequence) for one in proteins)
        plan.values = read_values(arguments.values, arguments.value_column, given, arguments.first_position)
        if without := len(proteins) - len(plan.values.found):
            plan.notes.append(
                f"{without:,} of {len(proteins):,} proteins have no values, so that their B factors are 0"
            )
        if others := plan.values.others:
            plan.notes.append(f"values of proteins that are not among the sequences, passed over: {others:,} rows")
    for one in proteins:
        one.left_out = _unfit(one, architecture, arguments.first_position)
    plan.memory.foresee(plan)
    return plan


def _file_name(name: str, taken: set[str]) -> str:
    """A name for files that no other protein has, whatever a file system makes of capitals."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80].lstrip(".-") or "protein"
    unique, number = plain, 1
    while unique.lower() in taken:
        number += 1
        unique = f"{plain}_{number}"
    taken.add(unique.lower())
    return unique


def _unfit(protein: Protein, architecture: Architecture, first: int) -> str:
    length = len(protein.sequence)
    if length > LONGEST or first + length - 1 > LAST:
        return f"over {LONGEST:,} residues, or numbers over {LAST:,}, which a PDB file cannot have"
    if length < architecture.shortest:
        return f"{architecture.name} folds no protein of {length} residue{'s' * (length != 1)}"
    if not architecture.atoms_of_unknown and not set(protein.sequence) & set(STANDARD):
        return "none of its residues is a standard one, and no other has atoms"
    return ""
