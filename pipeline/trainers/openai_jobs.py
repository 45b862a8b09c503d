"""Fine-tunes at a service that speaks OpenAI's protocol, and leaves the model folder that a training here leaves.

Agreed to → meant (in the ledger) → files there → job begun → watched to its end → results fetched → folder whole. Killed anywhere, the
same command goes on at that place: nothing is sent twice, no job begun twice.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from pipeline.errors import EndpointError, EndpointRefused
from pipeline.llm.job_faults import refusal_of
from pipeline.llm.jobbook import BEGUN, CANCELLED, ENDED, FETCHED, INTENDED, SUCCEEDED
from pipeline.store import storage_error
from pipeline.trainers.job_folder import fetched, find_done, opened
from pipeline.trainers.job_orders import asked_of
from pipeline.trainers.job_watch import followed, is_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.llm.jobbook import JobBook, Note
    from pipeline.llm.jobs import Desk
    from pipeline.trainers.job_files import JobFile
    from pipeline.trainers.job_folder import Made
    from pipeline.trainers.job_orders import Order, Room


def tune(order: Order, room: Room, agree: Callable[[bool], None], measure: Callable[[Path], dict[str, Any]], *, force: bool) -> Made:
    """Have a model fine-tuned, or go on with that, or find it done; return its folder `models/NAME`.

    `agree` asks the person before money is spent, and raises if they do not want to; told True, of what was agreed to and perhaps not begun,
    it looks at the cap alone. `measure` is shown the folder of the finished model,
    and what it returns goes into metrics.json.

    Raises EndpointRefused if the service does not take the job, EndpointError if it failed, was cancelled or cannot be spoken to.
    """
    note = room.book.latest(order.key)
    begun_before = note is not None and (note.is_open or note.status == SUCCEEDED)
    done = find_done(room.models, order.key)
    if done and not (force or (note and note.is_open)):
        return opened(done, already=True)
    if note is None or not begun_before or (force and note.state == FETCHED):
        agree(False)
        note = room.book.intend(order.key, order.endpoint, order.model)
    else:
        if note.state == INTENDED:
            agree(True)
        room.say(f"train: goes on with {note.job_id or 'the job that was agreed to'} at {order.endpoint}, {note.status or 'not begun yet'}")
    try:
        return opened(_brought_to_its_end(order, room, note, measure))
    except OSError as error:
        raise storage_error(error, error.filename or room.models) from error


def _brought_to_its_end(order: Order, room: Room, note: Note, measure: Callable[[Path], dict[str, Any]]) -> Path:
    if note.state == INTENDED:
        note = _begun(order, room, note)
    if note.state == BEGUN:
        note = followed(order, room, note)
    if note.status != SUCCEEDED:
        raise _failure(room, note)
    folder = fetched(order, room, note, measure)
    room.book.advance(note, FETCHED)
    return folder


def _begun(order: Order, room: Room, note: Note) -> Note:
    """Send the files and begin the job, unless the service has them already; a job that it refuses is forgotten."""
    work = room.models / f".unfinished-{order.key}"
    try:
        train = _sent_file(room, order, order.train, work)
        validation = _sent_file(room, order, order.validation, work) if order.validation else None
        for file_id in filter(None, (train, validation)):
            room.desk.await_file(file_id)
        job = room.desk.begin(note.tag, note.intended_at, asked_of(order, note, train, validation))
    except EndpointRefused:
        if room.desk.declined:
            room.book.give_up(note)
            shutil.rmtree(work, ignore_errors=True)
        raise
    note = room.book.advance(note, BEGUN, job=job.to_dict(warnings=False))
    room.say(f"train: {job.id} is at {order.endpoint}; stop whenever you like, the same command goes on watching")
    return note


def _sent_file(room: Room, order: Order, file: JobFile, work: Path) -> str:
    """Return what the service calls a file; it is sent only if it is not there."""
    known = room.book.file_id(order.endpoint, file.sha256)
    if known and room.desk.has_file(known):
        return known
    name = f"{order.target}.{file.split}.{file.sha256[:12]}.jsonl"
    work.mkdir(parents=True, exist_ok=True)
    path = work / name
    path.write_bytes(file.content)
    file_id = room.desk.upload(path, name)
    room.book.note_file(order.endpoint, file.sha256, file_id, name)
    room.say(f"train: {len(file.lines):,} {file.split} rows are at {order.endpoint} as {file_id}")
    return file_id


def _failure(room: Room, note: Note) -> EndpointError:
    """Return why a job that ended has no model."""
    error = note.job.get("error") or {}
    code, message = str(error.get("code") or ""), " ".join(str(error.get("message") or "").split())
    value = f"{note.job_id} at {note.endpoint}: {': '.join(part for part in (code, message) if part) or note.status}"
    if note.status == CANCELLED:
        return EndpointError("the job was cancelled", value, "run the same command again to begin another")
    refused = refusal_of(code, message, value, room.instead)
    return refused or EndpointError("the job failed", value, f"run the same command again to begin another; or {room.instead.way}")


def cancelled(desk: Desk, book: JobBook, note: Note) -> tuple[str, bool]:
    """Cancel a job that is under way; return what came of it as words, and whether it was cancelled now.

    One that was meant and never begun is forgotten.
    """
    found = desk.job(note.job_id) if note.job_id else desk.find(note.tag, note.intended_at)
    if found is None:
        book.give_up(note)
        return f"a job for {note.model} at {note.endpoint} was never begun, and is forgotten", False
    if is_over(found):
        book.advance(note, BEGUN, job=found.to_dict(warnings=False))
        return f"{found.id} at {note.endpoint} has ended already: {found.status}; run the training again to fetch what it left", False
    job = desk.cancel(found.id)
    book.advance(note, ENDED if is_over(job) else BEGUN, job=job.to_dict(warnings=False))
    return f"{job.id} at {note.endpoint}: {job.status}", True
