"""What a layer is said to keep for the backward pass is what torch keeps, for every family and way of training."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from makers.models import MAKERS, make
from makers.scripts import DATA
from seqlm.checkpoints.folder import read_model_folder
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import LoraSettings, add_adapter
from seqlm.inference.entering import blocks_of
from seqlm.inference.loading import load_backbone
from seqlm.inference.memory import Adapter, Need

OTHERS = ("esm", "bert", "roberta", "t5", "dnabert2")
ROWS, TOKENS, RANK = 6, 60, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    parent = tmp_path_factory.mktemp("kept")
    return lambda name: make(name, parent) if name in MAKERS else DATA / "models" / f"tiny-{name}"


def kept_by_torch(model, layer):
    """Bytes that a layer keeps for the backward pass, all its calls together, weights not counted."""
    seen, weights = {}, {one.untyped_storage().data_ptr() for one in model.parameters()}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage  # held, so that no other gets its place
        return tensor

    inside = saved_tensors_hooks(note, lambda tensor: tensor)
    hooks = [
        layer.register_forward_pre_hook(lambda *_: inside.__enter__()),
        layer.register_forward_hook(lambda *_: inside.__exit__()),
    ]
    most = min(25, len(model.get_input_embeddings().weight))
    ids = torch.randint(5, most, (ROWS, TOKENS), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, TOKENS // 2 :] = 0
    model.train()(input_ids=ids, attention_mask=mask)
    for hook in hooks:
        hook.remove()
    return sum(storage.nbytes() for storage in seen.values())


@pytest.mark.parametrize("how", ["attention", "query-value", "all-linear", "full"])
@pytest.mark.parametrize("name", [*MAKERS, *OTHERS])
def test_layers_keep_what_the_formula_says(folder, name, how):
    found = read_model_folder(folder(name))
    family = recognise(found.path, found.config)
    backbone = load_backbone(found.path, family, torch.float32, torch.device("cpu"))
    adapter = None
    if how == "full":
        model = backbone.requires_grad_(True)
    elif how in family.lora_modules:
        adapter = Adapter.of(family, how, RANK, 0.1)
        model = add_adapter(backbone, family, LoraSettings(rank=RANK, dropout=0.1, modules=how), "base")
    else:
        pytest.skip("an adapter that the family does not have")
    need = Need(family, found.parameters, 0, TOKENS, single=True, trains=True, whole=how == "full", adapter=adapter)
    layers = blocks_of(backbone, family.layers)
    # the last one, since nothing below an adapter keeps anything; of ALBERT the one that is called for each
    said = family.depth // len(layers) * need.kept(ROWS * TOKENS, "fp32", "cpu")
    if family.numbers_of_pair and not family.keeps_scores("cpu"):  # the one bias of all layers
        said += 4 * family.heads * TOKENS * ROWS * TOKENS
    assert said == pytest.approx(kept_by_torch(model, layers[-1]), rel=0.2)
