"""python scripts/house.py [--since REVISION] [--longest N]

How the house looks in figures: lengths of functions and files, what is annotated, documented and commented; of the tree as it lies here, with
--since beside what it was at a revision of git. It only reads. `tests/test_house.py` holds the tree to the limits that CONTRIBUTING names.

Lines of a function are those from its `def` to its end, docstring and inner functions included. Annotated: every parameter (self and cls aside)
and what is returned. Documented: public functions and methods of public classes with a docstring, inner functions aside. Comments: lines with one,
behind code or alone, of a hundred lines that are not empty; docstrings are counted apart.
"""

from __future__ import annotations

import argparse
import ast
import io
import math
import statistics
import subprocess
import sys
import tarfile
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("pipeline", "tests", "scripts")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Room:
    """What was counted in one folder."""

    files: list[tuple[int, str]] = field(default_factory=list)
    """lines and path"""
    functions: list[tuple[int, str]] = field(default_factory=list)
    """lines, and `path:line name`"""
    annotated: int = 0
    public: int = 0
    documented: int = 0
    lines: int = 0
    """that are not empty"""
    commented: int = 0
    in_docstrings: int = 0

    @property
    def median(self) -> float:
        """Lines of the middle function."""
        return statistics.median(lines for lines, _ in self.functions) if self.functions else 0.0

    @property
    def p95(self) -> int:
        """Lines that 95 of a hundred functions do not exceed."""
        lengths = sorted(lines for lines, _ in self.functions)
        return lengths[math.ceil(0.95 * len(lengths)) - 1] if lengths else 0


def here(root: Path = ROOT) -> dict[str, str]:
    """Return the Python files of the tree by path."""
    return {str(path.relative_to(root)): path.read_text("utf-8") for room in ROOMS for path in sorted((root / room).rglob("*.py"))}


def at_revision(revision: str) -> dict[str, str]:
    """Return the Python files that git has at a revision, by path."""
    packed = subprocess.run(["git", "archive", revision, *ROOMS], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S603, S607
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        opened = ((member.name, archive.extractfile(member)) for member in archive if member.name.endswith(".py"))
        return {name: file.read().decode("utf-8") for name, file in opened if file}


def measured(files: Mapping[str, str]) -> dict[str, Room]:
    """Count each room's files, given as text by path."""
    rooms = {name: Room() for name in ROOMS}
    for path, text in files.items():
        _count(rooms[path.partition("/")[0]], path, text)
    return rooms


def _count(room: Room, path: str, text: str) -> None:
    tree = ast.parse(text, path)
    room.files.append((text.count("\n"), path))
    room.lines += sum(bool(line.strip()) for line in text.splitlines())
    room.commented += len({t.start[0] for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT})
    room.in_docstrings += sum(_docstring_lines(node) for node in ast.walk(tree))
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        room.functions.append(((function.end_lineno or 0) - function.lineno + 1, f"{path}:{function.lineno} {function.name}"))
        room.annotated += _is_annotated(function)
    public = list(_public(tree.body))
    room.public += len(public)
    room.documented += sum(ast.get_docstring(function) is not None for function in public)


def _docstring_lines(node: ast.AST) -> int:
    """Return how many lines of text a string has that stands alone as a statement: a docstring, or what is said of a field."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return sum(bool(line.strip()) for line in node.value.value.splitlines())
    return 0


def _is_annotated(function: Function) -> bool:
    a = function.args
    named = [arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if arg and arg.arg not in ("self", "cls")]
    return function.returns is not None and all(arg.annotation for arg in named)


def _public(body: Iterable[ast.stmt]) -> Iterator[Function]:
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node.body)


FIGURES = ("files", "lines", "largest file", "functions", "median lines", "95 % have at most", "longest", "annotated %", "documented %",
           "comments / 100 lines", "docstrings / 100 lines")  # fmt: skip


def figures(room: Room) -> tuple[str, ...]:
    """Return a room's figures in the order of FIGURES."""
    return (
        str(len(room.files)), str(room.lines), str(max(room.files, default=(0, ""))[0]), str(len(room.functions)), f"{room.median:g}", str(room.p95),
        str(max(room.functions, default=(0, ""))[0]), *(f"{100 * part / max(of, 1):.1f}" for part, of in (
            (room.annotated, len(room.functions)), (room.documented, room.public), (room.commented, room.lines), (room.in_docstrings, room.lines))),
    )  # fmt: skip


def shown(now: Mapping[str, Room], before: Mapping[str, Room] | None, longest: int) -> Iterator[str]:
    """Yield the lines to print."""
    rooms = [figures(now[name]) for name in ROOMS]
    earlier = [figures(before[name]) for name in ROOMS] if before else None
    yield f"{'':<24}" + "".join(f"{name:>20}" for name in ROOMS)
    for at, what in enumerate(FIGURES):
        cells = [f"{old[at]} → {new[at]}" for old, new in zip(earlier, rooms, strict=True)] if earlier else [new[at] for new in rooms]
        yield f"{what:<24}" + "".join(f"{cell:>20}" for cell in cells)
    for name in ROOMS:
        yield from _ranked(f"longest functions of {name}", now[name].functions, longest)
        yield from _ranked(f"largest files of {name}", now[name].files, longest // 2)


def _ranked(heading: str, sized: Sequence[tuple[int, str]], most: int) -> Iterator[str]:
    yield f"\n{heading}"
    yield from (f"  {lines:>4}  {what}" for lines, what in sorted(sized, key=lambda one: (-one[0], one[1]))[:most])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", metavar="REVISION", help="a revision of git to stand beside")
    parser.add_argument("--longest", type=int, default=15, help="functions to name of each room")
    chosen = parser.parse_args()
    try:
        before = measured(at_revision(chosen.since)) if chosen.since else None
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: git has no such revision – {chosen.since} – {error.stderr.decode().strip()}")
    print("\n".join(shown(measured(here()), before, chosen.longest)))


if __name__ == "__main__":
    main()
