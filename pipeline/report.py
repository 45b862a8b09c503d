"""python -m pipeline.report [--audit WIDTH] [--compare OTHER_RUN] [--seed N] [--data DIR]

One HTML page to look at and to work in: what was collected, made, rejected and learnt, pictures of it, and every row to be
searched, filtered and judged. It needs no network; text of pages and models is shown as text and never run.

Examples
  python -m pipeline.report
      open report.html: warnings first, then the run as a flow, pictures, and the rows. Keys: j k next and previous,
      y keep, f fix, d drop, ? help. Save what you said as review.jsonl, then: python -m pipeline.train --review review.jsonl
  python -m pipeline.report --audit 0.05
      draw as many negatives at random as must be read to know the share of false ones to within 5 points (95 %)
  python -m pipeline.report --compare data/other
      a second run beside this one

Writes, in the run folder
  report.html   5 MB at most; of a larger run it shows a sample of the rows, and says so
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import __version__, cli, settings

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.run_folder import RunFolder


@cli.stage("report")
@settings.audit
@settings.compare
@settings.seed
def main(run: Run, audit: float | None, compare: Path | None, seed: int) -> cli.Outcome:
    """One HTML page to look at and to work in."""
    from pipeline.reporting.gathered import STAGES, files_of, gather
    from pipeline.reporting.page import page
    from pipeline.store import sha256_of, write_text

    for name in STAGES:
        run.require(name)
    other = _other(run, compare) if compare else None
    inputs = {str(path.relative_to(run.folder.root)): sha256_of(path) for path in files_of(run.folder)}
    if other:
        inputs |= {f"compared/{path.relative_to(other.root)}": sha256_of(path) for path in files_of(other)}
    names = {"name": run.folder.root.resolve().name, "compare": other.root.resolve().name if other else None}
    chosen = {"seed": seed, "version": __version__, "audit": audit, **names}
    entry = run.is_current(inputs, chosen)
    if entry:
        return _outcome(run, entry["counts"])
    made = page(gather(run.folder), seed, audit, gather(other) if other else None)
    write_text(run.folder.report, made.html)
    counts = {"rows": made.rows_shown, "rows_in_the_run": made.rows_of, "charts": made.charts, "bytes": run.folder.report.stat().st_size}
    outcome = _outcome(run, counts)
    cli.finish(run, outcome, inputs, chosen, {})
    return outcome


def _other(run: Run, compare: Path) -> RunFolder:
    """Return the folder of the other run.

    Raises InputError if it is this one, StageMissing if nothing was collected there.
    """
    from pipeline.errors import InputError
    from pipeline.run_folder import RunFolder

    other = RunFolder(compare)
    if compare.resolve() == run.folder.root.resolve():
        raise InputError("a run is compared with itself", compare, "name another run folder with --compare")
    other.require("collect")
    return other


def _outcome(run: Run, counts: dict[str, int]) -> cli.Outcome:
    report = run.folder.report
    sampled = counts["rows"] < counts["rows_in_the_run"]
    lines = [f"a sample: {counts['rows']:,} of {counts['rows_in_the_run']:,} rows fit into 5 MB"] if sampled else []
    return cli.Outcome(counts, report, (report,), (*lines, f"report: {report.resolve()}"))


if __name__ == "__main__":
    main()
