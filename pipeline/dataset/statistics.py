"""What a run's examples are like: counts, lengths, how labels were verified, what was dropped, what leaks; as a record and as a page."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline.dataset.balance import balance
from pipeline.dataset.formats.squad import LEFT_OUT, NO_SPAN
from pipeline.records import SPLITS
from pipeline.text.compare import words
from pipeline.text.markdown import escaped, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.dataset.balance import Balance
    from pipeline.dataset.formats.squad import Span
    from pipeline.dataset.leaks import Leak
    from pipeline.records import DroppedExample, Example

    Counts = dict[str, dict[str, int]]

TOTAL = "all"
UNFILLED = "not_available"
_UNVERIFIED = ("not verified", "given as")
_BY_PEOPLE = "; reviewed: "
_WAYS_SHOWN = 12
_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_HARD = 0.8  # AUROC of word counting from which on negatives are easy


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many words texts have: the shortest, quartiles, the 95th percentile, the longest."""

    n: int
    shortest: int
    quarter: int
    median: int
    three_quarters: int
    p95: int
    longest: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """A run's examples in figures. Tables are by row and column name."""

    by_kind_and_split: Counts
    context_words: dict[str, Lengths]
    question_words: dict[str, Lengths]
    answer_words: dict[str, Lengths]
    overlap: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """counts and AUROC of IDF overlap by split and kind; empty where it could not be computed"""
    verified: Counts
    """by kind, in how many examples each way of verifying was taken"""
    dropped: Counts
    """by kind, how many candidates were dropped for each reason, and places that stayed empty (not_available)"""
    squad: dict[str, int]
    """how the answers were aligned to their contexts"""
    leaks: list[Leak]
    balance: Balance
    """how well the splits match"""
    notes: tuple[str, ...] = ()
    """what has to be known before any figure is read"""


def statistics(
    examples: Sequence[Example], dropped: Iterable[DroppedExample], spans: Mapping[str, Span], leaks: list[Leak],
    overlap: Mapping[str, Mapping[str, Mapping[str, Any]]], notes: Sequence[str] = (),
) -> Statistics:  # fmt: skip
    """Count. Spans are by example id."""
    kinds = kinds_of(examples)
    by_kind = {kind: [e for e in examples if e.kind == kind] for kind in kinds}
    grouped = {kind: Counter(e.split for e in rows) for kind, rows in by_kind.items()}
    positives = by_kind.get("positive", [])
    return Statistics(
        _counts({kind: {split: n[split] for split in SPLITS} for kind, n in grouped.items()}),
        {kind: lengths(e.context for e in rows) for kind, rows in by_kind.items()},
        {kind: lengths(e.question for e in rows) for kind, rows in by_kind.items()},
        {split: lengths(e.answer for e in positives if e.split == split) for split in SPLITS} | {TOTAL: lengths(e.answer for e in positives)},
        overlap,
        {kind: dict(sorted(Counter(way_of(e.verified) for e in rows).items())) for kind, rows in by_kind.items()},
        _by_reason(dropped),
        dict(sorted(Counter(spans[e.example_id].how for e in examples).items())),
        leaks,
        balance(examples),
        tuple(notes),
    )  # fmt: skip


def kinds_of(examples: Iterable[Example]) -> list[str]:
    """Return the kinds that occur, positives first."""
    return sorted({e.kind for e in examples}, key=lambda kind: (kind != "positive", kind))


def _counts(rows: dict[str, dict[str, int]]) -> Counts:
    whole = {split: sum(row[split] for row in rows.values()) for split in SPLITS}
    return {name: {**row, TOTAL: sum(row.values())} for name, row in {**rows, TOTAL: whole}.items()}


def _by_reason(dropped: Iterable[DroppedExample]) -> Counts:
    found = Counter((d.kind, d.reason) for d in dropped)
    result: Counts = {}
    for (kind, reason), n in sorted(found.items()):
        result.setdefault(kind, {})[reason] = n
    return result


