"""A tuned model and its base model mixed: at 1 and 0 one of the two, else what both say of the same tokens."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from seqlm.inference.drawing import Drawing
from seqlm.inference.guidance import Guided
from seqlm.inference.sampling import Job, Limits, sample

LIMITS = Limits((2,), 24)
PROMPTS = [np.asarray([1]), np.asarray([1, 8, 9, 12, 5])]
JOBS = [Job(place, 50 + number) for place in range(2) for number in range(5)]


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-smiles-gpt2"])
def models(request):
    """The base model by itself, and a second copy of it with an adapter that changes a lot."""
    folder = request.config.rootpath / "test-data/models" / request.param
    base, other = (AutoModelForCausalLM.from_pretrained(folder).eval() for _ in range(2))
    torch.manual_seed(3)
    target = ["q_proj", "v_proj"] if "llama" in request.param else ["c_attn"]
    norms = ["input_layernorm"] if "llama" in request.param else ["ln_1"]
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules=target, init_lora_weights=False, lora_alpha=32, modules_to_save=norms
    )
    tuned = get_peft_model(other, config).eval()
    for name, weight in tuned.named_parameters():
        if ".modules_to_save." in name:
            weight.data *= 1.2
    return base, tuned


def written(model, jobs=JOBS, slots=10, sampled=True):
    found = dict(sample(model, PROMPTS, jobs, Drawing(sample=sampled), LIMITS, slots))
    return [found[number].ids.tolist() for number in range(len(jobs))]


def test_at_one_it_is_the_tuned_model_and_at_zero_the_base_model(models):
    base, tuned = models
    assert written(Guided(tuned, 1)) == written(tuned)
    assert written(Guided(tuned, 0)) == written(base)
    assert written(tuned) != written(base)


@pytest.mark.parametrize("weight", [0.5, 1.0000001, 2.5])
def test_each_token_is_that_of_both_models_read_in_whole(models, weight):
    base, tuned = models
    jobs = [Job(0, 0), Job(1, 0)]
    for ids in written(Guided(tuned, weight), jobs, 2, sampled=False):
        start = next(len(prompt) for prompt in reversed(PROMPTS) if ids[: len(prompt)] == prompt.tolist())
        row = torch.tensor([ids])
        with torch.no_grad():
            of_base, of_tuned = base(row).logits[0].double(), tuned(row).logits[0].double()
        mixed = of_base + weight * (of_tuned - of_base)
        assert mixed[start - 1 : -1].argmax(1).tolist() == ids[start:]


def test_a_sequence_does_not_depend_on_what_is_written_beside_it(models):
    together = written(Guided(models[1], 1.7))
    assert together == written(Guided(models[1], 1.7), slots=3)
    assert len({tuple(ids) for ids in together}) > 5


def test_the_adapter_is_on_again_afterwards(models):
    _, tuned = models
    row = torch.tensor([[1, 8, 9]])
    with torch.no_grad():
        before = tuned(row).logits
        written(Guided(tuned, 2), JOBS[:2])
        assert torch.equal(tuned(row).logits, before)
