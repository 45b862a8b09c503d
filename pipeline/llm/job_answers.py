"""What a fine-tuning service says of a job and its events, as far as it is of the protocol's kinds; the key is taken out of all of it. Pure.

The SDK does not check answers: a page of a proxy comes as a text, a number may come as a text or a list. A job without its id and status is
no job; of all else, what is of another kind than documented says nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

from pipeline.records import stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from openai.types.fine_tuning import FineTuningJob

_SHORTEST_KEY = 8
"""characters; a shorter one is a word to fill in, and may be part of any other"""
_LARGEST = 1 << 53
_NUMBERS = ("created_at", "finished_at", "estimated_finish", "seed", "trained_tokens")
_TEXTS = ("fine_tuned_model", "training_file", "validation_file")
_OBJECTS = ("error", "hyperparameters", "metadata", "method")


def job_of(answer: object, key: str) -> FineTuningJob:
    """Return an answer as a job of which each field is of its kind, or nothing.

    Raises ValueError if it is none.
    """
    from openai.types.fine_tuning import FineTuningJob

    told = _told(answer, key)
    if not is_name(told.get("id")) or not is_name(told.get("status")):
        raise ValueError(f"no job: {json.dumps(told)[:200]}")
    if isinstance(told.get("error"), str):
        told["error"] = {"message": told["error"]}
    kept: dict[str, Any] = (
        {name: value if is_count(value) else None for name, value in told.items() if name in _NUMBERS}
        | {name: value if is_name(value) else None for name, value in told.items() if name in _TEXTS}
        | {name: value if isinstance(value, dict) else None for name, value in told.items() if name in _OBJECTS}
    )
    supervised = (kept.get("method") or {}).get("supervised")
    if kept.get("method") and not (isinstance(supervised, dict) and isinstance(supervised.get("hyperparameters", {}), dict)):
        kept["method"] = None
    results = told.get("result_files")
    return FineTuningJob.construct(**told | kept | {"result_files": list(filter(is_name, results)) if isinstance(results, list) else []})


def event_of(answer: object, key: str) -> dict[str, Any]:
    """Return an answer as an event; one that has no id gets one of what it says.

    Raises ValueError if it is none.
    """
    told = _told(answer, key)
    name = told.get("id")
    return told | {"id": name if is_name(name) else stable_id("event", json.dumps(told, sort_keys=True))}


def is_count(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number that counts something, or a moment."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def is_name(value: object) -> TypeGuard[str]:
    """Tell whether a value can be a name of something: one line of text."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def each_once(answers: Iterable[Any], most: int) -> Iterator[Any]:
    """Yield what a service lists, page after page, until it begins again or so many have come: some know no end of pages."""
    known: set[str] = set()
    for answer in answers:
        name = str(getattr(answer, "id", None) or answer)
        if name in known or len(known) >= most:
            return
        known.add(name)
        yield answer


def _told(answer: object, key: str) -> dict[str, Any]:
    from openai import BaseModel

    if not isinstance(answer, BaseModel):
        raise ValueError(f"no object: {str(answer)[:200]!r}")  # noqa: TRY004 (what comes from outside is not of a type, but of a form)
    without: dict[str, Any] = _without(answer.to_dict(warnings=False), key)
    return without


def _without(value: Any, key: str) -> Any:
    """Return a value with the key taken out of every text in it."""
    if isinstance(value, str):
        return value.replace(key, "[key]") if len(key) >= _SHORTEST_KEY else value
    if isinstance(value, dict):
        return {_without(name, key): _without(part, key) for name, part in value.items()}
    return [_without(part, key) for part in value] if isinstance(value, list) else value
