"""The state of each stage of a run, told from the manifest, hashes and dates; nothing is run, locked or written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.standing.files import has_split, of, unread, written_at
from pipeline.standing.look import ABSENT, COMPLETE, EDITED, INTERRUPTED, RUNNING, STALE, Standing
from pipeline.standing.models import headline_of
from pipeline.standing.unfinished import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline.standing.look import Look

_EVALUATE = "evaluate "
_FILES = {"sections": "sections.parquet", "qa": "qa.parquet", "examples": "examples.parquet"}
"""inputs that the manifest names without their file's ending"""


def _file_of(stage: str, key: str) -> str | None:
    """Return the file that an input of a stage is; an evaluation's `qa` is a model's name."""
    return None if stage.startswith(_EVALUATE) and key == "qa" else _FILES.get(key)


def standings(look: Look, report_reads: list[str]) -> list[Standing]:
    """Return the stages in their order, evaluations by name; `report_reads`: the files that a report would read now."""
    found: list[Standing] = []
    for name, told in UNFINISHED.items():
        found.append(_with_what_came_before(_stage(look, name) or told(look), found))
    found += _evaluations(look) or [Standing("evaluate", ABSENT, _nothing_to_evaluate(look))]
    return [_running(look, stage) for stage in [*found, _report(look, report_reads)]]


def _stage(look: Look, name: str) -> Standing | None:
    """Return a stage that the manifest names; None if it does not."""
    entry = look.manifest.stages.get(name)
    return None if entry is None else _told(look, name, entry, look.folder.main_file(name))


def _told(look: Look, name: str, entry: Mapping[str, Any], main: Path, inputs: Mapping[str, str] | None = None) -> Standing:
    """Return a finished stage: complete, edited since, or stale."""
    why = next(_reasons_to_do_it_again(look, name, entry, inputs or {}), "")
    edited = [file for file, digest in of(entry, "outputs").items() if look.digests.differs(file, digest) == "changed"]
    state, why = (STALE, why) if why else (EDITED, f"{_listed(edited)} not what it wrote") if edited else (COMPLETE, "")
    seconds = entry.get("seconds")
    took = float(seconds) if isinstance(seconds, int | float) else None
    return Standing(name, state, why, written_at(main), of(entry, "counts"), of(entry, "settings"), of(entry, "cost"), took)


def _reasons_to_do_it_again(look: Look, name: str, entry: Mapping[str, Any], inputs: Mapping[str, str]) -> Iterator[str]:
    touched = {
        **of(entry, "outputs"),
        **{file: digest for key, digest in of(entry, "inputs").items() if (file := inputs.get(key) or _file_of(name, key))},
    }
    unreadable = [why for file, digest in touched.items() if look.digests.differs(file, digest) and (why := unread(look.folder.root / file))]
    if unreadable:
        yield "; ".join(unreadable[:2])
    gone = [file for file, digest in of(entry, "outputs").items() if look.digests.differs(file, digest) == "gone"]
    if gone:
        yield f"{_listed(gone)} gone"
    changed = [
        file for key, digest in of(entry, "inputs").items() if (file := inputs.get(key) or _file_of(name, key)) and look.digests.differs(file, digest)
    ]
    if changed:
        yield f"{_listed(changed)} not what it was made of"
    made_with = of(of(entry, "settings").get("passes"), "generate").get("prompts") if name == "create_qa" else None
    if made_with not in (None, look.prompts):
        yield f"its prompts are of version {made_with}, now they are of {look.prompts}"
    for setting, variable in look.now_in_force.get(name, {}).items():
        yield f"{variable} in the environment is not the {setting} it was made with"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""  # noqa: PLR2004
    return f"{' and '.join(names[:2]) if len(names) < 3 else ', '.join(names[:2])}{more} {'is' if len(names) == 1 else 'are'}"  # noqa: PLR2004


def _with_what_came_before(stage: Standing, before: list[Standing]) -> Standing:
    """Return the stage, stale if one that it stands on has to be done again."""
    cause = next((earlier for earlier in before if earlier.state in (STALE, INTERRUPTED, ABSENT)), None)
    if cause is None or stage.state not in (COMPLETE, EDITED):
        return stage
    return replace(stage, state=STALE, why=f"{cause.name} comes first: it is {cause.state}")


def _running(look: Look, stage: Standing) -> Standing:
    worker = look.worker
    if worker is None or worker.command != stage.name:
        return stage
    return replace(stage, state=RUNNING, why=f"process {worker.process}")


def _evaluations(look: Look) -> list[Standing]:
    """Return each evaluation, in the order of their names."""
    folder = look.folder
    made = {name.removeprefix(_EVALUATE) for name in look.manifest.stages if name.startswith(_EVALUATE)}
    there = {path.parent.name for path in folder.root.glob("evaluation/*/metrics.json")}
    return [_evaluation(look, name) for name in sorted(made | there)]


def _nothing_to_evaluate(look: Look) -> str:
    """Return what `evaluate` lacks; an empty text where it lacks nothing."""
    if has_split(look.folder.examples, "test") is not False:
        return ""
    return "the test split has no row: collect more pages and ask about them, or name a file with --dataset"


def _evaluation(look: Look, name: str) -> Standing:
    path = look.folder.evaluation(name) / "metrics.json"
    entry = look.manifest.stages.get(f"{_EVALUATE}{name}")
    if entry is None:
        return Standing(f"{_EVALUATE}{name}", INTERRUPTED, "it was not brought to its end", written_at(path), headline_of(path))
    chosen = of(entry, "settings")
    inputs = {
        key: (model / file).relative_to(look.folder.root).as_posix()
        for key in of(entry, "inputs")
        for what, _, file in (key.partition(" "),)
        if what in ("discriminator", "classifier") and (model := look.folder.models / str(chosen.get(what))).is_dir()
    }
    return _told(look, f"{_EVALUATE}{name}", entry, path, inputs)


def _report(look: Look, reads: list[str]) -> Standing:
    path = look.folder.report
    entry = look.manifest.stages.get("report")
    at = written_at(path)
    if entry is None:
        return Standing("report", ABSENT) if at is None else Standing("report", STALE, "the run has changed since", at)
    inputs = {name: name for name in of(entry, "inputs") if not name.startswith("compared/")}
    found = _told(look, "report", entry, path, inputs)
    new = [name for name in reads if name not in inputs]
    made_by = found.settings.get("version")
    why = f"{_listed(new)} new" if new else f"version {made_by} of this program made it" if made_by not in (None, look.version) else ""
    return replace(found, state=STALE, why=why) if why and found.state in (COMPLETE, EDITED) else found
