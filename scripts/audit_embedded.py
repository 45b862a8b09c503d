"""Have the embedded model write questions on real sections, count what is kept, and draw kept rows for a person to read.

    python scripts/audit_embedded.py olympics_sections.csv --out audit.csv

Takes the notebooks' olympics_sections.csv: 100 sections of 80 tokens or more, drawn by seed; a question must find its section among all of the file's.
The drawn rows have three columns to fill in: is the question well-formed, does the section answer it, is the answer right. No text of a page is
written: section ids and titles tell where to look.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.cli import as_json
from pipeline.ledger import Ledger
from pipeline.llm.client import ChatClient
from pipeline.llm.embedded import ADAPTER, MODEL_NAME, SLOTS, serve
from pipeline.qa.drafts import Plan
from pipeline.qa.generate import section_rows
from pipeline.records import QA, Section, derived_page_id, stable_id
from pipeline.retrieval.bm25 import Bm25
from pipeline.sources.notebook import read_csv_rows

if TYPE_CHECKING:
    from pipeline.qa.drafts import Outcome

COLUMNS = ("qa_id", "section_id", "title", "heading", "question", "answer", "well_formed", "answerable", "right")
LEAST_TOKENS = 80


def sections_of(path: Path) -> list[Section]:
    """Return the sections of the notebooks' CSV."""
    found = []
    for at, row in enumerate(read_csv_rows(path, ("title", "heading", "content", "tokens"))):
        title, heading, content = row["title"], row["heading"], row["content"]
        page_id = derived_page_id(title)
        section_id = stable_id("sec", page_id, heading, at, content)
        found.append(Section(section_id, page_id, at, 0, title, heading, heading, 2, content, int(float(row["tokens"])), None, "", ""))
    return found


async def written(drawn: list[Section], every: list[Section], plan: Plan, client: ChatClient) -> list[list[Outcome]]:
    """Return what came of each section."""
    index = Bm25([section.context for section in every])
    slots = asyncio.Semaphore(SLOTS)

    def search(question: str, k: int) -> list[str]:
        return [every[at].section_id for at in index.search([question], k)[0]]

    async def one(section: Section) -> list[Outcome]:
        async with slots:
            return await section_rows(section, plan, client.complete, search)

    async with client:
        return list(await asyncio.gather(*map(one, drawn)))


def main() -> None:
    """Read the arguments, write questions, count, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", type=Path, help="the notebooks' olympics_sections.csv")
    parser.add_argument("--n", type=int, default=100, help="sections")
    parser.add_argument("--questions-per-section", type=int, default=3)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--adapter", type=Path, default=ADAPTER, help="another adapter than the one that is shipped")
    parser.add_argument("--draw", type=int, default=50, help="kept rows to read")
    parser.add_argument("--out", type=Path, help="the CSV of the drawn rows")
    parser.add_argument("--all", type=Path, help="every outcome, as JSON lines")
    given = parser.parse_args()
    every = sections_of(given.sections)
    drawn = random.Random(given.seed).sample([s for s in every if s.tokens >= LEAST_TOKENS], given.n)
    plan = Plan(MODEL_NAME, "answer-first", given.questions_per_section, 0.6, small=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place, Ledger(Path(place) / "ledger.sqlite") as ledger, serve(given.adapter) as endpoint:
        client = ChatClient(ledger, MODEL_NAME, endpoint.base_url, endpoint.api_key, SLOTS, 600.0, steady=True)
        outcomes = asyncio.run(written(drawn, every, plan, client))
    seconds = time.monotonic() - began
    kept = [row for rows in outcomes for row in rows if isinstance(row, QA)]
    reasons = Counter(row.reason for rows in outcomes for row in rows if not isinstance(row, QA))
    told = {
        "sections": len(drawn), "sections_with_a_row": sum(any(isinstance(row, QA) for row in rows) for rows in outcomes), "kept": len(kept),
        "tried": sum(map(len, outcomes)), "rejected_by_reason": dict(reasons.most_common()), "seconds_a_section": round(seconds / len(drawn), 2),
    }  # fmt: skip
    print(json.dumps(told, indent=1))
    by_id = {section.section_id: section for section in drawn}
    if given.all:
        given.all.write_text("".join(as_json(asdict(row)) + "\n" for rows in outcomes for row in rows), "utf-8")
    if given.out:
        chosen = random.Random(given.seed).sample(kept, min(given.draw, len(kept)))
        with given.out.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for row in sorted(chosen, key=lambda row: row.qa_id):
                section = by_id[row.section_id]
                table.writerow([row.qa_id, row.section_id, section.title, section.heading, row.question, row.answer, "", "", ""])


if __name__ == "__main__":
    main()
