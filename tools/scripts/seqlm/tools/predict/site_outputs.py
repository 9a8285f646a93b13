"""GFF3 and a plot of predicted sites, made while the rows of the table go by."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from seqlm.data.gff3 import Site, SiteWriter

if TYPE_CHECKING:
    from seqlm.cli.outputs import Outputs

    from .inputs import Plan

NO_SITE = ("0", "none", "no", "negative", "-", ".")  # names of a class that means that there is no site


class SiteOutputs:
    """What is made of the rows of a scan, or of residues, beside the table.

    Rows come protein after protein. ``seen`` is told of every protein before its rows come, so that those without any
    row are there too.
    """

    def __init__(self, plan: Plan, outputs: Outputs):
        self.plan, self.plot, self.shown = plan, plan.arguments.output_plot, []
        self._seen: deque[tuple[str, int]] = deque()
        self._target = outputs.file(self.plot) if self.plot else None
        self._writer = None
        if plan.arguments.output_gff3:
            self._writer = SiteWriter(outputs.file(plan.arguments.output_gff3), plan.arguments.site_type)
        self._total = 0

    def seen(self, name: str, length: int) -> None:
        self._seen.append((name, length))

    def tee(self, rows: Iterable[list]) -> Iterator[list]:
        """The rows as they come, with a look at each."""
        current: list[list] = []
        for row in rows:
            if current and current[0][0] != row[0]:
                self._protein(current)
                current = []
            current.append(row)
            yield row
        if current:
            self._protein(current)

    def finish(self) -> None:
        """Write what is only known at the end."""
        self._without_rows(None)
        if self._writer:
            self._writer.__exit__()
        if self.plot:
            from seqlm.report.figures import save

            from .site_figures import tracks

            threshold = self.plan.threshold
            figure = tracks(
                self.shown,
                self._classes,
                threshold=threshold if isinstance(threshold, float) else None,
                every_residue=not self.plan.sites,
                total=self._total,
            )
            save(figure, self.plan.scratch, "tracks")
            shutil.copyfile(self.plan.scratch / "tracks.png", self._target)

    @property
    def _several(self) -> bool:
        return self.plan.task == "multi-label"

    @property
    def _no_site(self) -> str | None:
        """The class that means that there is no site: of two the first, of more one that is called so.

        Where a site can have several labels there is none: no label means that.
        """
        labels = self.plan.labels or ()
        if self._several:
            return None
        if len(labels) == 2:
            return labels[0]
        return next((label for label in labels if label.lower() in NO_SITE), None)

    @property
    def _classes(self) -> list[str] | None:
        """The classes of interest."""
        return [label for label in self.plan.labels if label != self._no_site] if self.plan.labels else None

    def _without_rows(self, name: str | None) -> int:
        """Pass over proteins that have no rows, up to ``name``; returns its length."""
        while self._seen:
            protein, length = self._seen.popleft()
            self._total += 1
            if protein == name:
                return length
            if self._writer:
                self._writer.protein(protein, length, ())
        return 0

    def _protein(self, rows: list[list]) -> None:
        """All rows of one protein: id, position, residue, predicted, probability of each class, perhaps the window."""
        name, labels = rows[0][0], self.plan.labels
        length = self._without_rows(name)
        if self._writer:
            self._writer.protein(name, length, (site for row in rows for site in self._sites(row)))
        if self.plot and len(self.shown) < self.plan.arguments.plot_proteins:
            from .site_figures import Track

            positions = np.asarray([row[1] for row in rows])
            residues = "".join(row[2] for row in rows)
            if labels is None:
                self.shown.append(
                    Track(name, length, positions, residues, np.asarray([[row[3]] for row in rows]), None)
                )
                return
            places = [4 + labels.index(label) for label in self._classes]
            values = np.asarray([[row[place] for place in places] for row in rows])
            calls = np.asarray([[label in self._called(row) for label in self._classes] for row in rows])
            self.shown.append(Track(name, length, positions, residues, values, calls))

    def _called(self, row: list) -> list[str]:
        """The classes of interest that a row calls."""
        names = row[3].split(";") if self._several else [row[3]]
        return [name for name in names if name and name != self._no_site]

    def _sites(self, row: list) -> list[Site]:
        """The site of a row, once for each class that is called."""
        labels, window = self.plan.labels, row[-1] if self.plan.sites else ""
        return [Site(row[1], row[2], row[4 + labels.index(name)], name, window) for name in self._called(row)]
