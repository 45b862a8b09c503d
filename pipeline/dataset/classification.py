"""Classification files of the guide of 2021, JSON lines of {prompt, completion}: read, looked through, mended where that is safe.

What its `prepare_data` found and suggested: counts and lengths, duplicates, contradictions, white space, what all prompts end with.
Pure: it takes lines and returns rows and sentences.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FEW_PER_CLASS, _UNEVEN = 100, 10
_SHOWN = 60
_TOO_MANY_CLASSES = 50
_SIGNS = re.compile(r"\W+\Z")
_SENTENCE_ENDS = ".!?\"')”’"


@dataclass(frozen=True, slots=True)
class Classified:
    """A text and its class."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Explored:
    """A file's rows, fit to be trained on, what its prompts all ended with, and what a person should know of it."""

    rows: tuple[Classified, ...]
    ending: str
    findings: tuple[str, ...]
    n_read: int
    n_duplicates: int
    n_contradicting: int


def parse(lines: Iterable[str], file: str) -> list[Classified]:
    """Read rows; white space around a completion is no part of the class.

    Raises InputError naming file and row if one is not {prompt, completion}, or has no text or class.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{file}, row {number}"
        try:
            value = json.loads(line)
            prompt, label = value["prompt"], value["completion"]
        except (ValueError, RecursionError) as error:
            raise InputError("a row is not JSON", f"{where}: {error}", 'write {"prompt": "…", "completion": " class"} in a line each') from error
        except (KeyError, TypeError) as error:
            raise InputError("a row is not {prompt, completion}", f"{where}: {line.strip()[:_SHOWN]}", "give it both, as texts") from error
        if not isinstance(prompt, str) or not isinstance(label, str) or not prompt.strip() or not label.strip():
            raise InputError(
                "a row lacks its prompt or its completion", f"{where}: {line.strip()[:_SHOWN]}", "give it both, as texts that are not empty"
            )
        if any("\ud800" <= c <= "\udfff" for c in prompt + label):
            raise InputError("a row has half a character", f"{where}: {line.strip()[:_SHOWN]}", "write both halves of the escape, or take it out")
        found.append(Classified(prompt, label.strip()))
    if not found:
        raise InputError("the file has no row", file, 'write {"prompt": "…", "completion": " class"} in a line each')
    return found


def explore(found: Sequence[Classified]) -> Explored:
    """Look rows through: drop repeated ones and those whose text has two classes; say what was seen."""
    ending = common_ending([row.text for row in found])
    stripped = [Classified(row.text.removesuffix(ending), row.label) for row in found]
    unique = list(dict.fromkeys(stripped))
    by_text: dict[str, set[str]] = {}
    for row in unique:
        by_text.setdefault(row.text, set()).add(row.label)
    kept = tuple(row for row in unique if len(by_text[row.text]) == 1)
    contradicting = len(unique) - len(kept)
    return Explored(
        kept,
        ending,
        tuple(_findings(found, kept, ending, len(found) - len(unique), contradicting)),
        len(found),
        len(found) - len(unique),
        contradicting,
    )


def common_ending(texts: Sequence[str]) -> str:
    """Return what all texts end with (a separator such as "\\n\\n###\\n\\n"), if it is signs, not words."""
    if len(texts) < 2:  # noqa: PLR2004
        return ""
    backwards = [text[::-1] for text in texts]
    low, high = min(backwards), max(backwards)  # what these two share, all share
    shared = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    signs = _SIGNS.search(low[:shared][::-1])
    ending = signs[0].lstrip(_SENTENCE_ENDS) if signs else ""
    return ending if ending.strip() or "\n" in ending else ""


def _findings(found: Sequence[Classified], kept: Sequence[Classified], ending: str, repeated: int, contradicting: int) -> list[str]:
    counts = Counter(row.label for row in kept)
    lengths = sorted(len(row.text) for row in kept) or [0]
    said = [
        f"{len(found)} rows, {len(counts)} classes: "
        + ", ".join(f"{n} {label!r}" for label, n in counts.most_common(8))
        + (", …" if len(counts) > 8 else ""),  # noqa: PLR2004
        f"texts of {lengths[0]} to {lengths[-1]} characters, {lengths[len(lengths) // 2]} in the middle",
    ]
    if repeated:
        said.append(f"{repeated} rows repeat another and were left out")
    if contradicting:
        said.append(f"{contradicting} rows have the text of another and a different class; they were left out: look at them")
    if ending:
        said.append(f"all prompts end with {ending!r}: it is taken off, here and when the model is asked")
    few = [label for label, n in counts.items() if n < _FEW_PER_CLASS]
    if few:
        said.append(
            f"suggestion: {len(few)} of {len(counts)} classes have fewer than {_FEW_PER_CLASS} rows; more would help: {', '.join(map(repr, few[:5]))}"
        )
    if counts and max(counts.values()) > _UNEVEN * min(counts.values()):
        rare = min(counts, key=lambda label: counts[label])
        said.append(f"suggestion: the classes are uneven; the rarest, {rare!r}, has {counts[rare]} rows")
    alike = _alike(counts)
    if alike:
        said.append(f"suggestion: classes that differ in capitals alone, should they be one? {', '.join(alike)}")
    if len(counts) > _TOO_MANY_CLASSES or len(counts) > len(kept) / 2:
        said.append(f"suggestion: {len(counts)} classes for {len(kept)} rows: is this a classification?")
    return said


def _alike(counts: Iterable[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(label.casefold(), []).append(label)
    return [" / ".join(map(repr, sorted(group))) for group in groups.values() if len(group) > 1]


def ordered_classes(labels: Iterable[str], n_classes: int | None, positive: str | None, file: str) -> tuple[str, ...]:
    """Return the classes, sorted; of two the positive one last (the first by the alphabet if none is named).

    Raises InputError if there is one class alone, another number than was said, or no such positive class.
    """
    classes = sorted(set(labels))
    if len(classes) < 2:  # noqa: PLR2004
        raise InputError("there is one class alone", f"{file}: {classes}", "add rows of another class")
    if n_classes is not None and len(classes) != n_classes:
        listed = ", ".join(map(repr, classes[:8]))
        raise InputError(
            "--classification-n-classes is not what the file has", f"{n_classes} against {len(classes)}: {listed}", "mend the file or the flag"
        )
    if positive is None:
        return tuple(classes) if len(classes) > 2 else (classes[1], classes[0])  # noqa: PLR2004
    named = positive.strip()
    if named not in classes:
        raise InputError("--positive-class is no class of the file", f"{positive!r}: {', '.join(map(repr, classes[:8]))}", "name one of these")
    if len(classes) > 2:  # noqa: PLR2004
        raise InputError("--positive-class is for two classes", f"{file} has {len(classes)}", "leave it out")
    return (next(name for name in classes if name != named), named)
