"""What the fine-tuning of a language model found and how far it can be trusted, in words a biologist understands."""

from __future__ import annotations

from seqlm.baselines.language_baselines import FREQUENCIES, TRIPLES, UNIFORM
from seqlm.cli.text import shown
from seqlm.metrics.language_scores import BITS, PERPLEXITY
from seqlm.metrics.resampling import Score
from seqlm.report.words import SPLIT_NAMES, few, quantity_with_interval

from .summary import BEFORE, LanguageSummary

MEANINGS = {
    BEFORE: "the base model as it came",
    UNIFORM: "every letter as probable as any other",
    FREQUENCIES: "how frequent each letter is in the training set, wherever it stands",
    TRIPLES: "each letter from the two before it, as counted in the training set",
}
SMALL = 10_000_000  # weights; ProtGPT2 has 738 million


def headline(summary: LanguageSummary) -> str:
    """The verdict in one sentence."""
    where = f"on the {SPLIT_NAMES[summary.deciding]}"
    before, triples = summary.outcome(BEFORE), summary.outcome(TRIPLES)
    change = {
        "better": f"Fine-tuning lowered the perplexity {where}",
        "worse": f"Fine-tuning raised the perplexity {where}: the model knows such sequences less than before",
        "open": f"Fine-tuning did not clearly change the perplexity {where}",
    }[before]
    against = {
        "better": "the model beats one that only counts 3-mers",
        "worse": "a model that only counts 3-mers is better than it",
        "open": "it does not clearly beat a model that only counts 3-mers",
    }[triples]
    good = {"better": True, "worse": False, "open": False}
    return f"{change}, {'and' if good[before] == good[triples] else 'but'} {against}."


def explanation(summary: LanguageSummary) -> str:
    old, new = (summary.score(model, PERPLEXITY) for model in (BEFORE, summary.models[0]))
    n = len(summary.after)
    better = int((summary.after < summary.before).sum())
    return (
        f"The perplexity per token of the {n:,} sequences of the {SPLIT_NAMES[summary.deciding]} was "
        f"{quantity_with_interval(old)} and is {quantity_with_interval(new)}; the difference is "
        f"{quantity_with_interval(summary.difference(BEFORE, PERPLEXITY))}. It says between how many tokens the model "
        "is undecided when it goes on with a sequence: 1 is certainty, and less is better. It fell for "
        f"{better:,} of the {n:,} sequences. Ranges are 95 % intervals: how far a number could move with other "
        "sequences of the same kind. A "
        "difference counts when its whole interval is on one side of zero."
    )


def comparisons(summary: LanguageSummary) -> list[str]:
    """One sentence for each model that the fine-tuned one is compared with, in bits per letter."""
    words = {
        "better": "fine-tuning is better, by {}",
        "worse": "fine-tuning is worse, by {}",
        "open": "no clear difference, {}",
    }
    own = f"fine-tuned: {quantity_with_interval(summary.score())} bits per letter."
    return [own] + [
        f"{name} ({MEANINGS[name]}): {quantity_with_interval(summary.score(name))}; "
        + words[summary.outcome(name)].format(quantity_with_interval(_gain(summary, name)))
        + "."
        for name in summary.models[1:]
    ]


def warnings(summary: LanguageSummary) -> list[str]:
    """What makes the verdict weaker than it looks, the most serious first."""
    found, deciding = [*summary.unknown], summary.deciding
    if summary.total_weights < SMALL:
        found.append(
            f"The base model {shown(summary.base_model)} has {summary.total_weights:,} weights, a small share of those "
            "of published models of proteins (ProtGPT2: 738 million). What it writes should be taken lightly."
        )
    if deciding == "validation":
        found.append(
            "There is no test set. The validation set also chose the epoch and the 3-mer model, so its scores are "
            "somewhat too good. Keep some sequences apart as a test set before you rely on them."
        )
    if deciding == "train":
        found.append(
            "There is neither a test nor a validation set. The scores are of the very sequences that the model was "
            "trained on: a model that has learnt them by heart looks best."
        )
    if shared := summary.duplicates.get(f"in both train and {deciding}", 0):
        found.append(
            f"{shared:,} of the sequences in the {SPLIT_NAMES[deciding]} are also in the training set, so its scores "
            "are too good. Choose to remove duplicates."
        )
    if deciding != "train":
        found.append(_leakage(summary))
    found += few(len(summary.after), "sequences")
    if summary.outcome(TRIPLES) != "better":
        found.append(
            "Nothing shows that the model knows more of these sequences than which three letters follow each other, so "
            "do not expect more of what it writes. More sequences, more epochs or a larger base model may help."
        )
    if not summary.starts:
        found.append(
            "The model has no token that begins a sequence, so the first token of each was not judged, nor in the "
            "baselines."
        )
    if not summary.ends:
        found.append("The model has no token that ends a sequence: what it writes goes on until it is cut off.")
    return found


def _leakage(summary: LanguageSummary) -> str:
    drawn = "drawn at random" in summary.origin.get(summary.deciding, "")
    how = (
        "was drawn at random, so of a family there are close relatives in both sets, and scores are better than for a "
        "new branch of it"
        if drawn
        else "was given; relatives of its sequences in the training set make scores better than for a new branch of a "
        "family"
    )
    return (
        f"The {SPLIT_NAMES[summary.deciding]} {how}. The tool that makes datasets (seqlm_dataset) splits by homology "
        "and says what the sets share; its outputs can be given here."
    )


def reading(summary: LanguageSummary) -> str:
    """How the numbers of the table are to be read."""
    text = (
        "Tokens differ from model to model, letters do not: to compare models, look at bits per letter, the whole loss "
        "of a sequence divided by its letters. "
    )
    if summary.ends:
        text += "The end of a sequence has to be told as well, by the baselines too. "
    if summary.pieces:
        text += (
            "A token can stand for several letters, and the same letters can be written in several ways, of which one "
            "is counted: the true figure of the model is rather lower. "
        )
    chosen = "which the validation set chose" if "validation" in summary.splits else "as nothing could choose it"
    return text + f"The 3-mer model adds {summary.smoothing:g} to every count, {chosen}."


def going_on(summary: LanguageSummary) -> list[str]:
    base = " and its base model" if summary.adapted else ""
    return [
        f"Write new sequences: give the fine-tuned model{base} to the tool that generates sequences (seqlm_generate).",
        f"Rank sequences or variants by how probable the model finds them: give it{base} to the tool that scores "
        "(seqlm_score).",
        f"Look at the family in the space of the model: give it{base} to the tool that embeds (seqlm_embed).",
        "A generated sequence that resembles the family has not been shown to fold or to work.",
    ]


def _gain(summary: LanguageSummary, name: str) -> Score:
    difference = summary.difference(name, BITS)
    if summary.outcome(name) != "better":
        return difference
    return -difference
