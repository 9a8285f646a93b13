"""One scoring from checked inputs to tables: whole sequences, a list of variants, or a scan."""

from __future__ import annotations

import sys

import numpy as np

from seqlm.cli.outputs import Outputs

from .agreement import Agreement, in_words
from .inputs import SCAN, SEQUENCES, Plan
from .summary import ScanSummary, Summary, effects


def score(plan: Plan, outputs: Outputs) -> Summary:
    """Write the tables that were asked for, and say on stderr what was changed on the way."""
    print("loading the libraries", file=sys.stderr)
    from seqlm.inference.scoring import Engine

    from .effects import Spooled, scans, variant_scores
    from .outputs import scan_writers, write_variants
    from .sequences import Spool, score_model, sequence_scores, write_fasta, write_scores

    arguments = plan.arguments
    summary = Summary(plan.survey.rules)
    if plan.others:
        summary.agreement = Agreement(plan.names)
    engine = Engine(plan)
    if plan.mode == SEQUENCES:
        spool = Spool() if arguments.output_fasta else None
        each = [score_model(plan, engine, spool)]
        for one in plan.each()[1:]:
            engine = engine.followed_by(one)
            each.append(score_model(one, engine))
        summary.sequences = scores = sequence_scores(plan, each)
        if summary.agreement:
            summary.agreement.add(scores.bits_of(scores.each)[:, scores.tokens > 0])
        if arguments.output_table:
            write_scores(outputs.file(arguments.output_table), plan, scores)
        if spool:
            write_fasta(outputs.file(arguments.output_fasta), scores, spool)
        done = f"scored {len(scores.perplexity):,} sequences, kept {int(scores.kept.sum()):,}"
    elif plan.mode == SCAN:
        summary.scan = ScanSummary(plan)
        found = scans(plan, engine)
        if plan.others:
            spooled = Spooled()
            spooled.add(found)
            for one in plan.each()[1:]:
                engine = engine.followed_by(one)
                spooled.add(scans(one, engine))
            found = spooled.averaged(plan)
        with scan_writers(plan, outputs) as write:
            for one in found:
                write(one)
                summary.scan.add(one)
                if summary.agreement:
                    summary.agreement.add(one.each[:, one.others & ~one.others.all(1, keepdims=True)])
        done = f"scored {summary.scan.substitutions:,} substitutions at {summary.scan.positions:,} positions"
    else:
        each = [variant_scores(plan, engine)]
        for one in plan.each()[1:]:
            engine = engine.followed_by(one)
            each.append(variant_scores(one, engine))
        summary.effects = effects(plan, np.mean(each, axis=0), np.stack(each) if plan.others else None)
        if summary.agreement:
            changing = [bool(variant.changes) for variant in plan.variants.all]
            summary.agreement.add(np.stack(each)[:, changing])
        if arguments.output_table:
            write_variants(outputs.file(arguments.output_table), plan, summary.effects)
        done = f"scored {len(summary.effects.scores):,} variants"
    if summary.scan:
        summary.rules = summary.rules.merged(summary.scan.rules)
    summary.rules, summary.passes = summary.rules.merged(engine.changes), engine.passes
    for note in [*plan.notes, *summary.rules.lines()]:
        print(f"note: {note}", file=sys.stderr)
    if summary.agreement:
        print(f"note: {in_words(summary.agreement)}", file=sys.stderr)
    print(f"{done}, by {plan.method}; rows of tokens computed: {engine.passes:,}", file=sys.stderr)
    return summary
