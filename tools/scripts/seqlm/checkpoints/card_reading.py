"""Python of a model card that reads a sequence as the tools do: its tokens, and which of them are no special ones."""

from __future__ import annotations

import json

from seqlm.data.records import DNA, PROTEIN, STATES
from seqlm.families.vocabulary import BASE_TOKENS

WITH_MASK = (
    '    tokens = tokenizer(text, return_tensors="pt", return_special_tokens_mask=True)',
    '    letters = tokens.pop("special_tokens_mask")[0] == 0',
)
NO_END = (
    '    tokens = tokenizer(text, return_tensors="pt")',
    '    letters = torch.arange(tokens["input_ids"].shape[1]) > 0  # all but <cls>',
)
ATOMS = (  # see seqlm.tokenization.readers.AtomReader
    '    if "Cl" not in tokenizer.get_vocab():  # a second model, not of molecules',
    *(f"    {line}" for line in WITH_MASK),
    "    else:  # by itself this tokenizer loses atoms",
    r'        atoms = re.findall(r"\[.*?\]|%\d\d|>>|Br|Cl|.", text)',
    "        ids = [tokenizer.cls_token_id, *tokenizer.convert_tokens_to_ids(atoms), tokenizer.sep_token_id]",
    '        tokens = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}',
    "        letters = torch.tensor([False] + [True] * len(atoms) + [False])",
)
SIX_MERS = (  # see seqlm.tokenization.six_mers.SixMerReader
    '    if not hasattr(tokenizer, "start"):  # a second model, whose tokens are others',
    *(f"    {line}" for line in WITH_MASK),
    "    else:",
    "        ids = [tokenizer.start, *tokenizer.read([text])[0].ids.tolist()]",
    '        tokens = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids)).long()}',
    "        letters = torch.arange(len(ids)) > 0",
)
BASE_BY_BASE = (
    '    tokens = {"input_ids": torch.tensor([[tokenizer[base] for base in text]])}',
    "    letters = torch.ones(len(text), dtype=torch.bool)",
)
OF_BASES = "hyenadna"  # the family; its published tokenizers are code
OF_SIX_MERS = "generator"  # the family; its published tokenizers are code
READER = (
    "from seqlm.families.vocabulary import read_vocabulary  # in tools/scripts of SeqLM for Galaxy",
    "from seqlm.tokenization.six_mers import SixMerReader",
)
# likewise, where a token is a letter: what stands before a sequence and after it; that of ProGen2 asks for code of its
# authors, though its tokens stand in a file
OF_LETTERS = {"lucaone": ("[CLS]", "[SEP]"), "proteinbert": ("<cls>", "<eos>"), "progen2": ("1", "")}
# family whose tokenizer is code -> what stands in its place: imports, and how it is opened
READERS = {
    OF_SIX_MERS: (READER, "tokenizer = SixMerReader.of(read_vocabulary(Path(folder)))"),
    OF_BASES: ((), 'tokenizer = {base: number for number, base in enumerate("ACGTN", 7)}'),
    **dict.fromkeys(OF_LETTERS, (READER[:1], "tokenizer = read_vocabulary(Path(folder))")),
}
EXAMPLES = {
    PROTEIN: ("MKTAYIAKQR", "MSLENTQAEV"),
    DNA: ("ACGTACGTAC", "TTGACAGCTA"),
    STATES: ("dvvlvvqlvv", "dppdpvvvlv"),
}
# Python of what stands between the letters of a protein, of tokenizers of which some split at blanks alone
_BLANK = '" " if tokenizer.unk_token in tokenizer.tokenize("MK") else ""'
BETWEEN_LETTERS = {
    **dict.fromkeys(("albert", "bert", "xlnet"), _BLANK),
    "t5": '" " if "▁A" in tokenizer.get_vocab() else ""',  # Ankh has no blanks
}
CHAINS = (("EVQLVESGGG", "DIQMTQSPSS"), ("QVQLQQSGAE", "EIVLTQSPAT"))  # heavy and light
MOLECULES = ("CC(=O)Oc1ccccc1C(=O)O", "CC(Cl)Br")


