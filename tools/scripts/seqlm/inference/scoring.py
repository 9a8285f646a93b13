"""A language model asked about sequences: how probable whole ones are, and each letter at single positions.

Three kinds of answers, see :mod:`seqlm.inference.score_methods` for the names of the methods:

- of a causal model, log p(sequence), the sum over all tokens and the one that ends it, and log p(letter | those before
  it) at every position;
- of a masked model, the pseudo-log-likelihood Σ log p(token | all others), each token masked in its turn (Salazar et
  al. 2020, https://doi.org/10.18653/v1/2020.acl-main.240), or the same from one pass in which nothing is masked;
- of a masked model, log p(letter) at positions that are masked, or from one pass in which nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter

import numpy as np

from seqlm.data.records import Rules
from seqlm.tokenization.encoder import UNPLACED, WITHOUT_STRUCTURE
from seqlm.tokenization.reading import UNKNOWN, UNREAD
from seqlm.tokenization.six_mers import K

from .batching import Batch
from .inference import passes
from .language_models import load_language_model
from .language_rows import windows
from .likelihood import Likelihood, TokenModel, likelihoods
from .loading import prepare
from .masked_likelihood import Asked, MaskedModel, MaskedReader, log_probabilities
from .score_methods import MASKED, ONE_PASS
from .scored_model import ScoredModel

Told = Callable[[float], None]


class Engine:
    """A model that is loaded, with how it reads sequences.

    Attributes:
        rules: what was changed when letters became tokens.
        passes: rows of tokens that were computed.
    """

    def __init__(self, plan: ScoredModel):
        arguments = plan.arguments
        device = prepare(arguments.threads, arguments.seed, arguments.device)
        memory = plan.memory.on(device)
        model = load_language_model(plan.opened, device, arguments.precision)
        self.plan, self.rules, self.passes = plan, Rules(), 0
        self.counted: Rules | None = None
        self.budget = memory.tokens()
        if plan.text:
            self.model, self.reader = TokenModel(model, plan.text.six_mers), None
            self.padding = int(plan.family.config.get("pad_token_id") or 0)
        else:
            self.model, self.reader = (
                MaskedModel(model),
                MaskedReader(plan.encoder, plan.family.mask_token, plan.family.masked_tokens),
            )
            self.padding = plan.encoder.padding
            self._alike = [np.asarray(tokens) for tokens in plan.family.alike]
        tokens = {letter: plan.family.token(letter) for letter in plan.family.letters}
        self._codes = {letter: plan.family.vocabulary.get(token, -1) for letter, token in tokens.items()}

    def followed_by(self, plan: ScoredModel) -> Engine:
        """The engine of another model, in the place of this one: the memory of one model is enough."""
        rules, passes = self.changes, self.passes
        del self.model
        following = Engine(plan)
        following.passes, following.counted = passes, rules
        return following

    @property
    def changes(self) -> Rules:
        """What was changed in the sequences, counted for the first model where there are several."""
        return self.rules if self.counted is None else self.counted

    def whole(self, items: Sequence[tuple[str, str]], told: Told = lambda done: None) -> list[Likelihood]:
        """What the model says of whole sequences (name, sequence), in their order.

        Args:
            told: how many of all their letters are done.

        Raises:
            InputError: a model that gives no finite numbers.
        """
        if self.plan.text:
            return self._causal(items, told)
        return self._masked(items, told, self.plan.method == ONE_PASS)

    def exact(self, items: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """Pseudo-log-likelihoods of a masked model with each token masked, whatever the method."""
        rules, self.rules = self.rules, Rules()  # what is changed in these sequences was counted before
        try:
            return self._masked(items, lambda done: None, False) if items else []
        finally:
            self.rules = rules

    def _causal(self, items: Sequence[tuple[str, str]], told: Told) -> list[Likelihood]:
        names, letters = [name for name, _ in items], [len(sequence) for _, sequence in items]
        sequences = [sequence for _, sequence in items]
        encoded = self.plan.text.encode(sequences, self.plan.text.closes)
        for ids, size in zip(encoded, letters, strict=True):
            if len(ids) > self.plan.limit:
                self.rules.count(f"read in overlapping windows of {self.plan.limit:,} tokens", size)
        given = self.plan.text.given
        self.passes += sum(len(windows(ids, self.plan.limit, given=given)) for ids in encoded)
        found = likelihoods(
            self.model,
            encoded,
            self.budget,
            names,
            lambda share: told(share * sum(letters)),
            self.plan.limit,
            given,
            self.plan.text.units(sequences),
        )
        return found

    def next_letters(
        self, items: Sequence[tuple[str, str]], letters: str, told: Told = lambda done: None
    ) -> list[np.ndarray]:
        """log p(letter | those before it) at every position of sequences (name, sequence), (positions, letters) each.

        Of 6-mers the mean over six readings, which begin at the first base, at the second, and so on to the sixth, so
        that each base is the first of a 6-mer in one of them, the second in another; the first five bases are in fewer.
        """
        text, limit = self.plan.text, self.plan.limit
        phases = K if text.six_mers else 1
        pieces = [(owner, phase) for owner, (_, one) in enumerate(items) for phase in range(min(phases, len(one)))]
        encoded = text.encode([items[owner][1][phase:] for owner, phase in pieces], text.closes)
        rows = [row for number, ids in enumerate(encoded) for row in windows(ids, limit, number, text.given)]
        self.passes += len(rows)
        codes = None if text.six_mers else self.code(letters)
        found: list[list[tuple[int, np.ndarray]]] = [[] for _ in pieces]
        names, done = [items[owner][0] for owner, _ in pieces], 0
        compute = partial(_next_letters, codes=codes)
        for part, (given,) in passes(compute, self.model, rows, self.padding, self.budget, names):
            for row, values in zip(part, given.double().numpy(), strict=True):
                counted = np.flatnonzero(row.weights[1:])
                found[row.owner].append((row.start, values[counted].reshape(-1, values.shape[-1])))
            done += len(part)
            told(done / len(rows) * sum(len(sequence) for _, sequence in items))
        sums = [np.zeros((len(sequence), len(letters))) for _, sequence in items]
        for (owner, phase), parts in zip(pieces, found, strict=True):
            size = len(items[owner][1]) - phase
            sums[owner][phase:] += np.concatenate([part for _, part in sorted(parts, key=itemgetter(0))])[:size]
        return [each / np.minimum(np.arange(len(each)) + 1, phases)[:, None] for each in sums]

    def _masked(self, items: Sequence[tuple[str, str]], told: Told, one_pass: bool) -> list[Likelihood]:
        names, letters = [name for name, _ in items], [len(sequence) for _, sequence in items]
        tokens = self.tokens(items)
        unknown, between = self.plan.unknown, self.plan.encoder.chains
        known = [np.flatnonzero(~np.isin(ids, [*unknown, -1 if between is None else between])) for ids in tokens]
        own = one_pass and not self._alike  # of letters with several tokens all are asked for
        self._count_left_out(tokens, unknown)
        if one_pass:
            asked = (self.reader.plain(ids, places, owner) for owner, (ids, places) in _numbered(tokens, known))
        else:
            asked = (
                self.reader.masked(ids, [place], owner)
                for owner, (ids, places) in _numbered(tokens, known)
                for place in places
            )
        sums, done = np.zeros(len(items)), 0.0
        for owner, places, found in self._run(chain.from_iterable(asked), names.__getitem__, own=own):
            columns = 0 if own else tokens[owner][places]
            sums[owner] += found[np.arange(len(places)), columns].sum()
            done += letters[owner] * len(places) / len(known[owner])
            told(done)
        return [Likelihood(value, len(places)) for value, places in zip(sums.tolist(), known, strict=True)]

    def tokens(self, items: Sequence[tuple[str, str]]) -> list[np.ndarray]:
        """Token ids of sequences (name, sequence) for a masked model, special tokens not among them."""
        readings = self.plan.encoder.read(items)
        for (_, sequence), reading in zip(items, readings, strict=True):
            if reading.unplaced:
                self.rules.count(WITHOUT_STRUCTURE if reading.unplaced == len(sequence) else UNPLACED, reading.unplaced)
            for rule, letters in ((UNKNOWN, reading.unknown), (UNREAD, reading.unread)):
                if letters:
                    self.rules.count(rule, len(letters))
            if len(reading.ids) > self.plan.limit:
                self.rules.count(f"read in windows of {self.plan.limit:,} tokens", len(sequence))
        return [reading.ids for reading in readings]

    def _count_left_out(self, tokens: list[np.ndarray], unknown: list[int]) -> None:
        for ids in tokens:
            if left_out := int(np.isin(ids, unknown).sum()):
                self.rules.count("tokens for unknown letters read, but not scored", left_out)

    def positions(
        self, asked: Iterable[tuple[np.ndarray, Sequence[int], int]], name: Callable[[int], str]
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(owner, places, log-probabilities (places, vocabulary)) of positions of a masked model.

        Args:
            asked: (tokens (n,), places, owner): the places of a row are masked together, or, of the wild-type
                marginals, none is.
            name: what an owner is called.
        """
        make = self.reader.masked if self.plan.method == MASKED else self.reader.plain
        return self._run(chain.from_iterable(make(*each) for each in asked), name)

    def code(self, letters: str) -> np.ndarray:
        """(letters,) token ids of letters that are a token each."""
        return np.asarray([self._codes[letter] for letter in letters])

    def _run(self, asked: Iterator[Asked], name: Callable[[int], str], own: bool = False) -> Iterator[tuple]:
        for owner, places, found in log_probabilities(self.model, asked, self.padding, self.budget, name, own):
            self.passes += 1
            for tokens in self._alike:
                found[:, tokens] = np.logaddexp.reduce(found[:, tokens], axis=1, keepdims=True)
            yield owner, places, found


def _next_letters(model: TokenModel, batch: Batch, codes: np.ndarray | None) -> tuple:
    return (model.next_letters(batch, codes),)


def _numbered(*lists) -> Iterator[tuple]:
    return enumerate(zip(*lists, strict=True))
