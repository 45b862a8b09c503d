"""What a model's word does to negatives that passed the rules: it must decline on each of them.

A negative on which it declines stays, and says so. One on which it answers is dropped: it may be right, and a false refusal is the worst
row there is. If its answer is the row's own, by rule, the evidence that it copied stands word for word in the context, and the context speaks of what the question speaks of, the pair is
a second positive – unless question or context was made by us: an altered question that gets the old answer was read carelessly, and a
context cut to pieces is no page's section.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.dataset.examples import second_positive_of
from pipeline.negatives.reading import read
from pipeline.negatives.verify import Answers, says_the_answer, speaks_of_the_same
from pipeline.records import DroppedExample, Example, Rejected
from pipeline.text.compare import find_verbatim, token_f1

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.llm.answering import Said
    from pipeline.negatives.make import Made

NOT_AVAILABLE = "not_available"
SAME_ANSWER = 0.6
"""token F1 from which on two answers are one; create_qa's round trip asks for as much"""
SECOND_POSITIVES = 2  # contexts besides its own that one question may answer from
_MADE_BY_US = ("altered_question", "evidence_removed")
LOUD = 0.5
"""share of the negatives that a model answers on from which on the model, not the data, is the likelier fault"""


@dataclass(slots=True)
class Reread:
    """What a model said of the negatives, counted by kind; and of positives, where that was known already."""

    model: str
    asked: Counter[str] = field(default_factory=Counter)
    declined: Counter[str] = field(default_factory=Counter)
    second_positives: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    positives_known: int = 0
    positives_declined: int = 0


def same_answer(gold: str, said: str) -> bool:
    """Tell whether a model's answer is the row's: a form of it, or most of its words."""
    return says_the_answer(gold, read(said)) or token_f1(said, gold) >= SAME_ANSWER


def judge(example: Example, own: str, answer: str, said: Said | Rejected) -> Answers | Rejected | None:
    """Return what becomes of a negative, given the row's own context and answer and what a model said; None: it stays one."""
    if isinstance(said, Rejected):
        return said
    if said.declined:
        return None
    if not same_answer(answer, said.answer):
        return Rejected("model_answers_otherwise", said.answer[:120])
    span = find_verbatim(said.evidence, example.context.partition("\n\n")[2]) if said.evidence else None
    if example.kind in _MADE_BY_US or span is None or not speaks_of_the_same(example.question, own, example.context):
        return Rejected("model_gives_the_answer", said.answer[:120])
    return Answers(span, "model_finds_the_answer")


def settle(made: Made, answers: Mapping[str, str], said: Mapping[str, Said | Rejected], model: str) -> Reread:
    """Change what was made by what a model said of each negative (by example id); `answers` are the rows' own, by qa id.

    in = out: each negative stays, becomes a second positive, or is dropped with a reason, its place then not available.
    """
    counted = Reread(model)
    seconds = Counter(e.qa_id for e in made.examples if e.kind == "positive")
    own = {e.qa_id: e.context for e in made.examples if e.kind == "positive" and not e.verified.startswith("offered as")}
    kept: list[Example] = []
    for example in made.examples:
        if example.kind == "positive":
            kept.append(example)
            continue
        counted.asked[example.kind] += 1
        verdict = judge(example, own[example.qa_id], answers[example.qa_id], said[example.example_id])
        if verdict is None:
            counted.declined[example.kind] += 1
            kept.append(replace(example, verified=f"{example.verified}; {model} declines"))
            continue
        if isinstance(verdict, Answers) and seconds[example.qa_id] <= SECOND_POSITIVES:
            seconds[example.qa_id] += 1
            counted.second_positives[example.kind] += 1
            kept.append(second_positive_of(example, answers[example.qa_id], verdict.evidence, model))
        else:
            counted.dropped[example.kind] += 1
            made.dropped.append(DroppedExample(example.qa_id, example.kind, example.context_section_id, verdict.reason))
        made.dropped.append(DroppedExample(example.qa_id, example.kind, "", f"{NOT_AVAILABLE}: {verdict.reason}"))
    made.examples = sorted(kept, key=lambda e: e.example_id)
    made.dropped.sort(key=lambda d: (d.qa_id, d.kind, d.reason, d.context_section_id))
    return counted


def counted_by_model(counted: Reread) -> dict[str, Any]:
    """Return the counts for the manifest."""
    names = ("asked", "declined", "second_positives", "dropped")
    return {
        "model": counted.model, **{name: dict(sorted(getattr(counted, name).items())) for name in names},
        "positives_known": counted.positives_known, "positives_declined": counted.positives_declined,
    }  # fmt: skip


def sentences_about(counted: Reread) -> list[str]:
    """Return what is said of it: how many stayed, what went, and a warning if that looks like the model's fault."""
    asked, declined = counted.asked.total(), counted.declined.total()
    by_kind = ", ".join(f"{kind} {counted.declined[kind]} of {n}" for kind, n in sorted(counted.asked.items()))
    went = f"{counted.second_positives.total()} became second positives, {counted.dropped.total()} were dropped"
    lines = [f"verified by {counted.model}: it declines on {declined} of {asked} negatives ({by_kind}); {went}"]
    if asked and asked - declined > LOUD * asked:
        lines.append(
            f"warning: {counted.model} answers on {asked - declined} of {asked} negatives that passed the rules – a model that answers whatever "
            "it is shown drops good negatives – read some of dropped_examples.parquet, then name a stronger --verifier, or use --verify rules"
        )
    if counted.positives_known:
        known, refused = counted.positives_known, counted.positives_declined
        lines.append(f"of {known} true contexts that it had been asked about before, it declines on {refused}")
    return lines
