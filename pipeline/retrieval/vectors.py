"""The vectors of a run's sentences, made once: half-precision unit vectors on disk, keyed by content; many are mapped into memory.

`search/vectors.sqlite` keeps each section's vectors under a hash of its context and of the encoder's name; it is written batch by batch, so that
what was done when the process ended is done. `search/vectors.f16` holds the same as one array in the order of the sections, for a fast start.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import StorageError
from pipeline.records import stable_id
from pipeline.retrieval.minilm import DIMENSIONS, NAME
from pipeline.store import storage_error, whole_file, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any

    import numpy as np
    import numpy.typing as npt

    from pipeline.retrieval.minilm import MiniLM, Vectors

    Halves = npt.NDArray[np.float16]

_AT_ONCE = 32
_ROWS_AT_ONCE = 100_000  # of a product: 150 MB as single precision
_BUSY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class SentenceVectors:
    """All sentences of all sections: `vectors` (m, 384), and where each section's begin, (n + 1,)."""

    vectors: Halves | Vectors
    begins: npt.NDArray[np.int64]

    def best(self, question: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return each section's highest cosine (n,) of a sentence with a question's unit vector (384,); -1 where it has none."""
        import numpy as np

        sizes = np.diff(self.begins)
        found = np.full(len(sizes), -1.0, dtype=np.float32)
        if len(self.vectors):
            cosines = np.concatenate(
                [self.vectors[at : at + _ROWS_AT_ONCE].astype(np.float32, copy=False) @ question for at in range(0, len(self.vectors), _ROWS_AT_ONCE)]
            )
            some = sizes > 0
            found[some] = np.maximum.reduceat(cosines, self.begins[:-1][some])
        return found


def sentence_vectors_of(
    folder: Path, contexts: Sequence[str], encoder: Callable[[], MiniLM], watch: Callable[[int], AbstractContextManager[Any]]
) -> SentenceVectors:
    """Return the vectors of contexts (n,), from the folder where they are, else made now and kept there.

    `watch` opens a progress bar over a number of contexts.

    Raises StorageError if the folder can't be written to or what lies there is damaged.
    """
    keys = [stable_id("vec", NAME, context) for context in contexts]
    made_of = stable_id("vecs", *keys)
    known = _mapped(folder, made_of)
    if known is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(folder / "vectors.sqlite", isolation_level=None, timeout=_BUSY_SECONDS)) as database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
                _make(database, dict(zip(keys, contexts, strict=True)), encoder, watch)
                _write(database, keys, made_of, folder)
        except sqlite3.DatabaseError as error:
            do = "if the disk is full or read-only, mend that; if the file is damaged, remove the folder: it is made again"
            raise StorageError("the search's vectors cannot be kept", f"{folder}: {error}", do) from error
        except OSError as error:
            raise storage_error(error, folder) from error
        known = _mapped(folder, made_of)
    if known is None:
        raise StorageError("the search's vectors are damaged", folder, "remove that folder: it is made again")
    return known


def _make(database: sqlite3.Connection, contexts: dict[str, str], encoder: Callable[[], MiniLM], watch: Callable[[int], Any]) -> None:
    """Embed what the database lacks, short texts first, and drop what is of no use any more."""
    import numpy as np

    there = {key for (key,) in database.execute("SELECT key FROM vectors")}
    gone = [(key,) for key in there - contexts.keys()]
    database.executemany("DELETE FROM vectors WHERE key = ?", gone)
    lacking = sorted(contexts.keys() - there, key=lambda key: (len(contexts[key]), key))
    if not lacking:
        return
    model = encoder()
    with watch(len(lacking)) as bar:
        for start in range(0, len(lacking), _AT_ONCE):
            batch = lacking[start : start + _AT_ONCE]
            embedded = model.sentence_vectors_once([contexts[key] for key in batch])
            database.execute("BEGIN")
            database.executemany(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                [(key, found.astype(np.float16).tobytes()) for key, found in zip(batch, embedded, strict=True)],
            )
            database.execute("COMMIT")
            bar.step(len(batch))


def _write(database: sqlite3.Connection, keys: Sequence[str], made_of: str, folder: Path) -> None:
    """Write all vectors as one array, in the order of the keys, and then what they were made of."""
    width = 2 * DIMENSIONS
    counts = []
    with whole_file(folder / "vectors.f16", "wb") as file:
        for key in keys:
            (value,) = database.execute("SELECT value FROM vectors WHERE key = ?", (key,)).fetchone()
            file.write(value)
            counts.append(len(value) // width)
    write_json(folder / "vectors.json", {"encoder": NAME, "made_of": made_of, "sentences": counts})


def _mapped(folder: Path, made_of: str) -> SentenceVectors | None:
    import numpy as np

    try:
        value = json.loads((folder / "vectors.json").read_text("utf-8"))
        if value.get("made_of") != made_of:
            return None
        begins = np.concatenate([[0], np.cumsum(value["sentences"])]).astype(np.int64)
        path = folder / "vectors.f16"
        if path.stat().st_size != int(begins[-1]) * 2 * DIMENSIONS:
            return None
        size = (int(begins[-1]), DIMENSIONS)
        if size[0] <= _ROWS_AT_ONCE:  # few enough to be widened once, not for every question
            return SentenceVectors(np.fromfile(path, dtype=np.float16).astype(np.float32).reshape(size), begins)
        return SentenceVectors(np.memmap(path, dtype=np.float16, mode="r", shape=size), begins)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
