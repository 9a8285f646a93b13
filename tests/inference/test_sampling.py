"""Many sequences at once, each as if it were alone."""

from argparse import Namespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline

from seqlm.cli.errors import InputError
from seqlm.inference import sampling
from seqlm.inference.drawing import Drawing
from seqlm.inference.language_models import load_language_model, open_language_model
from seqlm.inference.sampling import Job, Limits, sample
from seqlm.tokenization.language_text import LanguageText

MODELS = ("tiny-protgpt2", "tiny-llama", "tiny-smiles-gpt2")
LONGEST = 60


class Writer:
    """A model, its text, a start alone and two prompts of different lengths."""

    def __init__(self, folder, scratch):
        opened = open_language_model(Namespace(model=str(folder), base_model=None, model_id=""), scratch)
        self.text = LanguageText(opened.family, opened.base.path)
        self.model = load_language_model(opened, torch.device("cpu"), "fp32")
        starts = ["c1cc", "CC"] if "smiles" in folder.name else ["MKTAYIAK", "MG"]
        self.prompts = [np.asarray([self.text.start]), *self.text.encode(starts, complete=False)]

    def write(self, jobs, drawing, slots, **limits):
        limits = Limits(self.text.ends, **{"max_tokens": LONGEST} | limits)
        return dict(sample(self.model, self.prompts, jobs, drawing, limits, slots))


@pytest.fixture(scope="module", params=MODELS)
def writer(request, tmp_path_factory):
    folder = request.config.rootpath / "test-data" / "models" / request.param
    return Writer(folder, tmp_path_factory.mktemp("writer"))


def same(first, second):
    return first.complete == second.complete and first.ids.tolist() == second.ids.tolist()


def many(count=24):
    return [Job(prompt, 1000 + prompt * count + number) for prompt in range(3) for number in range(count // 3)]


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_the_greedy_choice_writes_what_generate_writes(writer, penalty):
    drawing = Drawing(sample=False, repetition_penalty=penalty)
    written = writer.write([Job(place, 0) for place in range(3)], drawing, 2)
    for place, prompt in enumerate(writer.prompts):
        end = writer.text.ends[0]
        expected = writer.model.generate(
            torch.tensor(prompt)[None],
            attention_mask=torch.ones(1, len(prompt)),
            max_length=LONGEST,
            do_sample=False,
            repetition_penalty=penalty,
            eos_token_id=end,
            pad_token_id=end,
        )[0].tolist()
        assert written[place].ids.tolist() + [end] * written[place].complete == expected


def test_the_greedy_choice_writes_what_the_pipeline_of_the_tutorial_writes(request, tmp_path):
    folder = request.config.rootpath / "test-data" / "models" / "tiny-protgpt2"
    writer = Writer(folder, tmp_path)
    plain = pipeline("text-generation", model=str(folder), device="cpu")
    text = plain(
        "<|endoftext|>", max_length=100, do_sample=False, repetition_penalty=1.2, eos_token_id=0, max_new_tokens=None
    )[0]["generated_text"]
    (written,) = writer.write([Job(0, 0)], Drawing(sample=False, repetition_penalty=1.2), 1, max_tokens=100).values()
    assert text.removeprefix("<|endoftext|>").removesuffix("<|endoftext|>").replace("\n", "") == writer.text.write(
        written.ids
    )


def test_a_sequence_does_not_depend_on_what_is_written_beside_it(writer):
    drawing = Drawing(top_k=20, top_p=0.95, repetition_penalty=1.1)
    together = writer.write(many(), drawing, 24)
    assert any(not one.complete for one in together.values()) or len({len(one.ids) for one in together.values()}) > 5
    for slots in (1, 5):
        apart = writer.write(many(), drawing, slots)
        assert all(same(together[number], apart[number]) for number in together)
    fewer = writer.write(many()[:7], drawing, 7)
    assert all(same(together[number], fewer[number]) for number in fewer)


def test_other_seeds_give_other_sequences(writer):
    written = writer.write([Job(0, seed) for seed in range(30)], Drawing(), 8)
    assert len({one.ids.tobytes() for one in written.values()}) > 20


def test_the_limit_of_tokens_counts_the_prompt_and_marks_what_is_cut(writer):
    written = writer.write(many(), Drawing(), 8, max_tokens=12)
    assert all(len(one.ids) <= 12 for one in written.values())
    assert all(len(one.ids) == 12 for one in written.values() if not one.complete)
    assert any(not one.complete for one in written.values())
    assert not any(np.isin(one.ids[1:], writer.text.ends).any() for one in written.values())


def test_a_stop_is_asked_after_each_token(writer):
    seen = []

    def stop(ids, prompt):
        seen.append(prompt)
        return True if len(ids) == len(writer.prompts[prompt]) + 3 else None

    written = writer.write([Job(place, 5) for place in range(3)], Drawing(), 3, stop=stop)
    for place, prompt in enumerate(writer.prompts):
        assert len(written[place].ids) <= len(prompt) + 3
        assert written[place].complete
    assert set(seen) == set(range(len(writer.prompts)))


def test_slots_are_halved_where_memory_does_not_suffice_and_nothing_is_lost(writer, monkeypatch, capsys):
    expected = writer.write(many(), Drawing(), 24)
    original = sampling._Run._step

    def limited(run, reach):
        if run.slots > 5 and reach > 10:
            raise torch.OutOfMemoryError
        return original(run, reach)

    monkeypatch.setattr(sampling._Run, "_step", limited)
    got = writer.write(many(), Drawing(), 24)
    assert got.keys() == expected.keys() and all(same(got[number], expected[number]) for number in got)
    assert "note: the memory did not suffice; going on with 12 sequences at once" in capsys.readouterr().err
    monkeypatch.setattr(sampling._Run, "_step", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(InputError, match="does not fit into memory"):
        writer.write(many(), Drawing(), 24)


def test_memory_depends_on_the_slots_and_not_on_how_many_sequences_there_are(writer, monkeypatch):
    held = []
    original = sampling._Run._step

    def watched(run, reach):
        held.append(sum(layer.keys.numel() for layer in run.cache.layers if layer.is_initialized) + run.history.numel())
        return original(run, reach)

    monkeypatch.setattr(sampling._Run, "_step", watched)
    peaks = []
    for count in (12, 120):
        held.clear()
        writer.write(many(count), Drawing(), 6)
        peaks.append(max(held))
    assert peaks[0] == peaks[1] > 0


def test_an_adapter_writes_too(writer, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    folder = writer.model.config._name_or_path
    target = ["q_proj"] if "llama" in str(folder) else ["c_attn"]
    plain = AutoModelForCausalLM.from_pretrained(folder)
    model = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", target_modules=target, init_lora_weights=False))
    model.eval()
    limits = Limits(writer.text.ends, LONGEST)
    ((_, written),) = sample(model, writer.prompts, [Job(1, 0)], Drawing(sample=False), limits, 1)
    ids = torch.tensor(writer.prompts[1])[None]
    end = writer.text.ends[0]
    expected = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_length=LONGEST, do_sample=False, pad_token_id=end
    )[0].tolist()
    assert written.ids.tolist() + [end] * written.complete == expected
