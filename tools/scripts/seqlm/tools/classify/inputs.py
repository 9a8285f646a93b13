"""What a classifier is trained on: embeddings, labels, and which sequences judge. All checked without scikit-learn,
but for the drawing of the sets."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.class_files import class_files
from seqlm.data.class_names import positive_last
from seqlm.data.datasets import SPLITS
from seqlm.data.records import quoted
from seqlm.embeddings.columns import Embeddings
from seqlm.embeddings.labels import Labels, named_columns, read_labels
from seqlm.embeddings.tables import read_embeddings

from .methods import METHODS

CHOOSING_FOLDS = 5  # within the training set, where it has to choose
MOST_FOR_KERNEL = 50_000  # training examples of an RBF machine: its time grows with their square
MOST_CLASSES = 1000
SETTINGS = (
    "classifier", "grid_search", "class_weights", "metric", "positive_label", "test_fraction", "cross_validation",
    "split_column", "split_pattern", "identical", "label_column", "feature_column", "seed",
)  # fmt: skip
CROSS_VALIDATION = "cross-validation"


@dataclass
class Plan:
    """Checked inputs of one training.

    Attributes:
        truth: (n,) class indices; ``classes`` names them, the positive one of two last.
        features: (n, D) float32; rows of the embeddings that have a label, in their order, as are ``ids``.
        sequences: (n) as given, or None.
        groups: (n,) equal numbers for equal embeddings, which a drawn split keeps together.
        splits: split -> places; None with cross-validation.
        folds: (n,) the fold that each is predicted in; None without.
        origin: how the sets came about, in words.
        notes: a sentence for each thing that was left out or noticed.
    """

    arguments: Namespace
    embeddings: Embeddings
    labels: Labels
    classes: list[str]
    truth: np.ndarray
    features: np.ndarray
    groups: np.ndarray
    splits: dict[str, np.ndarray] | None = None
    folds: np.ndarray | None = None
    origin: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [self.embeddings.ids[row] for row in self.labels.rows.tolist()]

    @property
    def sequences(self) -> list[str] | None:
        return self.labels.sequences

    @property
    def deciding(self) -> str:
        """The split that the verdict is about."""
        if self.folds is not None:
            return CROSS_VALIDATION
        return "test" if "test" in self.splits else "validation"

    @property
    def candidates(self) -> list[tuple[str, dict]]:
        """(method, settings) of all that may be chosen from."""
        small = self.arguments.grid_search == "small"
        return [
            (method, settings)
            for method in dict.fromkeys(self.arguments.classifier)
            for settings in (METHODS[method].grid if small else ({},))
        ]

    @property
    def chooses(self) -> bool:
        return len(self.candidates) > 1

    @property
    def chosen_by_validation(self) -> bool:
        """Whether a given validation set chooses; where it is all that judges, it must not."""
        return self.chooses and self.splits is not None and {"validation", "test"} <= set(self.splits)

    def training_parts(self) -> Iterator[np.ndarray]:
        """Places (m,) of each set that classifiers are judged by learning from: one, or all but a fold each."""
        if self.folds is None:
            yield self.splits["train"]
        else:
            for fold in range(int(self.folds.max()) + 1):
                yield np.flatnonzero(self.folds != fold)


def check(arguments: Namespace) -> Plan:
    """Read all inputs; raises InputError for whatever is wrong with them."""
    _check_options(arguments)
    own = named_columns(arguments.labels or arguments.class_fasta, arguments.label_column, arguments.split_column)
    embeddings = read_embeddings(arguments.embeddings, own).with_features(arguments.feature_column)
    labels = read_labels(
        embeddings,
        arguments.labels,
        label_column=arguments.label_column,
        label_pattern=arguments.label_pattern,
        id_column=arguments.id_column,
        split_column=arguments.split_column,
        split_pattern=arguments.split_pattern,
        sequence_column=arguments.sequence_column,
        classes=class_files(arguments.class_fasta) if arguments.class_fasta else (),
    )
    names, truth = labels.classes()
    ordered = _positive_last(names, truth, arguments.positive_label)
    whole = len(labels) == len(embeddings)
    features = embeddings.vectors if whole else embeddings.vectors[labels.rows]
    plan = Plan(arguments, embeddings, labels, names, truth, features, _equal_rows(features), notes=list(labels.notes))
    _check_classes(plan)
    _check_features(plan)
    if labels.splits:
        _given(plan)
    elif arguments.cross_validation:
        _draw_folds(plan)
    else:
        _draw_test(plan)
    plan.classes, plan.truth = ordered  # only now: which class is positive must not change what is drawn
    _check_training(plan)
    return plan


def _check_options(arguments: Namespace) -> None:
    given = arguments.split_column or arguments.split_pattern
    if given and arguments.cross_validation:
        raise InputError(
            "the file says which set each sequence is in, so there is nothing to cross-validate; give one of the two"
        )
    if arguments.cross_validation == 1:
        raise InputError("cross-validation needs 2 folds at least; give 0 for a test set")
    if arguments.split_pattern and not (arguments.labels or arguments.class_fasta):
        raise InputError("--split-pattern looks into FASTA headers; give the FASTA file with the labels (--labels)")
    for option in ("id_column", "sequence_column"):
        if getattr(arguments, option) and not arguments.labels:
            raise InputError(f"--{option.replace('_', '-')} is a column of a file of labels; give that file (--labels)")


def _positive_last(names: list[str], truth: np.ndarray, positive: str | None) -> tuple[list[str], np.ndarray]:
    ordered = positive_last(names, positive)
    return (names, truth) if ordered == names else (ordered, 1 - truth)


def _check_classes(plan: Plan) -> None:
    names, counts = plan.classes, np.bincount(plan.truth)
    if len(names) < 2:
        raise InputError(f"all sequences have the label '{quoted(names[0])}'; two classes are needed")
    if len(names) > MOST_CLASSES or len(names) > len(plan.truth) / 2:
        raise InputError(
            f"{len(names):,} different labels for {len(plan.truth):,} sequences; is the label a number or a name? "
            "Classifiers need several sequences of each class"
        )
    if plan.labels.splits is None and (counts == 1).any():
        alone = names[int(np.argmax(counts == 1))]
        raise InputError(
            f"the class '{quoted(alone)}' has one sequence, too few to be both learnt and tested; add sequences, drop "
            "the class, or give the sets yourself"
        )


def _check_features(plan: Plan) -> None:
    constant = np.ptp(plan.features, axis=0) == 0
    if constant.all():
        raise InputError(
            f"{plan.embeddings.name}: all embeddings are the same, so they tell no classes apart; were they made of "
            "these sequences?"
        )
    if constant.any():
        plan.notes.append(
            f"The same in every sequence, so of no use: {int(constant.sum()):,} of {len(constant):,} dimensions."
        )
    conflicting = equal_of_several_classes(plan.groups, plan.truth)
    if conflicting:
        plan.notes.append(
            f"Equal embeddings with different labels: {conflicting:,} sequences. No classifier gets all of them right."
        )


def equal_of_several_classes(groups: np.ndarray, truth: np.ndarray) -> int:
    """Sequences whose embedding another one of another class has too."""
    pairs = np.unique(np.stack([groups, truth]), axis=1)
    torn = np.bincount(pairs[0]) > 1
    return int(torn[groups].sum())


def _equal_rows(features: np.ndarray) -> np.ndarray:
    """(n,) numbers from 0 on, in the order of the first occurrence, the same for equal rows."""
    known: dict[bytes, int] = {}
    return np.array([known.setdefault(row.tobytes(), len(known)) for row in features], dtype=np.int64)


def _units(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """What is drawn: the unit (n,) of each sequence, and the place (units,) of the first sequence of each."""
    if plan.arguments.identical == "ignore":
        everyone = np.arange(len(plan.truth))
        return everyone, everyone
    first = np.unique(plan.groups, return_index=True)[1]
    if repeated := len(plan.truth) - len(first):
        plan.notes.append(
            f"Equal to the embedding of another sequence, and kept on the same side as it: {repeated:,} sequences."
        )
    return plan.groups, first


def _given(plan: Plan) -> None:
    splits = np.array(plan.labels.splits)
    plan.splits = {name: np.flatnonzero(splits == name) for name in SPLITS if (splits == name).any()}
    where = plan.labels.source
    if "train" not in plan.splits:
        raise InputError(f"{where} says of no sequence that it is for training; some must say 'train'")
    if len(plan.splits) < 2:
        raise InputError(f"{where} says of every sequence that it is for training; some must say 'test' to judge by")
    plan.origin = f"as {where} says"
    known = set(plan.truth[plan.splits["train"]].tolist())
    for name, places in plan.splits.items():
        for place in places.tolist():
            if plan.truth[place] not in known:
                raise InputError(
                    f"the {name} set has the label '{quoted(plan.classes[plan.truth[place]])}' "
                    f"('{quoted(plan.ids[place])}'), which no training sequence has; give such sequences, or leave "
                    "it out"
                )
    learnt = plan.splits["train"]
    for name in list(plan.splits)[1:]:
        if shared := int(np.isin(plan.groups[plan.splits[name]], plan.groups[learnt]).sum()):
            plan.notes.append(
                f"In the {name} set with an embedding that is in the training set too: {shared:,} sequences. Its "
                "scores are too good."
            )


def _draw_test(plan: Plan) -> None:
    from sklearn.model_selection import train_test_split

    arguments = plan.arguments
    units, first = _units(plan)
    strata = plan.truth[first]
    _check_strata(plan, strata)
    count, classes = len(first), len(plan.classes)
    share = arguments.test_fraction
    if np.ceil(share * count) < classes or np.floor((1 - share) * count) < classes:
        raise InputError(
            f"{count} different embeddings are too few for a test set of {share:g} with each of the {classes} classes; "
            "add sequences, raise the share, or choose cross-validation"
        )
    chosen = train_test_split(np.arange(count), test_size=share, random_state=arguments.seed, stratify=strata)
    sides = np.zeros(count, dtype=np.int8)
    sides[chosen[1]] = 1
    # as scikit-learn orders them, which some classifiers notice
    place_of_unit = np.argsort(np.concatenate(chosen))
    order = np.argsort(place_of_unit[units], kind="stable")
    test = sides[units][order] == 1
    plan.splits = {"train": order[~test], "test": order[test]}
    plan.origin = f"a share of {share:g} drawn for the test set, each class in proportion (seed {arguments.seed})"


def _draw_folds(plan: Plan) -> None:
    from sklearn.model_selection import StratifiedKFold

    folds = plan.arguments.cross_validation
    units, first = _units(plan)
    strata = plan.truth[first]
    if len(first) < folds:
        raise InputError(f"{len(first)} different embeddings cannot be shared among {folds} folds; choose fewer folds")
    _check_strata(plan, strata)
    counts = np.bincount(strata)
    if counts.max() < folds:
        raise InputError(
            f"the largest class has {counts.max()} sequences, too few for {folds} folds; choose at most {counts.max()}"
        )
    if counts.min() < folds:
        rare = plan.classes[int(counts.argmin())]
        plan.notes.append(
            f"The class '{quoted(rare)}' has {counts.min()} sequences, so not every one of the {folds} folds tests it."
        )
    fold_of = np.zeros(len(first), dtype=np.int64)
    divider = StratifiedKFold(folds, shuffle=True, random_state=plan.arguments.seed)
    for number, (_, held) in enumerate(_quiet(divider.split(first, strata))):
        fold_of[held] = number
    plan.folds = fold_of[units]
    plan.origin = f"{folds} folds drawn with each class in proportion (seed {plan.arguments.seed})"


def _quiet(parts):
    """Without scikit-learn's warning of rare classes, which is among our notes."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return list(parts)


