"""A chat completion: what is asked, what goes over the wire for it, and what comes back, read without trust."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipeline.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.llm.prompts import Message

LEDGER_KIND = "chat"
DISPENSABLE = ("response_format", "max_tokens", "temperature", "seed", "stop", "top_logprobs", "logprobs", "logit_bias")
"""parameters without which a reply may still do; some servers and models refuse them"""
_LIKELY = {"logprobs", "top_logprobs"}  # one is of no use without the other
_ROOM_TO_THINK = 4000  # models that want max_completion_tokens count what they think as well


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything that a reply depends on. `schema` is JSON text; `sample` tells deliberate repeats apart."""

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    schema: str | None = None
    stop: tuple[str, ...] = ()
    sample: int = 0
    likely: int = 0
    """how many likely first tokens are wanted with their probabilities"""
    bias: tuple[tuple[int, float], ...] = ()
    """tokens, by their numbers in the model's vocabulary, with what is added to their logits"""

    def canonical(self) -> str:
        """Return the request as JSON with sorted keys: the same text for the same request, always."""
        fields = {
            "model": self.model, "messages": self.messages, "max_tokens": self.max_tokens, "temperature": self.temperature,
            "seed": self.seed, "schema": self.schema, "stop": self.stop, "sample": self.sample, **({"likely": self.likely} if self.likely else {}),
            **({"bias": self.bias} if self.bias else {}),
        }  # fmt: skip
        return json.dumps(fields, sort_keys=True, ensure_ascii=False)

    def key(self) -> str:
        """Return the ledger's key: a tagged SHA-256 of the canonical request."""
        return key_of(self.canonical())

    def body(self, refused: Collection[str] = ()) -> dict[str, Any]:
        """Return what goes over the wire, without the parameters that the endpoint has refused."""
        body: dict[str, Any] = {
            "model": self.model, "messages": [{"role": role, "content": content} for role, content in self.messages],
            "max_tokens": self.max_tokens, "temperature": self.temperature, "seed": self.seed + self.sample,
        }  # fmt: skip
        if "max_tokens" in refused:
            body["max_completion_tokens"] = self.max_tokens + _ROOM_TO_THINK
        if self.likely and not _LIKELY & set(refused):
            body |= {"logprobs": True, "top_logprobs": self.likely}
        if self.bias:
            body["logit_bias"] = {str(token): value for token, value in self.bias}
        if self.stop:
            body["stop"] = list(self.stop)
        if self.schema:
            named = {"name": "reply", "strict": True, "schema": _parsed(self.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return {name: value for name, value in body.items() if name not in refused}


def wire(body: dict[str, Any]) -> bytes:
    """Return a body as it is sent: no escapes that need not be, no spaces."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


@lru_cache(maxsize=16)
def _parsed(schema: str) -> Any:
    return json.loads(schema)


def key_of(canonical: str) -> str:
    """Return the ledger's key of a canonical request."""
    return f"chat1:{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()}"


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a model said, what it cost, and whether it was paid for now or earlier."""

    text: str
    tokens_in: int
    tokens_out: int
    attempts: int
    from_ledger: bool
    cut: bool = False
    """whether the model was stopped by max_tokens"""
    refusal: str = ""
    """what the model said instead of an answer, where it declined"""
    likely: tuple[tuple[str, float], ...] = ()
    """likely first tokens with their probabilities, where they were asked for and the endpoint gives them"""


def fault_of(body: str) -> tuple[str, dict[str, Any]]:
    """Return what is wrong with a body as a chat completion (or nothing), and its usage."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "no JSON" if body.strip() else "an empty body", {}
    try:
        content = parsed["choices"][0]["message"].get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return "no choices[0].message", {}
    usage = parsed.get("usage")
    fault = "" if content is None or isinstance(content, str) else "content is no text"
    return fault, usage if isinstance(usage, dict) else {}


def entry_of(body: str, usage: dict[str, Any], attempts: int, status: int = 200) -> Entry:
    """Return what the ledger keeps of a completion."""
    return Entry(body, _whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens")), attempts, status)


def _whole(value: object) -> int:
    """Return a count as the ledger can hold it; what is no count is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0


def reply_of(entry: Entry, *, from_ledger: bool) -> ChatReply:
    """Read a stored completion."""
    choice = json.loads(entry.reply)["choices"][0]
    message = choice["message"]
    refusal = message.get("refusal")
    text = (message.get("content") or "").encode("utf-8", "replace").decode("utf-8")  # lone surrogates could be sent nowhere
    return ChatReply(
        text, entry.tokens_in, entry.tokens_out, entry.attempts, from_ledger, choice.get("finish_reason") == "length",
        refusal if isinstance(refusal, str) else "", _likely(choice.get("logprobs")),
    )  # fmt: skip


def _likely(given: Any) -> tuple[tuple[str, float], ...]:
    """Read the first token's alternatives; nothing where they are not there or not as documented."""
    try:
        return tuple((str(one["token"]), min(1.0, math.exp(one["logprob"]))) for one in given["content"][0]["top_logprobs"])
    except (KeyError, IndexError, TypeError, OverflowError):
        return ()
