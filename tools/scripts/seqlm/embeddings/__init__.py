"""Files of vectors, ours and others', read back; labels, values and splits that belong to them."""
