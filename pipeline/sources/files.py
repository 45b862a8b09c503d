"""Sources that are a file: each yields (title, section) in the file's order, and another one is a module that does, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.sources import notebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pipeline.sources.sectioning import RawSection

READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, RawSection]]]] = {"csv": notebook.sections}
"""by the name that --source has for it"""


def read(source: str, path: Path) -> tuple[dict[str, list[RawSection]], InputError | None]:
    """Return a file's sections by their page's title, and what was wrong with it, if anything was: what came before a fault is good."""
    found: dict[str, list[RawSection]] = {}
    try:
        for title, section in READERS[source](path):
            found.setdefault(title, []).append(section)
    except InputError as error:
        return found, error
    return found, None
