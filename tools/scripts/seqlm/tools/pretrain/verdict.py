"""What the training of a language model found and how far it can be trusted, in words a biologist understands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqlm.baselines.language_baselines import FREQUENCIES, TRIPLES, UNIFORM
from seqlm.metrics.language_scores import BITS, PERPLEXITY
from seqlm.report.words import SPLIT_NAMES, few, quantity, quantity_with_interval
from seqlm.tokenization.language_text import line_length_of
from seqlm.tokenization.unknown import unknown_letters
from seqlm.training.loop import PAUSED

if TYPE_CHECKING:
    from .run import Result

AFTER, BEFORE = "trained", "before training"
MEANINGS = {
    BEFORE: "the base model as it came",
    UNIFORM: "every letter as probable as any other",
    FREQUENCIES: "how frequent each letter is in what was learnt from",
    TRIPLES: "each letter from the two before it, as counted in what was learnt from",
}
HIDDEN = "each hidden letter from the two before and the two behind it, as counted in what was learnt from"
FEW_ROWS = 50
SMALL = 1_000_000  # weights
FEW_TOKENS = 20  # for each weight; published models of language are trained on at least so many


def deciding(result: Result) -> str:
    """The split that the verdict is about; empty where nothing was held out."""
    held = [split for split in result.plan.splits if split in result.scores[AFTER]]
    return held[-1] if held else ""


def outcome(result: Result, model: str) -> str:
    """Whether the trained model is ``better`` or ``worse`` than another, or it is ``open``."""
    split = deciding(result)
    difference = result.differences[model][split][PERPLEXITY if model == BEFORE else BITS]
    return "better" if difference.high < 0 else "worse" if difference.low > 0 else "open"


def headline(result: Result) -> str:
    """The verdict in one sentence."""
    if result.ended == PAUSED:
        return (
            f"Training was paused after {result.step:,} of {result.steps:,} updates; what follows is of the model so "
            "far. Go on from the checkpoint."
        )
    split = deciding(result)
    if not split:
        return "Nothing was held out, so nobody can say what the model has learnt."
    where = f"on the {SPLIT_NAMES[split]}"
    if result.answers:
        return result.answers.headline
    if BEFORE in result.scores and TRIPLES not in result.scores:
        return {
            "better": f"Training lowered the perplexity of the answers {where}.",
            "worse": f"Training raised the perplexity of the answers {where}.",
            "open": f"Training did not clearly change the perplexity of the answers {where}.",
        }[outcome(result, BEFORE)]
    against = {
        "better": "beats a model that only counts 3-mers",
        "worse": "is worse than a model that only counts 3-mers",
        "open": "does not clearly beat a model that only counts 3-mers",
    }[outcome(result, TRIPLES)]
    if BEFORE not in result.scores:
        return f"The new model {against} {where}."
    change = {
        "better": f"Training lowered the perplexity {where}",
        "worse": f"Training raised the perplexity {where}",
        "open": f"Training did not clearly change the perplexity {where}",
    }[outcome(result, BEFORE)]
    return f"{change}; the model {against}."


def explanation(result: Result) -> str:
    split = deciding(result)
    if not split:
        return ""
    score = result.scores[AFTER][split][PERPLEXITY]
    if result.plan.causal:
        what = "It says between how many tokens the model is undecided when it goes on with a sequence"
        of = "perplexity per token"
    else:
        what = (
            "Of each row a share of tokens was hidden, the same by the seed in every run; it says between how many "
            "tokens the model is undecided about a hidden one"
        )
        of = "pseudo-perplexity per hidden token"
    return (
        f"The {of} of {result.rows[split]:,} rows of the {SPLIT_NAMES[split]} is "
        f"{quantity_with_interval(score)}. {what}: 1 is "
        "certainty, and less is better. Ranges are 95 % intervals: how far a number could move with other rows of the "
        "same kind. A difference counts when its whole interval is on one side of zero."
    )


def comparisons(result: Result) -> list[str]:
    """One sentence for each model that the trained one is compared with, in bits per letter."""
    split = deciding(result)
    if not split or (result.plan.examples is not None):
        return []
    words = {
        "better": "the trained model is better, by {}",
        "worse": "the trained model is worse, by {}",
        "open": "no clear difference, {}",
    }
    lines = [f"{AFTER}: {quantity_with_interval(result.scores[AFTER][split][BITS])} bits per letter."]
    for name in (one for one in result.scores if one != AFTER):
        meaning = HIDDEN if name == TRIPLES and not result.plan.causal else MEANINGS[name]
        difference = result.differences[name][split][BITS]
        gain = -difference if outcome(result, name) == "better" else difference
        told = words[outcome(result, name)].format(quantity_with_interval(gain))
        lines.append(f"{name} ({meaning}): {quantity_with_interval(result.scores[name][split][BITS])}; {told}.")
    return lines


def warnings(result: Result) -> list[str]:
    """What makes the verdict weaker than it looks, the most serious first."""
    plan, split, found = result.plan, deciding(result), []
    if plan.documents is not None:
        found += unknown_letters(plan.rules, int((plan.documents.end - plan.documents.start).sum()))
    if not split:
        return [
            "Nothing was held out. The training loss says nothing of other sequences: a model that has learnt its "
            "corpus by heart looks best.",
            *found,
        ]
    if plan.examples is None and outcome(result, TRIPLES) != "better":
        found.append(
            "The model does not beat a count of 3-mers, so nothing shows that it knows more of sequences than which "
            "three letters follow each other. Do not expect more of what it writes, nor of its vectors. More "
            "sequences, more epochs, a higher learning rate or a larger model may help."
        )
    if split == "validation":
        found.append(
            "There is no test set. The validation set also chose the epoch and the 3-mer model, so its scores are "
            "somewhat too good."
        )
    if plan.documents is not None and "sequences" in plan.documents.way and "drawn" in plan.documents.way:
        found.append(
            "Whole sequences were held out at random, equal ones never apart. Relatives of them are in the training "
            "set, so scores are better than for a new family. The tool that makes datasets (seqlm_dataset) splits by "
            "homology."
        )
    found += few(result.rows[split], "rows", FEW_ROWS)
    if result.total < SMALL:
        found.append(
            f"The model has {result.total:,} weights, thousands of times fewer than published models. It shows how "
            "such models are made; it is no replacement for one."
        )
    if plan.new and result.tokens["train"] < FEW_TOKENS * result.total:
        found.append(
            f"There are {result.tokens['train']:,} tokens to learn from and {result.total:,} weights. Published models "
            f"are trained on at least {FEW_TOKENS} tokens for each weight: expect it to learn by heart, and look at "
            "the learning curves."
        )
    if plan.causal and not plan.new and plan.examples is None and line_length_of(plan.family):
        found.append(
            "The base model was trained on sequences in lines of 60 letters. Here they were read without line breaks, "
            "before training too, so a part of what it gained is that. For sequences as it knows them, take the tool "
            "that fine-tunes (seqlm_finetune, to write sequences like these)."
        )
    if plan.causal and plan.family.start_token is None:
        found.append("The model has no token that begins a sequence, so the first token of each was not judged.")
    return found


def going_on(result: Result) -> list[str]:
    base = " with its base model" if result.plan.gives_adapter else ""
    lines = [f"Look at your sequences in the space of the model: give it{base} to the tool that embeds (seqlm_embed)."]
    if not result.plan.gives_adapter:
        lines.append("Teach it a task: give it as base model to the tool that fine-tunes (seqlm_finetune).")
    if result.plan.causal:
        lines.append(f"Write sequences: give it{base} to the tool that generates (seqlm_generate).")
    if result.plan.arguments.output_checkpoint and result.ended == PAUSED:
        lines.insert(0, "Go on with the training: give the checkpoint to this tool, with the same parameters.")
    return lines


def reading(result: Result) -> str:
    """How the numbers of the table are to be read."""
    plan = result.plan
    if plan.examples is not None:
        return "Only the answers count, and the token that ends them."
    text = "Tokens differ from model to model, letters do not: to compare models, look at bits per letter. "
    if plan.causal and plan.suffix:
        text += "The end of a sequence has to be told as well, by the baselines too. "
    if not plan.causal:
        text += (
            "All models are told which letters are hidden and see the others of the row; that of 3-mers also sees "
            "hidden neighbours, so it is rather too good. "
        )
    if not plan.family.one_letter_tokens:
        text += "A token can stand for several letters. "
    chosen = "which the validation set chose" if "validation" in plan.splits else "as nothing could choose it"
    return text + f"The 3-mer model adds {quantity(result.smoothing)} to every count, {chosen}."
