"""Is every row of a run's examples what it says it is? python scripts/check_examples.py --data DIR

Reads examples.parquet, sections.parquet, qa.parquet, dropped_examples.parquet and the manifest, and looks at all rows: what each kind
promises, empty contexts, pages and texts in two splits, and whether what was asked for is what was made plus what was not available.
Ends with 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.dataset.leaks import leaks
from pipeline.negatives.reading import read
from pipeline.negatives.verify import says_the_answer
from pipeline.records import KINDS, NO_ANSWER, QA, DroppedExample, Example
from pipeline.run_folder import RunFolder
from pipeline.sources.given import read_qa, read_sections
from pipeline.store import read_rows

if TYPE_CHECKING:
    from pipeline.records import Section


def fault_of(example: Example, context: Section, own: Section, row: QA) -> str:
    """Return in what an example is not what its kind says; nothing, if it is."""
    if not example.context.partition("\n\n")[2].strip():
        return "an empty context"
    return _fault_of_positive(example, context, own, row) if example.kind == "positive" else _fault_of_negative(example, context, own, row)


def _fault_of_positive(example: Example, context: Section, own: Section, row: QA) -> str:
    if not example.answerable or example.answer != row.answer or example.question != row.question:
        return "not the row's question with the row's answer"
    return "" if context is own or (example.evidence and example.evidence in context.content) else "a context without the evidence"


def _fault_of_negative(example: Example, context: Section, own: Section, row: QA) -> str:
    if example.answerable or example.answer != NO_ANSWER:
        return "a negative that does not decline"
    checks = {
        "random": context.page_id != own.page_id,
        "same_page": context.page_id == own.page_id and context.section_id != own.section_id,
        "similar": context.page_id != own.page_id,
        "altered_question": context is own and example.context == own.context and example.question != row.question,
        "evidence_removed": context is own and len(example.context) < len(own.context) and example.question == row.question,
    }
    if example.kind not in checks:
        return "a kind of which this script does not know what it promises"
    if not checks[example.kind]:
        return "not what its kind says"
    if example.kind != "altered_question" and says_the_answer(row.answer, read(example.context)):
        return "a context with the answer"
    if example.kind == "evidence_removed" and not _is_left_of(example.context.partition("\n\n")[2], own.content):
        return "a context with words of its own"
    return ""


def _is_left_of(body: str, content: str) -> bool:
    """Tell whether a text is another one without some of its sentences, character for character but for white space at both ends."""
    rest = body
    for piece in read(content).sentences:
        for form in (piece, piece.lstrip(), piece.rstrip()) if rest in (body, piece.rstrip()) else (piece,):
            if form and rest.startswith(form):
                rest = rest[len(form) :]
                break
    return not rest.strip()


def main() -> None:
    """Read, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    folder = RunFolder(parser.parse_args().data)
    sections = {s.section_id: s for s in read_sections(folder.sections)}
    rows = {row.qa_id: row for row in read_qa(folder.qa)}
    examples, dropped = read_rows(folder.examples, Example), read_rows(folder.dropped_examples, DroppedExample)
    counts = json.loads(folder.manifest.read_text("utf-8"))["train"]["counts"]
    wrong: Counter[tuple[str, str]] = Counter()
    for example in examples:
        row = rows[example.qa_id]
        fault = fault_of(example, sections[example.context_section_id], sections[row.section_id], row)
        wrong[example.kind, fault] += bool(fault)
    for kind in KINDS:
        n = sum(e.kind == kind for e in examples)
        print(f"{kind:<17}{n:>5} rows, {sum(c for (k, _), c in wrong.items() if k == kind):>3} not what they say")
    for (kind, fault), n in wrong.items():
        if n:
            print(f"  {kind}: {fault}: {n}")
    bad = wrong.total()
    home = {row.qa_id: row.section_id for row in rows.values()}
    for leak in leaks(examples, {i: s.title for i, s in sections.items()}, home):
        print(f"{leak.what}: {leak.found} of {leak.of}")
        bad += leak.found
    for kind in KINDS[1:]:
        made = sum(e.kind == kind for e in examples)
        empty = sum(d.kind == kind and d.reason.startswith("not_available") for d in dropped)
        out = sum(e.kind == kind or e.verified.startswith(f"offered as {kind},") for e in examples)
        gone = sum(d.kind == kind and not d.reason.startswith("not_available") for d in dropped)
        asked, offered = counts["asked_by_kind"].get(kind, 0), counts["candidates_by_kind"].get(kind, 0)
        sums = made + empty == asked and out + gone == offered
        print(
            f"{kind}: asked {asked} = made {made} + not available {empty}; candidates {offered} = out {out} + dropped {gone}{'' if sums else '  NOT SO'}"
        )
        bad += not sums
    positives = sum(e.kind == "positive" and not e.verified.startswith("offered") for e in examples)
    lost = sum(d.kind == "positive" for d in dropped)
    print(f"questions {len(rows)} = positives {positives} + dropped {lost}")
    sys.exit(bool(bad or positives + lost != len(rows)))


if __name__ == "__main__":
    main()
