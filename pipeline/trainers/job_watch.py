"""Watches a job at a service to its end: each event once, its steps on a bar; Ctrl-C leaves it to itself."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.llm.job_answers import is_count
from pipeline.llm.jobbook import BEGUN, CANCELLED, ENDED, FAILED, SUCCEEDED
from pipeline.trainers.job_orders import batch_size_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openai.types.fine_tuning import FineTuningJob

    from pipeline.llm.jobbook import Note
    from pipeline.trainers.job_orders import JobBar, Order, Room

_FIRST_LOOK, _LONGEST_LOOK = 1.0, 30.0  # seconds between looks: soon while there is news, seldom while there is none
_LAST_SECOND = 1 << 32
_STEP = re.compile(r"\bstep (\d{1,12})\s*/\s*(\d{1,12})(?!\d)", re.IGNORECASE)


def followed(order: Order, room: Room, note: Note) -> Note:
    """Watch a job to its end: each event once, steps on the bar."""
    known = room.book.known_events(note.job_id)
    try:
        with room.watch(_steps_of(order, note)) as bar:
            bar.step(note.step)
            wait, status = _FIRST_LOOK, note.status if known else ""
            while True:
                job = room.desk.job(note.job_id)
                news = room.desk.new_events(note.job_id, known)
                step = shown(news, bar, note.step)
                if job.status != status:
                    status = str(job.status)
                    bar.say(f"train: {note.job_id}: {status.replace('_', ' ')}{until(job.estimated_finish)}")
                room.book.note_events(note, news, step)
                known |= {str(event.get("id")) for event in news}
                note = room.book.advance(note, ENDED if is_over(job) else BEGUN, job={**job.to_dict(warnings=False), "status": _final(job)})
                if note.state == ENDED:
                    return note
                time.sleep(wait)
                wait = _FIRST_LOOK if news else min(_LONGEST_LOOK, 1.5 * wait)
    except KeyboardInterrupt:
        room.say(
            f"\ntrain: {note.job_id} goes on at {order.endpoint} without you – run the same command again to watch it, or with --cancel to cancel it"
        )
        raise


def _steps_of(order: Order, note: Note) -> int | None:
    """Return how many steps a job will have, where its batch size is known."""
    batch = batch_size_of(note.job) or order.terms.batch_size
    return -(-len(order.train.lines) // batch) * order.terms.n_epochs if batch else None


def shown(news: Sequence[Mapping[str, Any]], bar: JobBar, step: int) -> int:
    """Show events, steps by the bar and all else as a line; return the step that they came to."""
    for event in news:
        said, data = str(event.get("message") or ""), event.get("data")
        told = _STEP.search(said)
        at = data.get("step") if isinstance(data, dict) else None
        reached = at if is_count(at) else int(told[1]) if told else None
        if reached is None:
            level = str(event.get("level") or "info")
            bar.say(f"  {'' if level == 'info' else level + ': '}{said}")
            continue
        total = data.get("total_steps") if isinstance(data, dict) else None
        if is_count(total) or told:
            bar.expect(total if is_count(total) else int(told[2]) if told else 0)
        loss = data.get("train_loss") if isinstance(data, dict) else None
        bar.step(max(0, reached - step), **({"loss": f"{loss:.3f}"} if isinstance(loss, float) else {}))
        step = max(step, reached)
    return step


def is_over(job: FineTuningJob) -> bool:
    """Tell whether a job has ended, whatever words the service has for it."""
    return job.status in (SUCCEEDED, FAILED, CANCELLED) or bool(job.finished_at)


def _final(job: FineTuningJob) -> str:
    """Return a job's status; a word that we do not know is what it comes to: a model, or none."""
    if job.status in (SUCCEEDED, FAILED, CANCELLED) or not job.finished_at:
        return str(job.status)
    return SUCCEEDED if job.fine_tuned_model else FAILED


def until(finish: object) -> str:
    """Return when a service thinks that a job will end (seconds since 1970), as words; nothing where it does not tell a time."""
    if not isinstance(finish, int) or not 0 < finish < _LAST_SECOND:
        return ""
    return f", until about {datetime.fromtimestamp(finish, UTC).astimezone():%H:%M}"
