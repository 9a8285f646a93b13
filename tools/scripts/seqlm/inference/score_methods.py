"""The names of the ways to score sequences and substitutions."""

from __future__ import annotations

AUTO = "auto"
PERPLEXITY, PSEUDO, ONE_PASS = "perplexity", "pseudo-perplexity", "pseudo-perplexity-one-pass"
MASKED, WILD_TYPE, RATIO = "masked-marginals", "wild-type-marginals", "log-likelihood-ratio"
NEXT = "next-letter"
OF_SEQUENCES = (PERPLEXITY, PSEUDO, ONE_PASS)
OF_SUBSTITUTIONS = (MASKED, WILD_TYPE, RATIO, NEXT)
METHODS = (AUTO, *OF_SEQUENCES, *OF_SUBSTITUTIONS)
NONE, EXACT, APPROXIMATE = "none", "exact", "one-pass"
BESIDE_VECTORS = (NONE, EXACT, APPROXIMATE)  # how scores are computed that stand beside embeddings
