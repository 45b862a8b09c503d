"""Which rows a model was made with, by their hashes: whoever judges it can tell which of the questions it knows.

`seen.json` in a model folder has two lists of keys (`rows.key_of`: question and context, case, white space and Unicode form aside), of the rows
it was trained on and of those that its threshold was chosen on. No text stands in it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.store import write_text
from pipeline.trainers.rows import Row, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "seen.json"


def write_seen(folder: Path, train: Iterable[Row], validation: Iterable[Row]) -> None:
    """Note the rows that a model is made with in its folder.

    Raises StorageError if the disk refuses.
    """
    found = {"train": train, "validation": validation}
    write_text(folder / FILE, json.dumps({split: sorted({key_of(row)[0] for row in some}) for split, some in found.items()}) + "\n")


def seen_of(folder: Path, rows: Iterable[Row]) -> dict[str, int] | None:
    """Return how many of these rows the model was trained on, and validated on; None where its folder does not tell."""
    try:
        value = json.loads((folder / FILE).read_text("utf-8"))
        known = {split: set(value[split]) for split in ("train", "validation")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    keys = [key_of(row)[0] for row in rows]
    return {split: sum(key in some for key in keys) for split, some in known.items()}