def reading_code(manifest: dict) -> tuple[str, ...]:
    """The lines that turn ``text`` into ``tokens`` and tell its ``letters``, of the function ``read`` of a card."""
    told = manifest.get("prefix") or (manifest.get("second_model") or {}).get("prefix")
    if manifest.get("tokenizer") == "repaired":
        return ATOMS
    if without_end(manifest):
        return NO_END
    if manifest["family"] == OF_SIX_MERS:
        return SIX_MERS
    if manifest["family"] == OF_BASES:
        return BASE_BY_BASE
    if manifest["family"] in OF_LETTERS:
        return _letters(*OF_LETTERS[manifest["family"]])
    if between := between_chains(manifest):
        apart = f'tokenizer.convert_tokens_to_ids("{between}")'
        return (*WITH_MASK, f'    letters &= tokens["input_ids"][0] != {apart}  # what stands between the chains')
    return _told(told) if told else WITH_MASK


def without_end(manifest: dict) -> bool:
    """Whether the model has no token at the end, and transformers would add one: the Nucleotide Transformer."""
    return manifest["family"] in ("esm", "nucleotide_transformer") and manifest["alphabet"] == DNA


def between_chains(manifest: dict) -> str:
    """The token between heavy and light chain; empty of a model of single chains, see ``tokenization.chains``."""
    return ("</s>" if manifest["family"] == "t5" else "[SEP]") if manifest.get("light_chains") else ""


def example_texts(manifest: dict) -> list[str]:
    """Python of two texts for the tokenizer, each of an example of a sequence."""
    if manifest["family"] == "saprot":
        form = '"".join(letter + "#" for letter in "{}")'
        if manifest.get("structures"):
            form = '"".join(map("".join, zip("{}", "{}")))'
        return [form.format(*both) for both in zip(EXAMPLES[PROTEIN], EXAMPLES[STATES], strict=True)]
    if manifest["family"] in OF_LETTERS:
        bases = f"str.maketrans({''.join(BASE_TOKENS)!r}, {''.join(BASE_TOKENS.values())!r})"
        form = '"{}"' if manifest["alphabet"] == PROTEIN else f'"{{}}".translate({bases})'
        return [form.format(one) for one in EXAMPLES[manifest["alphabet"]]]
    if between := between_chains(manifest):
        return [f'" ".join("{heavy}") + " {between} " + " ".join("{light}")' for heavy, light in CHAINS]
    form = '"{}"'
    if manifest["alphabet"] == PROTEIN and manifest["family"] in BETWEEN_LETTERS:
        form = f'({BETWEEN_LETTERS[manifest["family"]]}).join("{{}}")'
    return [form.format(one) for one in EXAMPLES.get(manifest["alphabet"], MOLECULES)]


def _letters(before: str, after: str) -> tuple[str, ...]:
    """Python that reads letters by a table of tokens, see ``families.lucaone``."""
    framed = ", ".join([json.dumps(before), "*text", *([json.dumps(after)] if after else [])])
    return (
        "    if not isinstance(tokenizer, dict):  # a second model, whose tokens are others",
        *(f"    {line}" for line in WITH_MASK),
        "    else:",
        f"        ids = [tokenizer[one] for one in ({framed})]",
        '        tokens = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids)).long()}',
        f"        letters = torch.tensor([False] + [True] * len(text){' + [False]' if after else ''})",
    )


def _told(prefix: str) -> tuple[str, ...]:
    """Python that reads a sequence behind the token that tells the model what follows, see ``families.t5``."""
    return (
        "    words = tokenizer.get_vocab()",
        f"    if {json.dumps(prefix)} not in words:  # a second model, which takes no prefix",
        *(f"    {line}" for line in WITH_MASK),
        "    else:  # neither the prefix nor the end is part of the sequence",
        '        pieces = ["▁" + letter if "▁" + letter in words else letter for letter in text.replace(" ", "")]',
        f'        ids = tokenizer.convert_tokens_to_ids([{json.dumps(prefix)}, *pieces, "</s>"])',
        '        tokens = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids)).long()}',
        "        letters = torch.tensor([False] + [True] * len(pieces) + [False])",
    )
