"""Templates filled by a masked model, against the distribution that is computed by going through all of them."""

import shutil
from argparse import Namespace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from transformers import EsmForMaskedLM

from seqlm.inference.drawing import Drawing
from seqlm.inference.infilling import Schedule, infill
from seqlm.inference.language_models import load_language_model, open_language_model
from seqlm.inference.masked_likelihood import MaskedModel, MaskedReader
from seqlm.inference.sampling import Job
from seqlm.tokenization.encoder import Encoder

LETTERS = "LGVK"  # that may be filled in
WARMTH = 1.0  # with which no letter is rare and places depend on each other
CHAINS = 1200


class Filler:
    """A tiny masked model, and transformers' own of the same folder."""

    def __init__(self, folder, scratch):
        opened = open_language_model(Namespace(model=str(folder), base_model=None, model_id=""), scratch)
        self.family = opened.family
        self.encoder = Encoder(opened.family, opened.base.path)
        self.model = MaskedModel(load_language_model(opened, torch.device("cpu"), "fp32"))
        self.reference = EsmForMaskedLM.from_pretrained(folder).eval()
        self.tokens = [self.family.vocabulary[letter] for letter in LETTERS]
        self.forbidden = torch.tensor([n for n in range(self.family.vocabulary_size) if n not in self.tokens])

    def ids(self, sequence):
        return self.encoder.read([("", sequence)])[0].ids.astype(np.int64)

    def fill(self, templates, jobs, drawing=None, schedule=Schedule(), budget=20_000):  # noqa: B008 - frozen
        drawing = drawing or Drawing(temperature=WARMTH, forbidden=self.forbidden)
        reader = MaskedReader(self.encoder, self.family.mask_token)
        return dict(infill(self.model, reader, templates, jobs, drawing, schedule, budget))

    def conditional(self, ids, place):
        """(letters,) probabilities at a place that is masked, by transformers' class."""
        row = torch.tensor([*self.encoder.prefix, *ids, *self.encoder.suffix])[None]
        row[0, len(self.encoder.prefix) + place] = self.family.mask_token
        with torch.no_grad():
            logits = self.reference(input_ids=row, attention_mask=torch.ones_like(row)).logits[0]
        return (logits[len(self.encoder.prefix) + place, self.tokens].double() / WARMTH).softmax(0).numpy()


@pytest.fixture(scope="module")
def filler(request, tmp_path_factory):
    """Of a tiny model in which places have more to do with each other than training for seconds gave."""
    source, folder = request.config.rootpath / "test-data/models/tiny-esm-mlm", tmp_path_factory.mktemp("filler")
    shutil.copytree(source, folder / "model")
    model = EsmForMaskedLM.from_pretrained(source)
    for name, weight in model.named_parameters():
        if name.endswith(("value.weight", "key.weight", "query.weight", "attention.output.dense.weight")):
            weight.data *= 2
    model.save_pretrained(folder / "model")
    return Filler(folder / "model", folder)


def drawn(filler, sequence, places, schedule):
    """How often each state was drawn, in the order of the product of the letters."""
    jobs = [Job(0, 7_000_001 * number + 11) for number in range(CHAINS)]
    found = filler.fill([(filler.ids(sequence), np.asarray(places))], jobs, schedule=schedule)
    states = list(product(filler.tokens, repeat=len(places)))
    counts = dict.fromkeys(states, 0)
    for ids in found.values():
        counts[tuple(ids[places].tolist())] += 1
    return np.asarray([counts[state] for state in states], float)


def fits(counts, expected):
    """Pearson's statistic is below what one in a thousand true samples has above it."""
    return ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, len(counts) - 1)


def chain(filler, sequence, places, sweeps):
    """The exact probability of each state of two places after so many sweeps in random order, (16,)."""
    first, second = places
    mask, size = filler.family.mask_token, len(LETTERS)
    ids = filler.ids(sequence)

    def at(place, other, token):
        changed = ids.copy()
        changed[other] = token
        return filler.conditional(changed, place)

    of_first = np.stack([at(first, second, token) for token in filler.tokens])  # (second, first)
    of_second = np.stack([at(second, first, token) for token in filler.tokens])  # (first, second)
    one = at(first, second, mask)[:, None] * of_second
    other = (at(second, first, mask)[:, None] * of_first).T
    state = (one + other) / 2
    assert abs(of_first[:, None] - of_first[None]).max() > 0.3, "the places have nothing to do with each other"
    for _ in range(sweeps - 1):
        then_second = (of_first.T @ np.diag(state.sum(0))).sum(1)[:, None] * of_second
        then_first = ((of_second.T @ np.diag(state.sum(1))).sum(1)[:, None] * of_first).T
        state = (then_second + then_first) / 2
    return state.reshape(size * size)


