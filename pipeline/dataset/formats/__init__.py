"""Examples → rows of the training files, one module a format; what they share is the discriminator's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.records import Example

YES, NO = " yes", " no"
"""The discriminator's classes, as completions (the space is part of the token)."""


def label_of(example: Example) -> str:
    """Return the discriminator's class of an example."""
    return YES if example.answerable else NO
