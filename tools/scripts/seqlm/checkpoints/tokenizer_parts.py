"""The parts of a tokenizer.json that a stranger made: known kinds only, and none that lets a text grow without bound.

What rewrites a text can double it as often as it has steps, and some regular expressions take twice as long for each
letter more, at the end of which the library gives up with a panic.
"""

from __future__ import annotations

from seqlm.cli.errors import InputError

KINDS = {
    "normalizer": ("BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled",
                   "Prepend", "Replace", "Sequence", "Strip", "StripAccents"),
    "pre_tokenizer": ("BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation",
                      "Sequence", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit"),
    "post_processor": ("BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"),
    "decoder": ("BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Sequence", "Strip",
                "WordPiece"),
    "model": ("BPE", "Unigram", "WordLevel", "WordPiece"),
}  # fmt: skip
MOST_PARTS = 64
LONGEST_TEXT = 1000  # letters of what is looked for, or put in its place
MOST_GROWTH = 8  # times as long as a text may become
LONGEST_WORD = 10_000  # letters that WordPiece may look through at once, in time that grows with their square


def check_parts(content: dict, name: str) -> None:
    """Look at all parts of a tokenizer.json.

    Raises:
        InputError: naming the part that is not allowed.
    """
    model = content["model"]
    if model.get("type") not in (*KINDS["model"], None):
        raise InputError(f"{name} has a model of the kind {str(model['type'])[:40]!r}, which is not supported")
    word = model.get("max_input_chars_per_word")
    if word is not None and (type(word) is not int or not 0 < word <= LONGEST_WORD):
        raise InputError(f"'max_input_chars_per_word' in {name} is {str(word)[:40]}; it goes up to {LONGEST_WORD:,}")
    for part, kinds in KINDS.items():
        if part == "model" or (part == "normalizer" and _is_overlaps(content.get(part))):
            continue
        steps = list(_steps(content.get(part), f"{part} of {name}"))
        if len(steps) > MOST_PARTS:
            raise InputError(f"the {part} of {name} has {len(steps):,} steps; the limit is {MOST_PARTS}")
        growth = 1.0
        for step in steps:
            if step.get("type") not in kinds:
                kind = str(step.get("type"))[:40]
                raise InputError(f"the {part} of {name} has a step of the kind {kind!r}, which is not supported")
            growth *= _growth(step, f"the {part} of {name}")
        if growth > MOST_GROWTH:
            raise InputError(
                f"the {part} of {name} can make a text {growth:.3g} times as long; the limit is {MOST_GROWTH} times"
            )


def _is_overlaps(normalizer) -> bool:
    """Whether it is what the package's own tokenizers of overlapping words have, which grows by design."""
    if not isinstance(normalizer, dict) or normalizer.get("type") != "Sequence":
        return False
    from seqlm.tokenization.kmer_overlaps import is_overlaps

    return is_overlaps(normalizer)


def _steps(part, where: str, depth: int = 0):
    """All steps of a part, those inside of others too."""
    if part is None:
        return
    if not isinstance(part, dict) or depth > 4:
        raise InputError(f"the {where} is no object, or is nested too deeply")
    yield part
    for key in ("normalizers", "pretokenizers", "processors", "decoders"):
        inner = part.get(key, [])
        if not isinstance(inner, list):
            raise InputError(f"the {where} has no list of steps")
        for one in inner:
            yield from _steps(one, where, depth + 1)


def _growth(step: dict, where: str) -> float:
    """How many times as long a step can make a text; its texts and its regular expression are looked at too."""
    for value in step.values():
        # Precompiled is a table, which a file may fill, and says nothing of length
        if isinstance(value, str) and len(value) > LONGEST_TEXT and step.get("type") != "Precompiled":
            raise InputError(f"{where} has a text of {len(value):,} letters; the limit is {LONGEST_TEXT:,}")
        if isinstance(value, list) and len(value) > MOST_PARTS:
            raise InputError(f"{where} has a list of {len(value):,} entries; the limit is {MOST_PARTS}")
    pattern, content = step.get("pattern"), step.get("content") or ""
    if not isinstance(content, str) or not isinstance(pattern, (dict, type(None))):
        raise InputError(f"{where} has a step that is no text")
    looked_for = next(iter(pattern.values()), "") if pattern else ""
    if not isinstance(looked_for, str) or len(looked_for) > LONGEST_TEXT:
        raise InputError(f"{where} looks for no text, or for one of more than {LONGEST_TEXT:,} letters")
    if pattern and "Regex" in pattern and repeats_within_repeats(looked_for):
        raise InputError(f"{where} has the regular expression {looked_for[:60]!r}, which repeats what repeats itself")
    if step.get("type") != "Replace":
        return 1.0
    if pattern and "Regex" in pattern:  # which may find nothing, everywhere
        return 1.0 + len(content)
    return max(1.0, len(content) / len(looked_for)) if looked_for else 1.0 + len(content)


def repeats_within_repeats(regex: str) -> bool:
    """Whether something is repeated that holds a repeat or a choice, for which the time can double with each letter."""
    inside = [False]  # of each group that is open: whether it holds a repeat or a choice
    closed = False  # the same of the group that ends just here
    at = 0
    while at < len(regex):
        letter, at = regex[at], at + 1
        if letter == "\\":
            at, closed = at + 1, False
        elif letter == "[":
            while at < len(regex) and regex[at] != "]":
                at += 2 if regex[at] == "\\" else 1
            at, closed = at + 1, False
        elif letter == "(":
            inside.append(False)
            at += regex[at : at + 1] == "?"  # of (?: and the like
        elif letter == ")" and len(inside) > 1:
            closed = inside.pop()
            inside[-1] |= closed
        elif letter in "*+{":
            if closed:
                return True
            inside[-1], closed = True, False
            if letter == "{":
                at = regex.find("}", at) + 1 or len(regex)
            at += regex[at : at + 1] in ("?", "+")  # lazy, possessive
        elif letter == "|":
            inside[-1], closed = True, False
        else:
            closed = closed and letter == "?"
    return False
