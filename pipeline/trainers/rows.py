"""Rows to fine-tune on, whatever they come from, and how a model is shown them.

A causal model reads a prompt and is trained on the completion alone: for answering the chat messages of `train/qa.*.jsonl` in the
model's own template, for deciding the notebooks' prompt (`… Related:`), for a classification text and separator. An encoder reads
question and context as a pair, or the text.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.dataset.formats import NO, YES, chat, completion
from pipeline.records import NO_ANSWER, Example, Question, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

QA, DISCRIMINATOR, CLASSIFIER = "qa", "discriminator", "classifier"
TASKS = "tasks"
"""several tasks in one model: a row's text is what stands behind the context, its answer what is to be said, both as they are"""
SEPARATOR = "\n\n###\n\n"
"""between a text and its class, as the guide of 2021 advised"""
ROOM = 1024
"""tokens of prompt and completion that a causal model is trained on; longer rows are left out and counted"""
ENCODER_ROOM = 512
_STRIDE = 128


@dataclass(frozen=True, slots=True)
class Row:
    """Something to learn: what is shown, and what is to be said."""

    row_id: str
    text: str
    """the question, or the text to classify"""
    context: str
    """empty for a classification"""
    answer: str
    label: str
    """the class; for answering: answerable or not"""
    kind: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as token ids: `ids` is prompt and completion, of which the last `n_completion` are the completion (0 for an encoder)."""

    ids: tuple[int, ...]
    n_completion: int
    label: int
    types: tuple[int, ...] = ()
    context: str = ""
    """what it is about: rows on one context are read together where the model can"""


def of_example(example: Example) -> Row:
    """Return the row of an example."""
    label = (YES if example.answerable else NO).strip()
    return Row(example.example_id, example.question, example.context, example.answer, label, example.kind)


def examples_of(questions: Iterable[Question], split: str) -> list[Example]:
    """Return a dataset file's questions as examples of a split; the first of several right answers is the one to say."""
    return [
        Example(
            stable_id("ex", "file", q.context, q.question, q.answerable), q.id, split, "positive" if q.answerable else q.kind or "unanswerable",
            q.context, "", q.question, q.answers[0] if q.answerable else NO_ANSWER, q.answerable, "given in a file", None, "file", "", "",
        )
        for q in questions
    ]  # fmt: skip


def key_of(row: Row) -> tuple[str, str]:
    """Return what makes two rows the same, and how the row is named to a person."""
    return stable_id("key", _folded(row.text), _folded(row.context)), f"{row.text[:80]!r}"


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def messages(question: str, context: str) -> list[dict[str, str]]:
    """Return the chat that asks for an answer: the first two messages of a row of qa.*.jsonl."""
    asked: list[dict[str, str]] = chat.qa(_as_example(question, context))["messages"][:2]
    return asked


def _as_example(question: str, context: str, *, answerable: bool = False) -> Example:
    return Example("", "", "", "", context, "", question, NO_ANSWER, answerable, "", None, "", "", "")


def prompt_of(target: str, text: str, context: str, tokenizer: Any) -> str:
    """Return what a causal model is shown."""
    if target == QA:
        rendered: str = tokenizer.apply_chat_template(messages(text, context), tokenize=False, add_generation_prompt=True)
        return rendered
    if target == DISCRIMINATOR:
        return completion.discriminator(_as_example(text, context))["prompt"]
    return context + text if target == TASKS else text + SEPARATOR


def ending_of(tokenizer: Any) -> str:
    """Return what the model's own template says after an answer ("<|im_end|>"), without white space at its end."""
    chatted = [{"role": "user", "content": "u"}]
    before = tokenizer.apply_chat_template(chatted, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*chatted, {"role": "assistant", "content": "answer"}], tokenize=False)
    after = whole.removeprefix(before) if whole.startswith(before) else ""
    ending: str = after.partition("answer")[2].rstrip()
    return ending or tokenizer.eos_token or ""


def encode_causal(rows: Sequence[Row], target: str, said: Sequence[str], classes: Sequence[str], tokenizer: Any) -> list[Encoded | None]:
    """Return each row's tokens, None for one that is longer than there is room for. `said` is what is said for each class."""
    speaks = target in (QA, TASKS)
    ending = ending_of(tokenizer) if speaks else ""
    by_class = dict(zip(classes, range(len(classes)), strict=True))
    prompts = tokenizer([prompt_of(target, r.text, r.context, tokenizer) for r in rows], add_special_tokens=False)["input_ids"] if rows else []
    answers = [r.answer + ending if speaks else said[by_class[r.label]] for r in rows]
    completions = tokenizer(answers, add_special_tokens=False)["input_ids"] if rows else []
    return [
        Encoded((*p, *c), len(c), by_class.get(r.label, -1), context=r.context) if len(p) + len(c) <= ROOM else None
        for r, p, c in zip(rows, prompts, completions, strict=True)
    ]


def encode_pairs(rows: Sequence[Row], classes: Sequence[str], tokenizer: Any) -> list[Encoded | None]:
    """Return each row's tokens for an encoder, None for one that it can't read in one piece."""
    by_class = dict(zip(classes, range(len(classes)), strict=True))
    encoded = _paired([(r.text, r.context) for r in rows], tokenizer, {}) if rows else {"input_ids": []}
    types = encoded.get("token_type_ids", [()] * len(rows))
    room = min(ENCODER_ROOM, tokenizer.model_max_length)
    return [
        Encoded(tuple(ids), 0, by_class[r.label], tuple(t)) if len(ids) <= room else None
        for r, ids, t in zip(rows, encoded["input_ids"], types, strict=True)
    ]


def windows(pairs: Sequence[tuple[str, str]], tokenizer: Any) -> tuple[list[Encoded], list[int]]:
    """Return pairs as tokens for an encoder, a long context in windows that overlap by 128, and which pair each window is of."""
    if not pairs:
        return [], []
    room = min(ENCODER_ROOM, tokenizer.model_max_length)
    cut = "only_second" if pairs[0][1] else True
    longest = {"truncation": cut, "max_length": room, "stride": min(_STRIDE, room // 4), "return_overflowing_tokens": True}
    shown = [(_shortened(q, tokenizer, room // 2), c) for q, c in pairs] if pairs[0][1] else pairs
    encoded = _paired(shown, tokenizer, longest)
    types = encoded.get("token_type_ids", [()] * len(encoded["input_ids"]))
    found = [Encoded(tuple(ids), 0, -1, tuple(t)) for ids, t in zip(encoded["input_ids"], types, strict=True)]
    return found, list(encoded["overflow_to_sample_mapping"])


def _shortened(text: str, tokenizer: Any, most: int) -> str:
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return text if len(ids) <= most else str(tokenizer.decode(ids[:most]))


def _paired(pairs: Sequence[tuple[str, str]], tokenizer: Any, how: dict[str, Any]) -> Any:
    firsts, seconds = [q for q, _ in pairs], [c for _, c in pairs]
    both = (firsts, seconds) if any(seconds) else (firsts,)
    return tokenizer(*both, verbose=False, **how)
