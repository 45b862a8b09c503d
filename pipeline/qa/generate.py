"""A section → questions with answers and evidence, or the reason why not, one outcome for each that was asked for.

question-first: one call writes all of them; a reply that is a numbered list of questions is taken too,
and each is then answered by a call of its own. answer-first: spans of the section are the answers, a
call writes the question for each, and another must find the answer again (round trip).
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import EndpointError, EndpointRefused
from pipeline.llm import prompts
from pipeline.llm.client import ChatReply, ChatRequest
from pipeline.qa import checks
from pipeline.qa.candidates import Candidate, candidates
from pipeline.records import QA, Rejected, RejectedQA, Section, stable_id
from pipeline.text.compare import token_f1
from pipeline.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipeline.llm.prompts import Message

FINDABLE_WITHIN = 10
QUESTION_TOKENS, ANSWER_TOKENS, ITEM_TOKENS = 48, 160, 220
_PASSAGE_SIDES = 1  # sentences on each side of the evidence that a small model is given to read
_REPLY_KEPT = 4000


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are to be made: by which model, in which style, how many a section, checked how."""

    model: str
    style: str
    per_section: int
    round_trip: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """What becomes a row or a rejected row: the candidate so far and the replies it rests on."""

    section: Section
    plan: Plan
    index: int
    """which of the questions asked for, from 0"""
    question: str = ""
    answer: str = ""
    evidence: str = ""
    round_trip_f1: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    attempts: int = 0
    reply: str = ""
    source: str = "generated"

    def after(self, reply: ChatReply, **changed: Any) -> Draft:
        """Return the draft with a reply's cost and raw text added, and other fields changed."""
        return replace(
            self, tokens_in=self.tokens_in + reply.tokens_in, tokens_out=self.tokens_out + reply.tokens_out,
            attempts=self.attempts + reply.attempts, reply=reply.text[:_REPLY_KEPT], **changed,
        )  # fmt: skip

    def kept(self) -> QA:
        """Return the row."""
        qa_id = stable_id("qa", self.section.section_id, self.question, self.answer)
        return QA(
            qa_id, self.section.section_id, self.question, self.answer, self.evidence, self.source, self.plan.style, self.round_trip_f1,
            self.plan.model, prompts.VERSION, self.tokens_in, self.tokens_out,
        )  # fmt: skip

    def rejected(self, why: Rejected) -> RejectedQA:
        """Return the rejected row."""
        section = self.section
        made_of = (section.section_id, self.source, self.plan.style, self.index, self.question, self.answer, why.reason)
        return RejectedQA(
            stable_id("rej", *made_of), section.section_id, section.title, section.heading, self.question, self.answer, self.evidence,
            self.source, self.plan.style, self.round_trip_f1, self.plan.model, prompts.VERSION, self.tokens_in, self.tokens_out,
            why.reason, why.detail[:500], self.reply, self.attempts,
        )  # fmt: skip


Outcome = QA | RejectedQA


async def section_rows(
    section: Section, plan: Plan, ask: Callable[[ChatRequest], Awaitable[ChatReply]], search: Callable[[str, int], list[str]]
) -> list[Outcome]:
    """Return exactly `plan.per_section` outcomes or more (a model that writes more than asked for has the rest rejected).

    Raises EndpointRefused where going on is pointless; any other fault of the endpoint rejects what it hit.
    """
    if section.duplicate_of:
        blank = [Draft(section, plan, i) for i in range(plan.per_section)]
        return [draft.rejected(Rejected("duplicate_section", section.duplicate_of)) for draft in blank]
    rows = await (_answer_first(section, plan, ask, search) if plan.style == "answer-first" else _question_first(section, plan, ask))
    return _once_each(rows, section, plan)


def _once_each(rows: list[Outcome], section: Section, plan: Plan) -> list[Outcome]:
    """Reject a question that the same section already has."""
    seen: set[str] = set()
    out: list[Outcome] = []
    for index, row in enumerate(rows):
        key = " ".join(row.question.casefold().split())
        if isinstance(row, QA) and key in seen:
            draft = Draft(section, plan, index, row.question, row.answer, row.evidence, row.round_trip_f1, row.tokens_in, row.tokens_out)
            out.append(draft.rejected(Rejected("duplicate_question")))
            continue
        seen.add(key)
        out.append(row)
    return out


