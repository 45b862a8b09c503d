"""Examples of every kind for the tests of files: few, small, and with what is hard to write."""

from __future__ import annotations

from typing import Any

from pipeline.records import NO_ANSWER, Example

JUDO = (
    'Judo\nMen\n\nTeddy Riner of France – "the Bear" – lost a quarter-final to Tamerlan Bashaev on 30 July 2021. Forty-six judoka took medals home from '
    "the Budokan."
)
SURFING = "Surfing\nWaves\n\nCarissa Moore won at Tsurigasaki Beach | on 27 July."


def example(name: str, **changed: Any) -> Example:
    known: dict[str, Any] = {
        "example_id": f"ex-{name}", "qa_id": f"qa-{name}", "split": "train", "kind": "positive", "context": JUDO, "context_section_id": "sec-judo",
        "question": "Who defeated Teddy Riner?", "answer": "Tamerlan Bashaev", "answerable": True, "verified": "evidence is verbatim in the context",
        "verified_score": None, "source": "written", "evidence": "lost a quarter-final to Tamerlan Bashaev on 30 July 2021", "plausible_answer": "",
    }  # fmt: skip
    return Example(**{**known, **changed})


def negative(name: str, kind: str, **changed: Any) -> Example:
    known: dict[str, Any] = {
        "kind": kind, "answer": NO_ANSWER, "answerable": False, "evidence": "", "verified": "rules: answer absent", "verified_score": 0.0125,
        "context": SURFING, "context_section_id": "sec-surfing",
    }  # fmt: skip
    return example(name, **{**known, **changed})


EXAMPLES = [
    example("1"),
    example("2", question="How many medals?", answer="46 medals", evidence="Forty-six judoka took medals home from the Budokan"),
    example("3", question="Why?", answer="because of the weather", evidence=""),
    negative("1n", "random"),
    negative("4", "altered_question", question="Who won in 2048?", plausible_answer="Carissa Moore"),
    negative("5", "evidence_removed", context="Judo\nMen\n\nForty-six took part.", context_section_id="sec-judo", plausible_answer="Riner"),
    example(
        "6",
        split="test",
        question='"Who" <won> at\tTsurigasaki?',
        answer="carissa  moore",
        evidence="",
        context=SURFING,
        context_section_id="sec-surfing",
    ),
    negative("7", "same_page", split="test", context_section_id="sec-elsewhere"),
]
