"""Spans of a section are the answers; a call writes the question for each, and another must find the answer again (round trip)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.errors import EndpointError
from pipeline.llm import prompts
from pipeline.llm.chat import ChatRequest
from pipeline.qa import checks
from pipeline.qa.candidates import Candidate, candidates
from pipeline.qa.drafts import Draft, Verdict, endpoint_fault, read_back
from pipeline.records import Rejected, Section
from pipeline.text.sentences import sentences

if TYPE_CHECKING:
    from pipeline.llm.prompts import Message
    from pipeline.qa.drafts import Ask, Plan, Search

FINDABLE_WITHIN = 10
QUESTION_TOKENS = 48
_PASSAGE_SIDES = 1  # sentences on each side of the evidence that a small model is given to read


async def answer_first(section: Section, plan: Plan, ask: Ask, search: Search) -> list[Verdict]:
    """Return a verdict on each candidate answer, and one for each that the section lacks."""
    found = candidates(section, plan.per_section)
    missing = [Verdict(Draft(section, plan, i), Rejected("no_candidate_answer")) for i in range(len(found), plan.per_section)]
    tasks = [_row_for(Draft(section, plan, i, answer=c.answer, evidence=c.evidence), c, ask, search) for i, c in enumerate(found)]
    return [*await asyncio.gather(*tasks), *missing]


async def _row_for(draft: Draft, candidate: Candidate, ask: Ask, search: Search) -> Verdict:
    section, plan = draft.section, draft.plan
    shown = prompts.question_for_span(section.title, candidate.evidence, candidate.answer, candidate.opening)
    try:
        reply = await ask(_small(plan, shown))
        draft = draft.after(reply, question=" ".join(f"{candidate.opening} {reply.text}".split()))
        why = _answer_first_fault(draft, candidate, search)
        if why or not plan.round_trip:
            return Verdict(draft, why)
        reply = await ask(_small(plan, prompts.short_answer(_passage(section, candidate.evidence), draft.question)))
    except EndpointError as error:
        return endpoint_fault(draft, error)
    return read_back(draft.after(reply), reply.text)


def _answer_first_fault(draft: Draft, candidate: Candidate, search: Search) -> Rejected | None:
    question, answer, evidence = draft.question, draft.answer, draft.evidence
    return (
        checks.question_form(question)
        or checks.stands_alone(question)
        or checks.answer_form(question, answer)
        or checks.asks_for_kind(question, candidate.kind)
        or checks.about_the_evidence(question, draft.section.title, answer, evidence)
        or checks.findable(question, draft.section.section_id, search, FINDABLE_WITHIN)
    )


def _small(plan: Plan, messages: list[Message]) -> ChatRequest:
    return ChatRequest(plan.model, tuple(messages), QUESTION_TOKENS, seed=plan.seed, stop=("\n",))


def _passage(section: Section, evidence: str) -> str:
    """Return the evidence with its neighbours: a window beats a whole section for a small model."""
    around = sentences(section.content)
    at = around.index(evidence) if evidence in around else 0
    return " ".join(around[max(0, at - _PASSAGE_SIDES) : at + 1 + _PASSAGE_SIDES])
