"""Show that two checkouts of the project do the same: each of these commands leaves the same bytes with both.

For a change that must not change what the tools do, such as modules that move:

    python benchmarks/same_bytes.py BEFORE AFTER [--only NAME …] [--keep FOLDER]

The Python that runs this runs the scripts of both, each command in an empty folder of its own, on the test data of
AFTER. Exit status, stdout, the ``error:`` lines of stderr and every file that comes out must be equal; archives are
opened to say where they differ. Nothing is made equal before it is compared, since outputs hold no times and no paths;
only the version of seqlm may differ between the two, so both run with the same one. Exit status 0 if all is the same.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# What every command of a script is asked to write; where a command says otherwise, its own option wins.
REPORT = "--output-report report.md --output-figures figures --figure-format svg --output-html report.html"
TABLE = "--output-table table.tsv"
METRICS = "--output-metrics metrics.tsv"
OUTPUTS = {
    "classify": f"{REPORT} {METRICS} --output-predictions p.tsv --output-classification-report classes.tsv",
    "dataset": f"{REPORT} {TABLE} --output-train train --output-test test --threads 1",
    "embed": f"{TABLE} --threads 1",
    "evaluate": f"{REPORT} {TABLE} --output-comparisons comparisons.tsv --output-classes classes.tsv",
    "explain": f"{REPORT} {TABLE} --output-bedgraph values.bedgraph --output-gff3 stretches.gff3 --threads 1 --steps 8 "
    "--checked 3 --random-models 2",
    "finetune": f"{REPORT} {METRICS} --output-model model.zip --output-predictions p.tsv --output-log log.tsv "
    "--threads 1 --epochs 2 --learning-rate 0.003",
    "fold": f"{REPORT} {TABLE} --output-pdb pdb --output-cif cif --output-residues residues.tsv --threads 1",
    "generate": f"{REPORT} {TABLE} --output-fasta written.fasta --threads 1",
    "plot": f"{REPORT} {TABLE} {METRICS} --output-plot plot.png --output-svg plot.svg",
    "predict": f"{TABLE} --threads 1",
    "pretrain": f"{REPORT} {METRICS} --output-model model.zip --output-log log.tsv --threads 1 --context 64 --epochs 2 "
    "--batch-size 16 --learning-rate 0.005",
    "score": f"{REPORT} {TABLE} --threads 1",
    "tokenizer": REPORT,
}
SHORT = {
    "$HALIDES": "@halides.tsv --sequence-column smiles --id-column name",
    "$TWO": "--sequences @binders.fasta --second-sequences @dna_pieces.fasta --first-column 1 --second-column dna",
    "$REPORT": REPORT,
    "$LEARN": "--train --output-tokenizer t.zip --output-vocabulary v.tsv --output-comparison beside.tsv --corpus",
    "$GENOME": "--corpus @made_up_genome.fasta --gap 100",
    "$SMALL": "--layers 1 --width 16 --heads 2",
    "$SCAN": "--output-gff3 sites.gff3 --output-plot plot.png --sequences",
}
# Name and arguments; the first word of the name is the script. @FILE is in test-data and %NAME one of its models,
# +FILE is made below, and ../NAME/FILE is what another command wrote. "!": ends with status 2 and a line that says why.
# (WordPiece has few tokens here: its trainer breaks ties between later ones in an order that no seed fixes.)
TEXT = r"""
finetune-lora --model %tiny-t5 --model-id seqlm/tiny-t5 --train @sites_train.fasta --test @sites_test.fasta
  --lora-start pissa --lora-rank 4 --train-layer-norms --gradient-checkpointing --duplicates remove
finetune-dora --model %protein-esm-0.2m --train @locations.tsv --label-column location --id-column 1 --sequence-column
  residues --split-column set --class-weights balanced --method dora --metric balanced_accuracy --lora-last-layers 1
  --lora-modules all-linear --lora-scaling rslora --max-length 60 --long-sequences truncate --schedule cosine
finetune-full --model @tiny_esm_folder.tar.gz --train @stability.csv --task sequence-regression --method full
  --label-column melting --id-column name --test-fraction 0.2 --head linear --pooling cls --figure-format pdf
