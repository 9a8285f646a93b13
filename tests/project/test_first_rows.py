"""A table without a header, as Galaxy's tabular is, loses no row in any tool that reads one, and each says so."""

from makers.scripts import DATA, run_batch, table

MODELS = DATA / "models"
PROTEINS = [
    ("a", "MKTAYIAKQRQISFVKSHFSRQ"), ("b", "MSLLTEVETYVLSIVPSGPLKA"), ("c", "MADEEKLPPGWEKRMSRSSGRV"),
    ("d", "MGHYKLLNPQRDEACSTVWYAA"),
]  # fmt: skip


def test_every_tool_keeps_the_first_row_of_a_table_without_a_header(tmp_path):
    rows = [f"{name}\t{text}\t{at % 2}\n" for at, (name, text) in enumerate(PROTEINS)]
    (tmp_path / "rows.tsv").write_text("".join(rows))
    (tmp_path / "predicted.tsv").write_text(
        "id\tpredicted\tprobability_0\tprobability_1\n" + "".join(f"{name}\t0\t0.6\t0.4\n" for name, _ in PROTEINS)
    )
    given = ["--sequences=rows.tsv", "--id-column=1", "--sequence-column=2"]
    calls = {
        "embed": [f"--model={MODELS / 'tiny-esm'}", *given, "--output-table=embedded.tsv"],
        "predict": [
            f"--model={DATA / 'bundle_head_esm.zip'}", f"--base-model={MODELS / 'tiny-esm'}", *given,
            "--output-table=called.tsv",
        ],
        "score": [f"--model={MODELS / 'tiny-esm-mlm'}", *given, "--output-table=scored.tsv"],
        "fold": [f"--model={MODELS / 'tiny-esmfold'}", *given, "--output-table=folded.tsv"],
        "dataset": [*given, "--label-column=3", "--split=none", "--neighbours=skip", "--output-table=set.tsv"],
        "generate": [
            f"--model={MODELS / 'tiny-protgpt2'}", "--prompts=rows.tsv", "--id-column=1", "--sequence-column=2",
            "--num-sequences=1", "--max-letters=30", "--equal-only", "--output-table=made.tsv",
        ],
        "evaluate": [
            "--predictions=predicted.tsv", "--truth=rows.tsv", "--truth-column=3", "--truth-id-column=1",
            "--resamples=100", "--output-table=judged.tsv",
        ],
    }  # fmt: skip
    done = run_batch([(tmp_path, tool, *arguments) for tool, arguments in calls.items()])
    for tool, one in zip(calls, done, strict=True):
        assert one.returncode == 0, f"{tool}: {one.stderr[-500:]}"
        assert "rows.tsv has no header: its first row (a, MKTAYIAKQRQISFVKSHFSRQ, 0)" in one.stderr, tool
    for name in ("embedded", "called", "scored", "folded", "set"):
        assert sorted(row["id"] for row in table(tmp_path / f"{name}.tsv")) == ["a", "b", "c", "d"], name
    assert sorted(row["prompt"] for row in table(tmp_path / "made.tsv")) == ["a", "b", "c", "d"]
    accuracy = next(row for row in table(tmp_path / "judged.tsv") if row["metric"] == "accuracy")
    assert accuracy["value"] == "0.5"  # of four, of which the first is right
