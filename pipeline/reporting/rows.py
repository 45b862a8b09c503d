"""The rows that the page's browser shows: examples, rejected questions, negatives that were not made; packed small."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.records import QA, stable_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.records import Example, Section
    from pipeline.reporting.gathered import Gathered, Prediction

TEXT_SHOWN, CONTEXT_SHOWN = 2_000, 12_000
"""characters: a longer text is cut, and says so"""
DROPPED_SHOWN = 20
"""negatives not made that are shown of each kind and reason"""
FIELDS = (
    "group", "id", "kind", "split", "outcome", "qa", "section", "question", "answer", "answerable", "evidence", "context", "verified", "score",
    "plausible", "p", "said", "cut", "audit",
)  # fmt: skip
"""of a row on the page, in this order; a text that is None is that of its question (`qa`) or section"""

Packed = list[Any]


@dataclass(slots=True)
class Shelf:
    """Sections and questions that rows refer to by place, each once."""

    known: dict[str, Any]
    places: dict[str, int] = field(default_factory=dict)

    def place(self, identity: str) -> int:
        """Return where a thing stands on the page; -1 if the run does not have it."""
        return self.places.setdefault(identity, len(self.places)) if identity in self.known else -1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for the page, and how many there were before they were sampled."""

    sections: list[Packed]
    qa: list[Packed]
    rows: list[Packed]
    of: int
    not_shown: int
    """negatives not made that are left out, for each kind and reason has twenty"""

    def packed(self) -> str:
        """Return the rows as JSON, gzipped, in base 64: a third of the size, and no text of a page can end a script."""
        text = json.dumps({"fields": FIELDS, "sections": self.sections, "qa": self.qa, "rows": self.rows}, ensure_ascii=False, separators=(",", ":"))
        return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 9, mtime=0)).decode("ascii")


def run_id(gathered: Gathered) -> str:
    """Return the name under which a browser keeps verdicts: of the questions, so that a review outlives its being applied."""
    return stable_id("run", *(row.qa_id for row in gathered.qa))


def rows_of(gathered: Gathered, audited: Collection[str], limit: int | None, seed: int) -> Rows:
    """Return all rows, or `limit` of them drawn at random, of which the audited are the first to be drawn."""
    sections = Shelf({section.section_id: section for section in gathered.sections})
    qa = Shelf({row.qa_id: row for row in gathered.qa})
    said = {identity: found for evaluation in gathered.evaluations for identity, found in evaluation.predictions.items()}
    reading = {section.section_id: at for at, section in enumerate(gathered.sections)}
    dropped, not_shown = _dropped(gathered, seed)
    made: list[tuple[tuple[int, str], str, Any]] = [
        ((reading.get(e.context_section_id, len(reading)), e.example_id), "example", e) for e in gathered.examples
    ]
    made += [((reading.get(r.section_id, len(reading)), r.rejected_id), "rejected", r) for r in gathered.rejected]
    made += [((reading.get(d.context_section_id, len(reading)), d.qa_id), "not made", d) for d in dropped]
    chosen = made if limit is None or limit >= len(made) else _drawn(made, audited, limit, seed)
    packed = []
    for _, group, row in sorted(chosen, key=lambda item: item[0]):
        if group == "example":
            packed.append(_example(row, sections, qa, said.get(row.example_id), row.example_id in audited))
        elif group == "rejected":
            packed.append(_rejected(row, sections))
        else:
            packed.append(_not_made(row, sections, qa))
    asked = [_qa(qa.known[identity], sections) for identity in qa.places]
    return Rows([_section(sections.known[identity]) for identity in sections.places], asked, packed, len(made), not_shown)


def _drawn(made: list[Any], audited: Collection[str], limit: int, seed: int) -> list[Any]:
    first = [item for item in made if item[0][1] in audited]
    others = [item for item in made if item[0][1] not in audited]
    return first + random.Random(f"{seed}/rows").sample(others, max(0, min(limit - len(first), len(others))))


def _dropped(gathered: Gathered, seed: int) -> tuple[list[Any], int]:
    groups = defaultdict(list)
    for row in gathered.dropped:
        if row.context_section_id:
            groups[row.kind, row.reason].append(row)
    shown = [
        row for key, rows in sorted(groups.items()) for row in random.Random(f"{seed}/{key}").sample(rows, min(DROPPED_SHOWN, len(rows)))
    ]  # fmt: skip
    return shown, sum(map(len, groups.values())) - len(shown)


