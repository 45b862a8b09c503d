"""What models say, read with tolerance: JSON as asked for, JSON in prose or a code fence, numbered lists."""

from __future__ import annotations

import json
import re
from typing import Any

_THOUGHT = re.compile(r"^\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_EMPTY = re.compile(r'^\s*(?:```\w*\s*)?(?:\{\s*"items"\s*:\s*\[\s*\]\s*\}|\[\s*\])')


def parse_items(reply: str) -> list[tuple[str, str, str]] | None:
    """Read (question, answer, evidence) triples from a reply: JSON as asked for, JSON in prose, or a numbered list.

    What a list leaves out comes back as empty text. None: the reply is none of these; an empty list: it says that there are none.
    """
    reply = _said(reply)
    objects = _objects(reply)
    if objects:
        return [(_text(o, "question"), _text(o, "answer"), _text(o, "evidence")) for o in objects if _text(o, "question")] or None
    if _EMPTY.search(reply):
        return []
    return _numbered(reply) or None


def parse_answer(reply: str) -> tuple[str, str]:
    """Read (answer, evidence) from a reply; one that is no JSON is an answer without evidence."""
    reply = _said(reply)
    found = _objects(reply)
    return (_text(found[0], "answer"), _text(found[0], "evidence")) if found else (reply.strip(), "")


def broken(reply: str) -> bool:
    """Tell whether a reply set out to be JSON and is none: it broke off."""
    said = re.sub(r"^```\w*\s*", "", _said(reply).strip())
    return said.startswith(("{", "[")) and not _objects(said)


def _said(reply: str) -> str:
    """Return a reply without what the model thought before it (Qwen, DeepSeek and others write that into the content)."""
    return _THOUGHT.sub("", reply, count=1)


def _objects(reply: str) -> list[dict[str, Any]]:
    """Return the objects of a JSON reply, which may stand in a code fence or between sentences.

    JSON that breaks off gives nothing: what is missing may be the half that matters.
    """
    decoder = json.JSONDecoder()
    for start in re.finditer(r"[\[{]", reply):
        try:
            parsed, _ = decoder.raw_decode(reply[start.start() :])
        except RecursionError:
            return []
        except ValueError:
            if reply[start.start() :].lstrip("[{ \n").startswith('"'):
                return []  # this was the JSON, and it is broken; what stands inside it is no reply
            continue
        if isinstance(parsed, dict) and isinstance(parsed.get("items"), list):
            parsed = parsed["items"]
        found = [item for item in (parsed if isinstance(parsed, list) else [parsed]) if isinstance(item, dict)]
        if found:
            return found
    return []


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


_ITEM = re.compile(r"^\s*\d+\s*[.)]\s+(.*)$")
_LABEL = re.compile(r"^\s*[-*]?\s*\**(question|answer|evidence|q|a)\**\s*[:.]\**\s*(.*)$", re.IGNORECASE)


def _numbered(reply: str) -> list[tuple[str, str, str]]:
    """Read `1. question`, with `Answer:` and `Evidence:` lines below where there are any."""
    items: list[dict[str, str]] = []
    for line in reply.splitlines():
        item = _ITEM.match(line)
        label = _LABEL.match(item[1] if item else line)
        name = {"q": "question", "a": "answer"}.get(label[1].lower(), label[1].lower()) if label else ""
        if item:
            items.append({name or "question": (label[2] if label else item[1]).strip()})
        elif label and items:
            items[-1].setdefault(name, label[2].strip())
    return [(i.get("question", ""), i.get("answer", ""), i.get("evidence", "")) for i in items if i.get("question")]
