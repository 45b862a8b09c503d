"""What an endpoint's answer other than a completion means: wait, try again, give this request up, or stop altogether."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pipeline.errors import EndpointError, EndpointRefused, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

BUSY, FAULT, HANG, GARBLED, ANEW = "busy", "fault", "hang", "garbled", "anew"
TRIES = {BUSY: 50, FAULT: 6, HANG: 4, GARBLED: 3, ANEW: 10}
"""how often a request is sent that meets nothing else; a busy endpoint is waited for, and `client.py` knows when to stop that"""
BUSY_STATUS = (429, 503, 529)
_PASSING_STATUS = (408, 409, 425)
_NO_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}


class Passing(EndpointError):
    """One attempt failed in a way that may pass: of which kind, and the seconds that the endpoint asks to wait."""

    def __init__(self, kind: str, what: str, value: str, do: str, after: float | None = None) -> None:
        super().__init__(what, value, do)
        self.kind, self.after = kind, after


@dataclass(frozen=True, slots=True)
class Where:
    """For the sentences: the endpoint's address and the model that is asked."""

    base_url: str
    model: str


_REFUSALS = {
    401: ("the endpoint does not accept the key (401)", "check OPENAI_API_KEY"),
    402: ("the account has no credit left (402)", "top it up, then run the same command again"),
    403: ("the key may not use this model (403)", "check the key's rights and --model"),
    404: ("the endpoint knows no such model or path (404)", "check --model {model} and --base-url"),
}


def fault_for(status: int, headers: Mapping[str, str], said: str, body: str, where: Where) -> EndpointError:
    """Return what an answer with this status means; `said` is the body, fit to be shown.

    Returns EndpointRefused (every request would meet it), RequestRefused (this one alone), or Passing.
    """
    value = f"{where.base_url}: {status}: {said}"
    refused = _refusal(status, body, where.model)
    if refused:
        return EndpointRefused(refused[0], value, refused[1])
    if status in BUSY_STATUS:
        return Passing(BUSY, "the endpoint asks for patience", value, "run the same command again later", wait_asked(headers))
    if status in _PASSING_STATUS or status >= 500:  # noqa: PLR2004
        return Passing(FAULT, "the endpoint failed", value, "run the same command again", wait_asked(headers))
    return RequestRefused("the endpoint refuses this request", value, "see what it says")


def _refusal(status: int, body: str, model: str) -> tuple[str, str] | None:
    """Return what is refused and what to do, where it is not about one request."""
    if status in _REFUSALS:
        what, do = _REFUSALS[status]
        return what, do.format(model=model)
    if 300 <= status < 400:  # noqa: PLR2004
        return "the endpoint has moved", "write the new address as --base-url"
    code, kind, message = _error(body)
    if {code, kind} & _NO_MONEY:
        return f"the account has no credit left ({status})", "top it up, then run the same command again"
    if status == 400 and (code == "model_not_found" or re.search(rf"model\b.*{re.escape(model)}.*\bnot\b|invalid model", message, re.IGNORECASE)):  # noqa: PLR2004
        return "the endpoint knows no such model (400)", f"check --model {model}"
    return None


def _error(body: str) -> tuple[str, str, str]:
    """Return code, type and message of an error in OpenAI's form, empty where there is none."""
    try:
        error: Any = json.loads(body)["error"]
        return str(error.get("code", "")), str(error.get("type", "")), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", "", body[:1000]


def wait_asked(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that `retry-after-ms` or `Retry-After` (RFC 9110: seconds or a date) ask to wait, or None."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return max(0.0, float(text) * unit)
        except ValueError:
            pass
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            continue
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
    return None
