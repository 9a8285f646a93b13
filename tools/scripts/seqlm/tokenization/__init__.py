"""Letters to tokens: the rows that a model reads, windows and weights; corpora; vocabularies."""