def _check_strata(plan: Plan, strata: np.ndarray) -> None:
    counts = np.bincount(strata, minlength=len(plan.classes))
    if counts.min() < 2:
        rare = plan.classes[int(counts.argmin())]
        raise InputError(
            f"the class '{quoted(rare)}' has {counts.min()} different embedding{'s' * (counts.min() != 1)}, "
            "too few to be "
            "both learnt and tested; add sequences, drop the class, or give the sets yourself"
        )


def choosing_folds(truth: np.ndarray) -> int:
    """Folds within a training set: as many as its smallest class can fill, and five at most."""
    counts = np.bincount(truth)
    return int(min(CHOOSING_FOLDS, max(2, counts[counts > 0].min())))


def _check_training(plan: Plan) -> None:
    """Refuse training sets that a classifier cannot learn from, before any is fitted."""
    methods = {method for method, _ in plan.candidates}
    machines = methods & {"linear-svm", "rbf-svm"}
    inside = plan.chooses and not plan.chosen_by_validation
    for places in plan.training_parts():
        counts = Counter(plan.truth[places].tolist())
        rare, least = min(counts.items(), key=lambda pair: pair[1])
        wanted = (4 if inside else 2) if machines else 2 if inside else 1
        if len(counts) < 2:
            raise InputError(
                f"all training sequences have the label '{quoted(plan.classes[rare])}'; two classes are needed"
            )
        if least < wanted:
            why = (
                "a support vector machine needs for its probabilities"
                if machines
                else "choosing among classifiers needs"
            )
            raise InputError(
                f"the class '{quoted(plan.classes[rare])}' has {least} training sequence{'s' * (least != 1)}, "
                f"and {why} "
                f"{wanted} of each class; add sequences, drop the class, or choose one other classifier without "
                "a search"
            )
        if "rbf-svm" in methods and len(places) > MOST_FOR_KERNEL:
            raise InputError(
                f"{len(places):,} training sequences are too many for rbf-svm, whose time grows with their square "
                f"(at most {MOST_FOR_KERNEL:,}); choose linear-svm or gradient-boosting"
            )
