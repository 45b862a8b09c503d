"""Chat rows: a system, a user and an assistant message, as OpenAI, Azure, Fireworks, Together, TRL and axolotl read them.

What each of them asks of such a file, and where it says so, stands in `pipeline.dataset.chat_rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.dataset.formats import label_of
from pipeline.records import NO_ANSWER

if TYPE_CHECKING:
    from pipeline.records import Example

QA_SYSTEM = f"Answer the question from the context alone. If the context is not sufficient, say exactly: {NO_ANSWER}"
DISCRIMINATOR_SYSTEM = "Tell whether the context answers the question: yes or no."
CLASSIFIER_SYSTEM = "Name the class of the text."


def _row(system: str, user: str, assistant: str) -> dict[str, Any]:
    roles = (("system", system), ("user", user), ("assistant", assistant))
    return {"messages": [{"role": role, "content": content} for role, content in roles]}


def qa_asked(context: str, question: str) -> tuple[tuple[str, str], ...]:
    """Return the messages (role, content) before the answer of a row of qa.*.jsonl: what a model trained on it must be asked with."""
    return (("system", QA_SYSTEM), ("user", f"{context}\n\nQuestion: {question}"))


def qa(example: Example) -> dict[str, Any]:
    """Return a row of qa.*.jsonl: the answer, or the sentence that declines."""
    (_, system), (_, user) = qa_asked(example.context, example.question)
    return _row(system, user, example.answer)


def discriminator(example: Example) -> dict[str, Any]:
    """Return a row of discriminator.*.jsonl: ` yes` or ` no`."""
    (_, system), (_, user) = discriminator_asked(example.context, example.question)
    return _row(system, user, label_of(example))


def discriminator_asked(context: str, question: str) -> tuple[tuple[str, str], ...]:
    """Return the messages before the ` yes` or ` no` of a row of discriminator.*.jsonl."""
    return (("system", DISCRIMINATOR_SYSTEM), ("user", f"{context}\n\nQuestion: {question}"))


def classified(text: str, label: str) -> dict[str, Any]:
    """Return a text and its class as a chat row."""
    (_, system), (_, user) = classified_asked(text)
    return _row(system, user, label)


def classified_asked(text: str) -> tuple[tuple[str, str], ...]:
    """Return the messages before the class of a chat row of a text."""
    return (("system", CLASSIFIER_SYSTEM), ("user", text))
