"""python -m pipeline.status [--data DIR] [--json]

What the run folder holds, what is missing or out of date, what it has cost, and the command that comes next.

Examples
  python -m pipeline.status
      a line a stage; models with the figure that says most; replies, tokens and money; disk; the next command, fit to be pasted
  python -m pipeline.status --json
      the same as one JSON object

States of a stage
  complete      finished, of these very inputs
  edited        finished, and one of its files was changed since; the stages after it go on from that
  stale         to be done again: what it was made of has changed, is gone, or is itself out of date
  interrupted   begun and not finished: the same command goes on
  foreign       its file came from elsewhere
  running       a command works here now (seen on Linux)
  absent        not begun

It reads and never writes, and takes no lock: a command at work is not disturbed. Files are told apart by their hashes, above 64 MB together by
their dates. Ages are those of the files. Money is by the shipped prices, for all replies of the ledger. A fine-tuning job at a service that has
not ended is shown as it was last heard of; the service is not asked. What cannot be read is named with the reason, and the rest is told.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline import __version__, cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.run_folder import RunFolder
    from pipeline.standing.files import Manifest
    from pipeline.standing.following import Next
    from pipeline.standing.look import Standing
    from pipeline.standing.models import Model
    from pipeline.standing.replies import Replies
    from pipeline.standing.working import Worker


@dataclass(frozen=True, slots=True)
class Found:
    """All that a look found."""

    stages: list[Standing]
    models: list[Model]
    replies: Replies
    parts: dict[str, int]
    """bytes by part"""
    free: int
    then: Next | None
    """None: a command is at work"""
    worker: Worker | None
    notices: list[str]


@cli.stage("status", force=None)
def main(run: Run) -> cli.Outcome:
    """What the run folder holds, what is missing, which command is next."""
    found = look_at(run.folder)
    lines = () if run.as_json else tuple(_lines(run.folder, found, time.time()))
    return cli.Outcome({}, run.folder.root, result=lines, facts=_facts(found))


def look_at(folder: RunFolder) -> Found:
    """Look at a run folder, whatever lies in it."""
    from pipeline.standing.files import half_written, read_manifest, sizes
    from pipeline.standing.following import following
    from pipeline.standing.models import models_in
    from pipeline.standing.stages import standings
    from pipeline.standing.working import worker_in

    worker, manifest = worker_in(folder.root), read_manifest(folder)
    look = _look(folder, manifest, worker)
    stages = standings(look, _report_reads(folder))
    inputs = {name: entry.get("inputs", {}) for name, entry in manifest.stages.items()}
    then = None if worker else following(folder, stages, inputs, _means())
    parts = sizes(folder.root)
    notices = [*manifest.notices, *_odd(folder, stages, parts)]
    left = half_written(folder.root)
    if left and not worker:
        notices.append(f"half-written by a command that was killed, removed by the next one of its kind: {', '.join(left)}")
    return Found(stages, models_in(folder, look.digests), look.replies, parts, _free(folder.root), then, worker, notices)


def _look(folder: RunFolder, manifest: Manifest, worker: Worker | None) -> Any:
    from pipeline.llm.prompts import VERSION
    from pipeline.standing.files import Digests, written_at
    from pipeline.standing.flags import contradicted
    from pipeline.standing.look import Look
    from pipeline.standing.replies import read_replies

    now_in_force = {name: contradicted(name, entry) for name, entry in manifest.stages.items() if name in ("collect", "create_qa", "train", "report")}
    digests = Digests(folder.root, written_at(folder.manifest) or 0.0)
    return Look(folder, manifest, digests, read_replies(folder.ledger, written_at(folder.qa)), worker, now_in_force, VERSION, __version__)


def _report_reads(folder: RunFolder) -> list[str]:
    from pipeline.reporting.gathered import files_of

    return [path.relative_to(folder.root).as_posix() for path in files_of(folder)]


def _means() -> Any:
    from pipeline.llm.embedded import weights_path
    from pipeline.standing.following import Means

    return Means(any(os.environ.get(name) for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL")), weights_path().is_file())


def _odd(folder: RunFolder, stages: list[Standing], parts: dict[str, int]) -> Iterator[str]:
    """Yield what is odd about the folder as a whole."""
    from pipeline.standing.look import ABSENT

    if not folder.root.exists():
        yield "there is no such folder yet"
    elif parts and all(stage.state == ABSENT for stage in stages):
        yield "nothing here is of a run: is this the folder that was meant (--data)?"


def _free(root: Path) -> int:
    """Return the bytes that are free where the folder lies, or will."""
    there = next(path for path in (root.resolve(), *root.resolve().parents) if path.exists())
    return shutil.disk_usage(there).free


def _lines(folder: RunFolder, found: Found, now: float) -> Iterator[cli.Line]:
    from pipeline.standing.told import disk_lines, model_lines, next_lines, reply_lines, stage_lines

    yield f"{folder.root}"
    yield from stage_lines(found.stages, now)
    yield from _under("models", model_lines(found.models, now))
    yield from _under("replies", reply_lines(found.replies))
    yield from _under("disk", disk_lines(found.parts, found.free, found.then))
    yield from _under("notices", (((f"  {notice}", "yellow"),) for notice in found.notices))
    yield ""
    yield from next_lines(found.then) if found.then else (_at_work(found.worker),)


def _under(head: str, lines: Iterator[cli.Line]) -> Iterator[cli.Line]:
    first = next(lines, None)
    if first is not None:
        yield from ("", head, first)
        yield from lines


def _at_work(worker: Worker | None) -> str:
    what = (worker and worker.command) or "a command"
    return f"{what} works here now{f' (process {worker.process})' if worker and worker.process else ''}: wait until it has ended"


def _facts(found: Found) -> dict[str, Any]:
    from pipeline.standing.told import iso

    stages = [{**asdict(stage), "at": iso(stage.at)} for stage in found.stages]
    models = [{**asdict(model), "at": iso(model.at)} for model in found.models]
    return {
        "stages": stages, "models": models, "replies": {**asdict(found.replies), "last_at": iso(found.replies.last_at)},
        "bytes": found.parts, "bytes_free": found.free, "next": asdict(found.then) if found.then else None,
        "worker": {**asdict(found.worker), "since": iso(found.worker.since)} if found.worker else None, "notices": found.notices,
    }  # fmt: skip


if __name__ == "__main__":
    main()
