"""Our LucaOne beside its authors' own code, on the same random weights, and its letters beside their tokenizer.

Run by ``make reference``: the package is of the authors, and nothing of the suite imports it.
"""

import pytest
import torch
from lucaone import LucaGPLMConfig, LucaGPLMForMaskedLM, LucaGPLMTokenizer

from makers.models import LUCAONE, make
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.models.lucaone import LucaOneConfig, LucaOneForMaskedLM
from seqlm.tokenization.encoder import Encoder


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ({"num_hidden_layers": 2}, 50),
        ({"hidden_size": 320, "num_attention_heads": 5, "num_hidden_layers": 4}, 700),
        ({"hidden_size": 96, "num_attention_heads": 4, "num_hidden_layers": 3, "no_token_type_embeddings": True}, 60),
    ],
    ids=["published-width", "long", "without-types"],
)
@pytest.mark.filterwarnings("ignore")
def test_vectors_and_logits_are_those_of_the_authors_code(size, tokens, dtype):
    torch.manual_seed(3)
    ours = LucaOneForMaskedLM(LucaOneConfig(**size)).eval()
    with torch.no_grad():
        for parameter in ours.parameters():  # biases and norms that do something
            parameter.add_(torch.randn_like(parameter) * 0.05 * (parameter.ndim == 1))
    other = LucaGPLMForMaskedLM(LucaGPLMConfig(**size, tie_word_embeddings=False)).eval()
    missing, unexpected = other.load_state_dict(ours.state_dict(), strict=False)
    assert not unexpected and all(name.endswith("rot_emb.inv_freq") for name in missing)
    ours, other = ours.to(dtype), other.to(dtype)

    genes, proteins = torch.randint(5, 10, (2, tokens)), torch.randint(10, 36, (1, tokens))
    ids, types = torch.cat([genes, proteins]), torch.tensor([[0], [0], [1]]).expand(3, tokens)
    ids[:, 0], mask = 2, torch.ones_like(ids)
    mask[1, tokens // 3 :] = 0  # padding
    ids[mask == 0] = 0
    with torch.no_grad():
        vectors = ours.lucaone(ids, mask).last_hidden_state, other.lucaone(ids, mask, types).last_hidden_state
        logits = ours(ids, mask).logits, other(ids, attention_mask=mask, token_type_ids=types).logits
    real = mask.bool()
    for first, second in (vectors, logits):
        print(f"largest difference {(first - second)[real].abs().max():.1e}, of {first[real].abs().max():.1f}")
        assert first[real].std() > 0.1
        torch.testing.assert_close(first[real], second[real], atol=1e-5, rtol=1e-5)


def test_letters_are_those_of_the_authors_tokenizer(tmp_path):
    folder, tokenizer = make("lucaone", tmp_path), LucaGPLMTokenizer()
    assert tokenizer.get_vocab() == {token: number for number, token in enumerate(LUCAONE)}
    for told, text in (("gene", "ACGTNRYACCA"), ("prot", "MKTAYIAKQRBJOUXZ")):
        family = recognise(folder, read_model_folder(folder).config, prefix=told)
        read = "".join(family.replacements.get(letter, letter) for letter in text)
        assert Encoder(family, folder).encode(read).rows[0].tolist() == tokenizer(text, seq_type=told)["input_ids"]
