"""The report on embeddings: what became vectors and how, whether these are usable, and how to go on."""

from __future__ import annotations

import numpy as np

from seqlm.cli.outputs import Outputs
from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.inference.score_methods import ONE_PASS, PERPLEXITY, PSEUDO
from seqlm.report.outputs import parameters, wants_report, write_report
from seqlm.report.report import Block, Bullets, Paragraph, Report, Table
from seqlm.report.words import sentence
from seqlm.tokenization.unknown import unknown_letters

from .appended import COLUMNS
from .inputs import Plan
from .judged_words import blocks, in_words
from .judged_words import described as labels_of
from .judged_words import warnings as of_probes
from .run import about
from .summary import Spread, Summary

PACKAGES = ("torch", "transformers", "numpy")
SETTINGS = (
    "pooling", "layer", "append_scores", "probe", "sweep_layers", "folds", "normalize", "prefix", "max_length",
    "long_sequences", "smiles", "tokenizer", "precision", "seed",
)  # fmt: skip
NARROW = 0.9  # mean cosine from which vectors are said to point the same way
SCORED = {
    PERPLEXITY: "The perplexity is exp(-1/n Σ log p(token | those before it)), over the n tokens of a sequence and the "
    "one that ends it.",
    PSEUDO: "The pseudo-perplexity is exp(-1/n Σ log p(token | all others)), each of the n tokens masked in its turn "
    "(Salazar et al. 2020).",
    ONE_PASS: "The pseudo-perplexity was approximated in one pass in which nothing is masked: the model sees each "
    "token that it is asked about.",
}
POOLING = {
    "mean": "The vector of a sequence is the mean over its {token}s",
    "max": "The vector of a sequence has the largest value of each dimension over its {token}s",
    "cls": "The vector of a sequence is that of the special token in front of it",
    "last": "The vector of a sequence is that of its last {token}",
    "none": "Each {letter} has a vector of its own",
}
CITED = {
    "esm2": "esm2",
    "esm1b": "esm1b",
    "prottrans": "prott5",
    "dnabert2": "dnabert2",
    "prostt5": "prostt5",
    "ankh": "ankh",
    "ankh3": "ankh3",
    "saprot": "saprot",
    "igbert": "igbert",
    "foldseek": "foldseek",
}  # by what the family of the model names


def write(plan: Plan, summary: Summary, outputs: Outputs) -> None:
    """Fill what was asked for of report, figures and page."""
    if wants_report(plan.arguments):
        write_report(plan.arguments, embedding_report(plan, summary), outputs)


def embedding_report(plan: Plan, summary: Summary) -> Report:
    """The whole report, in the order in which a reader asks."""
    from .figures import figures_of  # with matplotlib, which a run without a report does not need

    spread = summary.spread()
    report = Report("Embedding report", drawn=figures_of(summary, spread))
    report.verdict(headline(plan, summary, spread), explanation(plan), notes=warnings(plan, summary, spread))
    if summary.judged:
        found = [*report.pictures("layers"), *blocks(summary.judged)]
        report.section("What the vectors hold of the labels", *found, Paragraph(f"Labels: {labels_of(plan.labelled)}."))
    report.section("How the vectors differ", *_spread(summary, spread), *report.pictures("alikeness"))
    if summary.scores is not None:
        report.section("Scores beside the vectors", *_scores(plan, summary.scores))
    report.section("How to go on", Bullets(_next(plan)))
    report.section("Sequences", Bullets(_read(plan, summary)))
    described = about(plan)
    described["sha256"] = described["sha256"][:16] + "…"  # the whole of it stands in h5 and parquet
    report.section(
        "Model", Table(["Property", "Value"], [[name.replace("_", " "), value] for name, value in described.items()])
    )
    methods = ["pseudo-likelihood"] if plan.scored and plan.scored.method != PERPLEXITY else []
    methods += ["bootstrap", "nested"] if summary.judged else []
    cited = [*(CITED.get(key, "") for key in plan.encoder.citations), *methods, "transformers"]
    report.closing(parameters(plan.arguments, SETTINGS, unset=True), versions(PACKAGES), cited)
    return report


def headline(plan: Plan, summary: Summary, spread: Spread | None) -> str:
    """The verdict in one sentence."""
    count = plan.survey.sequences
    what = f"{count:,} sequence{'s' * (count != 1)}"
    if plan.pooling == "none":
        what = f"All {summary.vectors:,} positions of {what}"
    start = f"{what} became vectors of {plan.family.hidden_size:,} numbers each"
    if spread and spread.collapsed:
        return (
            f"{start}, but these are all but the same: the model tells nothing about what makes the sequences differ."
        )
    if summary.judged:
        return f"{start}; {in_words(summary.judged)}."
    cut = next((number for rule, number in summary.rules.sequences.items() if rule.startswith("truncated")), 0)
    if cut:
        return f"{start}; of {cut:,} only the beginning was read."
    if unknown_letters(summary.rules, plan.survey.letters):
        return f"{start}; not every letter of theirs reached the model."
    return f"{start}; every sequence was read whole."


def explanation(plan: Plan) -> str:
    """How a vector came about, in words."""
    letters = plan.family.one_letter_tokens
    letter = {"protein": "residue", "DNA": "base"}.get(plan.family.alphabet, "letter")
    token = letter if letters else "token"
    how = POOLING[plan.pooling].format(token=token, letter=letter)
    if plan.pooling == "none" and not letters:
        how = f"Each {letter} has the vector of the token that it is a part of"
    text = f"{how}, {_layer_text(plan)}, as {shown(plan.name, 80)} sees it"
    if plan.bundle and plan.bundle.needs_base_model:
        text += f", a model fine-tuned from {shown(plan.base_name, 80)}"
    return text + (". All are scaled to length 1." if plan.arguments.normalize else ".")


