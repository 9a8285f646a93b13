"""On what terms a model may be used, as far as its card says."""

from __future__ import annotations

import re

# Identifiers of the Hub (cc-by-nc-4.0, cc-by-nc-sa-4.0, cc-by-nc-nd-4.0, fair-noncommercial-research-license, …) and
# what authors write beside the licence "other".
_NON_COMMERCIAL = re.compile(r"(?i)(^|[^a-z])nc([^a-z]|$)|non-?_? ?commercial|research[-_ ]only|academic[-_ ]use")


def non_commercial(*terms: str) -> str:
    """The first of these licences that does not allow commercial use; empty if none says so."""
    return next((term for term in terms if term and _NON_COMMERCIAL.search(term)), "")
