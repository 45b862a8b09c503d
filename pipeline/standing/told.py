"""A look at a run folder as lines for people: pure, from what was found and the time now. A piece of a line may have a colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.standing.files import number, of
from pipeline.standing.look import ABSENT, COMPLETE, EDITED, FOREIGN, INTERRUPTED, RUNNING, STALE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.standing.following import Next
    from pipeline.standing.look import Standing
    from pipeline.standing.models import Model
    from pipeline.standing.replies import Replies

    Piece = tuple[str, str]
    Line = tuple[Piece, ...]

COLOURS = {COMPLETE: "green", EDITED: "yellow", FOREIGN: "yellow", INTERRUPTED: "yellow", STALE: "yellow", RUNNING: "cyan", ABSENT: "bright_black"}
REASONS = 3
"""reasons of rejection that are named; the others are counted together"""
_AGES = ((60, 1, "second"), (3600, 60, "minute"), (86_400, 3600, "hour"), (14 * 86_400, 86_400, "day"), (60 * 86_400, 7 * 86_400, "week"))
_LONGEST = (365 * 86_400 / 12, "month")
_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000
_STATE, _AGE = 12, 16
_JUST_NOW = 5


def age(seconds: float) -> str:
    """Return how long ago something was, in words."""
    if seconds < -_JUST_NOW:
        return "in the future"
    if seconds < _JUST_NOW:
        return "just now"
    bound, name = next(((unit, name) for below, unit, name in _AGES if seconds < below), _LONGEST)
    n = int(seconds // bound)
    return f"{n} {name}{'s' if n != 1 else ''} ago"


def size(n: float) -> str:
    """Return bytes in a unit that one reads, a thousand of the one before."""
    unit = 0
    while n >= _THOUSAND and unit < len(_UNITS) - 1:
        n, unit = n / _THOUSAND, unit + 1
    return f"{n:.0f} {_UNITS[unit]}" if unit < 2 or n >= 10 else f"{n:.1f} {_UNITS[unit]}"  # noqa: PLR2004


def stage_lines(stages: Sequence[Standing], now: float) -> Iterator[Line]:
    """Yield a line a stage with its state, age and counts, and below it why the state is so."""
    width = max(len(stage.name) for stage in stages) + 2
    for stage in stages:
        written = "" if stage.at is None else age(now - stage.at)
        counts = _counts(stage)
        told = f"{written:<{_AGE}}{counts}".rstrip()
        yield ((f"  {stage.name:<{width}}", ""), (f"{stage.state:<{_STATE if told else 0}}", COLOURS[stage.state]), (told, ""))
        rest = " " * (width + 2 + _STATE + _AGE)
        for line in filter(None, (stage.why, _reasons(stage), _cost(stage))):
            yield ((f"{rest}{line}", ""),)


def _counts(stage: Standing) -> str:
    counts = stage.counts
    n = {name: value for name in counts if (value := number(counts, name)) is not None}
    if stage.name == "collect":
        met = f"{_many(n['pages'], 'page')} met, {_many(n['sections_met'], 'section')} → " if {"pages", "sections_met"} <= n.keys() else ""
        return f"{met}{_many(n['sections'], 'section')}{_gone(n, 'sections_dropped', 'dropped')}" if "sections" in n else ""
    if stage.name == "create_qa":
        sources = ", ".join(f"{value} {name}" for name, value in of(counts, "kept_by_source").items())
        return f"{_many(n['kept'], 'question')}{f' ({sources})' if sources else ''}{_gone(n, 'rejected', 'rejected')}" if "kept" in n else ""
    if stage.name == "train":
        splits = ", ".join(f"{value} {name}" for name, value in of(counts, "by_split").items())
        return f"{_many(n['examples'], 'example')}{f' ({splits})' if splits else ''}" if "examples" in n else ""
    if stage.name == "report":
        return f"{n['rows']} of {n['rows_in_the_run']} rows" if {"rows", "rows_in_the_run"} <= n.keys() else ""
    return ", ".join(_figure(name, counts[name]) for name in ("questions", "texts", "f1", "abstention_f1", "accuracy", "auroc") if name in counts)


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _gone(n: Mapping[str, int], name: str, how: str) -> str:
    return f", {n[name]:,} {how}" if n.get(name) else ""


def _figure(name: str, value: object) -> str:
    label = {"f1": "answers' F1", "abstention_f1": "declining F1", "auroc": "AUROC"}.get(name, name)
    if name in ("questions", "texts"):
        return f"{value} {name}"
    return (
        f"{label} {value:.3f}" if isinstance(value, float) and name != "f1" else f"{label} {value:.1f}" if isinstance(value, float) else f"{label} –"
    )


def _reasons(stage: Standing) -> str:
    """Return why rows went, the most frequent reasons first."""
    found = {**of(stage.counts, "dropped_by_reason"), **of(stage.counts, "rejected_by_reason")}
    counted = sorted(((n, str(name)) for name, n in found.items() if isinstance(n, int)), key=lambda one: (-one[0], one[1]))
    if not counted:
        return ""
    shown = ", ".join(f"{n:,} {name}" for n, name in counted[:REASONS])
    rest = sum(n for n, _ in counted[REASONS:])
    what = "candidates dropped" if stage.name == "train" else "why not"
    return f"{what}: {shown}{f', {rest:,} for other reasons' if rest else ''}"


def _cost(stage: Standing) -> str:
    """Return what the stage took, the last time: seconds, and what it asked others for."""
    n = {name: value for name, value in stage.cost.items() if isinstance(value, int | float) and value}
    parts = [f"{stage.seconds:,.1f} s"] if stage.seconds else []
    parts += [
        f"{n[name]:,} {label}" for name, label in (("requests", "requests"), ("calls", "calls"), ("from_ledger", "replies known before")) if name in n
    ]
    parts += [f"{n['usd']:.4f} USD"] if "usd" in n else []
    return f"took {', '.join(parts)}" if parts else ""


def model_lines(models: Sequence[Model], now: float) -> Iterator[Line]:
    """Yield a line a model."""
    width = max((len(model.name) for model in models), default=0) + 2
    for model in models:
        written = "" if model.at is None else f", {age(now - model.at)}"
        target = f"{model.target}: " if model.target and model.target != model.name else ""
        note = ((f"; {model.note}", "yellow"),) if model.note else ()
        yield ((f"  {model.name:<{width}}", ""), (f"{target}{model.headline}{written}", ""), *note)


def reply_lines(replies: Replies) -> Iterator[Line]:
    """Yield what the ledger holds, a line a model."""
    if replies.fault:
        yield ((f"  {replies.fault}", "yellow"),)
    if replies.count and not replies.models:
        yield ((f"  {replies.count:,} replies, too many to be summed up at a look", ""),)
    for one in replies.models:
        money = (
            "it runs here, at no cost" if one.here else "no price is known" if one.usd is None else f"about {one.usd:,.2f} USD, or half by --batch"
        )
        tokens = f"{one.tokens_in:,} tokens in, {one.tokens_out:,} out"
        yield ((f"  {one.replies:,} {'reply' if one.replies == 1 else 'replies'} of {one.model or 'an unknown model'}: {tokens}; {money}", ""),)
    if replies.later:
        yield ((f"  {replies.later:,} came after qa.parquet: by train --verify model, evaluate --qa, or a create_qa that was stopped", ""),)
    if replies.on_their_way:
        yield ((f"  {replies.on_their_way:,} requests are in batches on their way", "cyan"),)
    for job in replies.jobs:
        how = f"{job.status or 'begun'}{f', step {job.step}' if job.step else ''}, as last heard" if job.job_id else "meant, not known to be begun"
        yield ((f"  fine-tuning job {job.job_id or '(no id yet)'} of {job.model} at {job.service}: {how}; the train command that began it goes on", "cyan"),)  # fmt: skip


def disk_lines(parts: Mapping[str, int], free: int, then: Next | None) -> Iterator[Line]:
    """Yield what lies on disk, what is free, and whether that is enough for what comes next."""
    listed = ", ".join(f"{name} {size(n)}" for name, n in parts.items())
    yield ((f"  {size(sum(parts.values()))}{f': {listed}' if listed else ''}", ""),)
    needs = None if then is None else then.needs
    if needs:
        colour = "red" if needs > free else ""
        yield ((f"  {size(free)} free; what comes next writes about {size(needs)}{' – that is too little' if colour else ''}", colour),)
    else:
        yield ((f"  {size(free)} free", ""),)


def next_lines(then: Next) -> Iterator[Line]:
    """Yield the command that comes next, and what else may be meant."""
    yield (("next: ", ""), (then.command, "bold"), (f"   # {then.why}" if then.why else "", ""))
    if then.otherwise:
        yield ((f"  or, {then.otherwise}", ""),)


def iso(value: float | None) -> str | None:
    """Return a time in seconds since 1970 as text of ISO 8601, in UTC."""
    from datetime import UTC, datetime

    return None if value is None else datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
