"""GFF3 and plots of predicted sites, made while the rows of the table go by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outputs import Outputs
    from .prediction_inputs import Plan


class SiteOutputs:
    """What is made of the rows of a scan, or of residues, beside the table."""

    def __init__(self, plan: Plan, outputs: Outputs):
        self.plan, self.outputs = plan, outputs

    def tee(self, rows: Iterable[list]) -> Iterator[list]:
        """The rows as they come."""
        yield from rows

    def finish(self) -> None:
        """Write what is only known at the end."""