finetune-dnabert2 --model %tiny-dnabert2 --train @promoters.tsv --positive-label other --metric auroc --method full
  --test-fraction 0.25 --threshold-by none --epochs 1
finetune-molecules --model %tiny-chemberta --train $HALIDES --label-column class --method head --smiles canonical
finetune-residues --model %protein-esm-0.2m --task residue-classification --train @binding_labels.fasta --sequences
  @binding_sequences.fasta --split-pattern SET=(\w+) --mask @binding_mask.fasta --class-weights balanced --calibration
  temperature --threshold-by f1 --merge-labels 1=binding
finetune-marks --model %tiny-esm --task residue-classification --train @binding_marked.fasta --method head
finetune-positions --model %tiny-esm --task residue-classification --train @binding_sites.tsv --method head
  --sequences @binding_sequences.fasta
finetune-exposure --model %tiny-esm --task residue-regression --train @exposure.tsv --id-column protein --label-column
  exposure --test-fraction 0.2 --lora-modules query-value
finetune-several --model %protein-esm-0.2m --task multi-label --train @several_locations.tsv --label-column locations
  --id-column protein --method head --test-fraction 0.2
finetune-pairs --model %protein-esm-0.2m --task pair-classification --train @interactions.tsv --sequences
  @interacting.fasta --positive-label binds --method head --test-fraction 0.2
finetune-two-models --model %protein-esm-0.2m --second-model %dna-modernbert-0.2m --task pair-regression $TWO
  --train @affinity.csv --label-column affinity --pair-order ordered --pair-split pair --processes 2
finetune-writer --model %tiny-protgpt2 --task causal-lm --train @protein_family.fasta --test-fraction 0.2
finetune-llama --model %tiny-llama --task causal-lm --train @locations.tsv --method full --sequence-column residues
predict-scan --model ../finetune-lora/model.zip --base-model %tiny-t5 --sites model $SCAN @odd_proteins.fasta.gz
predict-classes --model ../finetune-dora/model.zip --base-model %protein-esm-0.2m --sequences @sites_test.fasta
predict-whole-model --model @bundle_full_bert.zip --sequences @stability.csv --id-column name
predict-molecules --model ../finetune-molecules/model.zip --base-model %tiny-chemberta --sequences $HALIDES
predict-residues --model ../finetune-residues/model.zip --base-model %protein-esm-0.2m --plot-proteins 3 --threshold 0.4
  --site-type binding_site $SCAN @binding_sequences.fasta
predict-adapter --model @published_adapter.zip --base-model %tiny-esm --labels a,b --sequences @binding_sequences.fasta
predict-several --model ../finetune-several/model.zip --base-model %protein-esm-0.2m --sequences @sites_test.fasta
predict-pairs --model ../finetune-two-models/model.zip --base-model %protein-esm-0.2m --second-model
  %dna-modernbert-0.2m $TWO --pairs @affinity.csv
evaluate-own --predictions @predicted_sites_strong.tsv --predictions @predicted_sites_weak.tsv --names strong
  --names weak
evaluate-residues --predictions @predicted_binding.tsv --truth @binding_labels.fasta --mask @binding_mask.fasta
  --metric auprc --output-proteins proteins.tsv
evaluate-positions --predictions @predicted_binding.tsv --truth @binding_sites.tsv --threshold 0.9 --seed 1
evaluate-numbers --predictions @predicted_stability_rough.tsv --predictions @predicted_stability_good.tsv
  --truth @stability.csv --truth-column melting --figure-format pdf
evaluate-several --predictions @predicted_several.tsv --truth @several_locations.tsv --truth-column locations
embed-esm --model %protein-esm-0.2m --sequences @sites_test.fasta --output-npz v.npz --output-h5 v.h5 --output-parquet
  v.parquet $REPORT
embed-t5 --model @bundle_lora_t5.zip --base-model %tiny-t5 --sequences @sites_test.fasta
embed-cls --model @bundle_full_bert.zip --sequences @stability.csv --id-column name --pooling cls --precision bf16
embed-max --model @tiny_esm_folder.tar.gz --sequences @odd_proteins.fasta.gz --pooling max --max-length 100
embed-dnabert2 --model %tiny-dnabert2 --sequences @promoters.tsv --pooling mean --layer 0,1 --normalize
embed-bases --model %dna-modernbert-0.2m --sequences @dna_pieces.fasta --pooling none --output-npz v.npz
  --output-h5 v.h5 --precision-of-output fp16
