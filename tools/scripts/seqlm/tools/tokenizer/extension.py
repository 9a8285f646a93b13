"""A model with a larger vocabulary: tokens learnt from sequences, and a row for each, the mean of those it replaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seqlm.archives.strict_json import text_of
from seqlm.checkpoints.bundle import open_bundle, write_bundle
from seqlm.checkpoints.config import check_config
from seqlm.checkpoints.config_entries import HEAD_VOCABULARY, REASONS, VOCABULARIES
from seqlm.checkpoints.manifest import write_manifest
from seqlm.checkpoints.model_card import model_card
from seqlm.cli.versions import versions
from seqlm.data.records import DNA, TEXT
from seqlm.families.recognition import recognise
from seqlm.metrics.resampling import Score
from seqlm.tokenization.corpus import pieces_of, reverse_complement
from seqlm.tokenization.encoder import reader_of

from .comparison import EVALUATED, Measured, Reader, letters_per_token, read_units
from .embedding_rows import copy_beside, extend_weights
from .extended_tokenizer import Extension, extend_tokenizer
from .extension_inputs import ExtensionPlan

SETTINGS = (
    "vocab_size", "min_frequency", "max_token_length", "both_strands", "chunk_length", "training_letters", "held_out",
    "smiles",
)  # fmt: skip
# what a model of text may have been trained on; it should be read as before
TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Classify the following DNA sequence as promoter or not:",
    "Proteins are chains of amino acids; DNA is made of four bases.",
    "Je ne sais pas. Das ist alles, was ich weiß!",
    "def reverse(text): return text[::-1]  # 12345",
    "NASA AND ESA PLAN A MISSION TO TITAN",
    "### Instruction:\nSay what this is.\n### Response:\n",
)
LITTLE = 1.02  # letters per token now and before; a vocabulary that gains less was hardly worth it
WORSE = 1 / LITTLE  # below, sequences have become longer
COLUMNS = ["token_id", "token", "length", "count", "pieces", "piece_ids"]


@dataclass
class Extended:
    """An extended model and what is known of it.

    Attributes:
        archive: the bundle.
        extension: the new tokens.
        size: rows of the embedding now.
        tensors: names of the weights that have new rows.
        reader: the new tokenizer, as the model reads sequences now.
        measured, scores: before and after, on the sequences held out.
        texts: of ``TEXTS``, how many are read as before, and how many there are; None for a model of letters.
    """

    plan: ExtensionPlan
    archive: Path
    extension: Extension
    size: int
    tensors: list[str]
    reader: Reader
    measured: list[Measured] = field(default_factory=list)
    scores: list[tuple[Score, Score]] = field(default_factory=list)
    texts: tuple[int, int] | None = None


def extend(plan: ExtensionPlan) -> Extended:
    """Learn new tokens, write the model with them, and read it back as whoever gets it will."""
    arguments, folder = plan.arguments, plan.scratch / "extended"
    folder.mkdir()
    extension = extend_tokenizer(
        plan.base.path,
        plan.family,
        lambda: _pieces(plan),
        plan.old.read,
        folder,
        alphabet=plan.corpus.alphabet,
        number=arguments.vocab_size,
        least=arguments.min_frequency,
        longest=arguments.max_token_length,
    )
    before = plan.family.vocabulary_size
    size = extension.size(before)
    rows = [(token.id, token.pieces) for token in extension.tokens]
    tensors = extend_weights(plan.base, before, size, rows, folder)
    config = {key: value for key, value in plan.base.config.items() if key not in REASONS}
    named = [name for name in (*VOCABULARIES, HEAD_VOCABULARY) if name in config]
    config |= dict.fromkeys(named or ["vocab_size"], size)
    (folder / "config.json").write_bytes(text_of(check_config(config)))
    copy_beside(plan.base.path, folder, ["generation_config.json"])
    manifest = _manifest(plan)
    if manifest:
        write_manifest(manifest, folder)
    (folder / "README.md").write_text(model_card(manifest) if manifest else _card(plan), encoding="utf-8")
    archive, unpacked = plan.scratch / "extended.zip", plan.scratch / "read_back"
    unpacked.mkdir()
    write_bundle(folder, archive)
    bundle = open_bundle(archive, unpacked)
    alphabet = manifest["alphabet"] if manifest else "auto"
    family = recognise(bundle.model.path, bundle.model.config, alphabet)
    reader = Reader("after", family, reader_of(family, bundle.model.path))
    found = Extended(plan, archive, extension, size, tensors, reader)
    texts = [plan.units.text(unit) for unit in plan.units.evaluated(EVALUATED).tolist()]
    found.measured = [read_units(Reader("before", plan.family, plan.old.reader), texts), read_units(reader, texts)]
    found.scores = letters_per_token(found.measured, arguments.seed)
    found.texts = _texts_as_before(plan, reader)
    return found


def _pieces(plan: ExtensionPlan) -> Iterator[str]:
    for piece, alphabet in pieces_of(plan.units, plan.chosen, plan.arguments.chunk_length, plan.rules):
        yield piece
        if plan.arguments.both_strands and alphabet == DNA:
            yield reverse_complement(piece)


def _manifest(plan: ExtensionPlan) -> dict | None:
    """seqlm.json of the new bundle; None for an encoder without the head that seqlm.json describes."""
    if not plan.has_head:
        return None
    arguments, family = plan.arguments, plan.family
    # a model of text is given sequences from now on
    alphabet = plan.corpus.alphabet if family.alphabet == TEXT else family.alphabet
    return {
        "format": 1,
        "task": "causal-lm" if family.causal else "masked-lm",
        "method": "full",
        "labels": None,
        "family": family.__module__.rsplit(".", 1)[-1],
        "alphabet": alphabet,
        "pooling": None,
        "max_length": family.window,
        "long_sequences": "window",
        "head": None,
        "base_model": {"id": plan.name, "revision": None, "sha256": plan.base.sha256},
        "settings": {name: getattr(arguments, name) for name in SETTINGS},
        "versions": versions(),
        "seed": arguments.seed,
        "data_sha256": plan.corpus.sha256,
        "metrics": {},
    }


def _card(plan: ExtensionPlan) -> str:
    return (
        '---\nlibrary_name: transformers\ntags: ["biology", "seqlm"]\n---\n# A model with an extended vocabulary\n\n'
        f"A {plan.family.name} model with tokens learnt from sequences added to its vocabulary. Their rows are means "
        "of the rows of the tokens that they take the place of; nothing was trained. SHA-256 of the weights of the "
        f"model before: `{plan.base.sha256}`; of the sequences: `{plan.corpus.sha256}`.\n"
    )


def _texts_as_before(plan: ExtensionPlan, reader: Reader) -> tuple[int, int] | None:
    if plan.family.alphabet != TEXT:
        return None
    before, after = plan.old.reader.read(list(TEXTS)), reader.reader.read(list(TEXTS))
    same = sum(a.ids.tolist() == b.ids.tolist() for a, b in zip(before, after, strict=True))
    return same, len(TEXTS)


def token_rows(found: Extended) -> Iterator[list]:
    """The new tokens, with the old ones that they take the place of."""
    names = {number: token for token, number in found.plan.family.vocabulary.items()}
    usage = found.measured[1].usage
    for one in found.extension.tokens:
        pieces = [names.get(piece, "") for piece in one.pieces]
        yield [
            one.id, one.token, len(one.text), int(usage[one.id]), " ".join(pieces), " ".join(map(str, one.pieces)),
        ]  # fmt: skip


def share_more(gain: float) -> str:
    """How many more tokens there are where each has ``gain`` times as many letters, in percent."""
    return f"{1 / gain - 1:.0%}".replace("%", " %")


def notes(found: Extended) -> list[str]:
    """What must not be overlooked, in words."""
    plan, arguments, told = found.plan, found.plan.arguments, []
    if (many := len(found.extension.tokens)) < arguments.vocab_size:
        told.append(
            f"{arguments.vocab_size:,} new tokens were asked for, and {many:,} were found: no further neighbours occur "
            f"{arguments.min_frequency} times or more in words of at most "
            f"{arguments.max_token_length or 'any number of'} letters that are no token yet."
        )
    if plan.units.shared:
        told.append(
            "The corpus is too small to hold anything out, or nothing was to be held out: all numbers are of the "
            "sequences that the tokens were learnt from, and are better than they would be on others."
        )
    elif (units := len(found.measured[0].letters)) < 20:
        told.append(f"Only {units} sequences or stretches were held out, so the intervals are rough, if there are any.")
    if found.texts and found.texts[0] < found.texts[1]:
        told.append(
            f"Of {found.texts[1]} sentences that are no sequences, {found.texts[1] - found.texts[0]} are now read "
            "otherwise than before. Words in capital letters can hold what looks like a sequence."
        )
    gain = found.scores[1][1]
    if gain.value < WORSE:
        told.append(
            f"With the new tokens, sequences have {share_more(gain.value)} more tokens than before, not fewer: the "
            "tokenizer cannot merge its tokens, so what stands between two new ones is split anew, into shorter tokens "
            "than before. Take fewer or longer new tokens, or none: the old vocabulary reads these sequences better."
        )
    elif not gain.low > LITTLE:
        told.append(
            f"The new tokens change little ({gain.value:.2f} times as many letters per token): the vocabulary had "
            "words for most of what is frequent here already. More of them, or none, may be the better choice."
        )
    told.append(
        "The model has not been trained with the new tokens: it hears the mean of what it would have read. Continue "
        "its training on sequences before you use it."
    )
    return told
