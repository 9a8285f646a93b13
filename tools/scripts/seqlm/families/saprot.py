"""SaProt (Su et al. 2024, https://doi.org/10.1101/2023.10.01.560349): an ESM that reads residues with structure.

A token is a residue and a state of Foldseek's 3Di alphabet in lower case, which tells how the residue's neighbours in
space lie; # stands for what is not known of either. Tokens of a sequence AA1 … AAn::

    <cls> AA1s1 … AAnsn <eos> <pad> …        with structures
    <cls> AA1# … AAn# <eos> <pad> …          without

There is no X: an unknown residue is #. The authors put # where a predicted structure is not sure (pLDDT below 70).
config.json says ``esm``; what tells the model is its vocabulary of 21 residues with 21 states each.
"""

from __future__ import annotations

from seqlm.cli.errors import InputError
from seqlm.data.records import LETTERS, PROTEIN, STATES

from .esm import Esm
from .vocabulary import UNSTRUCTURED, reads_structures

_STATES = LETTERS[STATES] + UNSTRUCTURED


class SaProt(Esm):
    name = "SaProt"
    citations = ("saprot", "foldseek")
    structured = True

    @classmethod
    def reads(cls, vocabulary: dict[str, int]) -> bool:
        return reads_structures(vocabulary)

    def __init__(self, config: dict, vocabulary: dict[str, int], alphabet: str = "auto"):
        if alphabet not in ("auto", PROTEIN):
            raise InputError(f"SaProt reads proteins, and its sequences were said to be {alphabet} (--alphabet)")
        super().__init__(config, vocabulary, PROTEIN)

    @property
    def replacements(self) -> dict[str, str]:
        return dict.fromkeys("UZOBJ", "X")

    def token(self, letter: str) -> str:
        return self.token_with(letter, UNSTRUCTURED)

    def token_with(self, letter: str, state: str) -> str:
        """The token of a residue, X where it is not known, and its 3Di state, # where that is not known."""
        return (UNSTRUCTURED if letter == "X" else letter) + state

    @property
    def masked_tokens(self) -> dict[int, int]:
        """The authors hide the residue and leave its state."""
        hidden = {state: self.vocabulary[self.token_with("X", state)] for state in _STATES}
        return {number: hidden[state] for (_, state), number in self.tokens_of_states().items()}

    @property
    def alike(self) -> list[list[int]]:
        held = self.tokens_of_states()
        return [[held[letter, state] for state in _STATES] for letter in self.letters]

    def tokens_of_states(self) -> dict[tuple[str, str], int]:
        """(residue, state) -> id, of all that there are."""
        return {
            (letter, state): self.vocabulary[self.token_with(letter, state)]
            for letter in self.letters
            for state in _STATES
        }
