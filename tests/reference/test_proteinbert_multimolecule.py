"""Our ProteinBERT beside an independent implementation with the same random weights, at its published size.

Run by ``make reference`` in an environment of its own: the other one is under the AGPL.
"""

import pytest
import torch
from multimolecule import ProteinBertConfig as OtherConfig
from multimolecule import ProteinBertForMaskedLM as OtherModel
from multimolecule import ProteinTokenizer

from makers.models import PROTEINBERT, make
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.models.proteinbert import ProteinBertConfig, ProteinBertForMaskedLM
from seqlm.tokenization.encoder import Encoder


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
@pytest.mark.parametrize(
    ("size", "tokens"),
    [({}, 60), ({"num_hidden_layers": 2}, 700), ({"hidden_size": 96, "global_hidden_size": 60}, 90)],
    ids=["published", "long", "other-widths"],
)
@pytest.mark.filterwarnings("ignore")
def test_vectors_and_logits_are_those_of_the_other_implementation(size, tokens, dtype):
    torch.manual_seed(3)
    other = OtherModel(OtherConfig(**size)).eval()
    with torch.no_grad():
        for parameter in other.parameters():  # biases and norms that do something
            parameter.add_(torch.randn_like(parameter) * 0.1)
    ours = ProteinBertForMaskedLM(ProteinBertConfig(**size)).eval()
    weights = other.state_dict()
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert not missing
    assert unexpected == ["model.embeddings.annotation_embeddings.weight", "lm_head.decoder.bias"]
    ours, other = ours.to(dtype), other.to(dtype)

    ids = torch.randint(6, 32, (3, tokens))
    mask = torch.ones_like(ids)
    mask[1, tokens // 3 :] = 0  # padding
    ids[mask == 0] = 0
    with torch.no_grad():
        vectors = [model.model(ids, attention_mask=mask).last_hidden_state for model in (ours, other)]
        logits = [model(ids, attention_mask=mask).logits for model in (ours, other)]
    for first, second in (vectors, logits):
        real = mask.bool()
        print(f"largest difference {(first - second)[real].abs().max():.1e}, of {first[real].abs().max():.1f}")
        assert first[real].std() > 0.1
        torch.testing.assert_close(first[real], second[real], atol=1e-5, rtol=1e-5)


def test_letters_are_those_of_the_other_tokenizer(tmp_path):
    folder, text = make("proteinbert", tmp_path), "MKTAYIAKQRBJOUXZ"
    assert list(ProteinTokenizer().get_vocab()) == PROTEINBERT
    family = recognise(folder, read_model_folder(folder).config)
    assert Encoder(family, folder).encode(text).rows[0].tolist() == ProteinTokenizer()(text)["input_ids"]
