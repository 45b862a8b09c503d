"""Near-duplicates: texts that repeat an earlier one, a name or a date apart.

MinHash (Broder 1997) over word 5-grams finds the candidates, with locality-sensitive hashing over bands of
the signature (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4); each candidate is
then compared exactly. Signatures come from rensa (Rust: 5 µs a text). The index lies in SQLite, in a
database that is handed in, so that memory stays flat: rensa's own index takes 2 KB a text.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING

from pipeline.text.compare import jaccard, shingles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

THRESHOLD = 0.65
"""Jaccard similarity of word 5-grams from which on a text counts as a repetition: a hundred words with a name, a date and a number changed
are at 0.65 to 0.9, two accounts of the same event in different words below 0.1."""
BANDS, _ROWS = 30, 4  # finds a pair at the threshold with p = 1 - (1 - 0.65 ** 4) ** 30 = 0.997, one at 0.3 in 22 of 100
_COMPARED = 8  # candidates that are compared exactly, those with most bands in common: boilerplate has hundreds just below the threshold
_SEED = 1


class NearDuplicates:
    """Texts met so far; tells of each new one which earlier text it repeats."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Prepare an index in `database`, which must be empty and lives as long as this object."""
        self._db = database
        self._db.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL)")
        self._db.execute("CREATE TABLE bands (band INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (band, number)) WITHOUT ROWID")
        self._size = 0

    def first_like(self, name: str, text: str) -> str:
        """Return the name of the first text that this one repeats; if there is none, remember it under `name` and return nothing.

        Texts that repeat another are not remembered: what is returned never repeats anything itself.
        """
        grams = shingles(text)
        keys = bands(grams)
        marks = ",".join("?" * len(keys))
        likeliest = f"SELECT number FROM bands WHERE band IN ({marks}) GROUP BY number ORDER BY count(*) DESC, number LIMIT {_COMPARED}"  # noqa: S608
        candidates = self._db.execute(f"SELECT name, text FROM texts WHERE number IN ({likeliest}) ORDER BY number", keys)  # noqa: S608
        for earlier, its_text in candidates:
            if jaccard(grams, shingles(its_text)) >= THRESHOLD:
                return str(earlier)
        self._db.execute("INSERT INTO texts VALUES (?, ?, ?)", (self._size, name, text))
        self._db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, self._size) for band in keys])
        self._size += 1
        return ""


def signature(items: Iterable[str], permutations: int) -> list[int]:
    """Return the MinHash signature of a set of texts: 32-bit numbers, two sets share each with the probability of their Jaccard similarity."""
    import rensa

    minhash = rensa.RMinHash(num_perm=permutations, seed=_SEED)
    minhash.update(list(items))
    values: list[int] = minhash.digest()
    return values


def bands(grams: frozenset[tuple[str, ...]]) -> list[int]:
    """Return a signature's bands as 64-bit numbers; texts that share one are candidates."""
    rows = array("I", signature((" ".join(gram) for gram in grams), BANDS * _ROWS)).tobytes()
    width = len(rows) // BANDS
    starts = range(0, len(rows), width)
    return [
        int.from_bytes(hashlib.blake2b(rows[at : at + width], digest_size=8, key=bytes([number])).digest(), signed=True)
        for number, at in enumerate(starts)
    ]


def buckets(many: Iterable[frozenset[tuple[str, ...]]]) -> Iterator[list[int]]:
    """Yield the places, ascending, of texts (given as their 5-grams) that share a band, where there are two or more; band by band."""
    import numpy as np

    factors = np.random.default_rng(_SEED).integers(1, 2**63, size=(BANDS, _ROWS), dtype=np.uint64) | np.uint64(1)  # a band as one number
    numbers = array("Q")  # eight bytes each
    for grams in many:
        rows = np.asarray(signature((" ".join(gram) for gram in grams), BANDS * _ROWS), dtype=np.uint64)
        numbers.frombytes((rows.reshape(BANDS, _ROWS) * factors).sum(axis=1, dtype=np.uint64).tobytes())
    for column in np.asarray(numbers, dtype=np.uint64).reshape(-1, BANDS).T:
        order = np.argsort(column, kind="stable")
        cuts = np.r_[0, np.flatnonzero(np.diff(column[order])) + 1, len(order)]
        for at in np.flatnonzero(np.diff(cuts) > 1):
            yield order[cuts[at] : cuts[at + 1]].tolist()
