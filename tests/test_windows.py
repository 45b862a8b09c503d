"""A part of a long text for a model that reads little at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.windows import window

HEAD = "Judo at the 2020 Summer Olympics\nMen"
SENTENCES = [f"On day {n} a bout of number {n} was held in the hall." for n in range(60)]
LONG = f"{HEAD}\n\n{' '.join(SENTENCES)}"


def test_a_text_that_is_short_enough_is_left_as_it_is() -> None:
    assert window(LONG, "bout", len(LONG)) == LONG


def test_of_a_long_text_title_and_what_is_asked_about_are_shown() -> None:
    for n in (0, 31, 59):
        shown = window(LONG, SENTENCES[n], 400)
        assert shown.startswith(f"{HEAD}\n\n")
        assert SENTENCES[n] in shown
        assert 300 < len(shown) <= 400


def test_neighbours_on_both_sides_come_with_it() -> None:
    shown = window(LONG, SENTENCES[31], 400)
    assert SENTENCES[30] in shown
    assert SENTENCES[32] in shown


@given(context=st.text(max_size=300), about=st.text(max_size=30), most=st.integers(1, 200))
def test_whatever_the_text_a_part_of_it_is_shown_that_has_room(context: str, about: str, most: int) -> None:
    shown = window(context, about, most)
    assert len(shown) <= most
    assert shown == context or shown.partition("\n\n")[2] in context or shown in context