def _cut(text: str, most: int = TEXT_SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]}… (cut here: {len(text) - most:,} more characters)"


def _around(context: str, evidence: str) -> str:
    """Return a context; of a very long one, the part that has the evidence."""
    at = context.find(evidence) if evidence else 0
    if len(context) <= CONTEXT_SHOWN or at + len(evidence) <= CONTEXT_SHOWN:
        return _cut(context, CONTEXT_SHOWN)
    start = max(0, at - CONTEXT_SHOWN // 4)
    return f"(cut here: {start:,} characters) …{_cut(context[start:], CONTEXT_SHOWN)}"


def safe_url(url: str) -> str:
    """Return an address of the web, or nothing: other schemes could run a script."""
    return url if url.startswith(("https://", "http://")) else ""


def revision_url(url: str, revision: int | None) -> str:
    """Return the address of that very revision of a section's page."""
    page, hash_, anchor = safe_url(url).partition("#")
    return f"{page}{'&' if '?' in page else '?'}oldid={revision}{hash_}{anchor}" if page and revision else page


def _section(section: Section) -> Packed:
    context = section.context
    return [
        _cut(section.title), _cut(section.heading_path or section.heading), safe_url(section.url), revision_url(section.url, section.revision_id),
        section.revision_id, _cut(context, CONTEXT_SHOWN),
    ]  # fmt: skip


def _qa(row: QA, sections: Shelf) -> Packed:
    return [
        row.qa_id, sections.place(row.section_id), _cut(row.question), _cut(row.answer), _cut(row.evidence), row.source, row.model, row.style,
        row.round_trip_f1,
    ]  # fmt: skip


def _example(e: Example, sections: Shelf, qa: Shelf, said: Prediction | None, audited: bool) -> Packed:
    asked: QA | None = qa.known.get(e.qa_id)
    section: Section | None = sections.known.get(e.context_section_id)
    cut = max(map(len, (e.question, e.answer))) > TEXT_SHOWN
    same = section is not None and len(e.context) <= CONTEXT_SHOWN and section.context == e.context
    return [
        "example", e.example_id, e.kind, e.split, "kept", qa.place(e.qa_id), sections.place(e.context_section_id),
        None if asked and asked.question == e.question else _cut(e.question), None if asked and asked.answer == e.answer else _cut(e.answer),
        e.answerable, None if asked and asked.evidence == e.evidence else _cut(e.evidence), None if same else _around(e.context, e.evidence),
        e.verified, _rounded(e.verified_score), _cut(e.plausible_answer), _rounded(said.p_answerable) if said else None,
        None if said is None else _cut(said.answer) if said.answer is not None else "", cut, audited,
    ]  # fmt: skip


def _rejected(row: Any, sections: Shelf) -> Packed:
    place = sections.place(row.section_id)
    context = None if place >= 0 else f"{row.title}\n{row.heading}\n\n(the section is not in this run)"
    return [
        "rejected", row.rejected_id, row.source, "", row.reason, -1, place, _cut(row.question or "(no question)"), _cut(row.answer or "(no answer)"),
        True, _cut(row.evidence), context, _cut(row.detail), _rounded(row.round_trip_f1), "", None, None, False, False,
    ]  # fmt: skip


def _not_made(row: Any, sections: Shelf, qa: Shelf) -> Packed:
    place, asked = sections.place(row.context_section_id), qa.place(row.qa_id)
    identity = stable_id("not", row.qa_id, row.kind, row.context_section_id, row.reason)
    missing = "(the question is not in this run)" if asked < 0 else None
    return [
        "not made", identity, row.kind, "", row.reason.removeprefix("not_available: "), asked, place, missing, "" if asked < 0 else None, False, "",
        None if place >= 0 else "(the section is not in this run)", "", None, "", None, None, False, False,
    ]  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def fitting(gathered: Gathered, audited: Collection[str], bytes_left: int, seed: int) -> Rows:
    """Return all rows if they fit, packed, into `bytes_left`; else as many as do."""
    rows = rows_of(gathered, audited, None, seed)
    size = len(rows.packed())
    limit = len(rows.rows)
    while size > bytes_left and limit > 1:
        limit = min(int(limit * bytes_left / size * 0.95), limit - 1)  # what rows share (sections) makes it a guess
        rows = rows_of(gathered, audited, max(limit, 1), seed)
        size = len(rows.packed())
    return rows