async def _answer_first(section: Section, plan: Plan, ask: Any, search: Any) -> list[Outcome]:
    found = candidates(section, plan.per_section)
    missing = [Draft(section, plan, i).rejected(Rejected("no_candidate_answer")) for i in range(len(found), plan.per_section)]
    tasks = [_row_for(Draft(section, plan, i, answer=c.answer, evidence=c.evidence), c, ask, search) for i, c in enumerate(found)]
    return [*await _all(tasks), *missing]


async def _all(tasks: Sequence[Awaitable[Outcome]]) -> list[Outcome]:
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_plain(task)) for task in tasks]
    outcomes = [task.result() for task in running]
    for outcome in outcomes:
        if isinstance(outcome, EndpointRefused):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, EndpointRefused)]


async def _plain(task: Awaitable[Outcome]) -> Outcome | EndpointRefused:
    """Hand a refusal on as a value: a group would wrap it."""
    try:
        return await task
    except EndpointRefused as error:
        return error


async def _row_for(draft: Draft, candidate: Candidate, ask: Any, search: Any) -> Outcome:
    section, plan = draft.section, draft.plan
    try:
        reply = await ask(
            _small(plan, prompts.question_for_span(section.title, candidate.evidence, candidate.answer, candidate.opening), QUESTION_TOKENS)
        )
        draft = draft.after(reply, question=" ".join(f"{candidate.opening} {reply.text}".split()))
        why = _answer_first_fault(draft, candidate, search)
        if why:
            return draft.rejected(why)
        if plan.round_trip > 0:
            reply = await ask(_small(plan, prompts.short_answer(_passage(section, candidate.evidence), draft.question), QUESTION_TOKENS))
            draft = draft.after(reply, round_trip_f1=round(token_f1(reply.text, draft.answer), 4))
            if (draft.round_trip_f1 or 0.0) < plan.round_trip:
                return draft.rejected(Rejected("round_trip_failed", f"read back: {' '.join(reply.text.split())[:120]}"))
    except EndpointRefused:
        raise
    except EndpointError as error:
        return draft.rejected(Rejected("endpoint_error", str(error)))
    return draft.kept()


def _answer_first_fault(draft: Draft, candidate: Candidate, search: Any) -> Rejected | None:
    question, answer, evidence = draft.question, draft.answer, draft.evidence
    return (
        checks.question_form(question)
        or checks.stands_alone(question)
        or checks.answer_form(question, answer)
        or checks.asks_for_kind(question, candidate.kind)
        or checks.about_the_evidence(question, draft.section.title, answer, evidence)
        or checks.findable(question, draft.section.section_id, search, FINDABLE_WITHIN)
    )


def _small(plan: Plan, messages: list[Message], tokens: int) -> ChatRequest:
    return ChatRequest(plan.model, tuple(messages), tokens, seed=plan.seed, stop=("\n",))


def _passage(section: Section, evidence: str) -> str:
    """Return the evidence with its neighbours: a window beats a whole section for a small model."""
    around = sentences(section.content)
    at = around.index(evidence) if evidence in around else 0
    return " ".join(around[max(0, at - _PASSAGE_SIDES) : at + 1 + _PASSAGE_SIDES])


