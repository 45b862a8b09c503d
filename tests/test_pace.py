"""How many calls at once and how long each may take: a simulated endpoint and a simulated clock."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.faults import wait_asked
from pipeline.llm.pace import Limit, Patience, Slots, quota_of, seconds_of

CEILING = 64


class Simulated:
    """An endpoint in simulated time: each call takes 0.1 s, `share` of them are refused, and more than `rate` good ones a second too."""

    def __init__(self, ceiling: int = CEILING) -> None:
        self.limit, self.now, self.draw = Limit(ceiling), 0.0, random.Random(1)
        self.flying: list[int] = []
        self.allowance = 0.0

    def run(self, seconds: float, share: float = 0.0, rate: float = 1e9, slowed_above: int = 10_000) -> tuple[float, float]:
        """Let time pass; return good replies and refusals a second."""
        good = bad = 0
        end = self.now + seconds
        while self.now < end:
            self.flying = [self.limit.window] * max(1, int(self.limit.value))
            tick = 0.1 * max(1.0, len(self.flying) / slowed_above)
            self.now += tick
            self.allowance = min(rate * 1.0, self.allowance + rate * tick)
            for window in self.flying:
                fine = self.draw.random() >= share and self.allowance >= 1
                self.allowance -= fine
                good, bad = good + fine, bad + (not fine)
                self.now += self.limit.came(window, self.now, good=fine, seconds=tick)
        return good / seconds, bad / seconds


def test_a_healthy_endpoint_gets_all_calls_at_once_that_are_allowed() -> None:
    endpoint = Simulated()
    endpoint.run(5)
    assert endpoint.limit.value == CEILING


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_refusals_that_do_not_depend_on_us_do_not_slow_us_down_for_long(share: float) -> None:
    endpoint = Simulated()
    before, _ = endpoint.run(20)
    during, _ = endpoint.run(60, share=share)
    after, _ = endpoint.run(20)
    assert during > 0.8 * (1 - share) * before
    assert after > 0.9 * before


@pytest.mark.parametrize("rate", [20.0, 100.0, 300.0])
def test_a_rate_limit_is_used_up_and_seldom_run_into(rate: float) -> None:
    endpoint = Simulated()
    endpoint.run(20, rate=rate)
    good, refused = endpoint.run(100, rate=rate)
    assert good > 0.75 * rate
    assert refused < 0.25 * rate
    assert endpoint.run(20)[0] > rate


def test_a_storm_is_waited_out_with_single_calls_and_the_pace_comes_back() -> None:
    endpoint = Simulated()
    before, _ = endpoint.run(20)
    _, refused = endpoint.run(300, share=1.0)
    assert refused < 3
    endpoint.run(40)
    assert endpoint.run(20)[0] > 0.9 * before


def test_more_calls_than_the_endpoint_works_on_are_not_sent() -> None:
    endpoint = Simulated()
    endpoint.run(60, slowed_above=16)
    assert 16 <= endpoint.limit.value < CEILING


@given(ceiling=st.integers(1, 100), replies=st.lists(st.tuples(st.booleans(), st.floats(0.001, 10)), max_size=400))
def test_the_limit_stays_between_one_and_its_ceiling(ceiling: int, replies: list[tuple[bool, float]]) -> None:
    limit, now = Limit(ceiling), 0.0
    for good, seconds in replies:
        now += seconds
        pause = limit.came(limit.window, now, good=good, seconds=seconds)
        assert 1 <= limit.value <= ceiling
        assert 0 <= pause <= 30


def test_answers_to_calls_sent_under_another_limit_say_nothing() -> None:
    limit = Limit(CEILING)
    before = limit.value
    for _ in range(100):
        assert limit.came(-1, 1.0, good=False, seconds=0.1) == 0
    assert limit.value == before


def test_a_hung_call_is_cut_once_the_others_are_known_to_be_fast_and_never_after_the_timeout() -> None:
    patience = Patience(120.0)
    assert patience.seconds == 30
    changed = [patience.saw(0.1) for _ in range(100)]
    assert any(changed)
    assert (patience.seconds, [patience.after(cuts) for cuts in range(5)]) == (15, [15, 30, 60, 120, 120])
    for _ in range(400):
        patience.saw(9.0)
    assert patience.seconds == 54
    for _ in range(400):
        patience.saw(90.0)
    assert patience.seconds == 120
    assert Patience(2.0).seconds == 2


def test_where_the_first_reply_was_slow_the_others_are_not_cut_before_it_is_known_better() -> None:
    patience = Patience(300.0)
    assert patience.saw(25.0)
    assert patience.seconds == 150
    patience.saw(0.1)
    assert patience.seconds == 150


def test_an_endpoint_of_our_own_may_take_all_its_time() -> None:
    patience = Patience(600.0, steady=True)
    assert not any(patience.saw(0.1) for _ in range(100))
    assert patience.seconds == 600


def test_places_are_handed_out_one_until_it_is_open_and_first_to_those_who_come_again() -> None:
    async def places() -> list[str]:
        slots, order = Slots(Limit(2), asyncio.get_running_loop().time), []

        async def call(name: str, *, first: bool = False) -> None:
            await slots.take(first=first)
            order.append(name)
            assert slots.in_flight <= 2

        tasks = [asyncio.create_task(call("a"))]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(call(name)) for name in "bcd"] + [asyncio.create_task(call("again", first=True))]
        await asyncio.sleep(0)
        assert order == ["a"]
        slots.opened()
        await asyncio.sleep(0.01)
        assert order == ["a", "again"]
        tasks[1].cancel()
        slots.give()
        await asyncio.sleep(0.01)
        slots.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        return order

    assert asyncio.run(places()) == ["a", "again", "c", "d"]


def test_nothing_is_handed_out_during_a_pause() -> None:
    async def paused() -> bool:
        slots = Slots(Limit(2), asyncio.get_running_loop().time)
        slots.opened()
        slots.pause(0.05)
        began = asyncio.get_running_loop().time()
        await slots.take()
        return asyncio.get_running_loop().time() - began >= 0.05

    assert asyncio.run(paused())


@pytest.mark.parametrize(("text", "seconds"), [
    ("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("0.5", 0.5), ("1h2m3s", 3723), ("1d", 86400), ("", None), ("soon", None), ("1s later", None),
])  # fmt: skip
def test_durations_of_rate_limit_headers_are_read(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(("headers", "pause", "spacing"), [
    ({}, 0, 0), ({"x-ratelimit-remaining-requests": "500", "x-ratelimit-reset-requests": "60s"}, 0, 0),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6s"}, 6, 0),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6s", "x-ratelimit-limit-requests": "60"}, 0.1, 0.1),
    ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "5.5s", "x-ratelimit-limit-requests": "60"}, 0, 0.1),
    ({"x-ratelimit-remaining-tokens": "100", "x-ratelimit-reset-tokens": "1m", "x-ratelimit-limit-tokens": "1100"}, 24, 30),
    ({"x-ratelimit-remaining-tokens": "600", "x-ratelimit-reset-tokens": "1m"}, 0, 0),
    ({"x-ratelimit-remaining-requests": "nan", "x-ratelimit-remaining-tokens": "many"}, 0, 0),
])  # fmt: skip
def test_a_quota_is_kept_to(headers: dict[str, str], pause: float, spacing: float) -> None:
    assert list(quota_of(headers, 500, 16)) == pytest.approx([pause, spacing])


@pytest.mark.parametrize(("headers", "wait"), [
    ({}, None), ({"retry-after": "7"}, 7), ({"retry-after": "600"}, 600), ({"retry-after": "0.5"}, 0.5), ({"retry-after-ms": "250"}, 0.25),
    ({"retry-after": "Tue, 24 Nov 2026 10:05:00 GMT"}, 300), ({"retry-after": "Tue, 24 Nov 2026 09:00:00 GMT"}, 0), ({"retry-after": "later"}, None),
])  # fmt: skip
def test_retry_after_is_read_in_seconds_and_as_a_date(headers: dict[str, str], wait: float | None) -> None:
    assert wait_asked(headers, datetime(2026, 11, 24, 10, tzinfo=UTC)) == wait
