"""Examples → rows of the training files: chat as OpenAI, Together, TRL and others read it; prompt and completion as the notebooks wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.records import NO_ANSWER

if TYPE_CHECKING:
    from pipeline.records import Example

YES, NO = " yes", " no"
"""The discriminator's classes, as completions (the space is part of the token)."""
QA_SYSTEM = f"Answer the question from the context alone. If the context is not sufficient, say exactly: {NO_ANSWER}"
DISCRIMINATOR_SYSTEM = "Tell whether the context answers the question: yes or no."


def _label(example: Example) -> str:
    return YES if example.answerable else NO


def _chat(system: str, user: str, assistant: str) -> dict[str, Any]:
    roles = (("system", system), ("user", user), ("assistant", assistant))
    return {"messages": [{"role": role, "content": content} for role, content in roles]}


def qa_chat(example: Example) -> dict[str, Any]:
    """Return a row of qa.*.jsonl: the answer, or the sentence that declines."""
    return _chat(QA_SYSTEM, f"{example.context}\n\nQuestion: {example.question}", example.answer)


def discriminator_chat(example: Example) -> dict[str, Any]:
    """Return a row of discriminator.*.jsonl: ` yes` or ` no`."""
    return _chat(DISCRIMINATOR_SYSTEM, f"{example.context}\n\nQuestion: {example.question}", _label(example))


def qa_completion(example: Example) -> dict[str, Any]:
    """Return the notebooks' row for answering."""
    return {"prompt": f"{example.context}\nQuestion: {example.question}\nAnswer:", "completion": f" {example.answer}"}


def discriminator_completion(example: Example) -> dict[str, Any]:
    """Return the notebooks' row for deciding (their prompts end in ` Related:`)."""
    return {"prompt": f"{example.context}\nQuestion: {example.question}\n Related:", "completion": _label(example)}
