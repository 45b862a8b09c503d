"""Spans of a section are the answers; a call writes the question for each, and another must find the answer again (round trip).

Candidate after candidate, the best first, until as many questions stand as were asked for: much that is tried with a small model fails, and
the next fact is as good as this one. What it is asked of a section begins alike: one after another, its server reads the section once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.errors import EndpointError
from pipeline.llm import answering, prompts
from pipeline.llm.answering import NEVER_DECLINE, SHOWN_TO_SMALL
from pipeline.llm.chat import ChatRequest
from pipeline.qa import checks
from pipeline.qa.candidates import Candidate, candidates
from pipeline.qa.drafts import FAULTS, Draft, Verdict, answered, endpoint_fault, read_back
from pipeline.records import Rejected, Section
from pipeline.text.windows import window

if TYPE_CHECKING:
    from pipeline.qa.drafts import Ask, Plan, Search

FINDABLE_WITHIN = 10
TRIES = 4
"""candidates that are tried at most for each question that is asked for"""
QUESTION_TOKENS = 48
LEAST_P_YES = 0.9
"""of 50 rows read one by one 47 % were right at 0.5, 58 % at 0.9, 70 % at 0.95, where a section in three has a row (data/audit/embedded.csv)"""


async def answer_first(section: Section, plan: Plan, ask: Ask, search: Search) -> list[Verdict]:
    """Return a verdict on each candidate answer that was tried, and one for each question that the section has no candidate for."""
    left = candidates(section, TRIES * plan.per_section)
    verdicts: list[Verdict] = []
    kept = 0
    while left and kept < plan.per_section and not (len(verdicts) >= plan.per_section and any(map(_at_fault, verdicts))):
        wave, left = left[: plan.per_section - kept], left[plan.per_section - kept :]
        drafts = [Draft(section, plan, len(verdicts) + at, answer=c.answer, evidence=c.evidence) for at, c in enumerate(wave)]
        tasks = [_row_for(draft, candidate, ask, search) for draft, candidate in zip(drafts, wave, strict=True)]
        verdicts += [await task for task in tasks] if plan.small else await asyncio.gather(*tasks)
        kept = sum(verdict.why is None for verdict in verdicts)
    missing = range(len(verdicts), plan.per_section)
    return [*verdicts, *(Verdict(Draft(section, plan, at), Rejected("no_candidate_answer")) for at in missing)]


def _at_fault(verdict: Verdict) -> bool:
    return verdict.why is not None and verdict.why.reason in FAULTS


async def _row_for(draft: Draft, candidate: Candidate, ask: Ask, search: Search) -> Verdict:
    try:
        reply = await ask(_writing(draft, candidate))
        opening = candidate.opening if draft.plan.small else ""
        draft = draft.after(reply, question=" ".join(f"{opening} {reply.text}".split()))
        why = _fault(draft, candidate, search)
        if why or not draft.plan.round_trip:
            return Verdict(draft, why)
        verdict = read_back(draft, await _read(draft, ask))
        if verdict.why or not draft.plan.small:
            return verdict
        return await _judged(verdict.draft, ask)
    except EndpointError as error:
        return endpoint_fault(draft, error)


def _writing(draft: Draft, candidate: Candidate) -> ChatRequest:
    """Return the request for a question."""
    plan, context, evidence = draft.plan, draft.section.context, candidate.evidence
    if not plan.small:
        shown = prompts.question_for_answer(context, evidence, candidate.answer)
        return ChatRequest(plan.model, tuple(shown), QUESTION_TOKENS, seed=plan.seed)
    turn = prompts.turn_write(evidence, candidate.answer)
    opening = f" {candidate.opening}" if candidate.opening else ""
    return ChatRequest(
        plan.model, tuple(prompts.small(window(context, evidence, SHOWN_TO_SMALL), turn + opening)), QUESTION_TOKENS, seed=plan.seed, stop=("\n",)
    )


async def _read(draft: Draft, ask: Ask) -> Draft:
    """Return the draft with what the model answers from the context alone in its answer's place."""
    if not draft.plan.small:
        return await answered(draft, ask)
    context = window(draft.section.context, draft.evidence, SHOWN_TO_SMALL)
    reply = await ask(answering.small_request(draft.plan.model, context, draft.question, leaning=NEVER_DECLINE))
    return draft.after(reply, answer=reply.text.strip())


async def _judged(draft: Draft, ask: Ask) -> Verdict:
    """Ask the embedded model whether the section answers: it is trained to tell, and sees questions that only look as if."""
    reply = await ask(answering.small_judgement(draft.plan.model, window(draft.section.context, draft.evidence, SHOWN_TO_SMALL), draft.question))
    p = answering.p_yes(reply)
    return Verdict(draft.after(reply), None if p >= LEAST_P_YES else Rejected("judged_unanswerable", f"p(answerable) {p:.2f}"))


def _fault(draft: Draft, candidate: Candidate, search: Search) -> Rejected | None:
    question, answer, evidence, section = draft.question, draft.answer, draft.evidence, draft.section
    return (
        checks.question_form(question)
        or checks.stands_alone(question)
        or checks.answer_form(question, answer)
        or checks.asks_for_kind(question, candidate.kind)
        or checks.nothing_foreign(question, section.context)
        or checks.about_the_evidence(question, section.title, answer, evidence)
        or checks.findable(question, section.section_id, search, FINDABLE_WITHIN)
    )
