"""The small models that come along are what their cards say: small, whole, and trained."""

import math

import pytest

NAMES = {"protein-esm-0.2m": "masked", "dna-modernbert-0.2m": "masked", "smiles-gpt2-0.2m": "causal"}
# cold shock protein CspB of Bacillus subtilis, a relative of those of E. coli; caffeine, aspirin and paracetamol
COLD_SHOCK = "MLEGKVKWFNSEKGFGFIEVEGQDDVFVHFSAIQGEGFKTLEEGQAVSFEIVEGNRGPQAANVTKEA"
MOLECULES = ("Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Nc1ccc(O)cc1")


def opened(data, name):
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    kind = AutoModelForMaskedLM if NAMES[name] == "masked" else AutoModelForCausalLM
    model, info = kind.from_pretrained(data / "models" / name, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return model.eval(), AutoTokenizer.from_pretrained(data / "models" / name)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_whole_and_below_a_megabyte_and_has_a_card(data, name):
    folder = data / "models" / name
    model, _ = opened(data, name)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_000_000
    assert {file.suffix for file in folder.iterdir()} <= {".safetensors", ".json", ".md"}
    assert sum(one.numel() for one in model.parameters()) < 250_000
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: ") and "What it is not" in card and "Held out" in card


def test_the_protein_model_guesses_better_than_one_in_twenty(data):
    """Each residue of a protein hidden in turn; weights at random lose the logarithm of all 31 tokens."""
    import torch

    model, tokenizer = opened(data, "protein-esm-0.2m")
    ids = tokenizer(COLD_SHOCK, return_tensors="pt")["input_ids"][0]
    hidden = ids.repeat(len(COLD_SHOCK), 1)
    places = torch.arange(1, len(COLD_SHOCK) + 1)
    hidden[torch.arange(len(COLD_SHOCK)), places] = tokenizer.mask_token_id
    with torch.no_grad():
        logits = model(input_ids=hidden).logits[torch.arange(len(COLD_SHOCK)), places]
    assert torch.nn.functional.cross_entropy(logits, ids[places]).item() < math.log(20)


def test_the_molecule_model_likes_molecules_better_than_their_signs_in_reverse(data):
    import torch

    model, tokenizer = opened(data, "smiles-gpt2-0.2m")
    for smiles in MOLECULES:
        ids = tokenizer(smiles)["input_ids"]
        end = tokenizer.eos_token_id
        with torch.no_grad():
            there, back = (model(input_ids=one, labels=one).loss.item()
                           for one in (torch.tensor([[end, *order, end]]) for order in (ids, ids[::-1])))  # fmt: skip
        assert there < back - 0.5, smiles
