"""The formats that are JSON lines with a file for each target and split: another one is a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.dataset.formats import chat, completion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.records import Example

TARGETS = ("qa", "discriminator")
ROWS: Mapping[str, Mapping[str, Callable[[Example], Mapping[str, Any]]]] = {
    "": {"qa": chat.qa, "discriminator": chat.discriminator},
    "completion": {"qa": completion.qa, "discriminator": completion.discriminator},
}
"""by the folder below train/, and by target: what makes a row of an example"""
