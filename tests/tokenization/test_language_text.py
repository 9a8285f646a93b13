"""Letters to the tokens of models that write sequences, and back; what such a model says of a sequence."""

import random
from argparse import Namespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference.language_models import load_language_model, open_language_model
from seqlm.inference.language_rows import windows
from seqlm.inference.likelihood import TokenModel, likelihoods
from seqlm.tokenization.language_text import LanguageText

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def text_of(request, name, **options):
    folder = request.config.rootpath / "test-data" / "models" / name
    found = read_model_folder(folder)
    return LanguageText(recognise(found.path, found.config), folder, **options), folder


@pytest.mark.parametrize("length", [1, 59, 60, 61, 120, 200])
def test_protgpt2s_lines_of_sixty_are_what_its_tokenizer_reads(request, length):
    text, folder = text_of(request, "tiny-protgpt2")
    sequence = "".join(random.Random(length).choices(AMINO_ACIDS, k=length))
    lines = [sequence[at : at + 60] for at in range(0, length, 60)]
    written = "<|endoftext|>\n" + "\n".join(lines) + "\n<|endoftext|>"
    expected = AutoTokenizer.from_pretrained(folder)(written, add_special_tokens=False).input_ids
    (ids,) = text.encode([sequence])
    assert ids.tolist() == expected
    assert text.write(ids) == sequence
    (begun,) = text.encode([sequence], complete=False)
    assert begun.tolist() == expected[: len(begun)] and len(begun) < len(ids)


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-smiles-gpt2"])
def test_a_model_without_lines_gets_start_and_end_alone(request, name):
    text, _ = text_of(request, name)
    sequence = "c1cc[nH]c1C[C@H](C)Br" if "smiles" in name else "MKTAYIAK" * 20
    (ids,) = text.encode([sequence])
    assert ids[0] == text.family.config["bos_token_id"] and ids[-1] == text.family.config["eos_token_id"]
    assert text.write(ids) == sequence
    assert text.line_length == 0


def test_atoms_of_several_letters_are_one_token(request):
    text, _ = text_of(request, "tiny-smiles-gpt2")
    (ids,) = text.encode(["C[C@H](Cl)Br"])
    assert [text.family.token_of(number) for number in ids[1:-1].tolist()] == ["C", "[C@H]", "(", "Cl", ")", "Br"]


def test_what_has_no_token_is_named_with_its_place(request):
    text, _ = text_of(request, "tiny-smiles-gpt2")
    with pytest.raises(InputError, match=r"'X', position 3 of 'CCXC'|no token for a part of the molecule 'CCXC'"):
        text.encode(["CCXC"])


def test_the_length_of_lines_can_be_given_and_needs_a_line_break(request):
    text, _ = text_of(request, "tiny-protgpt2", line_length=10)
    assert text.lined("M" * 25) == "\n" + "M" * 10 + "\n" + "M" * 10 + "\n" + "M" * 5 + "\n"
    assert text_of(request, "tiny-protgpt2", line_length=0)[0].lined("MK") == "MK"
    with pytest.raises(InputError, match="no line break"):
        text_of(request, "tiny-llama", line_length=60)


@pytest.mark.parametrize("name", ["tiny-protgpt2", "tiny-llama"])
def test_likelihoods_are_transformers_loss_whatever_the_batches(request, tmp_path, name):
    text, folder = text_of(request, name)
    opened = open_language_model(Namespace(model=str(folder), base_model=None, model_id=""), tmp_path)
    model = TokenModel(load_language_model(opened, torch.device("cpu"), "fp32"))
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    rng = random.Random(4)
    rows = text.encode(["".join(rng.choices(AMINO_ACIDS, k=length)) for length in (3, 80, 10, 41, 80)])
    for budget in (1, 100, 10_000):
        for ids, found in zip(rows, likelihoods(model, rows, budget), strict=True):
            given = torch.from_numpy(ids)[None]
            with torch.no_grad():
                loss = plain(given, labels=given).loss.item()
            assert found.perplexity == pytest.approx(np.exp(loss), rel=1e-4)
            assert found.log_probability == pytest.approx(-loss * (len(ids) - 1), rel=1e-4)


def test_each_token_of_a_long_sequence_counts_once_with_most_of_what_is_before_it(request, tmp_path):
    text, folder = text_of(request, "tiny-llama")
    opened = open_language_model(Namespace(model=str(folder), base_model=None, model_id=""), tmp_path)
    model = TokenModel(load_language_model(opened, torch.device("cpu"), "fp32"))
    (ids,) = text.encode(["".join(random.Random(1).choices(AMINO_ACIDS, k=90))])
    limit, total = 40, 0.0
    starts, counted = [0, 30, 52], 1  # windows step by three quarters, the last is moved back to be full
    for start in starts:
        window = torch.from_numpy(ids[start : start + limit])[None]
        with torch.no_grad():
            logs = model.model(window).logits[0].log_softmax(1)
        for place in range(counted, start + window.shape[1]):
            total += float(logs[place - start - 1, ids[place]])
        counted = start + window.shape[1]
    (found,) = likelihoods(model, [ids], 1000, limit=limit)
    assert counted == len(ids) and found.tokens == len(ids) - 1
    assert found.log_probability == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("tokens", [2, 5, 8, 9, 12, 13, 31])
def test_every_token_but_the_first_counts_once_with_a_quarter_of_a_window_before_it(tokens):
    rows = windows(np.arange(tokens), 8, 3)
    assert np.concatenate([row.ids[row.weights > 0] for row in rows]).tolist() == list(range(1, tokens))
    for row in rows:
        assert len(row.ids) <= 8 and row.owner == 3 and row.ids[0] == row.start
        assert row.start == 0 or np.flatnonzero(row.weights)[0] >= 2