def lengths(texts: Iterable[str]) -> Lengths:
    """Return the distribution of the texts' lengths in words; percentiles are lengths that occur (nearest rank)."""
    counted = sorted(len(words(text)) for text in texts)
    if not counted:
        return Lengths(0, 0, 0, 0, 0, 0, 0)
    n = len(counted)
    at = [counted[min(n - 1, max(0, -(-n * share // 100) - 1))] for share in (0, 25, 50, 75, 95, 100)]
    return Lengths(n, *at)


def way_of(verified: str) -> str:
    """Return how a label was verified, without what is of one row alone: figures, and the values that were exchanged."""
    return "; ".join(dict.fromkeys(_FIGURE.sub("…", "a value exchanged" if "→" in part else part) for part in verified.split("; ")))


def share_verified(statistics: Statistics, kind: str) -> float:
    """Return the share of a kind's examples whose label was checked in any way."""
    ways = statistics.verified.get(kind, {})
    checked = sum(n for how, n in ways.items() if not how.startswith(_UNVERIFIED) or _BY_PEOPLE in how)
    return checked / total if (total := sum(ways.values())) else 0.0


def left_out_of_squad(statistics: Statistics) -> int:
    """Return how many positives have no place in the SQuAD files."""
    return sum(statistics.squad.get(reason, 0) for reason in LEFT_OUT)


def warnings(statistics: Statistics) -> list[str]:
    """Return a sentence for each leak: what was found, and what to do."""
    do = "measured on test, a model will look better than it is: split anew, or report it with the figures"
    return [f"warning: {leak.what}: {leak.found} of {leak.of} – {leak.shown[0]!r} – {do}" for leak in statistics.leaks if leak.found]


def as_json(statistics: Statistics) -> dict[str, Any]:
    """Return the figures for statistics.json."""
    return {**asdict(statistics), "share_verified": {kind: round(share_verified(statistics, kind), 4) for kind in statistics.verified}}


def page(statistics: Statistics) -> str:
    """Return statistics.md."""
    parts = [
        "# Statistics of the training data\n", *(f"**{escaped(note)}**\n" for note in statistics.notes), *tables(statistics), _balance(statistics.balance),
        _lengths("Contexts, in words, title and heading included", "kind", statistics.context_words),
        _lengths("Questions, in words", "kind", statistics.question_words),
        _lengths("Answers of answerable questions, in words", "split", statistics.answer_words),
        _verified(statistics), _squad(statistics),
    ]  # fmt: skip
    return "\n".join(parts)


def tables(statistics: Statistics) -> list[str]:
    """Return the parts that a dataset card shows too: counts, leaks, word counting, verification."""
    heads = ("kind", *SPLITS, TOTAL)
    rows = [(kind, *(row[name] for name in heads[1:])) for kind, row in statistics.by_kind_and_split.items()]
    return [f"## Examples by kind and split\n\n{table(heads, rows)}", _leaks(statistics), _overlap(statistics), _checked(statistics)]


def _balance(found: Balance) -> str:
    splits = [split for split in SPLITS if any(split in row for row in found.kinds.values())]
    rows: list[tuple[object, ...]] = [("questions", *(f"{found.questions[s]:.1%}" for s in splits), "")]
    rows += [(kind, *(f"{row[s]:.1%}" for s in splits), f"{row[TOTAL]:.1%}") for kind, row in found.kinds.items()]
    far = [(f"length of {name}", *(f"{row.get(s, 0.0):.2f}" for s in splits)) for name, row in found.lengths.items()]
    wanted = ", ".join(f"{split} {share:.0%}" for split, share in found.wanted.items())
    kind, split, gap = found.widest
    widest = (
        f"\nWanted: {wanted} of the questions. Farthest from its share in all: {kind} in {split}, by {100 * gap:.1f} percentage points.\n"
        if kind
        else ""
    )
    distances = "\nKolmogorov–Smirnov distance of the lengths in words from those of all splits together (0: alike, 1: nothing in common).\n"
    return (
        f"## How well the splits match\n\nThe share of the questions that a split has, and of a split's examples that are of a kind.\n\n"
        f"{table(('', *splits, TOTAL), rows)}{widest}\n{table(('', *splits), far)}{distances}"
    )


def _leaks(statistics: Statistics) -> str:
    rows = [(leak.what, leak.found, leak.of) for leak in statistics.leaks]
    note = "\nNearly equal: Jaccard similarity of word 5-grams of 0.8 or more; of contexts without their title and heading.\n"
    shown = "".join(f"- {escaped(leak.what)}: “{escaped(text)}”\n" for leak in statistics.leaks for text in leak.shown)
    return f"## Leaks between splits\n\n{table(('what', 'found', 'looked at'), rows)}{note}{shown and chr(10) + shown}"


def _overlap(statistics: Statistics) -> str:
    head = "## How far counting words gets\n\n"
    if not statistics.overlap:
        return f"{head}Not computed: scikit-learn (the extra `train`) is not installed.\n"
    splits = [split for split in (*SPLITS, TOTAL) if split in statistics.overlap]
    kinds = sorted({kind for split in splits for kind in statistics.overlap[split]}, key=lambda kind: (kind == TOTAL, kind))
    rows = [(kind, *(_figure(statistics.overlap[split].get(kind, {}).get("auroc")) for split in splits)) for kind in kinds]
    note = f"\nAUROC of the IDF overlap of question and context, positives against each kind of negative: 0.5 is chance, above {_HARD} is easy.\n"
    return f"{head}{table(('negatives', *splits), rows)}{note}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _checked(statistics: Statistics) -> str:
    kinds = dict.fromkeys([*statistics.verified, *statistics.dropped])
    rows = []
    for kind in kinds:
        reasons = statistics.dropped.get(kind, {})
        unfilled = sum(n for reason, n in reasons.items() if reason.startswith(UNFILLED))
        n = sum(statistics.verified.get(kind, {}).values())
        rows.append((kind, n, f"{share_verified(statistics, kind):.1%}", sum(reasons.values()) - unfilled, unfilled))
    return f"## Verified and dropped\n\n{table(('kind', 'examples', 'verified', 'candidates dropped', 'not available'), rows)}"


def _verified(statistics: Statistics) -> str:
    ways = [(kind, how, n) for kind, found in statistics.verified.items() for how, n in _most(found)]
    reasons = [(kind, reason, n) for kind, found in statistics.dropped.items() for reason, n in _most(found)]
    how = "".join(f"- {escaped(kind)}: {escaped(way)} ({n})\n" for kind, way, n in ways)
    why = "".join(f"- {escaped(kind)}: {escaped(reason)} ({n})\n" for kind, reason, n in reasons) or "- nothing\n"
    return f"## How labels were verified\n\n{how}\n## What was dropped, and why\n\n{why}"


def _most(found: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the most frequent, and how many the others are together."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    others = sum(n for _, n in ordered[_WAYS_SHOWN:])
    return ordered[:_WAYS_SHOWN] + ([("others", others)] if others else [])


def _lengths(caption: str, first: str, rows: Mapping[str, Lengths]) -> str:
    heads = (first, "n", "shortest", "25 %", "median", "75 %", "95 %", "longest")
    return f"## {caption}\n\n{table(heads, [(name, *asdict(row).values()) for name, row in rows.items()])}"


def _squad(statistics: Statistics) -> str:
    rows = [(how, n) for how, n in statistics.squad.items() if how != NO_SPAN]
    note = f"\n{left_out_of_squad(statistics)} answerable questions are not in train/squad; train/squad/aligned.jsonl lists them and whatever is not verbatim.\n"
    return f"## Answers as spans of their contexts (SQuAD)\n\n{table(('how', 'examples'), rows)}{note}"
