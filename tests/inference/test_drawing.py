"""How the next token is chosen."""

import numpy as np
import pytest
import torch
from scipy import stats
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from seqlm.inference.drawing import Drawing, gumbel, mix

ROWS = 40_000


def test_mixing_is_splitmix64():
    # the first outputs for the seed 1234567, as its authors' reference code gives them
    state, golden = 1234567, 0x9E3779B97F4A7C15
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    got = [int(mix(torch.tensor(_signed(state + place * golden)))) % 2**64 for place in range(3)]
    assert got == expected


def _signed(number):
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number


def test_noise_is_gumbels_and_differs_between_seeds_places_and_tokens():
    seeds = torch.arange(300)[:, None]
    noise = gumbel(seeds, torch.full((300, 1), 7), torch.arange(100)[None])
    assert stats.kstest(noise.flatten().numpy(), "gumbel_r").pvalue > 1e-3
    other = gumbel(seeds, torch.full((300, 1), 8), torch.arange(100)[None])
    assert abs(np.corrcoef(noise.flatten(), other.flatten())[0, 1]) < 0.03
    assert abs(np.corrcoef(noise[:-1].flatten(), noise[1:].flatten())[0, 1]) < 0.03
    assert torch.equal(noise[3:5], gumbel(seeds[3:5], torch.full((2, 1), 7), torch.arange(100)[None]))


CHOICES = {
    "plain": (Drawing(), []),
    "temperature": (Drawing(temperature=0.6), [TemperatureLogitsWarper(0.6)]),
    "top-k": (Drawing(top_k=4), [TopKLogitsWarper(4)]),
    "top-p": (Drawing(top_p=0.7), [TopPLogitsWarper(0.7)]),
    "min-p": (Drawing(min_p=0.3), [MinPLogitsWarper(0.3)]),
    "typical": (Drawing(typical_p=0.6), [TypicalLogitsWarper(0.6)]),
    "repetition": (Drawing(repetition_penalty=1.7), [RepetitionPenaltyLogitsProcessor(1.7)]),
    "forbidden": (Drawing(forbidden=torch.tensor([0, 5])), [SuppressTokensLogitsProcessor([0, 5])]),
    "all of them": (
        Drawing(True, 1.3, 7, 0.95, 0.02, 0.97, 1.2, torch.tensor([2])),
        [
            RepetitionPenaltyLogitsProcessor(1.2),
            SuppressTokensLogitsProcessor([2]),
            TemperatureLogitsWarper(1.3),
            TopKLogitsWarper(7),
            TopPLogitsWarper(0.95),
            MinPLogitsWarper(0.02),
            TypicalLogitsWarper(0.97),
        ],
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_tokens_are_drawn_as_often_as_transformers_gives_them_probability(name):
    drawing, processors = CHOICES[name]
    logits = torch.tensor([1.2, -0.4, 2.1, 0.3, 0.9, -1.5, 1.7, 0.0, -0.2, 0.6])
    history = torch.tensor([[4, 1, 4]])
    probabilities = LogitsProcessorList(processors)(history, logits.clone()[None]).softmax(1)[0].double().numpy()
    drawn = drawing.choose(
        logits.repeat(ROWS, 1), history.repeat(ROWS, 1), mix(torch.arange(ROWS)), torch.full((ROWS,), 3)
    )
    counts = np.bincount(drawn, minlength=len(logits))
    possible = probabilities > 0
    assert not counts[~possible].any()
    expected = probabilities[possible] / probabilities[possible].sum() * ROWS
    assert possible.sum() == 1 or stats.chisquare(counts[possible], expected).pvalue > 1e-3


def test_the_greedy_choice_is_the_most_probable_token_after_the_penalty():
    logits = torch.tensor([[1.0, 3.0, 2.0], [-1.0, -3.0, -2.0]])
    history = torch.tensor([[1], [0]])
    greedy = Drawing(sample=False, repetition_penalty=4.0)
    assert greedy.choose(logits.clone(), history, torch.zeros(2).long(), torch.zeros(2).long()).tolist() == [2, 2]


def test_a_drawn_token_survives_the_noise_of_another_batch():
    torch.manual_seed(0)
    logits = torch.randn(2000, 5000)
    seeds, places, history = mix(torch.arange(2000)), torch.zeros(2000).long(), torch.zeros(2000, 1).long()
    drawing = Drawing(top_k=950)
    first = drawing.choose(logits.clone(), history, seeds, places)
    second = drawing.choose(logits + 1e-6 * torch.randn_like(logits), history, seeds, places)
    assert (first == second).float().mean() > 0.999
