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
    return _row(DISCRIMINATOR_SYSTEM, f"{example.context}\n\nQuestion: {example.question}", label_of(example))
