"""A model asked to answer a question from one context alone, or to decline: the request, and what its reply says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.llm import prompts
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.replies import broken, parse_answer
from pipeline.records import NO_ANSWER
from pipeline.text.compare import normalise_answer
from pipeline.text.windows import window

ANSWER_TOKENS, SMALL_TOKENS = 160, 48
SHOWN_TO_SMALL = 3000
"""characters of a context that the embedded model is shown at most: it was trained on short ones, and its window has 3,072 of its own tokens"""
LEANING = 0.0
NEVER_DECLINE = -100.0
_JUDGED_AMONG = 20  # likely tokens: yes and no are among them, unless the model has lost its way
_REFUSAL_BEGINS = 2838
"""the token " No" of the embedded model's vocabulary"""
_DECLINES = re.compile(  # of a text as `normalise_answer` leaves it: lower case, no articles
    r"^(?:this )?(?:context|text|passage|section) (?:\w+ )?(?:not|doesn t|lacks|has no|gives no)\b"
    r"|\bnot (?:\w+ )?(?:mentioned|stated|specified|provided|given|answered) in (?:this )?(?:context|text|passage|section)\b"
    r"|^(?:it is )?not (?:mentioned|stated|specified|provided|given)$|^no (?:answer|information|mention)\b"
)
_WORDS_OF_NOTHING = frozenset(("", "none", "null", "na", "nothing", "unknown", "unanswerable"))


@dataclass(frozen=True, slots=True)
class Said:
    """What a model answered, and the evidence that it copied; `declined`: it says that the context does not answer."""

    answer: str
    evidence: str
    declined: bool


def request(model: str, context: str, question: str, sample: int = 0) -> ChatRequest:
    """Return the request for an answer with evidence, or the sentence that declines."""
    return ChatRequest(model, tuple(prompts.answer(context, question)), ANSWER_TOKENS, schema=prompts.ANSWER_SCHEMA, sample=sample)


def small_request(model: str, context: str, question: str, sample: int = 0, *, leaning: float = LEANING) -> ChatRequest:
    """Return the same for the embedded model, which is shown the part of a long context that is nearest to the question.

    `leaning` is added to the logit of the word that a refusal begins with: of a model that declines too readily a bit is taken, and with
    `NEVER_DECLINE` it says what it would answer if there were an answer.
    """
    shown = prompts.small(window(context, question, SHOWN_TO_SMALL), prompts.turn_read(question))
    bias = ((_REFUSAL_BEGINS, leaning),) if leaning else ()
    return ChatRequest(model, tuple(shown), SMALL_TOKENS, stop=("\n",), sample=sample, bias=bias)


def small_judgement(model: str, context: str, question: str) -> ChatRequest:
    """Return the request that asks the embedded model whether a context answers a question: " yes" or " no"."""
    shown = prompts.small(window(context, question, SHOWN_TO_SMALL), prompts.turn_judge(question))
    return ChatRequest(model, tuple(shown), 1, likely=_JUDGED_AMONG)


def p_yes(reply: ChatReply) -> float:
    """Return how likely the embedded model holds it that the context answers: the share of yes in yes and no; 0.5 where it says neither."""
    shares = {word: max((p for token, p in reply.likely if token.strip().casefold() == word), default=0.0) for word in ("yes", "no")}
    total = sum(shares.values())
    return shares["yes"] / total if total else 0.5


def read(reply: ChatReply) -> Said | None:
    """Return what a reply says; None where it says nothing that could be read (empty, or JSON that breaks off)."""
    if not reply.text.strip() or broken(reply.text):
        return None
    answer, evidence = parse_answer(reply.text)
    return Said(answer, evidence, declines(answer))


def declines(answer: str) -> bool:
    """Tell whether an answer is a refusal: the sentence asked for, nothing at all, or what models say in its place."""
    said = normalise_answer(answer.replace("'", " ").replace("’", " "))
    return normalise_answer(NO_ANSWER) in said or said in _WORDS_OF_NOTHING or bool(_DECLINES.search(said))