def _layer_text(plan: Plan) -> str:
    depth = plan.family.depth
    if plan.layers == (depth,):
        return f"in the last of {depth} layers"
    if plan.layers == (0,):
        return "before the first layer, where no token knows of its neighbours"
    if len(plan.layers) == 1:
        return f"in layer {plan.layers[0]} of {depth}"
    return f"as the mean of the layers {', '.join(map(str, plan.layers))} of {depth}"


def warnings(plan: Plan, summary: Summary, spread: Spread | None) -> list[str]:
    """What a reader must not overlook."""
    found = [sentence(note) for note in plan.notes] + (of_probes(summary.judged) if summary.judged else [])
    if spread and spread.collapsed:
        found.append(
            "Vectors that hardly differ come from a model that was never trained, whose training failed, or that is "
            "not for such sequences. Try another model or another layer."
        )
    elif spread and float(spread.cosines.mean()) > NARROW and not plan.arguments.normalize:
        found.append(
            "The vectors point much the same way, as is usual for language models. Methods that compare cosines or "
            "distances should take the mean off first, or scale each dimension (classification and plots of this tool "
            "suite do)."
        )
    found += unknown_letters(summary.rules, plan.survey.letters)
    if summary.zeros:
        found.append(f"{summary.zeros:,} vectors are all zeros and have no direction.")
    if plan.pooling == "cls" and not (plan.bundle and plan.bundle.manifest):
        found.append(
            "Many models were never trained to put anything into their first token; mean pooling is the safer choice "
            "where the model's authors do not say otherwise."
        )
    if plan.family.causal and plan.pooling in ("mean", "max"):
        found.append("In a decoder each token knows only of those before it; the last one has seen the whole sequence.")
    return found


def _spread(summary: Summary, spread: Spread | None) -> list[Block]:
    if not spread:
        return []
    vectors, _ = summary.sample()
    rows = [
        ["Cosine of two vectors", _range(spread.cosines)],
        ["The same with the mean vector taken off", _range(spread.centred)],
        ["Distance from the mean vector, as a share of its length", f"{spread.relative:.3g}"],
        ["Directions that the vectors fill", f"{spread.dimensions:.1f} of {vectors.shape[1]:,}"],
        ["Dimensions that never change", f"{spread.constant:,}"],
        ["Length of a vector", f"{summary.mean_norm:.4g} ({summary.smallest:.4g} to {summary.largest:.4g})"],
    ]
    text = (
        f"Measured on {len(vectors):,} of {summary.vectors:,} vectors, drawn at random; cosines on random pairs of "
        "them, with the range of the middle 95 %. With the mean taken off, cosines are about 0 on average, and far "
        "above it for sequences that the model takes for relatives. Lengths are of all vectors, before any scaling."
    )
    return [Table(["Measure", "Value"], rows), Paragraph(text)]


def _scores(plan: Plan, scores: np.ndarray) -> list[Block]:
    """What the model says of whole sequences (sequences, 2)."""
    rows = []
    for name, values in zip(COLUMNS[plan.scored.method], scores.T, strict=True):
        known = values[np.isfinite(values)]
        middle = f"{np.median(known):.4g} ({known.min():.4g} to {known.max():.4g})" if len(known) else "undefined"
        rows.append([name, middle])
    undefined = int(np.isnan(scores[:, 0]).sum())
    text = (
        f"{SCORED[plan.scored.method]} The second column is the sum of the logarithms. 'Score sequences and variants' "
        "gives the same numbers, with what the frequencies of the letters alone would say. A low perplexity says that "
        "a sequence is usual for the model, not that it works. Plots take the vectors alone, and so do classifiers, "
        "unless these columns are named to them as features."
    )
    if undefined:
        text += f" Of {undefined:,} sequences the model knows no letter, so they have none."
    return [Table(["Column", "Median (lowest to highest)"], rows), Paragraph(text)]


def _range(values: np.ndarray) -> str:
    low, high = np.percentile(values, [2.5, 97.5])
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def _next(plan: Plan) -> list[str]:
    if plan.pooling == "none":
        return [
            "Vectors of single positions are for methods that compare positions, and for programs of your own.",
            "Classification and plots need one vector a sequence: choose mean pooling for them.",
        ]
    return [
        "Train a classifier: 'Classify sequences by their embeddings' says how much of a label the vectors hold.",
        "Look at them: 'Plot embeddings of sequences' draws them in two dimensions, also before and after fine-tuning.",
        "Vectors can be compared with each other only if model, layer and pooling were the same.",
    ]


def _read(plan: Plan, summary: Summary) -> list[str]:
    found = plan.survey
    lines = [
        f"{found.sequences:,} sequences of {found.letters:,} letters, the longest of {found.longest:,}; read as "
        f"{summary.tokens:,} tokens in {summary.windows:,} windows of at most {plan.encoder.max_length:,}"
    ]
    if not plan.family.one_letter_tokens:
        lines.append(f"{found.letters / max(summary.tokens, 1):.2f} letters a token on average")
    if found.repeated:
        lines.append(
            f"{found.repeated:,} sequence{'s are' if found.repeated > 1 else ' is'} equal to an earlier one and "
            "so has the same vector; do not let equal ones fall into training and test set"
        )
    return lines + summary.rules.lines()