async def _question_first(section: Section, plan: Plan, ask: Any) -> list[Outcome]:
    blank = Draft(section, plan, 0)
    try:
        reply: ChatReply = await ask(
            ChatRequest(
                plan.model, tuple(prompts.questions(section.context, plan.per_section)), ITEM_TOKENS * plan.per_section,
                seed=plan.seed, schema=prompts.QA_SCHEMA,
            )
        )  # fmt: skip
    except EndpointRefused:
        raise
    except EndpointError as error:
        return [replace(blank, index=i).rejected(Rejected("endpoint_error", str(error))) for i in range(plan.per_section)]
    items = parse_items(reply.text)
    share = replace(reply, tokens_in=reply.tokens_in // max(1, len(items)), tokens_out=reply.tokens_out // max(1, len(items)))
    drafts = [replace(blank, index=i).after(share, question=q.strip(), answer=a.strip(), evidence=e.strip()) for i, (q, a, e) in enumerate(items)]
    why = Rejected("not_written" if items else "empty_reply" if not reply.text.strip() else "malformed_reply")
    missing = [replace(blank, index=i).after(share).rejected(why) for i in range(len(items), plan.per_section)]
    return [*await _all([_finish(draft, ask) for draft in drafts]), *missing]


async def _finish(draft: Draft, ask: Any) -> Outcome:
    """Answer a question that came without an answer, check the draft, and read it back if that is wanted."""
    if draft.index >= draft.plan.per_section:
        return draft.rejected(Rejected("more_than_asked_for"))
    try:
        if draft.question and not draft.answer:
            draft = await _answered(draft, ask)
        why = checks.question_form(draft.question) or checks.stands_alone(draft.question) or checks.answer_form(draft.question, draft.answer)
        evidence = why or checks.verbatim_evidence(draft.evidence, draft.section.content)
        if isinstance(evidence, Rejected):
            return draft.rejected(evidence)
        draft = replace(draft, evidence=evidence or "")
        why = checks.numbers_supported(draft.answer, draft.evidence)
        if why:
            return draft.rejected(why)
        if draft.plan.round_trip > 0:
            again = await _answered(draft, ask)
            draft = replace(again, answer=draft.answer, evidence=draft.evidence, round_trip_f1=round(token_f1(again.answer, draft.answer), 4))
            if (draft.round_trip_f1 or 0.0) < draft.plan.round_trip:
                return draft.rejected(Rejected("round_trip_failed", f"read back: {again.answer[:120]}"))
    except EndpointRefused:
        raise
    except EndpointError as error:
        return draft.rejected(Rejected("endpoint_error", str(error)))
    return draft.kept()


async def _answered(draft: Draft, ask: Any) -> Draft:
    messages = prompts.answer(draft.section.context, draft.question)
    reply = await ask(ChatRequest(draft.plan.model, tuple(messages), ANSWER_TOKENS, seed=draft.plan.seed, schema=prompts.ANSWER_SCHEMA))
    found = _objects(reply.text)
    fields = found[0] if found else {"answer": reply.text.strip()}
    return draft.after(reply, answer=_text(fields, "answer"), evidence=_text(fields, "evidence"))


def parse_items(reply: str) -> list[tuple[str, str, str]]:
    """Read (question, answer, evidence) triples from a reply: JSON as asked for, JSON in prose, or a numbered list.

    What a list leaves out comes back as empty text. A reply that is none of these gives an empty list.
    """
    objects = _objects(reply)
    if objects:
        return [(_text(o, "question"), _text(o, "answer"), _text(o, "evidence")) for o in objects if _text(o, "question")]
    return _numbered(reply)


def _objects(reply: str) -> list[dict[str, Any]]:
    """Return the objects of a JSON reply, which may stand in a code fence or between sentences."""
    start = re.search(r"[\[{]", reply)
    if not start:
        return []
    try:
        parsed, _ = json.JSONDecoder().raw_decode(reply[start.start() :])
    except (ValueError, RecursionError):
        return []
    if isinstance(parsed, dict) and isinstance(parsed.get("items"), list):
        parsed = parsed["items"]
    return [item for item in (parsed if isinstance(parsed, list) else [parsed]) if isinstance(item, dict)]


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


_ITEM = re.compile(r"^\s*\d+\s*[.)]\s+(.*)$")
_LABEL = re.compile(r"^\s*[-*]?\s*\**(question|answer|evidence|q|a)\**\s*[:.]\**\s*(.*)$", re.IGNORECASE)


def _numbered(reply: str) -> list[tuple[str, str, str]]:
    """Read `1. question`, with `Answer:` and `Evidence:` lines below where there are any."""
    items: list[dict[str, str]] = []
    for line in reply.splitlines():
        item = _ITEM.match(line)
        label = _LABEL.match(item[1] if item else line)
        name = {"q": "question", "a": "answer"}.get(label[1].lower(), label[1].lower()) if label else ""
        if item:
            items.append({name or "question": (label[2] if label else item[1]).strip()})
        elif label and items:
            items[-1].setdefault(name, label[2].strip())
    return [(i.get("question", ""), i.get("answer", ""), i.get("evidence", "")) for i in items if i.get("question")]