embed-last --model %tiny-protgpt2 --sequences @protein_family.fasta --pooling last --layer -2
embed-molecules --model %tiny-chemberta --sequences $HALIDES --smiles canonical $REPORT --figure-format pdf
embed-probed --model %protein-esm-0.2m --sequences @stability.csv --id-column name --probe numbers --label-column
  melting --sweep-layers --append-scores one-pass --output-probes probes.tsv --output-predictions p.tsv $REPORT
embed-chains --model %tiny-t5 --sequences @antibodies.tsv --id-column antibody --sequence-column heavy --light-column
  light
embed-six-mers --model %tiny-nucleotide-transformer-v2 --sequences @dna_pieces.fasta --pooling none
classify-drawn --embeddings @embeddings_before.tsv --labels @embedding_sequences.fasta --classifier naive-bayes
  --classifier linear-svm --classifier rbf-svm --classifier mlp --positive-label binder --output-model model.zip
classify-folds --embeddings @embeddings_after.npz --labels @embedding_labels.tsv --cross-validation 3 --grid-search
  small --classifier logistic-regression --classifier k-nearest-neighbours --figure-format pdf
classify-given --embeddings @embeddings_after.tsv --labels @embedding_labels.tsv --split-column split --classifier
  random-forest --classifier gradient-boosting --class-weights balanced --metric auroc
classify-apply --model ../classify-drawn/model.zip --embeddings @embeddings_after.npz --labels @embedding_labels.tsv
plot-pca --embeddings @embeddings_before.tsv --embeddings @embeddings_after.npz --centre each --colour-by label --labels
  @embedding_labels.tsv --figure-format pdf
plot-tsne --embeddings @embeddings_before.tsv --method tsne --colour-by outcome --predictions
  @embedding_predictions.tsv --positive-label binder --labels @embedding_labels.tsv
plot-umap --embeddings @embeddings_before.tsv --method umap --neighbours 12 --colour-by value --labels
  @embedding_labels.tsv --label-column stability --scale standard --metric cosine --points 80
generate-sample --model %tiny-protgpt2 --reference @other_proteins.fasta --keep-best 5 --num-sequences 8
generate-prompts --model %tiny-llama --prompts @beginnings.fasta --num-sequences 6 --temperature 1.2 --top-k 15
  --top-p 0.95 --min-p 0.01 --typical-p 0.98 --max-letters 40 --forbid W --duplicates drop-near --figure-format pdf
generate-molecules --model %smiles-gpt2-0.2m --num-sequences 20 --max-length 80
generate-beam --model %tiny-protgpt2 --prompt MKFVY --strategy beam --num-sequences 3 --num-beams 4 --max-length 40
generate-family --model ../finetune-writer/model.zip --base-model %tiny-protgpt2 --strategy greedy --num-sequences 1
generate-guided --model ../finetune-writer/model.zip --base-model %tiny-protgpt2 --guidance 1.5 --num-sequences 4
generate-filled --model %tiny-esm-mlm --prompts @templates.fasta --fill lower-case --num-sequences 2 --sweeps 3
generate-accepted --model %tiny-protgpt2 --num-sequences 4 --accept-by @bundle_head_esm.zip --accept-class membrane
  --accept-base-model %protein-esm-0.2m --tries 5
score-several --model %tiny-esm-mlm --model %protein-esm-0.2m --sequences @wild_type.fasta --variants @variants.txt
score-progen2 --model %tiny-progen2 --sequences @protein_family.fasta
score-causal --model %tiny-protgpt2 --sequences @protein_family.fasta --keep-best 5 --output-fasta best.fasta
score-masked --model %tiny-esm-mlm --sequences @wild_type.fasta --method pseudo-perplexity
score-one-pass --model %tiny-esm-mlm --sequences @protein_family.fasta --method pseudo-perplexity-one-pass
score-variants --model %tiny-esm-mlm --sequences @wild_type.fasta --variants @variants.tsv --measured-column activity
score-list --model %tiny-esm-mlm --sequences @wild_type.fasta --variants @variants.txt --method wild-type-marginals
  --first-position 101
