"""A section → questions with answers and evidence, or the reason why not, one outcome for each that was asked for.

question-first: one call writes all of them; a reply that is a numbered list of questions is taken too,
and each is then answered by a call of its own. A reply that can't be read stays in the ledger and is asked
for again, as another sample. answer-first: spans of the section are the answers, a call writes the
question for each, and another must find the answer again (round trip).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import EndpointError, NotAsked, RequestRefused
from pipeline.llm import prompts
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.qa import checks
from pipeline.qa.candidates import Candidate, candidates
from pipeline.qa.replies import parse_answer, parse_items
from pipeline.records import QA, Rejected, RejectedQA, Section, stable_id
from pipeline.text.compare import token_f1
from pipeline.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pipeline.llm.prompts import Message

    Ask = Callable[[ChatRequest], Awaitable[ChatReply]]
    Search = Callable[[str, int], list[str]]

FINDABLE_WITHIN = 10
QUESTION_TOKENS, ANSWER_TOKENS, ITEM_TOKENS = 48, 160, 220
_PASSAGE_SIDES = 1  # sentences on each side of the evidence that a small model is given to read
_REPLY_KEPT = 4000
SAMPLES = 3  # how often a reply is asked for that can't be read


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


Item = tuple[str, str, str]


class Verdict(NamedTuple):
    """A draft, and why it is rejected; None: it is a row."""

    draft: Draft
    why: Rejected | None


async def section_rows(section: Section, plan: Plan, ask: Ask, search: Search) -> list[Outcome]:
    """Return exactly `plan.per_section` outcomes or more (a model that writes more than asked for has the rest rejected).

    A fault of the endpoint rejects what it hit, and so does the end of the run (`not_asked`).
    """
    why = not_to_be_asked(section)
    if why:
        return [Draft(section, plan, i).rejected(why) for i in range(plan.per_section)]
    verdicts = await (_answer_first(section, plan, ask, search) if plan.style == "answer-first" else _question_first(section, plan, ask))
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


def _endpoint_fault(draft: Draft, error: EndpointError) -> Verdict:
    """Return the verdict on a draft that an endpoint failed, or that was not asked any more."""
    names = {RequestRefused: "request_refused", NotAsked: "not_asked"}
    draft = replace(draft, attempts=draft.attempts + error.attempts)
    return Verdict(draft, Rejected(names.get(type(error), "endpoint_error"), str(error)))


async def _answer_first(section: Section, plan: Plan, ask: Ask, search: Search) -> list[Verdict]:
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
        return _endpoint_fault(draft, error)
    return _read_back(draft.after(reply), reply.text)


def _read_back(draft: Draft, answer: str) -> Verdict:
    """Compare what the model answers from the context alone with the answer that the row has."""
    f1 = round(token_f1(answer, draft.answer), 4)
    draft = replace(draft, round_trip_f1=f1)
    failed = f1 < draft.plan.round_trip
    return Verdict(draft, Rejected("round_trip_failed", f"read back: {' '.join(answer.split())[:120]}") if failed else None)


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


def questions_request(section: Section, plan: Plan, sample: int = 0, *, roomier: bool = False) -> ChatRequest:
    """Return the request that writes a section's questions; `roomier`: with twice the room, where the reply before was cut."""
    asked = prompts.questions(section.context, plan.per_section)
    room = ITEM_TOKENS * plan.per_section * (2 if roomier else 1)
    return ChatRequest(plan.model, tuple(asked), room, seed=plan.seed, schema=prompts.QA_SCHEMA, sample=sample)


async def _question_first(section: Section, plan: Plan, ask: Ask) -> list[Verdict]:
    blanks = [Draft(section, plan, i) for i in range(plan.per_section)]
    try:
        items, reply = await _written(section, plan, ask)
    except EndpointError as error:
        return [_endpoint_fault(blank, error) for blank in blanks]
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
            draft = await _answered(draft, ask)
        draft, why = checked(draft)
        if why or not draft.plan.round_trip:
            return Verdict(draft, why)
        again = await _answered(draft, ask)
    except EndpointError as error:
        return _endpoint_fault(draft, error)
    return _read_back(replace(again, answer=draft.answer, evidence=draft.evidence), again.answer)


def checked(draft: Draft, *, brought: bool = False) -> Verdict:
    """Check a draft with question, answer and evidence; the evidence becomes the section's own wording.

    Rows that people bring may be longer, may come without evidence, and need not name what they are about:
    then the answer's numbers and a word of it must at least stand in the section.
    """
    question, answer, content = draft.question, draft.answer, draft.section.content
    alone = checks.leans(question) if brought else checks.stands_alone(question)
    longest = checks.MAX_ANSWER_WORDS if brought else checks.SHORT_ANSWER_WORDS
    why = checks.question_form(question) or alone or checks.answer_form(question, answer, longest)
    if why or (brought and not draft.evidence):
        return Verdict(draft, why or checks.some_support(answer, draft.section.context))
    evidence = checks.verbatim_evidence(draft.evidence, content)
    if isinstance(evidence, Rejected):
        return Verdict(draft, evidence)
    supported = checks.numbers_supported if brought else checks.answer_supported
    return Verdict(replace(draft, evidence=evidence), checks.evidence_form(evidence, content) or supported(answer, evidence))


async def _answered(draft: Draft, ask: Ask) -> Draft:
    messages = prompts.answer(draft.section.context, draft.question)
    reply = await ask(ChatRequest(draft.plan.model, tuple(messages), ANSWER_TOKENS, seed=draft.plan.seed, schema=prompts.ANSWER_SCHEMA))
    answer, evidence = parse_answer(reply.text)
    return draft.after(reply, answer=answer, evidence=evidence)
