"""Make the tiny models and the synthetic sequences of this folder: ``make test-data``.

The models have the true architectures (T5 encoder, ESM, BERT, RoBERTa, DNABERT-2) and random weights: they show that
the tools work, and nothing about biology. The sequences are drawn at random too; the positive class carries a made-up
motif around its central tyrosine, with exceptions, so that there is something to learn and no model gets everything
right.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import classifier_data
import dna_models
import embedding_data
import encoder_models
import format_data
import labelled_data
import language_data
import llama_dna_data
import molecule_data
import predicted_data
import pretraining_data
import protein_models
import site_data
import torch
import workflow_data
from encoder_models import AMINO_ACIDS
from peft import LoraConfig, TaskType, get_peft_model
from transformers import EsmForTokenClassification

sys.path.insert(0, str(Path(__file__).parent.parent / "tools" / "scripts"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from makers.contacts import fitted, pdb, walk
from makers.folding_models import MAKERS as FOLDING

HERE = Path(__file__).parent
# residues per thousand in UniProtKB/Swiss-Prot, rounded
FREQUENCIES = dict(
    zip(
        AMINO_ACIDS,
        [83, 97, 71, 69, 66, 55, 67, 55, 54, 59, 47, 58, 39, 39, 41, 29, 24, 23, 11, 14],
        strict=True,
    )
)
RANDOM, TRAINED = "Random weights", "Weights trained for seconds on made-up sequences"


def main() -> None:
    tiny = {"t5": encoder_models.tiny_t5, "esm": encoder_models.tiny_esm}
    tiny |= {"bert": encoder_models.tiny_bert, "roberta": encoder_models.tiny_roberta}
    tiny |= {"nucleotide-transformer-v2": dna_models.tiny_nucleotide_transformer_v2, "progen2": dna_models.tiny_progen2}
    tiny |= {"dnabert2": dna_models.tiny_dnabert2, "chemberta": molecule_data.tiny_chemberta}
    tiny |= {"chemberta-mtr": molecule_data.tiny_chemberta_mtr}
    tiny |= {"protgpt2": language_data.tiny_protgpt2, "llama": language_data.tiny_llama}
    tiny |= {"smiles-gpt2": language_data.tiny_smiles_gpt2, "esm-mlm": language_data.tiny_esm_mlm}
    tiny |= {"text-llama": llama_dna_data.tiny_text_llama, **FOLDING}
    tiny |= {"hyenadna": dna_models.tiny_hyenadna, "generator": dna_models.tiny_generator}
    tiny |= {"zymctrl": protein_models.tiny_zymctrl, "igbert": encoder_models.tiny_igbert}
    tiny |= {"lucaone": protein_models.tiny_lucaone, "proteinbert": protein_models.tiny_proteinbert}
    for name, make in tiny.items():
        folder = HERE / "models" / f"tiny-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        torch.manual_seed(2024)
        make(folder)
        describe(folder, name)
    rng = random.Random(2024)
    sites(HERE / "sites_train.fasta", 160, rng)
    sites(HERE / "sites_test.fasta", 60, rng)
    locations(HERE / "locations.tsv", 90, rng)
    stability(HERE / "stability.csv", 80, rng)
    promoters(HERE / "promoters.tsv", 80, rng)
    activities(HERE / "promoters.tsv", HERE / "promoter_activities.tsv")
    odd_proteins(HERE / "odd_proteins.fasta.gz", rng)
    one_class(HERE / "one_class.fasta", rng)
    pack(HERE / "models" / "tiny-esm", HERE / "tiny_esm_folder.tar.gz")
    with tempfile.TemporaryDirectory() as scratch:
        contacts = fitted(HERE / "models" / "tiny-esm-mlm", Path(scratch) / "tiny-esm-contacts")
        pack(contacts, HERE / "tiny_esm_contacts_folder.tar.gz")
    ancestor = language_data.World().ancestor
    pdb(HERE / "wild_type.pdb", ancestor, walk(len(ancestor), 1))
    pack(HERE / "models" / "tiny-esmfold", HERE / "tiny_esmfold_folder.tar.gz")
    (HERE / "few_proteins.tsv").write_text("name\tsequence\nrare\tMKUAYIAKQROISF\nunknown\tXBZ\n")
    (HERE / "beginnings.tsv").write_text("name\tbegins\nfirst\tMYFNEQ\nsecond\tMRCPQH\n")
    values = "id\tposition\tletter\tvalue\nstart_of_other\t1\tM\t0.5\nstart_of_other\t3\tC\t-0.25\n"
    (HERE / "values_of_beginnings.tsv").write_text(values)
    labelled_data.make(HERE, draw)
    molecule_data.make(HERE)
    language_data.make(HERE)
    llama_dna_data.make(HERE)
    predicted_data.make(HERE)
    embedding_data.make(HERE)
    classifier_data.make(HERE)
    site_data.make(HERE, draw)
    format_data.make(HERE)
    workflow_data.make(HERE)
    pretraining_data.make(HERE)
    bundles()
    published_adapter(HERE / "published_adapter.zip")
    zipfile.ZipFile(HERE / "published_adapter.zip").extractall(HERE / "models" / "published-adapter")


def describe(folder: Path, name: str) -> None:
    trained = name in ("protgpt2", "llama", "smiles-gpt2", "esm-mlm", "text-llama")
    (folder / "README.md").write_text(
        f"# tiny-{name}\n\n{TRAINED if trained else RANDOM} in the "
        "architecture of the real model, for tests and demonstrations. What it gives means nothing. "
        "Made by `make test-data`.\n"
    )


def draw(rng: random.Random, length: int) -> list[str]:
    return rng.choices(list(FREQUENCIES), weights=list(FREQUENCIES.values()), k=length)


def sites(path: Path, count: int, rng: random.Random) -> None:
    """Windows of 33 residues around a tyrosine; sites like acidic residues before it and a proline at +3."""
    with path.open("w") as out:
        for number in range(1, count + 1):
            positive = number % 2
            window = draw(rng, 33)
            window[16] = "Y"
            motif = {13: "DE", 14: "DE", 15: "DEN", 17: "DE", 19: "PVM", 22: "DE", 25: "DE"}
            other = {13: "KR", 14: "KRS", 17: "KRG", 19: "KRA", 22: "KR"}
            for position, letters in (motif if positive else other).items():
                if rng.random() < 0.6:
                    window[position] = rng.choice(letters)
            label = positive if rng.random() > 0.04 else 1 - positive
            out.write(f">synthetic_{path.stem}_{number:03d}|Y{rng.randint(17, 900)} LABEL={label}\n{''.join(window)}\n")


def locations(path: Path, count: int, rng: random.Random) -> None:
    """Proteins of three made-up compartments with a split column, as a tab-separated table."""
    signals = {"membrane": "LIVFAGW", "nucleus": "KRSP", "secreted": "CGTNQ"}
    with path.open("w") as out:
        out.write("protein\tresidues\tlocation\tset\n")
        for number in range(count):
            place = list(signals)[number % 3]
            residues = draw(rng, rng.randint(30, 140))
            for position in range(len(residues)):
                if rng.random() < 0.2:
                    residues[position] = rng.choice(signals[place])
            part = "train" if number < 0.6 * count else "validation" if number < 0.8 * count else "test"
            out.write(f"synthetic_{number:03d}\t{''.join(residues)}\t{place}\t{part}\n")


def stability(path: Path, count: int, rng: random.Random) -> None:
    """Variants of one short protein with a number: hydrophobic residues raise it, proline and glycine lower it."""
    effect = dict.fromkeys("AILMFVW", 0.5) | dict.fromkeys("PG", -0.8)
    parent = draw(rng, 40)
    with path.open("w") as out:
        out.write("name,sequence,melting\n")
        for number in range(count):
            variant = list(parent)
            for position in rng.sample(range(40), rng.randint(2, 12)):
                variant[position] = rng.choice(AMINO_ACIDS)
            value = 50 + sum(effect.get(letter, 0.0) for letter in variant) + rng.gauss(0, 0.5)
            out.write(f"variant_{number:03d},{''.join(variant)},{value:.2f}\n")


def promoters(path: Path, count: int, rng: random.Random) -> None:
    """DNA of 70 bases; the positive class is rich in A and T and has TATAAA near position 35."""
    with path.open("w") as out:
        out.write("id\tsequence\tlabel\n")
        for number in range(count):
            positive = number % 2
            bases = rng.choices("ACGT", weights=[3, 2, 2, 3] if positive else [2, 3, 3, 2], k=70)
            if positive:
                start = 32 + rng.randint(0, 6)
                bases[start : start + 6] = "TATAAA"
            out.write(f"synthetic_{number:03d}\t{''.join(bases)}\t{'promoter' if positive else 'other'}\n")


def activities(source: Path, path: Path) -> None:
    """A number for each sequence but the last ten, a score that goes along with it, and families that stay together."""
    rng = random.Random(31)
    lines = ["id\tactivity\tfamily\tscore\n"]
    for number, row in enumerate(source.read_text().splitlines()[1:]):
        name, bases, _ = row.split("\t")
        activity = ("TATAAA" in bases) + 3 * (bases.count("A") + bases.count("T")) / len(bases) + rng.gauss(0, 0.2)
        known = f"{activity:.3f}" if number < 70 else ""
        lines.append(f"{name}\t{known}\tfamily_{number // 8}\t{activity + rng.gauss(0, 0.5):.3f}\n")
    path.write_text("".join(lines))


def odd_proteins(path: Path, rng: random.Random) -> None:
    """Three proteins that need care: rare letters and lower case, one far over the limit of the model, a short one."""
    text = ">odd with rare residues\nMKUZOBJXaaaaGGY*\n"
    text += ">long over the limit\n" + "".join(draw(rng, 3000)) + "\n>short\nMY\n"
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def one_class(path: Path, rng: random.Random) -> None:
    path.write_text("".join(f">one_{number} LABEL=1\n{''.join(draw(rng, 20))}\n" for number in range(10)))


def pack(folder: Path, target: Path) -> None:
    """A folder as .tar.gz, the same bytes each time."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(f"{folder.name}/{file.name}")
            entry.size = file.stat().st_size
            with file.open("rb") as content:
                tar.addfile(entry, content)
    target.write_bytes(gzip.compress(archive.getvalue(), mtime=0))


