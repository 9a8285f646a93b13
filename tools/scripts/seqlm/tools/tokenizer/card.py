"""README.md of a tokenizer's archive: what it reads, how it was made, and how to load it."""

from __future__ import annotations

from seqlm.data.records import CANONICAL, DNA, PROTEIN
from seqlm.tokenization.special_tokens import STYLES

from .names import ALGORITHMS

EXAMPLES = {DNA: "ACGTACGTTAGC", PROTEIN: "MKTAYIAKQR"}


def tokenizer_card(description: dict) -> str:
    """The card, from what seqlm_tokenizer.json says."""
    settings = description["settings"]
    kinds = ", ".join(description["alphabets"])
    name = ALGORITHMS[description["algorithm"]]
    if description["algorithm"] == "kmer":
        name = f"{settings['kmer']}-mers, " + ("overlapping" if settings.get("overlapping") else "one after the other")
    lines = [
        "---",
        "library_name: transformers",
        'tags: ["biology", "tokenizer", "seqlm"]',
        "---",
        f"# A tokenizer of {kinds}",
        "",
        f"{description['vocabulary']:,} tokens: {name}. Special tokens are those of "
        f"{STYLES[description['special_tokens']].made_for}.",
        "",
        "```python",
        "from transformers import AutoTokenizer",
        "",
        'tokenizer = AutoTokenizer.from_pretrained(".")  # the folder that the archive unpacks to',
        f'print(tokenizer("{EXAMPLES.get(description["alphabet"], "CC(=O)Oc1ccccc1C(=O)O")}")["input_ids"])',
        "```",
        "",
        *_reading(description),
        f"- Learnt from {description['trained_on_letters']:,} letters of a corpus of "
        f"{description['corpus_letters']:,}; SHA-256 of the corpus, as it was read: `{description['corpus_sha256']}`",
        f"- Settings: {', '.join(f'{key} {value}' for key, value in sorted(settings.items()))}",
        f"- Versions: {', '.join(f'{key} {value}' for key, value in sorted(description['versions'].items()))}",
    ]
    return "\n".join(lines) + "\n"


def _reading(description: dict) -> list[str]:
    told = []
    if {DNA, PROTEIN} & set(description["alphabets"]):
        told.append("- Sequences are written in capital letters without blanks.")
    if DNA in description["alphabets"]:
        told.append("- U is to be written as T; N is a token; other codes for several bases are unknown.")
    if description["alphabet"] == CANONICAL:
        told.append("- Molecules are to be written in canonical form first, as RDKit's Chem.CanonSmiles does.")
    return told
