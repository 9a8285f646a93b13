"""What a prediction starts from: the model, its base model, and what is to be predicted. Checked without torch."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seqlm.checkpoints.bundle import Bundle, open_bundle, read_bundle_folder
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.manifest import reading_of
from seqlm.checkpoints.opening import open_base, open_named, require_head
from seqlm.cli.errors import InputError
from seqlm.data.pairs import Pair, PairReader, names_in, read_members
from seqlm.data.records import LETTERS, Record, Rules
from seqlm.data.sites import SHOWN_WINDOW, check_residues, site_positions
from seqlm.data.tasks import level_of
from seqlm.families.family import Family
from seqlm.families.recognition import recognise
from seqlm.inference.fitting import Memory
from seqlm.metrics.conformal import Conformity
from seqlm.tokenization.chains import refuse_longer
from seqlm.tokenization.encoder import Encoder, require_letter_tokens
from seqlm.tokenization.structures import Structures, open_structures
from seqlm.tokenization.survey import records, survey
from seqlm.tokenization.unknown import Sample, refuse_unknown

from .memory import memory_of
from .uncertainty import scores_of

OWN = "model"  # for --sites and --threshold: what the model itself says


@dataclass
class Plan:
    """Checked inputs of one prediction.

    Attributes:
        task, labels: of the model; ``labels`` is None for numbers.
        sites: residues that are scanned; empty for sequences as they are, or for every residue.
        window: letters around a site, which a model of windows reads and which stand in the table of any scan.
        longest: letters of the longest sequence or window that the model reads.
        units: how many sequences, sites or pairs there are to predict.
        items: how many sequences or windows the model reads.
        letters: of all sequences together; None for windows of a scan, which overlap.
        pairs, members: of pairs, and the sequences of first and of second members by name.
        second: of pairs, the model that reads the second members, if it is another one, and its family.
        published: the model is an adapter that this tool suite did not make.
        structures: 3Di states of the sequences, where the model was trained with them.
        conformity: what conformal sets are made from, where they are asked for.
    """

    arguments: Namespace
    scratch: Path
    bundle: Bundle
    base: ModelFolder
    family: Family
    task: str
    labels: tuple[str, ...] | None
    threshold: float | tuple[float, ...] | None
    published: bool = False
    sites: str = ""
    window: int = 0
    longest: int = 0
    units: int = 0
    items: int = 0
    letters: int | None = None
    rules: Rules = field(default_factory=Rules)
    pairs: list[Pair] = field(default_factory=list)
    members: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    second: tuple[ModelFolder, Family] | None = None
    conformity: Conformity | None = None
    structures: Structures | None = None

    @property
    def level(self) -> str:
        return level_of(self.task)

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return memory_of(self)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model and go over all input once. Does not import torch."""
    path = Path(arguments.model)
    (scratch / "bundle").mkdir()
    bundle = read_bundle_folder(path) if path.is_dir() else open_bundle(path, scratch / "bundle")
    plan = _published(arguments, scratch, bundle) if bundle.kind == "peft" else _own(arguments, scratch, bundle)
    plan.threshold = _threshold(plan)
    plan.conformity = scores_of(plan)
    _check_options(plan)
    plan.structures = _structures(plan)
    _check_chains(plan)
    if plan.level == "pair":
        _read_pairs(plan)
    else:
        _sites(plan)
        plan.units, plan.items = _survey(plan)
    plan.memory.foresee()
    return plan


def _own(arguments: Namespace, scratch: Path, bundle: Bundle) -> Plan:
    """A model that this tool suite fine-tuned."""
    path, manifest = Path(arguments.model), require_head(bundle, arguments.model)
    if arguments.labels:
        raise InputError(f"{path.name} knows the names of its labels; leave the label names empty")
    base = bundle.model or open_base(bundle, arguments, scratch)
    family = recognise(base.path, base.config, **reading_of(manifest))
    if level_of(manifest["task"]) == "residue":
        require_letter_tokens(family)
    labels = tuple(manifest["labels"]) if manifest["labels"] else None
    threshold = manifest.get("threshold")
    threshold = tuple(threshold) if isinstance(threshold, list) else threshold
    plan = Plan(arguments, scratch, bundle, base, family, manifest["task"], labels, threshold)
    if second := manifest.get("second_model"):
        model = open_named(second, arguments, "second_model", scratch / "second")
        plan.second = (model, recognise(model.path, model.config, **reading_of(second)))
    elif arguments.second_model:
        raise InputError(f"{path.name} reads both members with one model; leave the second model empty")
    return plan


