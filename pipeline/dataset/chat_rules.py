"""Are these lines what fine-tuning services and trainers take? Of their rules the strictest.

- OpenAI: at least 10 rows (https://developers.openai.com/docs/guides/supervised-fine-tuning); known roles and keys, an assistant
  message to learn from, rows over 16,385 tokens are cut off on the smallest model
  (https://cookbook.openai.com/examples/chat_finetuning_data_prep, whose way of counting is used here)
- OpenAI and Azure: a row of at most 65,536 tokens on gpt-4o, gpt-4o-mini and the gpt-4.1 models ("Training example context length",
  https://learn.microsoft.com/azure/ai-foundry/openai/concepts/models, Fine-tuning models)
- Azure: JSON lines in UTF-8, under 512 MB, at least 10 rows, a weight of 0 or 1 on assistant messages
  (https://learn.microsoft.com/azure/ai-services/openai/how-to/fine-tuning). It also asks for a byte-order mark, at which every
  reader that takes a line for JSON stops (RFC 8259, section 8.1): our files have none; add it to a copy if Azure insists.
- Fireworks: role system, user or assistant, system first if at all, content a string, weight 0 or 1, at least 3 rows
  (https://docs.fireworks.ai/fine-tuning/fine-tuning-models)
- Together: begins with system or user, then user and assistant take turns; one format a file
  (https://docs.together.ai/docs/fine-tuning/data-preparation)
- TRL and axolotl: `messages` with role and content (https://huggingface.co/docs/trl/dataset_formats,
  https://docs.axolotl.ai/docs/dataset-formats/conversation.html)
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FEWEST_ROWS = 10
TOKENS_A_ROW = 16_385
_LONG_ROWS = 65_536
_TAKE_LONG_ROWS = re.compile(r"gpt-4(o|\.1)(-mini|-nano)?(-\d{4}-\d{2}-\d{2})?")
MOST_BYTES = 512 * 1024 * 1024
_ROLES = ("system", "user", "assistant")
_KEYS = {"role", "content", "weight"}
_TOKENS_A_MESSAGE = _TOKENS_OF_THE_REPLY = 3
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, where (row 0: the file as a whole), and what to do."""

    file: str
    row: int
    what: str
    do: str
    of_amount: bool = False
    """whether the file is well made, but too small or too large for a service"""

    def __str__(self) -> str:
        """Return the sentence: what, where, what to do."""
        return f"{self.what} – {self.file}{f', row {self.row}' if self.row else ''} – {self.do}"


def tokens_a_row(model: str) -> int:
    """Return how many tokens a row may have for a base model; of one that is not known, as few as the strictest takes."""
    return _LONG_ROWS if _TAKE_LONG_ROWS.fullmatch(model) else TOKENS_A_ROW


def faults(file: str, lines: Iterable[bytes], count: Callable[[str], int], limit: int = TOKENS_A_ROW, fewest_rows: int = FEWEST_ROWS) -> list[Fault]:
    """Return what is wrong with the lines of a chat file, in their order, the file as a whole last.

    `count` counts tokens; it is asked only about rows whose bytes are more than `limit`, for a token is a byte at least.
    """
    found: list[Fault] = []
    rows = size = 0
    for rows, line in enumerate(lines, 1):
        size += len(line)
        found += [Fault(file, rows, *said) for said in _of_line(line, count, limit)]
    if rows < fewest_rows:
        found.append(Fault(file, 0, f"the file has {rows} rows, and services ask for {fewest_rows}", "add questions, or train locally", True))
    if size >= MOST_BYTES:
        found.append(Fault(file, 0, f"the file has {size} bytes, and services take {MOST_BYTES}", "split it", True))
    return found


def _of_line(line: bytes, count: Callable[[str], int], limit: int) -> Iterator[tuple[str, str] | tuple[str, str, bool]]:
    """Yield what is wrong with one line, and what to do; a line that can't be read has one fault."""
    if line.startswith(_BOM):
        yield "the line begins with a byte-order mark", "write the file without it"
        return
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        yield "the line is not UTF-8", "write the file in UTF-8"
        return
    except ValueError:
        yield "the line is not JSON", "write one JSON object a line, and no empty lines"
        return
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list) or not row["messages"]:
        yield "the row has no list of messages", 'write {"messages": [{"role": …, "content": …}, …]}'
        return
    unknown = sorted(row.keys() - {"messages"})
    if unknown:
        yield f"the row has a key that not all services know: {unknown[0]}", "leave it out"
    yield from _of_messages(row["messages"])
    if len(line) > limit and (tokens := tokens_of(row["messages"], count)) > limit:
        yield f"the row has {tokens} tokens, and the limit is {limit}", "shorten its section (collect splits them)", True


def _of_messages(messages: list[Any]) -> Iterator[tuple[str, str]]:
    for message in messages:
        yield from _of_message(message)
    roles = [message.get("role") for message in messages if isinstance(message, dict)]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if all(role in _ROLES for role in roles) and (not turns or turns != ["user", "assistant"] * (len(turns) // 2)):
        yield (
            f"the roles are not in order: {', '.join(map(str, roles))}",
            "begin with system or user, let user and assistant take turns, end with assistant",
        )
    learnt = [m for m in messages if isinstance(m, dict) and m.get("role") == "assistant" and m.get("weight", 1) != 0]
    if "assistant" in roles and not learnt:
        yield "no assistant message has a weight above 0", "give the last one the weight 1, or none"


def _of_message(message: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(message, dict):
        yield "a message is no object", 'write {"role": …, "content": …}'
        return
    role, content = message.get("role"), message.get("content")
    unknown = sorted(message.keys() - _KEYS)
    if unknown:
        yield f"a message has a key that not all services know: {unknown[0]}", "leave it out"
    if role not in _ROLES:
        yield f"a role is unknown: {role}", f"write one of {', '.join(_ROLES)}"
    if not isinstance(content, str):
        yield f"the content of a message is {type(content).__name__}", "make it a string"
    elif not content.strip():
        yield "the content of a message is empty", "fill it, or leave the row out"
    elif any("\ud800" <= c <= "\udfff" for c in content):
        yield "the content of a message holds half a surrogate pair", "replace it: it is no character, and no file in UTF-8 can hold it"
    yield from _of_weight(message)


def _of_weight(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "weight" not in message:
        return
    weight = message["weight"]
    if isinstance(weight, bool) or not isinstance(weight, int) or weight not in (0, 1):
        yield f"a weight is {weight!r}", "write 0 or 1, as a whole number"
    if message.get("role") != "assistant":
        yield "a weight stands on a message that is not the assistant's", "leave it out there"


def tokens_of(messages: list[Any], count: Callable[[str], int]) -> int:
    """Return how many tokens a row has, counted as OpenAI's cookbook does."""
    values = [value for message in messages if isinstance(message, dict) for value in message.values() if isinstance(value, str)]
    return _TOKENS_OF_THE_REPLY + _TOKENS_A_MESSAGE * len(messages) + sum(count(value) for value in values)
