"""A set of questions to judge models by: SQuAD 2.0 JSON, or JSON lines of {context, question, answers, answerable}; plain or gzipped.

SQuAD 2.0 (Rajpurkar, Jia and Liang 2018) is articles → paragraphs → questions; its plausible answers are not looked at. In JSON lines
`id`, `kind` and `title` are optional and kept, further columns are ignored; `answers` is a list of texts, or what `datasets` makes of
SQuAD's ({"text": [...]}). A context that several questions share is held in memory once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.records import Question, stable_id
from pipeline.store import text_file

if TYPE_CHECKING:
    from pathlib import Path

POSITIVE, WRITTEN, TOGETHER = "positive", "written", "all"
_SHOWN = 80


def read_dataset(path: Path) -> list[Question]:
    """Read all questions, in the file's order.

    Raises InputError naming file and row if it cannot be read, is of neither form, has no row, or names two questions alike.
    """
    with text_file(path) as file:
        first = next((line for line in file if line.strip()), "")
        if _is_a_row(first):
            file.seek(0)
            found = _Found(path)
            for at, line in enumerate(file, 1):
                if line.strip():
                    found.add(_row(line, f"row {at}", path), f"row {at}")
        elif first:
            file.seek(0)
            found = _squad(path, file)
        else:
            found = _Found(path)
    if not found.questions:
        raise InputError("the dataset has no question", path, "name a file with rows")
    return found.questions


@dataclass(slots=True)
class _Found:
    """The questions of a file so far; equal texts are kept once."""

    path: Path
    questions: list[Question] = field(default_factory=list)
    _rows: dict[str, str] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)

    def add(self, row: dict[str, Any], where: str) -> None:
        """Check one row and keep it.

        Raises InputError naming it.
        """
        checked = _checked(row, f"{self.path}, {where}")
        name = checked.id or self._derived(checked)
        if name in self._rows:
            raise InputError("two questions have the same id", f"{self.path}, {where}: {name[:_SHOWN]} (also {self._rows[name]})", "rename one")
        self._rows[name] = where
        context, title = (self._texts.setdefault(text, text) for text in (checked.context, checked.title))
        self.questions.append(Question(name, context, checked.question, checked.answers, checked.answerable, checked.kind, title))

    def _derived(self, row: Question) -> str:
        """Return an id for a row that came without one; rows that are equal in all are told apart by their number."""
        name = stable_id("q", row.context, row.question, *row.answers)
        number = 2
        while name in self._rows:
            name, number = stable_id("q", row.context, row.question, *row.answers, number), number + 1
        return name


def _is_a_row(line: str) -> bool:
    """Tell whether a file's first line is a whole JSON value that is no SQuAD document."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return not (isinstance(value, dict) and "data" in value) and not isinstance(value, list)


def _row(line: str, where: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("a row is not JSON", f"{path}, {where}: {error}", "write one object a line") from error
    if not isinstance(value, dict):
        raise InputError("a row is no JSON object", f"{path}, {where}: {line.strip()[:_SHOWN]}", "write one object a line")
    return value


def _squad(path: Path, file: IO[str]) -> _Found:
    do = "name SQuAD 2.0 JSON, or JSON lines of {context, question, answers, answerable}"
    try:
        document = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InputError("the dataset is not JSON", f"{path}: {error}", do) from error
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        raise InputError("the dataset is neither SQuAD nor JSON lines", path, do)
    found = _Found(path)
    articles = document["data"]
    for a in range(len(articles)):
        article, articles[a] = articles[a], None  # what is read need not stay
        where = f"article {a + 1}"
        for p, paragraph in enumerate(_list(article, "paragraphs", f"{path}, {where}"), 1):
            for q, qa in enumerate(_list(paragraph, "qas", f"{path}, {where}, paragraph {p}"), 1):
                place = f"{where}, paragraph {p}, question {q}"
                found.add(_as_row(qa, paragraph, article, f"{path}, {place}"), place)
    return found


def _list(value: Any, name: str, where: str) -> list[Any]:
    inside = value.get(name) if isinstance(value, dict) else None
    if not isinstance(inside, list):
        raise InputError("a SQuAD file lacks a list", f"{where}: {name}", "mend it")
    return inside


def _as_row(qa: Any, paragraph: dict[str, Any], article: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(qa, dict):
        raise InputError("a question is no JSON object", where, "mend it")
    impossible = qa.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise InputError("is_impossible is neither true nor false", f"{where}: {impossible!r:.{_SHOWN}}", "mend it")
    return {
        "id": qa.get("id"), "context": paragraph.get("context"), "question": qa.get("question"), "answers": qa.get("answers"),
        "answerable": not impossible, "kind": WRITTEN if impossible else POSITIVE, "title": article.get("title"),
    }  # fmt: skip


def _checked(row: dict[str, Any], where: str) -> Question:
    """Return a row as a question (its id empty where it has none)."""
    missing = [name for name in ("context", "question", "answerable") if row.get(name) is None]
    if len(missing) > 1:
        raise InputError("a row lacks columns", f"{where}: {', '.join(missing)}", "rename or add them: context, question, answers, answerable")
    context, question = (_text(row, name, where) for name in ("context", "question"))
    answerable = row.get("answerable")
    if not isinstance(answerable, bool):
        raise InputError("answerable is neither true nor false", f"{where}: {answerable!r:.{_SHOWN}}", "write true or false")
    answers = _answers(row.get("answers"), where)
    if answerable and not answers:
        raise InputError("a question is said to be answerable and has no answer", where, "add its answers, or set answerable to false")
    if answers and not answerable:
        raise InputError("a question is said to be unanswerable and has answers", where, "leave them out, or set answerable to true")
    name, kind, title = (_optional(row.get(name), name, where) for name in ("id", "kind", "title"))
    if kind == TOGETHER or (kind == POSITIVE and not answerable):
        raise InputError(
            "a row's kind has a name that is taken",
            f"{where}: {kind}",
            "positive is what has an answer, all is all kinds together: call it otherwise",
        )
    return Question(name, context, question, answers, answerable, kind or (POSITIVE if answerable else ""), title)


def _text(row: dict[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"a row has no {name}", f"{where}: {value!r:.{_SHOWN}}", f"{name} must be a text that is not empty")
    return _whole(value, name, where)


def _whole(text: str, name: str, where: str) -> str:
    """Return a text that is one: JSON can escape half of a character (\\ud83d), which no file, tokenizer or terminal takes."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"{name} has half a character", f"{where}: {text!r:.{_SHOWN}}", "write both halves of the escape, or take it out")
    return text


def _optional(value: Any, name: str, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{name} is no text", f"{where}: {value!r:.{_SHOWN}}", "make it a text, or leave it out")
    return _whole(str(value), name, where)


def _answers(value: Any, where: str) -> tuple[str, ...]:
    """Return the answers that a row gives, each once, in their order."""
    listed = value.get("text") if isinstance(value, dict) else value
    listed = [listed] if isinstance(listed, str) else [] if value is None else listed
    if not isinstance(listed, list):
        raise InputError("answers is no list", f"{where}: {value!r:.{_SHOWN}}", "write a list of texts; an empty one if there is no answer")
    texts = [one.get("text") if isinstance(one, dict) else one for one in listed]
    wrong = next((one for one in texts if not isinstance(one, str)), None)
    if len(texts) != sum(isinstance(one, str) for one in texts):
        raise InputError("an answer is no text", f"{where}: {wrong!r:.{_SHOWN}}", "write a list of texts")
    return tuple(dict.fromkeys(_whole(text, "an answer", where) for text in texts if isinstance(text, str) and text.strip()))
