"""A section → questions with answers and evidence, or the reason why not: one outcome for each question that was tried.

Two styles: `question_first` for instruct models, `answer_first` for small ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.qa import checks
from pipeline.qa.answer_first import answer_first
from pipeline.qa.drafts import Draft, Outcome, Plan, Verdict
from pipeline.qa.question_first import question_first
from pipeline.records import Rejected, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.qa.drafts import Ask, Search


async def section_rows(section: Section, plan: Plan, ask: Ask, search: Search) -> list[Outcome]:
    """Return exactly `plan.per_section` outcomes or more (a model that writes more than asked for has the rest rejected).

    A fault of the endpoint rejects what it hit, and so does the end of the run (`not_asked`).
    """
    why = not_to_be_asked(section)
    if why:
        return [Draft(section, plan, i).rejected(why) for i in range(plan.per_section)]
    verdicts = await (answer_first(section, plan, ask, search) if plan.style == "answer-first" else question_first(section, plan, ask))
    return [draft.rejected(why) if why else draft.kept() for draft, why in _once_each(verdicts)]


def not_to_be_asked(section: Section) -> Rejected | None:
    """Return why no question is to be asked about a section, if there is a reason."""
    return Rejected("duplicate_section", section.duplicate_of) if section.duplicate_of else checks.something_to_ask(section)


def _once_each(verdicts: list[Verdict]) -> Iterator[Verdict]:
    """Reject a question that the same section already has a row for."""
    seen: set[str] = set()
    for draft, why in verdicts:
        key = " ".join(draft.question.casefold().split())
        twice = why is None and key in seen
        yield Verdict(draft, Rejected("duplicate_question") if twice else why)
        if why is None:
            seen.add(key)
