"""What the files of a run folder are, looked at and never touched: the manifest, hashes, ages, sizes, what a killed command left."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import __version__
from pipeline.errors import StorageError
from pipeline.store import rows_in, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.run_folder import RunFolder

HASHED_AT_ONCE = 64_000_000
"""bytes that one look hashes (0.1 s); what is beyond is told by its date"""
_PARTS = (
    ("fetched pages", r"crawl\.sqlite.*"),
    ("sections", r"(pages|sections|dropped_sections)\.(parquet|csv)|ATTRIBUTION\.md"),
    ("questions", r"(qa|rejected)\.parquet"),
    ("replies", r"ledger\.sqlite.*|batches/.*"),
    ("examples", r"(dropped_|reviewed_)?examples\.parquet"),
    ("training files", r"train/.*"),
    ("models", r"models/.*"),
    ("search", r"search/.*"),
    ("evaluations", r"evaluation/.*"),
    ("report", r"report\.html"),
    ("exports", r"export/.*"),
    ("manifest", r"manifest\.json"),
)
_OTHER = "other files"
_HALF = re.compile(r"\.(.+)\.[^.]+")  # store.whole_file's temporary names


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json says of each finished stage, and what is wrong with it, if anything is."""

    stages: dict[str, dict[str, Any]]
    notices: tuple[str, ...] = ()


def read_manifest(folder: RunFolder) -> Manifest:
    """Read the manifest; one that is damaged, or of a newer version of this program, is as good as it can be understood, with a notice."""
    try:
        stages = folder.stages()
    except StorageError as error:
        understood = _of_a_newer_form(folder.manifest)
        return understood or Manifest({}, (f"which stages were finished is not known: {error}",))
    newer = sorted(
        {version for entry in stages.values() if _numbers(version := str(of(entry, "versions").get("pipeline", ""))) > _numbers(__version__)}
    )
    return Manifest(stages, tuple(f"written by version {version} of this program, newer than this one ({__version__})" for version in newer))


def _of_a_newer_form(path: Path) -> Manifest | None:
    """Return what can be understood of a manifest that names its version, as no manifest up to this version does."""
    raw = read_object(path)
    if not isinstance(raw.get("version"), int | str):
        return None
    notice = f"manifest.json is of a newer form (version {raw['version']}) than this program knows ({__version__}): which stages were finished is not known"
    return Manifest({}, (notice,))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version))


def of(value: Any, name: str) -> dict[str, Any]:
    """Return a value's part that should be an object; an empty one where it is none, or not there."""
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else {}


def number(counts: Mapping[str, Any], name: str) -> int | None:
    """Return a count, None where there is no such number."""
    value = counts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_object(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one where it is damaged, no file (a pipe would be waited for), or not there."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(slots=True)
class Digests:
    """Tells whether files are still what the manifest says; each is hashed once, and large ones are told by their date."""

    root: Path
    written_at: float
    """when the manifest was written, in seconds since 1970"""
    room: int = HASHED_AT_ONCE
    _known: dict[Path, str | None] = field(default_factory=dict)

    def differs(self, name: str, digest: object) -> str:
        """Return how the file `name` (in the folder) is not the one with that hash: gone, changed, or an empty text."""
        path = self.root / name
        if not path.is_file():
            return "gone"
        if path not in self._known:
            self._known[path] = self._hashed(path)
        found = self._known[path]
        if found is None:
            return "changed" if path.stat().st_mtime > self.written_at else ""
        return "" if found == digest else "changed"

    def _hashed(self, path: Path) -> str | None:
        size = path.stat().st_size
        if size > self.room:
            return None
        self.room -= size
        try:
            return sha256_of(path)
        except OSError:  # `unread` says why
            return ""


def written_at(path: Path) -> float | None:
    """Return when a file was written, in seconds since 1970; None where it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def sizes(root: Path) -> dict[str, int]:
    """Return the bytes of each part of a run folder, the largest first."""
    found: dict[str, int] = {}
    for name, size in _files(root):
        part = next((part for part, pattern in _PARTS if re.fullmatch(pattern, name)), _OTHER)
        found[part] = found.get(part, 0) + size
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _files(root: Path) -> Iterator[tuple[str, int]]:
    """Yield each file's name and bytes; what goes away meanwhile, or may not be read, is passed over."""
    waiting = [(os.fspath(root), "")]
    while waiting:
        folder, before = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            name = f"{before}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{name}/"))
            elif entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    yield name, entry.stat(follow_symlinks=False).st_size


def unread(path: Path) -> str:
    """Return why what is there cannot be read; an empty text where it can, or nothing is there."""
    if not path.exists():
        return ""
    if not path.is_file():
        return f"{path.name} is no file"
    try:
        if path.suffix == ".parquet":
            rows_in(path)
        else:
            sha256_of(path)
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    except StorageError as error:
        return f"{path.name} cannot be read: {error.value.removeprefix(f'{path}: ')}"
    return ""


def has_split(path: Path, split: str) -> bool | None:
    """Tell whether a file of examples has a row of this split; None where that cannot be told."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            return any(split in batch.column(0).to_pylist() for batch in file.iter_batches(columns=["split"]))
    except (OSError, pa.ArrowException, IndexError):
        return None


def half_written(root: Path) -> list[str]:
    """Return the files, under the names that they were to have, of which a killed command left a part."""
    return sorted({match[1] for path in root.glob(".*") if path.is_file() and (match := _HALF.fullmatch(path.name))})
