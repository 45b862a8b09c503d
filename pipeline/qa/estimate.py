"""What making rows will take, before anything is sent: calls and tokens, without tokenising the sections again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.llm import prompts
from pipeline.qa.answer_first import TRIES
from pipeline.qa.candidates import candidates
from pipeline.qa.generate import not_to_be_asked
from pipeline.qa.question_first import questions_request
from pipeline.records import context_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.qa.drafts import Plan
    from pipeline.records import Section

_MESSAGE_TOKENS, _SCHEMA_TOKENS = 4, 25  # what a chat format adds to a message, and to a schema
_QUESTION, _ANSWER, _FRAME = 18, 6, 16  # tokens of a question, a short answer, and the JSON around an item
_SENTENCE_END = re.compile(r"[.!?。]\s|\n")


@dataclass(slots=True)
class Estimate:
    """Calls and tokens to come, and how many calls the ledger has the replies to."""

    calls: int = 0
    in_ledger: int = 0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    sections: int = 0
    passed_over: int = 0
    """sections that are duplicates or say nothing"""


def estimate(sections: Iterable[Section], plan: Plan, count: Callable[[str], int], paid: Callable[[str], bool]) -> Estimate:
    """Return what `plan` takes for these sections; `count` counts a text's tokens, `paid` tells of a request's key whether its reply is there."""
    total, of_section = Estimate(), (_answer_first(plan, count) if plan.style == "answer-first" else _question_first(plan, count, paid))
    for section in sections:
        total.sections += 1
        if not_to_be_asked(section):
            total.passed_over += 1
            continue
        one = of_section(section)
        total.calls, total.in_ledger = total.calls + one.calls, total.in_ledger + one.in_ledger
        total.tokens_in, total.tokens_out = total.tokens_in + one.tokens_in, total.tokens_out + one.tokens_out
    return total


def _tokens(messages: list[prompts.Message], count: Callable[[str], int]) -> int:
    return sum(count(text) + _MESSAGE_TOKENS for _, text in messages)


def _sentence(section: Section) -> float:
    """Return the tokens of a section's average sentence."""
    return section.tokens / (1 + len(_SENTENCE_END.findall(section.content.strip())))


def _question_first(plan: Plan, count: Callable[[str], int], paid: Callable[[str], bool]) -> Callable[[Section], Estimate]:
    """One call writes all questions; with a round trip each is asked again."""
    empty = count(context_of("", "", ""))
    writes = _tokens(prompts.questions("", plan.per_section), count) + count(prompts.QA_SCHEMA) + _SCHEMA_TOKENS - empty
    reads = _tokens(prompts.answer("", ""), count) + count(prompts.ANSWER_SCHEMA) + _SCHEMA_TOKENS - empty + _QUESTION

    def of_section(section: Section) -> Estimate:
        said = _FRAME + _ANSWER + _sentence(section)
        one = Estimate()
        if paid(questions_request(section, plan).key()):
            one.in_ledger = 1
        else:
            one = Estimate(1, 0, writes + section.tokens, plan.per_section * (said + _QUESTION))
        if plan.round_trip:
            one.calls += plan.per_section
            one.tokens_in += plan.per_section * (reads + section.tokens)
            one.tokens_out += plan.per_section * said
        return one

    return of_section


def _answer_first(plan: Plan, count: Callable[[str], int]) -> Callable[[Section], Estimate]:
    """A call for each candidate, and one or two to check it: at most, for what fails a check is not read back, and no more is tried than needed."""
    if plan.small:
        writes = count(prompts.turn_write("", "")) + _MESSAGE_TOKENS
        reads = max(count(prompts.turn_read("")), count(prompts.turn_judge(""))) + _MESSAGE_TOKENS
    else:
        writes = _tokens(prompts.question_for_answer("", "", ""), count)
        reads = _tokens(prompts.answer("", ""), count) + count(prompts.ANSWER_SCHEMA) + _SCHEMA_TOKENS

    def of_section(section: Section) -> Estimate:
        n, sentence = len(candidates(section, TRIES * plan.per_section)), _sentence(section)
        back = bool(plan.round_trip) * (2 if plan.small else 1)  # read, and judged
        said = _ANSWER if plan.small else _FRAME + _ANSWER + sentence
        tokens_in = writes + section.tokens + sentence + _ANSWER + back * (reads + section.tokens + _QUESTION)
        return Estimate(n * (1 + back), 0, n * tokens_in, n * (_QUESTION + back * said))

    return of_section