def bundles() -> None:
    """Fine-tuned bundles of each kind, made by the tool itself."""
    runs = {
        "lora_t5": "--model models/tiny-t5 --train sites_train.fasta --test sites_test.fasta --learning-rate 0.003",
        "full_bert": "--model models/tiny-bert --train stability.csv --id-column name --label-column melting "
        "--task sequence-regression --method full --learning-rate 0.001",
        "head_esm": "--model models/tiny-esm --train locations.tsv --id-column protein --sequence-column residues "
        "--label-column location --split-column set --method head --learning-rate 0.003",
        "residues_esm": "--model models/tiny-esm --train binding_labels.fasta --sequences binding_sequences.fasta "
        "--task residue-classification --split-pattern SET=(\\w+) --learning-rate 0.01",
        "pairs_esm": "--model models/tiny-esm --train interactions.tsv --sequences interacting.fasta "
        "--task pair-classification --method head --test-fraction 0.2 --learning-rate 0.003",
        "number_esm": "--model models/tiny-esm --train stability.csv --id-column name --label-column melting "
        "--task sequence-regression --method head --learning-rate 0.003",
        "several_esm": "--model models/tiny-esm --train several_locations.tsv --id-column protein "
        "--label-column locations --task multi-label --method head --learning-rate 0.003",
        "writer_llama": "--model models/tiny-llama --train protein_family.fasta --task causal-lm --learning-rate 0.01 "
        "--epochs 5",
        "folds_esm": "--model models/tiny-esm --train sites_train.fasta --method head --learning-rate 0.003 --epochs 3 "
        "--folds 3",
    }
    for name, options in runs.items():
        model_id = "seqlm/" + options.split()[1].split("/")[1]
        subprocess.run(
            [
                *(sys.executable, HERE.parent / "scripts" / "finetune.py", *options.split(), "--model-id", model_id),
                *("--threads", "1", "--output-model", f"bundle_{name}.zip"),
            ],
            cwd=HERE,
            check=True,
        )


def published_adapter(target: Path) -> None:
    """A LoRA adapter with a head for binding residues, as others publish them: made by peft and transformers alone."""
    torch.manual_seed(9)  # about a quarter of the residues are called
    model = EsmForTokenClassification.from_pretrained(HERE / "models" / "tiny-esm", num_labels=2)
    model.name_or_path = "seqlm/tiny-esm"  # peft would note the path on this machine
    config = LoraConfig(task_type=TaskType.TOKEN_CLS, r=2, lora_alpha=4, target_modules=["query", "key", "value"])
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapted.save_pretrained(folder)
        settings = json.loads((folder / "adapter_config.json").read_text())
        settings["target_modules"].sort()  # peft keeps a set
        (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        (folder / "README.md").write_text("# Binding residues\n\nRandom weights, for tests, on seqlm/tiny-esm.\n")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.iterdir()):
                archive.writestr(zipfile.ZipInfo(file.name, (1980, 1, 1, 0, 0, 0)), file.read_bytes())


if __name__ == "__main__":
    main()
