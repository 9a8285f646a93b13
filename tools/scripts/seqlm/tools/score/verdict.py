"""What scores say and how far they can be trusted, in words a biologist understands."""

from __future__ import annotations

import math

import numpy as np

from seqlm.cli.text import shown
from seqlm.inference.score_methods import MASKED, NEXT, ONE_PASS, PSEUDO, RATIO, WILD_TYPE
from seqlm.metrics.resampling import Score, mean
from seqlm.report.words import listed, ranged, sentence
from seqlm.tokenization.unknown import unknown_letters

from .agreement import in_words
from .baselines import MEANINGS, Correlations
from .inputs import Plan
from .sequences import Check, SequenceScores, filtered
from .summary import Effects, ScanSummary, Summary

METHODS = {
    "perplexity": "The perplexity is exp(-1/n Σ log p(token | those before it)), over the n tokens of a sequence and "
    "the one that ends it: as if the model chose among so many tokens at each step.",
    PSEUDO: "The pseudo-perplexity is exp(-1/n Σ log p(token | all others)), each of the n tokens masked in its "
    "turn (Salazar et al. 2020). It is no probability of the sequence, and compares sequences under one model only.",
    ONE_PASS: "The pseudo-perplexity was approximated in one pass in which nothing is masked: the model sees each "
    "token that it is asked about.",
    MASKED: "The changed positions are masked together, and a score is Σ log p(new letter) - log p(wild-type letter) "
    "over them (Meier et al. 2021).",
    WILD_TYPE: "A score is Σ log p(new letter) - log p(wild-type letter) over the changed positions, from one pass "
    "over the wild type in which nothing is masked (Meier et al. 2021): fast, and the model sees the letter that it is "
    "asked about.",
    RATIO: "A score is log p(variant) - log p(wild type) of the whole sequences.",
    NEXT: "A score is Σ log p(new letter) - log p(wild-type letter) over the changed positions, each from the letters "
    "before it alone: what follows has no part in it.",
}
OF_SIX_MERS = {
    "perplexity": "The model's tokens are 6-mers. A base is as probable as all 6-mers together that agree with it and "
    "with the bases before it in its 6-mer, and the perplexity is exp(-1/n Σ log p(base | those before it)) over the n "
    "bases: as if the model chose among so many bases at each step. The end of a sequence counts nowhere.",
    NEXT: " The model's tokens are 6-mers, so it is the mean over six readings, in which the position is the first "
    "base of its 6-mer, the second, and so on to the sixth.",
}
OF_MASKED_RATIO = (
    "A score is the pseudo-log-likelihood of the variant less that of the wild type, each token masked in its turn."
)
FEW = 100  # measured variants below which an interval is wide whatever the model
WEAK = 0.2  # correlation below which a ranking is hardly better than chance


def number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3g}"


def with_interval(score: Score, digits: int = 2) -> str:
    if math.isnan(score.value):
        return "undefined"
    return ranged(score, f".{digits}f")


def headline(plan: Plan, summary: Summary) -> str:
    """The verdict in one sentence."""
    if summary.sequences:
        text = _of_sequences(plan, summary.sequences)
    else:
        text = _of_scan(plan, summary.scan) if summary.scan else _of_variants(plan, summary.effects)
    return f"{text} {sentence(in_words(summary.agreement))}" if summary.agreement else text


def _of_sequences(plan: Plan, scores: SequenceScores) -> str:
    count = len(scores.perplexity)
    kind = "perplexity" if plan.text else "pseudo-perplexity"
    if count == 1:
        start = f"The sequence has a {kind} of {number(float(scores.perplexity[0]))}"
    else:
        start = f"Of {count:,} sequences the median {kind} is {number(float(np.nanmedian(scores.perplexity)))}"
    less = less_bits(plan, scores)
    know = {
        "more": "the model tells more of them than the frequencies of their letters do",
        "less": "the model tells less of them than the frequencies of their letters do",
        "open": "it is open whether the model tells more of them than the frequencies of their letters do",
    }[side(less)]
    kept = f" {int(scores.kept.sum()):,} were kept." if filtered(plan) else ""
    return f"{start}; {know.replace('them', 'it').replace('their', 'its') if count == 1 else know}.{kept}"


