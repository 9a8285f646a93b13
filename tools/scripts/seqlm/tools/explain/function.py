"""The number that is explained, of sequences as they are and with some of their tokens changed.

It is the log-odds of a class, log p(class) / (1 - p(class)), or a value in its own units. What the windows of a
sequence give is added up, so that of a change only the windows that hold it are computed again:

    a sequence   Σ weight * vector of each token     ->   head of the weighted mean   ->   log-odds or value
    a residue    Σ weight * head of its vector       ->   log-odds or value

where the windows that hold a residue are those that count for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from seqlm.inference.batching import Batch, Row, rows_of
from seqlm.inference.inference import passes, residue_starts, residue_values
from seqlm.inference.loading import Finetuned, SequenceModel
from seqlm.tokenization.encoder import Encoded

CHANGES_AT_ONCE = 1024


@dataclass(frozen=True)
class Item:
    """One sequence as the model reads it.

    Attributes:
        rows: its windows.
        goal: place among the labels of the class that is explained; 0 where there are no classes.
        site: number, from 0, of the residue that is explained; None for the whole sequence.
    """

    id: str
    sequence: str
    encoded: Encoded
    rows: tuple[Row, ...]
    goal: int = 0
    site: int | None = None

    @property
    def tokens(self) -> int:
        """How many are read; those cut off at the end are not."""
        return self.encoded.tokens - self.encoded.cut

    @property
    def lengths(self) -> np.ndarray:
        """(tokens,) letters of each token."""
        given = self.encoded.lengths
        return np.ones(self.tokens, int) if given is None else np.asarray(given[: self.tokens], int)

    def by_letter(self, values: np.ndarray) -> np.ndarray:
        """Values of tokens (tokens,) as values of letters (letters,), which share that of their token alike; NaN where
        the end was cut off."""
        lengths = self.lengths
        found = np.full(len(self.sequence), np.nan)
        spread = np.repeat(values / np.maximum(lengths, 1), lengths)
        found[: len(spread)] = spread[: len(found)]
        return found


@dataclass(frozen=True)
class Change:
    """Tokens ``ids`` in the places (k,) of an item, the number of which is ``item``."""

    item: int
    places: np.ndarray
    ids: np.ndarray | int


class Function:
    """The number that is explained, as a function of tokens.

    Args:
        hidden: id of the token that stands for what is hidden.
        instead: token -> what hides it in place of that.
    """

    def __init__(self, restored: Finetuned, budget: int, hidden: int, instead: dict[int, int] | None = None):
        self.model, self.encoder, self.task = restored.model.eval(), restored.encoder, restored.task
        self.budget, self.hidden, self.instead = budget, hidden, instead or {}
        self.first = len(self.encoder.prefix)
        for part in (self.model, *(head for _, head in self.model.members)):
            part.requires_grad_(False)  # gradients are those of embeddings

    def items(self, sequences: Sequence[tuple[str, str]], goal: int | None, site: int | None = None) -> list[Item]:
        """Sequences with what is explained of each.

        Args:
            goal: the class; of whole sequences by default the one that is predicted.
            site: of a model of residues which one, from 0; by default the one of the highest number.
        """
        found = []
        for (name, text), encoded in zip(sequences, self.encoder.encode_many(sequences), strict=True):
            rows = tuple(row for row in rows_of([encoded]) if row.weights.any())
            found.append(Item(name, text, encoded, rows, goal or 0))
        if self.task.level == "residue":
            sites = self._sites(found) if site is None else [site] * len(found)
            return [self._narrowed(item, place) for item, place in zip(found, sites, strict=True)]
        if goal is None and self.task.labels:
            places = self.predicted(found).argmax(-1).tolist()
            found = [replace(item, goal=place) for item, place in zip(found, places, strict=True)]
        return found

    def predicted(self, items: Sequence[Item]) -> np.ndarray:
        """Probabilities (items, classes) or values (items,), of an ensemble the mean of its members."""
        given = [
            self.model.decode(self._outputs(torch.stack([one.sum(0) for one in self._bases(items)]), items).cpu())
            for _ in self.model.turns()
        ]
        return np.mean(given, axis=0)

    def values(
        self,
        items: Sequence[Item],
        changes: Sequence[Change],
        only: int | None = None,
        told: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """The number of each change, (changes,), of an ensemble the mean of its members.

        Args:
            only: the one member that is asked.
            told: how many changes are done.
        """
        found, members = np.zeros(len(changes)), 0
        for _ in self.model.turns(only):
            bases = self._bases(items)
            for start in range(0, len(changes), CHANGES_AT_ONCE):
                part = changes[start : start + CHANGES_AT_ONCE]
                found[start : start + len(part)] += self._changed(items, part, bases)
                told((start + len(part)) if not members else 0)
            members += 1
        return found / members

    def telling(self, items: Sequence[Item], only: int | None = None) -> float:
        """How far apart the model tells the items: the deviation over them of the log-odds of a class, on average over
        the classes, or of the value."""
        found = []
        for _ in self.model.turns(only):
            outputs = self._outputs(torch.stack([one.sum(0) for one in self._bases(items)]), items)
            classes = range(len(self.task.labels or (0,)))
            found.append(torch.stack([self._explained(outputs, [goal] * len(items)) for goal in classes]))
        return float(torch.stack(found).mean(0).std(1, unbiased=False).mean())

    def hide(self, number: int, item: Item, places: np.ndarray) -> Change:
        """The change that hides some tokens of an item."""
        if not self.instead:
            return Change(number, places, self.hidden)
        own = self.tokens_of(item)[places]
        return Change(number, places, np.asarray([self.instead.get(int(token), self.hidden) for token in own]))

    def tokens_of(self, item: Item) -> np.ndarray:
        """(tokens,) ids of the real tokens of a sequence."""
        ids = np.zeros(item.tokens, np.int64)
        for row in item.rows:
            part = row.ids[self.first : len(row.ids) - len(self.encoder.suffix)]
            ids[row.start : row.start + len(part)] = part
        return ids  # of what no window that counts holds, 0

    def parts(self, model: SequenceModel, batch: Batch) -> tuple[torch.Tensor, ...]:
        """What each row adds to the sum of its sequence, (rows, numbers)."""
        if self.task.level == "residue":
            return (model.head(model.residues(batch)) * batch.weights.sum(1)[:, None],)
        return (model.weighted_sums(batch)[0],)

    def finish(self, sums: torch.Tensor, items: Sequence[Item]) -> torch.Tensor:
        """The number that is explained, (n,), from the sums over the windows of ``items`` (n, numbers)."""
        return self._explained(self._outputs(sums, items), [item.goal for item in items])

    def _explained(self, outputs: torch.Tensor, goals: Sequence[int]) -> torch.Tensor:
        """The number (n,) that outputs of the head (n, outputs) stand for."""
        if self.task.labels is None:
            head = self.model.head
            return outputs[:, 0] * head.scale.double() + head.shift.double()
        logits = outputs / self.task.temperature
        goals = torch.tensor(goals, device=logits.device)[:, None]
        own = logits.gather(1, goals)[:, 0]
        return own if self.task.several else own - logits.scatter(1, goals, -torch.inf).logsumexp(1)

    def _outputs(self, sums: torch.Tensor, items: Sequence[Item]) -> torch.Tensor:
        """Outputs of the head (n, outputs)."""
        if self.task.level == "residue":
            return sums.to(self.model.device).double()
        weights = torch.tensor([sum(float(row.weights.sum()) for row in item.rows) for item in items])
        vectors = sums.to(self.model.device) / weights.to(self.model.device)[:, None]
        return self.model.head(vectors).double()

    def _sites(self, items: Sequence[Item]) -> list[int]:
        """Of each item the residue of the highest number."""
        encoded, starts = [item.encoded for item in items], residue_starts([item.encoded for item in items])
        goals, numbers = np.repeat([item.goal for item in items], np.diff(starts)).tolist(), 0.0
        for _ in self.model.turns():
            outputs = residue_values(self.model, encoded, self.encoder.padding, self.budget, [one.id for one in items])
            numbers += self._explained(outputs.double().to(self.model.device), goals).cpu().numpy()
        return [int(part.argmax()) for part in np.split(numbers, starts[1:-1])]

    def _narrowed(self, item: Item, site: int) -> Item:
        """An item of which one residue is explained: the windows that hold it, with a weight for it alone."""
        rows = []
        for row in item.rows:
            if 0 <= (place := self.first + site - row.start) < len(row.ids) and row.weights[place]:
                weights = np.zeros_like(row.weights)
                weights[place] = row.weights[place]
                rows.append(replace(row, weights=weights))
        return replace(item, rows=tuple(rows), site=site)

    def _bases(self, items: Sequence[Item]) -> list[torch.Tensor]:
        """What the windows of each item as it is add, (windows, numbers)."""
        rows = [replace(row, owner=owner) for owner, item in enumerate(items) for row in item.rows]
        place = {id(row): number for number, row in enumerate(rows)}
        found: list = [None] * len(rows)
        for part, (given,) in self._passes(rows, [item.id for item in items]):
            for row, one in zip(part, given, strict=True):
                found[place[id(row)]] = one
        starts = np.cumsum([0, *(len(item.rows) for item in items)]).tolist()
        return [torch.stack(found[start:end]) for start, end in pairwise(starts)]

    def _changed(self, items: Sequence[Item], changes: Sequence[Change], bases: list[torch.Tensor]) -> np.ndarray:
        rows: list[Row] = []
        sums = torch.zeros(len(changes), bases[0].shape[1])
        for number, change in enumerate(changes):
            for row, known in zip(items[change.item].rows, bases[change.item], strict=True):
                new = self._row(row, change, number)
                if new is None:
                    sums[number] += known
                else:
                    rows.append(new)
        owners = [items[change.item] for change in changes]
        for part, (given,) in self._passes(rows, [item.id for item in owners]):
            sums.index_add_(0, torch.tensor([row.owner for row in part]), given)
        with torch.inference_mode():
            return self.finish(sums, owners).cpu().numpy()

    def _row(self, row: Row, change: Change, owner: int) -> Row | None:
        """A window with the change in it; None where it holds nothing of it."""
        size = len(row.ids) - self.first - len(self.encoder.suffix)
        inside = (change.places >= row.start) & (change.places < row.start + size)
        if not inside.any():
            return None
        ids = row.ids.copy()
        ids[self.first + change.places[inside] - row.start] = (
            change.ids if np.isscalar(change.ids) else change.ids[inside]
        )
        return replace(row, ids=ids, owner=owner)

    def _passes(self, rows: list[Row], names: list[str]):
        return passes(self.parts, self.model, rows, self.encoder.padding, self.budget, names)