score-causal-variants --model %tiny-llama --sequences @wild_type.fasta --variants @variants.tsv --variant-column 1
score-scan --model %tiny-esm-mlm --sequences @wild_type.fasta --scan --output-matrix matrix.tsv --output-positions p.tsv
score-causal-scan --model %tiny-llama --sequences @wild_type.fasta --scan --figure-format pdf
tokenizer-inspect --inspect --model %tiny-dnabert2 --sequences @promoters.tsv --rows sequence --output-table tokens.tsv
  --output-usage usage.tsv --figure-format pdf
tokenizer-molecules --inspect --model %tiny-chemberta --sequences $HALIDES --tokenizer as-published --output-table t.tsv
tokenizer-bpe $LEARN @promoters.tsv --vocab-size 120 --both-strands --compare-with %tiny-dnabert2 --figure-format pdf
tokenizer-bytes $LEARN @protein_family.fasta --algorithm byte-bpe --vocab-size 300 --special-tokens gpt2
tokenizer-unigram $LEARN $HALIDES --algorithm unigram --vocab-size 60 --special-tokens roberta --smiles canonical
tokenizer-wordpiece $LEARN @made_up_genome.fasta --algorithm wordpiece --vocab-size 30 --special-tokens esm
tokenizer-kmer $LEARN @dna_pieces.fasta --algorithm kmer --kmer 3 --overlapping --special-tokens llama
tokenizer-character $LEARN @protein_family.fasta --algorithm character --special-tokens roberta
tokenizer-extend --extend --model %tiny-text-llama --corpus @made_up_genome.fasta --vocab-size 40 --output-model m.zip
pretrain-gpt2 $GENOME --architecture gpt2 --tokenizer @tokenizer_dna_gpt2.zip $SMALL --pause-after 2
  --output-checkpoint checkpoint.zip --both-strands
pretrain-resume $GENOME --architecture gpt2 --tokenizer @tokenizer_dna_gpt2.zip $SMALL --both-strands
  --resume ../pretrain-gpt2/checkpoint.zip
pretrain-bert $GENOME --architecture bert --tokenizer @tokenizer_dna_bert.zip $SMALL --masking codon --overlap 0.25
pretrain-roberta --corpus @protein_family.fasta --architecture roberta --tokenizer ../tokenizer-character/t.zip $SMALL
pretrain-fsdp --corpus @protein_family.fasta --architecture llama --tokenizer %tiny-llama $SMALL --processes 2
  --strategy fsdp --figure-format pdf
pretrain-lora --corpus @protein_family.fasta --corpus @other_proteins.fasta --model %tiny-esm-mlm --method lora
  --masking span
pretrain-on $GENOME --model ../tokenizer-extend/m.zip --epochs 1
pretrain-instructions --corpus @instructions.jsonl --objective instruction --model %tiny-llama --template
  {instruction}{input} --output-predictions answers.tsv
dataset-homology --sequences @site_proteins.fasta --sites @known_sites.tsv --output-validation validation
dataset-marked --sequences @annotated_sites.fasta --split random --window 21 --ratio 2 --exclude-flank 1
dataset-gff3 --sequences @site_proteins.fasta --sites @known_sites.gff3 --feature phosphotyrosine --split group
dataset-uniprot --sites @known_sites.txt --window 15 --split group
dataset-lists --sequences @site_lists.csv --id-column protein --residues Y --negatives given --split stratified
dataset-scaffold --sequences @molecules.csv --sequence-column smiles --label-column toxic --split scaffold
dataset-given --sequences @locations.tsv --sequence-column residues --label-column location --split given --split-column
  set --output-validation validation --figure-format pdf
explain-gradients --model @bundle_lora_t5.zip --base-model %tiny-t5 --sequences @binders.fasta
explain-occlusion --model @bundle_full_bert.zip --sequences @stability.csv --id-column name --method occlusion
explain-mutagenesis --model @bundle_residues_esm.zip --base-model %tiny-esm --sequences @beginnings.fasta
  --method mutagenesis --explained-position 3 --output-matrix matrix.tsv
explain-attention --model @bundle_full_bert.zip --sequences @stability.csv --id-column name --method attention
  --figure-format pdf