def less_bits(plan: Plan, scores: SequenceScores) -> Score:
    """Bits a letter that the model saves against the frequencies of the letters."""
    return mean(scores.baseline - scores.bits, plan.arguments.seed)


def side(difference: Score) -> str:
    """``more``, ``less`` or ``open``: on which side of 0 the interval is; of one value, the value."""
    low, high = (difference.value,) * 2 if math.isnan(difference.low) else (difference.low, difference.high)
    return "more" if low > 0 else "less" if high < 0 else "open"


def _of_scan(plan: Plan, scan: ScanSummary) -> str:
    know = {
        "more": "the model tells more of the sequence than the frequencies of its letters do",
        "less": "but the model tells less of the sequence than the frequencies of its letters do",
        "open": "but it is open whether the model tells more of the sequence than the frequencies of its letters do",
    }[side(scan.less)]
    return f"Of {scan.substitutions:,} single substitutions {scan.above:,} score above the wild type; {know}."


def _of_variants(plan: Plan, found: Effects) -> str:
    many = len(found.scores)
    start = f"{many:,} variant{'s were' if many != 1 else ' was'} scored"
    if found.measured is None:
        below = int((found.scores < 0).sum())
        return f"{start}; {below:,} of them below the wild type."
    if found.measured.undefined:
        return f"{start}; {found.measured.undefined}, so nothing can be said of a correlation."
    model = found.measured.model.spearman
    name = shown(plan.variants.measured, 40)
    if side(model) == "open":
        return f"{start}; they do not follow the measured {name}: Spearman {with_interval(model)}."
    how = "only weakly, with" if abs(model.value) < WEAK else "with"
    spearman = f"Spearman {with_interval(model)}, {_beside(found.measured)}"
    return f"{start}; they follow the measured {name} {how} {spearman}."


def _beside(found: Correlations) -> str:
    """How the model compares with what needs no model, in words."""
    words = {"more": "better than", "open": "not clearly better than", "less": "worse than"}
    sides = {name: side(one.less) for name, one in found.baselines.items()}
    if len(set(sides.values())) == 1:
        kind = next(iter(sides.values()))
        return f"{words[kind]} {'any' if kind == 'open' else 'every'} baseline without a model"
    parts = [
        f"{word} {listed([MEANINGS[name] for name in sides if sides[name] == kind])}"
        for kind, word in words.items()
        if kind in sides.values()
    ]
    return listed(parts)


def explanation(plan: Plan) -> str:
    """How a number came about."""
    text = METHODS[plan.method]
    if plan.family.blocks:
        own = OF_SIX_MERS.get(plan.method, "")
        text = own if plan.method == "perplexity" else text + own
    if plan.method == RATIO and not plan.text:
        text = OF_MASKED_RATIO
    if plan.mode != "sequences":
        text += " 0 is as probable as the wild type, and below 0 less probable."
    if plan.others:
        names = listed([shown(name, 80) for name in plan.names])
        if plan.mode == "sequences":
            return (
                f"{text} Logarithms are natural, and the log-likelihood is the mean of those of {len(plan.names)} "
                f"models, {names}, so that the perplexity is the geometric mean of theirs."
            )
        return (
            f"{text} Logarithms are natural. The score is the mean of those of {len(plan.names)} models (Meier et al. "
            f"2021), {names}."
        )
    return f"{text} Logarithms are natural, and the model is {shown(plan.opened.name, 80)}."


def not_known(plan: Plan, summary: Summary) -> list[str]:
    """Letters that the vocabulary does not know; of variants the same are read several times, so there is no share."""
    told = unknown_letters(summary.rules, plan.survey.letters if summary.sequences else None)
    return [f"{one} Nothing is asked about them: scores are of the others." for one in told]


