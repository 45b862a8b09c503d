"""What becomes a row: a draft, what it was made by, and the verdict on it; the rows and rejected rows that come of verdicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import EndpointError, NotAsked, RequestRefused
from pipeline.llm import answering, prompts
from pipeline.llm.replies import parse_answer
from pipeline.qa import checks
from pipeline.records import QA, Rejected, RejectedQA, Section, stable_id
from pipeline.text.compare import token_f1

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.llm.chat import ChatReply, ChatRequest

    Ask = Callable[[ChatRequest], Awaitable[ChatReply]]
    Search = Callable[[str, int], list[str]]

_REPLY_KEPT = 4000
NO_REPLY = ("endpoint_error", "not_asked")
"""reasons that say that nothing came, and not what was wrong with it"""
FAULTS = (*NO_REPLY, "request_refused")
"""reasons that are the endpoint's: the next candidate would meet the same"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are to be made: by which model, in which style, how many a section, checked how."""

    model: str
    style: str
    per_section: int
    round_trip: float
    small: bool = False
    """the embedded model, which is asked by the turns that it was trained on"""
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


class Verdict(NamedTuple):
    """A draft, and why it is rejected; None: it is a row."""

    draft: Draft
    why: Rejected | None


def endpoint_fault(draft: Draft, error: EndpointError) -> Verdict:
    """Return the verdict on a draft that an endpoint failed, or that was not asked any more."""
    names = {RequestRefused: "request_refused", NotAsked: "not_asked"}
    draft = replace(draft, attempts=draft.attempts + error.attempts)
    return Verdict(draft, Rejected(names.get(type(error), "endpoint_error"), str(error)))


def read_back(draft: Draft, again: Draft) -> Verdict:
    """Compare the draft's answer with what the model answers from the context alone, which stands in `again`, the same draft after that reply."""
    f1 = round(token_f1(again.answer, draft.answer), 4)
    failed = f1 < draft.plan.round_trip
    draft = replace(again, answer=draft.answer, evidence=draft.evidence, round_trip_f1=f1)
    return Verdict(draft, Rejected("round_trip_failed", f"read back: {' '.join(again.answer.split())[:120]}") if failed else None)


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


async def answered(draft: Draft, ask: Ask) -> Draft:
    """Return the draft with what an instruct model answers to its question from the section, and the evidence it gives."""
    reply = await ask(answering.request(draft.plan.model, draft.section.context, draft.question))
    answer, evidence = parse_answer(reply.text)
    return draft.after(reply, answer=answer, evidence=evidence)