def _published(arguments: Namespace, scratch: Path, bundle: Bundle) -> Plan:
    """An adapter that others published."""
    from seqlm.checkpoints.published_adapters import inspect_published

    base = open_base(bundle, arguments, scratch)
    family = recognise(base.path, base.config)
    labels = tuple(name.strip() for name in arguments.labels.split(",")) if arguments.labels else None
    found = inspect_published(bundle, base, labels)
    threshold = 0.5 if len(found.labels or ()) == 2 else None
    plan = Plan(arguments, scratch, bundle, base, family, found.task, found.labels, threshold, published=True)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    return plan


def _threshold(plan: Plan) -> float | tuple[float, ...] | None:
    """The user's, or else the model's own."""
    if plan.arguments.threshold == OWN:
        return plan.threshold
    if plan.task == "multi-label":
        return (plan.arguments.threshold,) * len(plan.labels)
    if len(plan.labels or ()) != 2:
        what = f"this model has {len(plan.labels)}" if plan.labels else "this model gives numbers"
        raise InputError(f"a threshold divides two classes, and {what}; leave it empty")
    return plan.arguments.threshold


def _check_options(plan: Plan) -> None:
    arguments, pair = plan.arguments, plan.level == "pair"
    if pair and not arguments.pairs:
        raise InputError("this model is for pairs of sequences; give the table of pairs too (--pairs)")
    if pair and arguments.sites:
        raise InputError("this model is for pairs of sequences and cannot scan for sites; leave them empty (--sites)")
    if not pair:
        for option in ("pairs", "second_sequences", "second_model", "first_column", "second_column"):
            if getattr(arguments, option):
                flag = "--" + option.replace("_", "-")
                raise InputError(f"{flag} is for a model of pairs; this one is for the task {plan.task}")
    sites = plan.level == "residue" or bool(arguments.sites)
    for option in ("output_gff3", "output_plot"):
        if getattr(arguments, option) and not sites:
            flag = "--" + option.replace("_", "-")
            raise InputError(f"{flag} needs a model of residues, or sites to scan for (--sites)")
        if getattr(arguments, option) and plan.labels is None and option == "output_gff3":
            raise InputError("GFF3 lists called sites, and this model gives numbers; leave that output out")


def _structures(plan: Plan) -> Structures | None:
    """The structures of the sequences, which a model needs that was trained with them, and no other."""
    needed, given = (plan.bundle.manifest or {}).get("structures", False), plan.arguments.structures
    name = Path(plan.arguments.model).name
    if (needed or given) and plan.level == "sequence" and plan.arguments.sites:
        raise InputError(
            "a scan with a model of windows reads pieces of proteins, whose structures it does not cut out; predict "
            "windows that have structures of their own"
        )
    if needed and not given:
        raise InputError(
            f"{name} was trained with structures; give the 3Di states of these sequences too (--structures)"
        )
    if given and not needed and plan.family.structured:
        raise InputError(f"{name} was trained without structures; leave them out (--structures)")
    return open_structures(plan.arguments, plan.family, plan.scratch)


def _check_chains(plan: Plan) -> None:
    """Light chains beside heavy ones: a model needs them that was trained with them, and no other."""
    needed, given = (plan.bundle.manifest or {}).get("light_chains", False), plan.arguments.light_column
    name = Path(plan.arguments.model).name
    if needed and not given:
        raise InputError(
            f"{name} was trained with light chains beside heavy ones; say which column holds them (--light-column)"
        )
    if given and not needed:
        raise InputError(f"{name} was trained on single chains; leave the light chains out (--light-column)")


def _sites(plan: Plan) -> None:
    """Which residues are scanned, from what was asked for and what the model was trained on."""
    asked = plan.arguments.sites
    manifest = plan.bundle.manifest or {}
    known = manifest.get("sites") or ""
    if not asked:
        if plan.level == "residue" and known:
            print(
                f"note: the model was trained on labels of {known} only; what it says of other residues means nothing; "
                "scan for sites (--sites model) to leave them out",
                file=sys.stderr,
            )
        return
    if plan.level == "sequence" and not manifest.get("window"):
        raise InputError(
            f"{Path(plan.arguments.model).name} was not trained on windows of one odd length around a site, so it "
            "cannot scan for sites; leave the sites empty to predict whole sequences"
        )
    plan.window = manifest["window"] if plan.level == "sequence" else SHOWN_WINDOW
    if asked == OWN and not known:
        raise InputError("the model does not say what residues it is for; name them, such as STY")
    plan.sites = known if asked == OWN else check_residues(asked, LETTERS.get(plan.family.alphabet, ""))
    if strange := "".join(letter for letter in plan.sites if known and letter not in known):
        print(
            f"note: the model was trained on {known} as sites, never on {strange}; do not trust it there",
            file=sys.stderr,
        )


