#!/usr/bin/env bash
# The example of IgBert's and IgT5's cards averages, over the residues of two chains, the vector of the token between them
# as well (seen with transformers 5.23.0 and 4.46.3).
#
# Guessed: special_tokens_mask of "E V Q L [SEP] D I Q M" is 1 at all three special tokens, so that what is left after
# "mask special tokens before summing over embeddings" are the eight residues. In fact it is 1 only at the tokens that the
# tokenizer has added; the [SEP] (or </s>) that is written between heavy and light chain is 0, is summed, and counts in the
# length. Of two chains of 120 and 107 residues that is one vector in 228. Here it is left out of the mean, as it is no
# residue; vectors of the cards' own code differ a little for that.
#
# Seen: 1 0 0 0 0 0 0 0 0 0 1, with a 0 at the sixth place, which is [SEP].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0

printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' D E I L M Q V > "$folder/vocab.txt"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

from transformers import BertTokenizer

tokenizer = BertTokenizer.from_pretrained(sys.argv[1], do_lower_case=False)
read = tokenizer("E V Q L [SEP] D I Q M", return_special_tokens_mask=True)
print(tokenizer.convert_ids_to_tokens(read["input_ids"]))
print(read["special_tokens_mask"])
assert read["input_ids"][5] == tokenizer.sep_token_id and read["special_tokens_mask"][5] == 0, "this has changed"
PYTHON
