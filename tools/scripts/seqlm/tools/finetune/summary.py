"""What is known of a fine-tuning once it is done, and the words for what it predicts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from seqlm.data.tasks import level_of
from seqlm.metrics import metrics, thresholds
from seqlm.metrics.metrics import Score
from seqlm.report.report import Block, Paragraph, Table
from seqlm.report.words import OUT_OF_FOLD, SPLIT_NAMES

from .methods import NAMES
from .tries import Try

FINE_TUNED = "fine-tuned"

Threshold = float | np.ndarray | None


@dataclass(frozen=True)
class Cost:
    """Of one method: weights of the model that it trains, and bytes of all weights, their gradients and moments."""

    method: str
    trained: int
    memory: int


@dataclass(frozen=True)
class FoldResult:
    """One training of a cross-validation: what it left out, how well each model did on that, and the epoch it kept
    (0: the state before the first update)."""

    repeat: int
    number: int
    examples: int
    units: int
    scores: dict[str, float]
    best_epoch: float | None


@dataclass(frozen=True)
class Check:
    """Sets or intervals of one split, compared with the truth.

    Attributes:
        held: share of them that hold it. Of residues the interval counts proteins, as those of one are not independent.
        size: mean number of classes in a set, of several labels share of labels that are unsure; median width.
        certain: share of sets with one class.
        by_class: class -> share of its units whose set holds it, and how many units those are.
        pooled: all classes were compared together, as one has too few units.
    """

    split: str
    units: int
    held: Score
    size: float
    certain: float = float("nan")
    by_class: dict[int, tuple[float, int]] = field(default_factory=dict)
    pooled: bool = False


@dataclass(kw_only=True)
class TrainedSummary:
    """What the report says of any fine-tuning.

    Attributes:
        origin: split -> where it comes from, in words.
        duplicates: what is shared -> number of sequences, as :class:`seqlm.data.datasets.Dataset` counts them.
        rules: one sentence for each thing that was replaced, windowed or truncated, with its count.
        history: one dictionary an epoch: ``epoch``, ``train_loss``, and ``validation_loss`` and
            ``validation_<metric>`` where there is a validation set, which epoch 0, before the first update, has alone.
        best_epoch: the epoch that was kept; None where nothing chose one.
        stopped_early: training ended as nothing got better any more.
        parameters: name -> value of what the user chose, as text.
        trained_weights, total_weights: numbers of trained and of all weights of the model.
        versions: package -> version.
        base_model, revision, sha256, family: of the base model; empty where unknown.
        alphabet: ``protein``, ``DNA`` or else; it decides between residues and bases.
        seed: of everything drawn at random.
        data_sha256: of ids, sequences and labels of all splits.
        citations: keys of :data:`seqlm.report.citations.CITATIONS`.
        method: what was trained.
        costs: what each method would take of this model.
        unknown: sentences on letters that the model's vocabulary does not know.
    """

    origin: dict[str, str] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: float | None = None
    stopped_early: bool = False
    parameters: dict[str, str] = field(default_factory=dict)
    trained_weights: int = 0
    total_weights: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    base_model: str = ""
    revision: str = ""
    sha256: str = ""
    family: str = ""
    alphabet: str = "protein"
    seed: int = 0
    data_sha256: str = ""
    citations: list[str] = field(default_factory=list)
    method: str = ""
    costs: list[Cost] = field(default_factory=list)

    def about(self) -> dict[str, str]:
        """What it started from and what was trained: name -> value."""
        share = self.trained_weights / self.total_weights if self.total_weights else 0
        return {
            "Base model": self.base_model,
            "Revision": self.revision,
            "SHA-256 of its weights": self.sha256,
            "Model family": self.family,
            "Weights trained": f"{self.trained_weights:,} of {self.total_weights:,} ({share:.2%})",
            "Seed": str(self.seed),
            "SHA-256 of the data": self.data_sha256,
        }

    def compared(self) -> list[Block]:
        """What each method takes, side by side."""
        rows = [
            [
                NAMES[cost.method] + (", as chosen" if cost.method == self.method else ""),
                f"{cost.trained:,}",
                f"{cost.memory / 1e6:,.1f}",
            ]
            for cost in self.costs
        ]
        if not rows:
            return []
        said = (
            "Weights of the model that each method trains with the settings of this job, the head not counted, and the "
            "memory that all weights, the gradients and the state of the optimizer take in training. What a batch "
            "takes comes on top, and is about the same for all but the head alone."
        )
        return [Paragraph(said), Table(["Method", "Weights trained", "Memory in MB"], rows)]


@dataclass
class FinetuneSummary(TrainedSummary):
    """Everything the report says. Splits are those that there are of ``train``, ``validation`` and ``test``.

    A *unit* is what one prediction is about: a sequence, a residue or a pair.

    Attributes:
        task: one of :data:`seqlm.data.tasks.TASKS` with a head.
        metric: machine name of the score that the verdict compares (see :mod:`seqlm.metrics.metrics`).
        classes: class names in the order of their indices; empty for a regression.
        truth: split -> (units,) class indices or values, or (units, labels) 0 or 1, or -1 where that is not known.
        predictions: model -> split -> (units, classes) or (units, labels) probabilities, or (units,) values; of
            ``fine-tuned`` and the baselines.
        scores: model -> split -> metric -> score, as :func:`seqlm.metrics.metrics.scores_for` gives them.
        differences: baseline -> score of the fine-tuned model less that of the baseline, on the deciding split, as
            :func:`seqlm.metrics.metrics.paired_difference` gives it.
        lengths: split -> (sequences,) in residues or bases, as given; of pairs each sequence once a split.
        positive: index of the positive class of two; positive_why: words that follow its name.
        chosen_by: what the best epoch was chosen by: a metric or ``loss``.
        demonstration: the base model is a tiny one made to show the tools, not to be right.
        unit: ``sequence``, ``residue`` or ``pair``; what the task says unless given.
        symmetric: of pairs: both orders are the same pair.
        groups: split -> (units,) number of the protein that each residue belongs to.
        thresholds: model -> probability from which the second of two classes, or each of several labels, is called;
            None or missing where the most probable class is.
        threshold_by: ``mcc`` or ``f1``: by what the thresholds were chosen on the validation set; empty or ``none``
            where they were not.
        temperature: what logits were divided by, as the validation set has it best; 1 where nothing was done.
        uncalibrated: predictions of the fine-tuned model for the deciding split as they were before that.
        masked: split -> residues that count nowhere, as what is true of them is not known.
        window: length of windows around sites, if that is what all training sequences are, else 0.
        sites: residues in the middle of those windows; of residues those that labels are on, where these are few.
        pair_leakage: split -> how many of the sequences in its pairs are in training pairs too; taken from
            ``duplicates`` where it is missing.
        calls: of a cross-validation: model -> what it calls out of fold, where that is not by one threshold.
        folds: its trainings; fold_groups: what stays together in a fold, in words.
        coverage: of conformal sets; checks: how often they held the truth.
        tries: of a sweep, in the order in which they were made.
    """

    task: str
    metric: str
    classes: list[str]
    truth: dict[str, np.ndarray]
    predictions: dict[str, dict[str, np.ndarray]]
    scores: dict[str, dict[str, dict[str, Score]]]
    differences: dict[str, Score]
    lengths: dict[str, np.ndarray]
    positive: int | None = None
    positive_why: str = ""
    chosen_by: str = ""
    demonstration: bool = False
    unit: str = ""
    symmetric: bool = True
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    thresholds: dict[str, Threshold] = field(default_factory=dict)
    threshold_by: str = ""
    temperature: float = 1.0
    uncalibrated: np.ndarray | None = None
    masked: dict[str, int] = field(default_factory=dict)
    window: int = 0
    sites: str = ""
    pair_leakage: dict[str, int] = field(default_factory=dict)
    calls: dict[str, np.ndarray] = field(default_factory=dict)
    folds: list[FoldResult] = field(default_factory=list)
    fold_groups: str = ""
    coverage: float = 0.0
    checks: list[Check] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)

    def __post_init__(self):
        self.unit = self.unit or level_of(self.task)
        self.threshold_by = "" if self.threshold_by == "none" else self.threshold_by

    @property
    def regression(self) -> bool:
        return metrics.metrics_for(self.task) is metrics.REGRESSION

    @property
    def several(self) -> bool:
        """Whether a sequence can have several labels at once."""
        return self.task == "multi-label"

    @property
    def splits(self) -> list[str]:
        return [name for name in SPLIT_NAMES if name in self.truth]

    @property
    def deciding(self) -> str:
        """The split that the verdict rests on: what was held out once, or else the test set, validation, training."""
        return self.splits[-1]

    @property
    def learnt(self) -> str:
        """The split that was learnt from; of a cross-validation all folds."""
        return "train" if "train" in self.truth else self.deciding

    @property
    def models(self) -> list[str]:
        """The fine-tuned model, then the baselines."""
        return [FINE_TUNED, *(name for name in self.predictions if name != FINE_TUNED)]

    @property
    def called(self) -> np.ndarray:
        """What the fine-tuned model calls the deciding split: (units,) class indices, or (units, labels) 0 or 1."""
        return self.called_by(FINE_TUNED)

    def called_by(self, model: str) -> np.ndarray:
        if self.deciding == OUT_OF_FOLD and model in self.calls:
            return self.calls[model]
        predictions = self.predictions[model][self.deciding]
        return thresholds.called(predictions, self.thresholds.get(model), several=self.several)

    @property
    def chosen_threshold(self) -> Threshold:
        """The fine-tuned model's threshold if the validation set chose it, else None."""
        chosen = self.threshold_by and ("validation" in self.truth or self.folds)
        return self.thresholds.get(FINE_TUNED) if chosen else None

    @property
    def one(self) -> str:
        """The word for a unit."""
        return "base" if self.unit == "residue" and self.alphabet.lower() != "protein" else self.unit

    @property
    def many(self) -> str:
        return f"{self.one}s"

    @property
    def wholes(self) -> str:
        """The word for what is independent of the rest and is split: proteins or sequences."""
        a_protein = self.unit != "sequence" and self.alphabet.lower() == "protein" and self.symmetric
        return "proteins" if a_protein else "sequences"

    def independent(self, split: str) -> int:
        """How many units of a split tell something of their own; of residues how many proteins."""
        if self.unit == "residue":
            return len(np.unique(self.groups[split])) if split in self.groups else len(self.lengths[split])
        return len(self.truth[split])

    def size(self, split: str) -> str:
        """How many units a split has, such as ``4,210 residues of 15 proteins``."""
        units = f"{len(self.truth[split]):,} {self.many}"
        if self.unit == "residue":
            return f"{units} of {self.independent(split):,} {self.wholes}"
        return f"{units} of {len(self.lengths[split]):,} {self.wholes}" if self.unit == "pair" else units

    def shared_members(self, split: str) -> int:
        """How many sequences in the pairs of a split are in training pairs too."""
        found = self.duplicates.get(f"in pairs of both train and {split}", 0)
        return self.pair_leakage.get(split, found)

    def label(self, metric: str) -> str:
        return metrics.label(metric, len(self.classes))

    def score(self, model: str = FINE_TUNED) -> Score:
        return self.scores[model][self.deciding][self.metric]
