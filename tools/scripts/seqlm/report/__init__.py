"""One document, rendered as Galaxy's tool markdown and as an HTML page; its figures, and words that reports share."""