def trust(plan: Plan, summary: Summary) -> list[str]:
    """What a reader must not overlook, the most important first."""
    found = []
    if summary.sequences:
        found += _trust_in_perplexity(plan, summary.sequences)
    else:
        found.append(
            "The scores are zero-shot: the model was never told what was measured. They say how usual a letter is at "
            "its place in sequences like those of the training, which often goes with function and stability, and for "
            "many proteins does not."
        )
    if scan := summary.scan:
        if side(scan.less) != "more":
            found.append(
                "A model that knows no more of a sequence than its letters has no ground to judge substitutions; its "
                "scores are noise. A model that is tiny or untrained is like this, and so may be a good one before a "
                "protein that is unlike all that it has seen."
            )
        found += _trust_in_blosum(scan.blosum)
    if summary.agreement and summary.agreement.opposed:
        found.append(
            f"On {summary.agreement.opposed:,} of {summary.agreement.number:,} variants the models take different "
            "sides: some put them above the wild type, others below. The column 'spread' says how far they are apart. "
            "Where they agree they may still err together."
        )
    if plan.method == WILD_TYPE:
        found.append(
            "Nothing was masked, so the model sees the letter that it is asked about; one that was trained on masked "
            "tokens alone may answer anything there. Masked marginals have no such doubt."
        )
    if effects := summary.effects:
        found += _trust_in_effects(plan, effects)
    return found


def _trust_in_perplexity(plan: Plan, scores: SequenceScores) -> list[str]:
    found = []
    if side(less_bits(plan, scores)) != "more":
        found.append(
            "The model needs as many bits a letter as a draw of letters by their frequencies, or more: to rank these "
            "sequences by it means little. It is tiny, untrained, or was trained on sequences of another kind."
        )
    if plan.method == ONE_PASS:
        found.append(
            "These are approximations. They are too optimistic, since the model sees what it is asked about; a model "
            "that was trained on masked tokens alone may answer anything there. " + _beside_exact(scores.check)
        )
    found.append(
        "A low perplexity says that a sequence is usual for the model, not that it folds or works; repeats and "
        "sequences that were in the training have low ones too. Perplexities of models with other tokens cannot be "
        "compared, bits a letter can."
    )
    return found


def _beside_exact(check: Check) -> str:
    """How far the approximation is off, where it was compared."""
    if not len(check.exact):
        return "Compare some with the exact pseudo-perplexity, which takes one pass a token."
    count = len(check.exact)
    where = f"On {count} of the sequences" if count > 1 else "On one sequence"
    approximate, exact = (number(float(np.median(values))) for values in (check.approximate, check.exact))
    return f"{where} the median is {approximate}, and {exact} where each token is masked."


def _trust_in_blosum(found: Correlations | None) -> list[str]:
    if found is None or found.undefined:
        return []
    rho = found.model.spearman
    if side(rho) == "more":
        return []
    return [
        "The scores do not follow BLOSUM62, which those of a trained model do to some degree: Spearman "
        f"{with_interval(rho)} over {found.n:,} substitutions."
    ]


def _trust_in_effects(plan: Plan, effects: Effects) -> list[str]:
    found = _trust_in_blosum(effects.blosum)
    measured = effects.measured
    if measured is None or measured.undefined:
        return found
    if side(measured.model.spearman) == "open":
        found.append(
            "A correlation whose interval holds 0 is none. A model that is tiny, untrained or of another kind of "
            "sequence gives such scores: do not rank variants by them."
        )
    elif abs(measured.model.spearman.value) < WEAK:
        found.append(
            "So weak a correlation makes a ranking hardly better than chance, however sure it is that there is one. It "
            "is what a tiny or untrained model gives."
        )
    if any(side(one.less) == "less" for one in measured.baselines.values()):
        found.append(
            "A baseline that knows nothing of the protein follows the measured values better than the model does: here "
            "the scores are no reason to use a model."
        )
    if side(measured.model.spearman) != "open" and measured.inverse:
        found.append(
            f"Higher values of {shown(plan.variants.measured, 40)} go with lower scores. That is right if a high value "
            "means damage, and a warning if it means function. Correlations are compared without their sign."
        )
    if measured.n < FEW:
        found.append(f"With {measured.n:,} measured variants intervals are wide.")
    if len(plan.wild_types.ids) > 1:
        found.append(
            "The correlation is over the variants of all proteins together, whose measured values may have different "
            "scales."
        )
    return found
