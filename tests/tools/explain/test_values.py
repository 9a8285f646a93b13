"""Values of positions compared with plain loops over transformers, and what they are made of."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from rdkit import Chem
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertModel, EsmModel

from makers.models import make, sequences
from makers.scripts import DATA
from seqlm.checkpoints.bundle import open_bundle
from seqlm.checkpoints.folder import read_model_folder
from seqlm.data.sequences import read_records
from seqlm.families.recognition import recognise
from seqlm.inference.inference import pooled_vectors
from seqlm.inference.loading import Finetuned, SequenceModel, load_backbone, load_finetuned
from seqlm.inference.tasks import Head, Task
from seqlm.report.logo import information
from seqlm.tokenization.encoder import Encoded, Encoder
from seqlm.tools.explain import attention, deletion, mutagenesis, occlusion
from seqlm.tools.explain.function import Change, Function, Item
from seqlm.tools.explain.gradients import Gradients
from seqlm.tools.explain.inputs import hidden_token
from seqlm.tools.explain.molecules import atom_values
from seqlm.tools.explain.shuffled import shuffled
from seqlm.tools.explain.tracks import stretches

CPU = torch.device("cpu")
SEQUENCES = [("a", "MKTAYIAKQRQISFVKSHFSRQ"), ("b", "GAVLIMCPFWYSTNQ"), ("c", "MKT")]


def opened(tmp_path, name, base=None):
    """A bundle of the test data, put together, and where its files lie."""
    bundle = open_bundle(DATA / f"bundle_{name}.zip", tmp_path)
    folder = read_model_folder(DATA / "models" / base) if base else bundle.model
    return load_finetuned(bundle, folder, CPU, "fp32"), bundle.folder, folder.path


def head(folder, vector):
    """A head of format 1 written out: outputs (n, outputs) of vectors (n, hidden)."""
    one = load_file(folder / "head.safetensors")
    inner = torch.tanh(vector @ one["dense.weight"].T + one["dense.bias"])
    return inner @ one["out.weight"].T + one["out.bias"], one


@pytest.fixture
def esm(tmp_path):
    """A model of three classes, and the log-odds of one of them for token ids, by transformers alone."""
    restored, folder, base = opened(tmp_path, "head_esm", "tiny-esm")
    tokenizer, plain = AutoTokenizer.from_pretrained(base), EsmModel.from_pretrained(base, add_pooling_layer=False)

    @torch.no_grad()
    def log_odds(ids, goal, hook=lambda *_: None):
        handle = plain.embeddings.word_embeddings.register_forward_hook(hook)
        states = plain.eval()(torch.tensor([ids])).last_hidden_state[0, 1:-1].mean(0)
        handle.remove()
        p = torch.softmax(head(folder, states)[0].double() / restored.task.temperature, 0)[goal]
        return float(torch.log(p / (1 - p)))

    function = Function(restored, 1024, tokenizer.mask_token_id)
    return function, lambda text: tokenizer(text)["input_ids"], log_odds


def test_occlusion_is_what_a_plain_loop_over_transformers_loses(esm):
    function, tokens, log_odds = esm
    items = function.items(SEQUENCES, goal=2)
    for item, values, (_, text) in zip(items, occlusion.maps(function, items), SEQUENCES, strict=True):
        ids = tokens(text)
        whole = log_odds(ids, 2)
        for place, value in enumerate(values):
            hidden = list(ids)
            hidden[place + 1] = function.hidden
            assert value == pytest.approx(whole - log_odds(hidden, 2), abs=1e-4), (item.id, place)


def test_the_class_is_the_predicted_one_where_none_is_asked_for(esm):
    function, tokens, log_odds = esm
    for item, (_, text) in zip(function.items(SEQUENCES, goal=None), SEQUENCES, strict=True):
        assert item.goal == int(np.argmax([log_odds(tokens(text), goal) for goal in range(3)]))


def test_integrated_gradients_add_up_to_what_is_predicted_beyond_an_empty_sequence(esm):
    """Of an ESM-2 the empty one has the mean of all letters everywhere."""
    function, tokens, log_odds = esm
    letters = tokens("ACDEFGHIKLMNPQRSTVWY")[1:-1]

    def emptied(module, _, states):
        states[:, 1:-1] = module.weight[letters].mean(0)
        return states

    gradients = Gradients(function, 64, 512, letters)
    for item, (_, text) in zip(function.items(SEQUENCES, goal=1), SEQUENCES, strict=True):
        values, gap = gradients.map(item)
        expected = log_odds(tokens(text), 1) - log_odds(tokens(text), 1, emptied)
        assert len(values) == len(text) and gap < 0.02 * abs(expected)
        assert values.sum() == pytest.approx(expected, rel=0.02)


def test_integrated_gradients_of_values_add_up_to_those_of_transformers(tmp_path):
    restored, folder, base = opened(tmp_path, "full_bert")
    tokenizer, plain = AutoTokenizer.from_pretrained(base), BertModel.from_pretrained(base, add_pooling_layer=False)

    @torch.no_grad()
    def value(ids):
        outputs, one = head(folder, plain.eval()(torch.tensor([ids])).last_hidden_state[0, 1:-1].mean(0))
        return float(outputs[0] * one["scale"] + one["shift"])

    function = Function(restored, 1024, tokenizer.mask_token_id)
    sequences = [(one.id, one.sequence) for one in read_records(DATA / "stability.csv")][:4]
    gradients, differences = Gradients(function, 100, 4096, []), []
    for item in function.items(sequences, None):
        ids = item.rows[0].ids.tolist()
        empty = [ids[0], *[tokenizer.mask_token_id] * item.tokens, ids[-1]]
        values, _ = gradients.map(item)
        differences.append(value(ids) - value(empty))
        assert values.sum() == pytest.approx(differences[-1], abs=0.01 * abs(differences[-1]) + 1e-3)
    assert max(map(abs, differences)) > 0.1


def test_of_a_change_only_the_windows_with_it_are_computed_and_the_result_is_that_of_all(tmp_path):
    restored, *_ = opened(tmp_path, "head_esm", "tiny-esm")
    restored.encoder.max_length = 16
    function = Function(restored, 1024, restored.encoder.vocabulary["<mask>"])
    (item,) = function.items([("long", "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSG")], 0)
    assert len(item.rows) == 4
    changes = [function.hide(0, item, np.asarray(places)) for places in ([], [0], [20], [13, 40], range(50))]
    computed = []
    passes = function._passes
    function._passes = lambda rows, names: computed.append(len(rows)) or passes(rows, names)
    values = function.values([item], changes)
    assert computed == [4, 1 + 1 + 3 + 4]
    for change, value in zip(changes, values, strict=True):
        rows = []
        for row in item.rows:
            ids = row.ids.copy()
            inside = [place - row.start for place in change.places if row.start <= place < row.start + 16]
            ids[1:-1][inside] = function.hidden
            rows.append(ids)
        whole = Encoded(tuple(rows), item.encoded.weights, 50, starts=item.encoded.starts)
        outputs = function.model.outputs(pooled_vectors(function.model, [whole], function.encoder.padding, 1024))
        p = function.model.decode(outputs)[0, 0]
        assert value == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    values, gap = Gradients(function, 32, 64, range(4, 24)).map(item)
    assert len(values) == 50 and gap < 0.02 * max(1, abs(values.sum()))


def test_shuffled_weights_are_other_ones_of_the_same_size_and_are_put_back(tmp_path):
    model = opened(tmp_path, "head_esm", "tiny-esm")[0].model
    before = {name: one.clone() for name, one in model.named_parameters()}
    seen = []
    for seed in (1, 2, 1):
        with shuffled(model, seed):
            seen.append({name: one.clone() for name, one in model.named_parameters()})
    for name, one in model.named_parameters():
        assert torch.equal(one, before[name])
        assert torch.equal(seen[0][name].flatten().sort().values, one.flatten().sort().values)
        assert torch.equal(seen[0][name], seen[2][name])
        if len(one.unique()) > 20:
            assert not torch.equal(seen[0][name], one) and not torch.equal(seen[0][name], seen[1][name])


def test_a_deletion_curve_begins_with_the_sequence_and_ends_with_nothing_of_it(esm):
    function, tokens, log_odds = esm
    items = function.items(SEQUENCES[:2], goal=2)
    orders = [[np.arange(item.tokens), *[np.arange(item.tokens)[::-1]] * deletion.RANDOM_ORDERS] for item in items]
    found = deletion.curves(function, items, orders)
    for curves, (_, text) in zip(found, SEQUENCES, strict=False):
        ids = tokens(text)
        half = [ids[0], *[function.hidden] * round(len(text) / 2), *ids[1 + round(len(text) / 2) :]]
        assert curves[0, 0] == pytest.approx(log_odds(ids, 2), abs=1e-4)
        assert curves[0, 5] == pytest.approx(log_odds(half, 2), abs=1e-4)
        assert curves[0, -1] == pytest.approx(log_odds([ids[0], *[function.hidden] * len(text), ids[-1]], 2), abs=1e-4)
    expected = found[:, 1, 1:-1].mean(1) - found[:, 0, 1:-1].mean(1)
    assert deletion.gains(found) == pytest.approx(expected)


def test_letters_share_the_value_of_their_token_and_what_was_cut_off_has_none():
    encoded = Encoded((), (), tokens=4, cut=1, lengths=np.asarray([2, 1, 3, 2]))
    item = Item("x", "ACGTTGAC", encoded, ())
    values = item.by_letter(np.asarray([1.0, -2.0, 6.0]))
    assert values[:6].tolist() == [0.5, 0.5, -2.0, 2.0, 2.0, 2.0] and np.isnan(values[6:]).all()


def test_a_change_replaces_tokens_by_others(esm):
    function, tokens, log_odds = esm
    (item,) = function.items([("a", "MKTAYIAKQR")], 0)
    other = tokens("MKWAYIAKQR")
    assert function.values([item], [Change(0, np.asarray([2]), np.asarray([other[3]]))])[0] == pytest.approx(
        log_odds(other, 0), abs=1e-4
    )


@pytest.fixture
def residues(tmp_path):
    """A model of sites, and the log-odds of one residue for token ids, by transformers and peft alone."""
    restored, folder, base = opened(tmp_path, "residues_esm", "tiny-esm")
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = PeftModel.from_pretrained(EsmModel.from_pretrained(base, add_pooling_layer=False), folder)

    @torch.no_grad()
    def log_odds(ids, site):
        outputs, _ = head(folder, plain.eval()(input_ids=torch.tensor([ids])).last_hidden_state[0, 1 + site])
        p = torch.softmax(outputs.double() / restored.task.temperature, 0)[1]
        return float(torch.log(p / (1 - p)))

    return Function(restored, 1024, tokenizer.mask_token_id), lambda text: tokenizer(text)["input_ids"], log_odds


def test_of_a_model_of_residues_one_residue_is_explained(residues):
    function, tokens, log_odds = residues
    for site in (None, 2):
        items = function.items(SEQUENCES, goal=1, site=site)
        for item, values, (_, text) in zip(items, occlusion.maps(function, items), SEQUENCES, strict=True):
            ids = tokens(text)
            if site is None:
                assert item.site == int(np.argmax([log_odds(ids, place) for place in range(len(text))]))
            for place, value in enumerate(values):
                hidden = [*ids[: place + 1], function.hidden, *ids[place + 2 :]]
                assert value == pytest.approx(log_odds(ids, item.site) - log_odds(hidden, item.site), abs=1e-4)
            values, gap = Gradients(function, 64, 512, tokens("ACDEFGHIKLMNPQRSTVWY")[1:-1]).map(item)
            assert len(values) == len(text) and gap < 0.05 * max(1, abs(values.sum()))


def test_of_a_residue_in_long_sequences_only_its_windows_count(residues):
    function, *_ = residues
    function.encoder.max_length = 16
    text = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSG"
    (item,) = function.items([("long", text)], 1, site=14)  # in the windows from 0 and from 12
    assert [row.start for row in item.rows] == [0, 12]
    (values,) = occlusion.maps(function, [item])
    assert (values[28:] == 0).all() and (values[:28] != 0).all()
    sites = function._sites([replace(item, site=None)])
    function.encoder.max_length = 1022
    assert 0 <= sites[0] < len(text)


def test_mutagenesis_is_what_a_plain_loop_over_all_substitutions_gives(esm):
    function, tokens, log_odds = esm
    letters = "ACDEFGHIKLMNPQRSTVWY"
    codes = tokens(letters)[1:-1]
    (item,) = function.items([("a", "MKTAYIAK")], 2)
    (effects,) = mutagenesis.scans(function, [item], codes)
    whole = log_odds(tokens("MKTAYIAK"), 2)
    for place in range(8):
        for column, letter in enumerate(letters):
            text = "MKTAYIAK"[:place] + letter + "MKTAYIAK"[place + 1 :]
            assert effects[place, column] == pytest.approx(log_odds(tokens(text), 2) - whole, abs=1e-4)
    own = np.asarray([[letter == mine for letter in letters] for mine in "MKTAYIAK"])
    assert mutagenesis.lost(effects, own) == pytest.approx(-effects.sum(1) / 19)


def test_stretches_are_the_fewest_letters_with_half_of_what_speaks_for_the_prediction():
    assert stretches(np.asarray([0.1, -5, 3, 2, 0.2, 0, 4, np.nan])) == [(2, 3), (6, 7)]
    assert stretches(np.asarray([5.0, 4, 1])) == [(0, 1)]
    assert stretches(np.asarray([-1.0, 0, np.nan])) == []


def test_the_information_of_a_logo_is_what_the_letters_tell_beyond_chance():
    many = information(["AC"] * 500 + ["AG"] * 500, "ACGT")
    assert many[0] == pytest.approx([2 - 3 / (2 * np.log(2) * 1000), 0, 0, 0])
    assert many[1] == pytest.approx([0, *[(1 - 3 / (2 * np.log(2) * 1000)) / 2] * 2, 0])
    assert information(["A", "C", "G", "T"], "ACGT").sum() == 0


def test_atoms_have_the_values_of_their_letters_in_the_order_of_rdkit():
    smiles = "Clc1cc[nH]c1[Na+]"
    values = np.arange(len(smiles), dtype=float)
    found = atom_values(smiles, values)
    molecule = Chem.MolFromSmiles(smiles)
    assert [atom.GetSymbol() for atom in molecule.GetAtoms()] == ["Cl", "C", "C", "C", "N", "C", "Na"]
    assert found.tolist() == [0 + 1, 2, 4, 5, 6 + 7 + 8 + 9, 10, 12 + 13 + 14 + 15 + 16]
    assert atom_values("no molecule", values) is None


@torch.no_grad()
def test_attention_is_rolled_out_as_in_a_plain_loop(esm, tmp_path):
    function, tokens, _ = esm
    plain = EsmModel.from_pretrained(DATA / "models" / "tiny-esm", attn_implementation="eager").eval()
    items = function.items(SEQUENCES, 0)
    for values, (_, text) in zip(attention.maps(function, items), SEQUENCES, strict=True):
        rolled = torch.eye(len(text) + 2)
        for scores in plain(torch.tensor([tokens(text)]), output_attentions=True).attentions:
            rolled = (scores[0].mean(0) + torch.eye(len(text) + 2)) / 2 @ rolled
        assert values == pytest.approx(rolled[1:-1].mean(0)[1:-1].numpy(), abs=1e-6)
    assert function.model.encoder_alone.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["xlnet", "ankh", "proteinbert", "modernbert", "progen2"])
def test_gradients_add_up_in_models_that_embed_in_their_own_ways(tmp_path, name):
    """Twice, transposed, with more beside the tokens: what is put into the place of the embeddings reaches the head."""
    base = read_model_folder(make(name, tmp_path))
    family = recognise(base.path, base.config)
    torch.manual_seed(0)
    head, task = Head(family.hidden_size, 2, kind="linear"), Task("sequence-classification", ("a", "b"))
    model = SequenceModel(load_backbone(base.path, family, torch.float32, CPU), family.hidden_size, head, task)
    function = Function(Finetuned(model, Encoder(family, base.path), task), 512, hidden_token(family)[0])
    (item,) = function.items([("a", sequences(name, 1, 20, 30)[0])], 0)
    places = np.arange(item.tokens)
    whole, empty = function.values([item], [function.hide(0, item, places[:0]), function.hide(0, item, places)])
    values, _ = Gradients(function, 64, 512, [], family.tokens_first).map(item)
    assert values.sum() == pytest.approx(whole - empty, abs=0.02 * abs(whole - empty) + 1e-5)


def test_how_far_a_model_tells_sequences_apart_is_the_deviation_of_log_odds(esm):
    function, tokens, log_odds = esm
    numbers = [[log_odds(tokens(text), goal) for _, text in SEQUENCES] for goal in range(3)]
    assert function.telling(function.items(SEQUENCES, 0)) == pytest.approx(np.std(numbers, axis=1).mean(), abs=1e-4)
