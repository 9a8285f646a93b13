"""How embeddings can be projected."""

from __future__ import annotations

METHODS = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}  # as people call them
