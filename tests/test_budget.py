"""Prices and caps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.llm.budget import Budget, Price, price_of


def test_a_dated_release_has_its_models_price_and_a_batch_costs_half() -> None:
    price, dated = price_of("gpt-5-mini", None), price_of("gpt-5-mini-2025-08-07", None)
    half = price_of("gpt-5-mini", None, batch=True)
    assert price
    assert half
    assert price == dated
    assert price.as_of
    assert half.cost(1e6, 1e6) == price.cost(1e6, 1e6) / 2
    assert price_of("no-such-model", None) is None


def test_a_table_of_ones_own_goes_before_the_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('as_of = "2030-01-01"\n[models."gpt-5-mini"]\ninput = 1\noutput = 2\n[models."mine"]\ninput = 0\noutput = 0\n')
    assert price_of("gpt-5-mini", own) == Price(1.0, 2.0, "2030-01-01")
    assert price_of("mine", own) == Price(0.0, 0.0, "2030-01-01")
    assert price_of("gpt-5", own) == price_of("gpt-5", None)


@pytest.mark.parametrize(("text", "said"), [
    ("[models", "TOML"), ("a = 1", "no models"), ('[models."m"]\ninput = 1', "m"), ('[models."m"]\ninput = -1\noutput = 1', "m"),
    ('[models."m"]\ninput = true\noutput = 1', "m"), ("batch_share = 2\n[models]\n", "batch_share"),
])  # fmt: skip
def test_a_table_that_is_none_is_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        price_of("m", tmp_path / "p.toml")
    with pytest.raises(InputError, match="cannot be read"):
        price_of("m", tmp_path / "none.toml")


def test_without_a_cap_nothing_is_refused() -> None:
    assert Budget().refuses(10_000, 1e9, 1e9) is None


@given(
    cap=st.integers(1, 100_000),
    calls=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), min_size=1, max_size=60),
    at_once=st.integers(1, 16),
)  # fmt: skip
def test_a_cap_is_overshot_by_no_more_than_what_is_in_flight(cap: int, calls: list[tuple[int, int]], at_once: int) -> None:
    budget, flying = Budget(max_tokens=cap), list[tuple[int, int]]()
    for call in calls:
        if budget.refuses(len(flying), 10, 10):
            break
        flying.append(call)
        if len(flying) == at_once:
            budget.paid(*flying.pop(0))
    still = sum(map(sum, flying))
    assert budget.spent.tokens <= cap + max(0, budget.spent.tokens - cap)
    for call in flying:
        budget.paid(*call)
    most = max(map(sum, calls))
    assert budget.spent.tokens <= cap + max(still, at_once * most)


def test_money_is_capped_too_and_what_is_in_flight_counts() -> None:
    budget = Budget(Price(1.0, 1.0, ""), max_cost=1.0)
    budget.paid(300_000, 0)
    assert budget.refuses(1, 0, 0) is None
    refused = budget.refuses(2, 0, 0)
    assert refused
    assert "0.3000 USD" in str(refused)
    assert budget.cost == pytest.approx(0.3)
