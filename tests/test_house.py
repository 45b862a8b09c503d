"""The limits that CONTRIBUTING names, held by the tree as it lies here; and what counts it counts right."""

from __future__ import annotations

import re

import house
import pytest
from conftest import ROOT

from pipeline import errors


@pytest.fixture(scope="module")
def rooms() -> dict[str, house.Room]:
    return house.measured(house.here())


@pytest.mark.parametrize("name", house.ROOMS)
def test_functions_are_short(rooms: dict[str, house.Room], name: str) -> None:
    assert rooms[name].median < 12
    assert rooms[name].p95 < 45
    assert max(rooms[name].functions) < (60, "")


@pytest.mark.parametrize("name", house.ROOMS)
def test_every_function_says_what_it_takes_and_gives(rooms: dict[str, house.Room], name: str) -> None:
    assert rooms[name].annotated == len(rooms[name].functions)


def test_every_public_function_of_the_program_has_a_docstring(rooms: dict[str, house.Room]) -> None:
    assert rooms["pipeline"].documented == rooms["pipeline"].public


def test_a_command_fits_on_a_few_screens(rooms: dict[str, house.Room]) -> None:
    commands = [(lines, path) for lines, path in rooms["pipeline"].files if path.count("/") == 1]
    assert max(commands) < (400, "")


def test_what_is_counted_is_what_stands_there() -> None:
    text = '"""Two\nlines."""\n\n\ndef shown(a: int, *rest: str) -> int:\n    """One."""\n    return a  # why\n\n\nclass Thing:\n    def open(self, b):\n        def inner():\n            pass\n'
    room = house.measured({"pipeline/x.py": text})["pipeline"]
    assert room.functions == [(3, "pipeline/x.py:5 shown"), (3, "pipeline/x.py:11 open"), (2, "pipeline/x.py:12 inner")]
    assert (room.annotated, room.public, room.documented, room.commented, room.in_docstrings) == (1, 2, 1, 1, 3)
    assert (room.files, room.lines, room.median, room.p95) == ([(13, "pipeline/x.py")], 9, 3, 3)


def test_contributing_names_every_room_and_every_target_of_make() -> None:
    text, makefile = ((ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "Makefile"))
    rooms = {path.stem for path in (ROOT / "pipeline").iterdir() if path.is_dir() or path.suffix == ".py"} - {"__init__", "__pycache__"}
    assert {room for room in rooms if not re.search(rf"`{room}/?`", text)} == set()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert {target for target in re.findall(r"`make ([a-z-]+)`", text) if target not in targets} == set()


def test_the_tree_that_errors_draws_is_the_tree_of_its_classes() -> None:
    drawn: dict[str, str] = {}
    above = ["PipelineError"]
    for indent, name in re.findall(r"^    ([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4 + 1
        above[depth:] = [name]
        drawn[name] = above[depth - 1]
    classes = {name: one.__bases__[0].__name__ for name, one in vars(errors).items() if isinstance(one, type) and one is not errors.PipelineError}
    assert drawn == classes