explain-likelihood --model %tiny-llama --sequences @beginnings.fasta
fold-esmfold --model %tiny-esmfold --sequences @beginnings.fasta --output-pae pae --first-position 11
fold-table --model @tiny_esmfold_folder.tar.gz --sequences @few_proteins.tsv --id-column name --figure-format pdf
fold-esmfold2 --model %tiny-esmfold2 --sequences @beginnings.fasta --samples 1 --recycles 2 --values
  @values_of_beginnings.tsv
!finetune-option --model %tiny-esm --train @sites_train.fasta --frobnicate
!finetune-number --model %tiny-esm --train @sites_train.fasta --epochs many
!finetune-one-class --model %tiny-esm --train @one_class.fasta
!predict-other-base --model @bundle_lora_t5.zip --base-model %tiny-esm --sequences @sites_test.fasta
!predict-leads-out --model +leads_out.zip --sequences @sites_test.fasta
!predict-pickle --model +pickle.zip --sequences @sites_test.fasta
!predict-bomb --model +bomb.zip --sequences @sites_test.fasta
!predict-cut-off --model +cut_off.zip --sequences @sites_test.fasta
!predict-no-fasta --model @bundle_full_bert.zip --sequences +cut_off.zip
!embed-layer --model %protein-esm-0.2m --sequences @sites_test.fasta --layer 7
!classify-no-archive --embeddings @embeddings_before.tsv --labels @embedding_labels.tsv --model @bundle_full_bert.zip
!dataset-no-residue --sequences @site_proteins.fasta --sites @known_sites.tsv --residues W --split group
!evaluate-no-table --predictions @locations.tsv
!explain-class --model @bundle_lora_t5.zip --base-model %tiny-t5 --sequences @binders.fasta --explained-class none
!fold-no-structures --model @tiny_esm_folder.tar.gz --sequences @beginnings.fasta
!generate-encoder --model @tiny_esm_folder.tar.gz
!plot-other-ids --embeddings @embeddings_before.tsv --colour-by label --labels @sites_test.fasta
!pretrain-no-mask --corpus @made_up_genome.fasta --architecture bert --tokenizer @tokenizer_dna_gpt2.zip
!score-not-masked --model %tiny-protgpt2 --sequences @wild_type.fasta --scan --method masked-marginals
!tokenizer-no-dna --inspect --model %tiny-dnabert2 --sequences @sites_test.fasta --output-table tokens.tsv
"""
LISTED = dict(re.findall(r"^(\S+) (.*(?:\n  .*)*)", TEXT, re.M))
WRONG = {name[1:] for name in LISTED if name[0] == "!"}
COMMANDS = {name.strip("!"): f"{OUTPUTS[name.strip('!').split('-')[0]]} {words}" for name, words in LISTED.items()}
COMMANDS |= {f"{script}-help": "--help" for script in OUTPUTS}
OURS = "|".join(sorted(set(re.findall(r"--[\w-]+", " ".join(OUTPUTS.values())))))
PLACES = {"@": "../../data/", "%": "../../data/models/", "+": "../../made/"}


def needed(name: str) -> set[str]:
    """The commands that have to run before this one."""
    before = set(re.findall(r" \.\./([\w-]+)/", COMMANDS[name]))
    return before.union(*map(needed, before))


def prepare(root: Path, checkouts: dict[str, Path]) -> None:
    """Data, hostile archives, and of each side's scripts a copy, which leaves the checkouts as they are."""
    shutil.copytree(checkouts["after"] / "test-data", root / "data")
    (root / "made").mkdir()
    good = (root / "data" / "bundle_lora_t5.zip").read_bytes()
    (root / "made" / "cut_off.zip").write_bytes(good[: len(good) // 2])
    hostile = {
        "leads_out": ("../evil.json", b"{}"),
        "pickle": ("args.bin", b"x"),
        "bomb": ("vocab.txt", bytes(1 << 27)),
    }
    for name, (member, content) in hostile.items():
        (root / "made" / f"{name}.zip").write_bytes(good)
        with zipfile.ZipFile(root / "made" / f"{name}.zip", "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, content)
    for side, checkout in checkouts.items():
        shutil.copytree(checkout / "scripts", root / side / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        package = root / side / "scripts" / "seqlm" / "__init__.py"
        package.write_text(re.sub(r"(?m)^__version__ = .*", '__version__ = "0.0.0"', package.read_text()))


def execute(name: str, side: Path) -> dict[str, bytes]:
    """All that can be seen of a command: what it says, and its files."""
    words = re.sub(r"\$[A-Z]+", lambda word: SHORT[word[0]], COMMANDS[name])
    words = re.sub(rf"({OURS}) \S+ (?=.*\1 )", "", words, flags=re.S).split()
    command = [sys.executable, f"../scripts/{name.split('-')[0]}.py", *(PLACES.get(w[0], w[0]) + w[1:] for w in words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "", "COLUMNS": "120"}
    (side / name).mkdir()
    done = subprocess.run(command, cwd=side / name, capture_output=True, env=environment)
    (side / f"{name}.stderr").write_bytes(done.stderr)
    said = {"exit status": b"%d" % done.returncode, "stdout": done.stdout}
    said["stderr"] = b"\n".join(line for line in done.stderr.splitlines() if line.startswith(b"error:"))
    paths = (path for path in (side / name).rglob("*") if path.is_file())
    paths = sorted(paths, key=lambda path: (len(path.parts), path))  # figures last: tables say more of a difference
    return said | {str(path.relative_to(side / name)): path.read_bytes() for path in paths}


def difference(before: dict[str, bytes], after: dict[str, bytes], inside: str = "") -> str:
    """What differs first, and where; nothing if nothing does."""
    for name in {**before, **after}:
        if name not in before or name not in after:
            return f"{inside}{name} is only {'after' if name in after else 'before'}"
        old, new = before[name], after[name]
        if old == new:
            continue
        if zipfile.is_zipfile(io.BytesIO(old)) and zipfile.is_zipfile(io.BytesIO(new)):
            opened = [zipfile.ZipFile(io.BytesIO(content)) for content in (old, new)]
            found = ({member: archive.read(member) for member in archive.namelist()} for archive in opened)
            return difference(*found, f"{inside}{name}: ") or f"{inside}{name}: order, dates or packing of its files"
        at = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        excerpts = (content[max(at - 30, 0) : at + 30] for content in (old, new))
        line = old[:at].count(b"\n") + 1
        return f"{inside}{name}, line {line}, byte {at}: {next(excerpts)!r} before, {next(excerpts)!r} after"
    return ""


def judge(name: str, before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """Failing alike shows nothing, unless it is to fail."""
    if found := difference(before, after):
        return f"DIFFERS: {found}"
    failed = before["exit status"] != (b"2" if name in WRONG else b"0")
    return f"COMPARES NOTHING: exit status {before['exit status']}, {before['stderr']}" if failed else "same"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a checkout of the project")
    parser.add_argument("after", type=Path, metavar="AFTER", help="another one")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="commands whose names begin so")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder, to leave all files in")
    arguments = parser.parse_args()
    chosen = [name for name in COMMANDS if name.startswith(tuple(arguments.only))]
    wanted = {*chosen}.union(*map(needed, chosen))
    names = sorted(filter(wanted.__contains__, COMMANDS), key=lambda name: len(needed(name)))
    began, wrong, results = time.monotonic(), 0, {}
    with tempfile.TemporaryDirectory(prefix="same_bytes_") as scratch, ThreadPoolExecutor(2) as pool:
        root = arguments.keep or Path(scratch) / "runs"
        prepare(root, {"before": arguments.before, "after": arguments.after})

        def run(name: str, side: str) -> dict[str, bytes]:
            for other in needed(name):  # handed in earlier, so that waiting ends
                results[other, side].result()
            return execute(name, root / side)

        for name in names:
            results |= {(name, side): pool.submit(run, name, side) for side in ("before", "after")}
        for name in names:
            verdict = judge(name, results[name, "before"].result(), results[name, "after"].result())
            wrong += verdict != "same"
            print(f"{name:24}{verdict}", flush=True)
    spent, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    times = f"{spent / 60:.1f} minutes, {(used.ru_utime + used.ru_stime) / 60:.1f} of one processor"
    print(f"{len(names) - wrong} of {len(names)} commands do the same with both; {times}")
    sys.exit(not names or wrong > 0)


if __name__ == "__main__":
    main()
