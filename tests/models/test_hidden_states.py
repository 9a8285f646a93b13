"""The vectors of every layer, which our own architectures give where they are asked for, and else let go."""

import weakref

import pytest
import torch

from makers.models import OWN, make
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.inference.entering import blocks_of
from seqlm.inference.loading import load_backbone


@pytest.mark.parametrize("name", [name for name in OWN if name != "nucleotide-transformer-v2"])
def test_vectors_of_lower_layers_are_kept_only_where_they_are_asked_for(tmp_path, name):
    folder = make(name, tmp_path)
    family = recognise(folder, read_model_folder(folder).config)
    model = load_backbone(folder, family, torch.float32, torch.device("cpu"))
    entered, alive = [], []

    def entering(_, arguments):
        alive.append(sum(one() is not None for one in entered))
        entered.append(weakref.ref(arguments[0]))

    blocks = blocks_of(model, family.layers)
    for block in blocks:
        block.register_forward_pre_hook(entering)
    ids = torch.full((1, 6), 5)
    with torch.no_grad():
        model(input_ids=ids)
        assert len(alive) == len(blocks) > 1 and not any(alive)
        entered.clear()
        alive.clear()
        states = model(input_ids=ids, output_hidden_states=True).hidden_states
    assert alive == list(range(len(blocks)))
    assert [one() is state for one, state in zip(entered, states, strict=False)] == [True] * len(blocks)
