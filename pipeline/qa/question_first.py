"""One call writes all questions of a section, with answers and evidence.

A reply that is a numbered list of questions is taken too, and each is then answered by a call of its own. A reply that can't be read stays
in the ledger and is asked for again, as another sample.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import EndpointError
from pipeline.llm import prompts
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.replies import parse_items
from pipeline.qa.drafts import Draft, Verdict, answered, checked, endpoint_fault, read_back
from pipeline.records import Rejected

if TYPE_CHECKING:
    from pipeline.qa.drafts import Ask, Plan
    from pipeline.records import Section

ITEM_TOKENS = 220
SAMPLES = 3  # how often a reply is asked for that can't be read

Item = tuple[str, str, str]


def questions_request(section: Section, plan: Plan, sample: int = 0, *, roomier: bool = False) -> ChatRequest:
    """Return the request that writes a section's questions; `roomier`: with twice the room, where the reply before was cut."""
    asked = prompts.questions(section.context, plan.per_section)
    room = ITEM_TOKENS * plan.per_section * (2 if roomier else 1)
    return ChatRequest(plan.model, tuple(asked), room, seed=plan.seed, schema=prompts.QA_SCHEMA, sample=sample)


async def question_first(section: Section, plan: Plan, ask: Ask) -> list[Verdict]:
    """Return a verdict on each question that was written, and on each that was not."""
    blanks = [Draft(section, plan, i) for i in range(plan.per_section)]
    try:
        items, reply = await _written(section, plan, ask)
    except EndpointError as error:
        return [endpoint_fault(blank, error) for blank in blanks]
    if not items:
        why = _why_none(reply) if items is None else Rejected("nothing_to_ask", "the model found nothing to ask about")
        free = replace(reply, tokens_in=0, tokens_out=0)  # the reply was paid for once
        return [Verdict(blank.after(free if blank.index else reply), why) for blank in blanks]
    share = replace(reply, tokens_in=reply.tokens_in // len(items), tokens_out=reply.tokens_out // len(items))
    drafts = [Draft(section, plan, i).after(share, question=q, answer=a, evidence=e) for i, (q, a, e) in enumerate(items)]
    missing = [Verdict(blank, Rejected("not_written")) for blank in blanks[len(items) :]]
    return [*await asyncio.gather(*(_finish(draft, ask) for draft in drafts)), *missing]


async def _written(section: Section, plan: Plan, ask: Ask) -> tuple[list[Item] | None, ChatReply]:
    """Return the items that the model wrote, with the reply and what it and the unreadable ones before it cost."""
    tokens_in = tokens_out = attempts = 0
    roomier = False
    for sample in range(SAMPLES):
        reply = await ask(questions_request(section, plan, sample, roomier=roomier))
        tokens_in, tokens_out, attempts = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out, attempts + reply.attempts
        roomier = roomier or reply.cut
        items = parse_items(reply.text)
        if items is not None or reply.refusal:
            break
    return items, replace(reply, tokens_in=tokens_in, tokens_out=tokens_out, attempts=attempts)


def _why_none(reply: ChatReply) -> Rejected:
    if reply.refusal:
        return Rejected("model_refused", reply.refusal)
    return Rejected("malformed_reply" if reply.text.strip() else "empty_reply")


async def _finish(draft: Draft, ask: Ask) -> Verdict:
    """Answer a question that came without an answer, check the draft, and read it back if that is wanted."""
    if draft.index >= draft.plan.per_section:
        return Verdict(draft, Rejected("more_than_asked_for"))
    try:
        if draft.question and not draft.answer:
            draft = await answered(draft, ask)
        draft, why = checked(draft)
        if why or not draft.plan.round_trip:
            return Verdict(draft, why)
        again = await answered(draft, ask)
    except EndpointError as error:
        return endpoint_fault(draft, error)
    return read_back(draft, again)