def test_one_position_is_drawn_from_what_the_model_says_there(filler):
    sequence, place = "MKTAYIAKQRQISF", 4
    expected = filler.conditional(filler.ids(sequence), place)
    assert expected.max() > 1.6 * expected.min()
    counts = drawn(filler, sequence, [place], Schedule(sweeps=1))
    assert fits(counts, CHAINS * expected)
    assert not fits(counts, np.full(4, CHAINS / 4))


@pytest.mark.parametrize("sweeps", [1, 3])
def test_two_positions_are_drawn_from_the_chain_that_is_computed_exactly(filler, sweeps):
    sequence, places = "MKTAYIAKQRQISF", [3, 9]
    expected = chain(filler, sequence, places, sweeps)
    assert expected.sum() == pytest.approx(1)
    counts = drawn(filler, sequence, places, Schedule(sweeps=sweeps))
    assert fits(counts, CHAINS * expected)
    if sweeps > 1:
        assert not fits(counts, CHAINS * chain(filler, sequence, places, 1))


def test_positions_at_once_are_independent_of_each_other(filler):
    sequence, places = "MKTAYIAKQRQISF", [3, 9]
    masked = filler.ids(sequence)
    masked[places] = filler.family.mask_token
    expected = np.outer(*(filler.conditional(masked, place) for place in places)).ravel()
    assert fits(drawn(filler, sequence, places, Schedule(sweeps=1, at_once=2)), CHAINS * expected)


def test_a_template_does_not_depend_on_what_is_filled_beside_it(filler):
    templates = [(filler.ids("MKTAYIAKQRQISF"), np.asarray([1, 4, 5, 9])), (filler.ids("MKVLA"), np.asarray([2, 3]))]
    jobs = [Job(number % 2, 1000 + number) for number in range(12)]
    schedule = Schedule(sweeps=3, at_once=2)
    together = filler.fill(templates, jobs, schedule=schedule)
    for number, job in enumerate(jobs):
        ((_, alone),) = filler.fill(templates, [job], schedule=schedule, budget=1).items()
        assert alone.tolist() == together[number].tolist()
        given, places = templates[job.prompt]
        kept = np.setdiff1d(np.arange(len(given)), places)
        assert (alone[kept] == given[kept]).all()
    assert len({ids.tobytes() for number, ids in together.items() if number % 2 == 0}) > 3


def test_the_most_probable_letter_stays_where_no_other_is_more_probable(filler):
    ids, places = filler.ids("MKTAYIAKQRQISF"), np.asarray([4, 5, 6])
    drawing = Drawing(sample=False, forbidden=filler.forbidden)
    found = filler.fill([(ids, places)], [Job(0, 5)], drawing, Schedule(sweeps=30))[0]
    assert all(filler.tokens[filler.conditional(found, place).argmax()] == found[place] for place in places)


def test_a_schedule_halves_what_is_drawn_at_once():
    places = np.arange(10)
    sizes = [[len(block) for block in blocks] for _, blocks in Schedule(4, 4).blocks(3, places)]
    assert sizes == [[4, 4, 2], [2] * 5, [1] * 10, [1] * 10]
    assert Schedule(4, 4).steps(10) == sum(map(len, sizes))
    orders = [np.concatenate(blocks).tolist() for _, blocks in Schedule(3).blocks(3, places)]
    assert len({tuple(order) for order in orders}) == 3 and all(sorted(order) == places.tolist() for order in orders)


def test_what_is_longer_than_the_model_reads_is_read_in_windows_around_what_is_masked(filler):
    window = filler.encoder.max_length
    sequence = "MKTAYIAKQRQISF" * (window // 14 + 8)
    places = np.asarray([3, len(sequence) - 4])
    found = filler.fill([(filler.ids(sequence), places)], [Job(0, 5), Job(0, 6)], schedule=Schedule(2, 2))
    assert all(ids[place] in filler.tokens for ids in found.values() for place in places)