def _survey(plan: Plan) -> tuple[int, int]:
    """Number of sequences (or sites) and of what is read for them, after a pass that refuses what cannot be
    predicted."""
    sites = proteins = other_length = 0
    window = (plan.bundle.manifest or {}).get("window") if plan.level == "sequence" else None

    def visit(record: Record, sequence: str) -> None:
        nonlocal sites, proteins, other_length
        own = len(site_positions(sequence, plan.sites)) if plan.sites else 1
        sites, proteins = sites + own, proteins + bool(own)
        other_length += bool(window) and len(sequence) != window
        if record.light:
            refuse_longer(record.id, len(sequence) - 1, plan.bundle.manifest["max_length"])
        if plan.structures:
            plan.structures.of(record.id, sequence)

    found = survey(plan.arguments, plan.family, visit)
    if plan.structures:
        plan.structures.refuse_other_names(next(records(plan.arguments)).id)
    plan.longest = plan.window if plan.sites and plan.level == "sequence" else found.longest
    _refuse_unknown(plan, plan.base, plan.family, found.sample, plan.arguments.sequences)
    if plan.sites and not sites:
        raise InputError(
            f"{Path(plan.arguments.sequences).name}: no sequence has any of the residues {plan.sites}, so there is "
            "nothing to scan"
        )
    plan.letters = None if plan.sites and plan.level == "sequence" else found.letters
    if other_length and not plan.sites:
        print(
            f"note: the model was trained on windows of {window} residues, and {other_length:,} of "
            f"{found.sequences:,} sequences have another length; to predict the sites of whole proteins, scan them",
            file=sys.stderr,
        )
    return sites, proteins if plan.level == "residue" else sites


def _refuse_unknown(plan: Plan, base: ModelFolder, family: Family, sequences: Sample, path: str) -> None:
    """Stop where the vocabulary of a model does not know what it is to read."""
    if family.one_letter_tokens:
        return
    tokenizer = (plan.bundle.manifest or {}).get("tokenizer", "as-published")
    refuse_unknown(Encoder(family, base.path, tokenizer=tokenizer), sequences, Path(path).name)


def _read_pairs(plan: Plan) -> None:
    """The pairs, and the sequences that they name."""
    arguments = plan.arguments
    symmetric = plan.bundle.manifest["head"]["pairs"] == "symmetric"
    if symmetric and arguments.second_sequences:
        raise InputError("the model was trained on pairs from one file of sequences; leave the second file empty")
    first, second = names_in([arguments.pairs], (arguments.first_column, arguments.second_column))
    columns = {
        "format": arguments.format,
        "id_column": arguments.id_column,
        "sequence_column": arguments.sequence_column,
    }
    path = Path(arguments.sequences)
    if arguments.second_sequences:
        family = plan.second[1] if plan.second else plan.family
        other = Path(arguments.second_sequences)
        plan.members = (
            read_members(path, plan.family, plan.rules, first, **columns),
            read_members(other, family, plan.rules, second, **columns),
        )
    elif plan.second:
        raise InputError("the model reads second members with another model; give their sequences (--second-sequences)")
    else:
        plan.members = (read_members(path, plan.family, plan.rules, first | second, **columns),) * 2
    files = [Path(one).name for one in (arguments.sequences, arguments.second_sequences) if one]
    reader = PairReader(
        first=set(plan.members[0]),
        second=set(plan.members[1]),
        files=" or ".join(files),
        labelled=False,
        first_column=arguments.first_column,
        second_column=arguments.second_column,
        symmetric=symmetric,
    )
    plan.pairs = list(reader.read(arguments.pairs))
    if plan.structures:
        for name, sequence in (*plan.members[0].items(), *(() if plan.second else plan.members[1].items())):
            plan.structures.of(name, sequence)
        plan.structures.refuse_other_names(next(iter(plan.members[0])))
    models = ((plan.base, plan.family), plan.second or (plan.base, plan.family))
    given = (arguments.sequences, arguments.second_sequences or arguments.sequences)
    for members, file, model in zip(plan.members, given, models, strict=True):
        _refuse_unknown(plan, *model, Sample.of(members.values()), file)
    plan.units = plan.items = len(plan.pairs)
    plan.longest = max(len(sequence) for members in plan.members for sequence in members.values())
