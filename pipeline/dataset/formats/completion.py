"""Prompt and completion, as OpenAI's notebook olympics-3-train-qa wrote them (2021): the completion begins with a space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.dataset.formats import label_of

if TYPE_CHECKING:
    from pipeline.records import Example


def qa(example: Example) -> dict[str, str]:
    """Return the notebooks' row for answering."""
    return {"prompt": f"{example.context}\nQuestion: {example.question}\nAnswer:", "completion": f" {example.answer}"}


def discriminator(example: Example) -> dict[str, str]:
    """Return the notebooks' row for deciding (their prompts end in ` Related:`)."""
    return {"prompt": f"{example.context}\nQuestion: {example.question}\n Related:", "completion": label_of(example)}
