"""How many calls at once, when to wait, and how long one may take: learnt from what the endpoint answers.

`Limit` is additive increase and multiplicative decrease (Chiu and Jain 1989) with two thoughts more: a
decrease that leaves the share of refusals as it was did not help and is taken back, and the first climb
(a doubling, as in TCP's slow start) ends where twice the calls only take twice the time. `Patience` cuts
calls that take far longer than the others. `Slots` hands the places out.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_START = 16
_FEWEST, _TO_JUDGE = 8, 20  # replies after which the limit is thought about; where some are refusals
_TOLERATED = 0.05  # share of refusals at which nothing is changed
_STORM = 0.9
_HELPED = 0.7  # a decrease helped if the share fell below this part of what it was
_QUEUED = 1.7  # twice the calls that take so many times as long: they only wait in a queue
_HOLD_SECONDS, _LONGEST_HOLD = 15.0, 120.0
_LONGEST_PAUSE = 30.0
_CUT_FLOOR, _FIRST_CUT, _CUT_FACTOR = 15.0, 30.0, 6.0
_LATENCIES, _KNOWN_FROM, _LOOK_EVERY = 256, 20, 32


@dataclass(slots=True)
class Limit:
    """How many calls may be in flight, from the answers to calls that were sent under the present limit."""

    ceiling: int
    value: float = 0.0
    window: int = 0
    """which limit a call was sent under; goes into `came`"""
    climbing: bool = True
    _good: int = 0
    _bad: int = 0
    _took: float = 0.0
    """seconds of the good answers of this window, together"""
    _before: float = 0.0
    """seconds a good answer took before the limit was doubled"""
    _climb_again: float = 0.0
    _borne: float = 0.0
    """the share of refusals that does not depend on us"""
    _cut_from: float = 0.0
    _cut_share: float = 0.0
    _cut_climbing: bool = False
    _hold: float = _HOLD_SECONDS
    _hold_until: float = 0.0
    _storms: int = 0

    def __post_init__(self) -> None:
        self.value = float(min(self.ceiling, _START))

    def came(self, window: int, now: float, *, good: bool, seconds: float, starved: bool = False) -> float:
        """Count the answer to a call that was sent under `window`; return how many seconds nothing should be sent now (mostly 0).

        `seconds`: how long it took. `starved`: fewer calls were wanted than the limit allows, so that it need not grow.
        """
        if window != self.window:
            return 0.0
        self._good, self._bad, self._took = self._good + good, self._bad + (not good), self._took + good * seconds
        enough = self.value / 2 if self.climbing else self.value
        n = self._good + self._bad
        if n < (1 if self._storms else max(_FEWEST, int(enough))) or (self._good and self._bad and n < _TO_JUDGE):
            return 0.0
        pause = self._close(now, starved=starved)
        self.window, self._good, self._bad, self._took = self.window + 1, 0, 0, 0.0
        return pause

    def _close(self, now: float, *, starved: bool) -> float:
        """Judge a round by its share of failures: grow where it is no worse than what fails anyway (`_borne`), else cut, and take a cut back that did not help."""
        n = self._good + self._bad
        share = self._bad / n
        if share >= _STORM:
            return self._storm()
        self._storms = 0
        if now >= self._hold_until:
            self._borne = 0.0
        slack = _TOLERATED + (1 / math.sqrt(n) if self._borne else 0.0)
        if share - self._borne <= slack:
            self._cut_from = 0.0
            self._borne += 0.3 * min(0.0, share - self._borne)
            self._healthy(now, self._took / max(1, self._good), starved=starved)
        elif self._cut_from and share > _HELPED * self._cut_share:
            self._take_back(share, now)
        else:
            self._cut_from, self._cut_share, self._cut_climbing = self.value, share, self.climbing
            self.value = max(1.0, self.value * (1 - (share - self._borne)))
            self.climbing, self._climb_again = False, 0.0
        return 0.0

    def _storm(self) -> float:
        """Nothing goes through: one call at a time, with pauses that double, and a new climb afterwards."""
        self.value, self.climbing, self._before, self._cut_from, self._borne = 1.0, True, 0.0, 0.0, 0.0
        self._storms += 1
        return min(_LONGEST_PAUSE, 2.0 ** (self._storms - 1))

    def _take_back(self, share: float, now: float) -> None:
        self.value, self._cut_from, self._borne, self.climbing, self._before = self._cut_from, 0.0, share, self._cut_climbing, 0.0
        self._hold_until = now + self._hold
        self._hold = min(_LONGEST_HOLD, 2 * self._hold)

    def _healthy(self, now: float, seconds: float, *, starved: bool) -> None:
        """Grow: by doubling as long as the calls do not only queue, after a decrease step by step."""
        if self._climb_again and now >= self._climb_again:
            self.climbing, self._climb_again, self._before = True, 0.0, 0.0
        if self.climbing and self._before and seconds > _QUEUED * self._before:
            self.value, self.climbing, self._climb_again = max(1.0, self.value / 2), False, now + self._hold
            self._hold = min(_LONGEST_HOLD, 2 * self._hold)
        elif self.value >= self.ceiling:
            self.climbing = False
        elif starved or self._climb_again:
            return
        elif self.climbing:
            self._before, self.value = seconds, min(self.ceiling, 2 * self.value)
        else:
            self.value = min(self.ceiling, self.value + max(0.25, self.value / 12))


@dataclass(slots=True)
class Patience:
    """How long a call may take: far longer than the others did, never longer than `longest` (both in seconds)."""

    longest: float
    steady: bool = False
    """whether every call may take the longest"""
    seconds: float = 0.0
    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _count: int = 0

    def __post_init__(self) -> None:
        self.seconds = self.longest if self.steady else min(self.longest, _FIRST_CUT)

    def saw(self, seconds: float) -> bool:
        """Count how long a good reply took; tell whether the patience is another one now."""
        self._seen.append(seconds)
        self._count += 1
        before = self.seconds
        if self.steady:
            return False
        if self._count < _KNOWN_FROM:  # the first ones say only that the others may take as long
            self.seconds = min(self.longest, max(before, _CUT_FACTOR * seconds))
        elif (self._count - _KNOWN_FROM) % _LOOK_EVERY == 0:
            slow = sorted(self._seen)[int(0.95 * (len(self._seen) - 1))]
            self.seconds = min(self.longest, max(_CUT_FLOOR, _CUT_FACTOR * slow))
        return self.seconds != before

    def after(self, cuts: int) -> float:
        """Return how long a call may take that was cut so many times before: twice as long each time."""
        return min(self.longest, self.seconds * 2.0**cuts)


class Slots:
    """Places for calls in flight: as many as the limit says, one until the endpoint has answered well, none during a pause."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        """Open with one place; `clock` gives seconds that never go back."""
        self.limit, self.in_flight, self.open, self.closed = limit, 0, False, False
        self._clock, self._paused_until, self._spacing = clock, 0.0, 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def starved(self) -> bool:
        """Whether fewer calls are wanted than there are places."""
        return not self._waiting and self.in_flight < int(self.limit.value)

    async def take(self, *, first: bool = False) -> None:
        """Wait for a place and take it; `first`: before all who wait (a call that is sent again). At once where it is closed."""
        while not self.closed and not self._free():
            place = asyncio.get_running_loop().create_future()
            self._waiting.appendleft(place) if first else self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._wake()  # the place may have been meant for this one
                raise
        self.in_flight += 1
        if self._spacing:
            self.pause(self._spacing)

    def give(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        self._wake()

    def pause(self, seconds: float) -> bool:
        """Let nothing be sent for a while; tell whether that is a second longer, or more, than it was anyway."""
        until = self._clock() + seconds
        longer = until - max(self._paused_until, self._clock())
        if longer > 0:
            self._paused_until = until
            asyncio.get_running_loop().call_later(seconds + 0.001, self._wake)
        return longer >= 1

    def space(self, seconds: float) -> None:
        """Let so much time pass between two calls, from now on (0: none)."""
        self._spacing = seconds

    def opened(self) -> None:
        """The endpoint has answered well: as many at once as the limit says, from now on."""
        self.open = True
        self._wake()

    def close(self) -> None:
        """Nothing is to be sent any more: all who wait are let through to find that out."""
        self.closed = True
        self._wake()

    def _free(self) -> bool:
        room = int(self.limit.value) if self.open else 1
        return self.in_flight < room and self._clock() >= self._paused_until

    def _wake(self) -> None:
        room = (int(self.limit.value) if self.open else 1) - self.in_flight
        if self.closed:
            room = len(self._waiting)
        elif self._clock() < self._paused_until:
            room = 0
        while room > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                room -= 1


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


def seconds_of(text: str) -> float | None:
    """Read a duration as rate-limit headers write it (`1s`, `6m0s`, `120ms`, `0.5`), in seconds; None if it is none."""
    text = text.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


class Quota(NamedTuple):
    """How long to send nothing, and how long to wait between two calls then (in seconds)."""

    pause: float
    spacing: float


def quota_of(headers: Mapping[str, str], tokens: float, at_once: float) -> Quota:
    """Read `x-ratelimit-*`: what is left for calls of so many tokens, `at_once` of them in flight.

    A bucket that is refilled steadily has room for the next call before it is full; while it has room for
    fewer calls than may be in flight, they go out no faster than it is refilled.
    """
    pause = spacing = 0.0
    for what, needed in (("requests", 1.0), ("tokens", tokens)):
        left, size = _number(headers.get(f"x-ratelimit-remaining-{what}")), _number(headers.get(f"x-ratelimit-limit-{what}")) or 0.0
        if left is None or left >= needed * at_once:
            continue
        reset = seconds_of(headers.get(f"x-ratelimit-reset-{what}", "")) or 0.0
        if left < needed:
            pause = max(pause, reset * min(1.0, (needed - left) / (size - left)) if size > left else reset)
        if size > left:
            spacing = max(spacing, min(reset, needed * reset / (size - left)))
    return Quota(pause, spacing)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None
