"""Models that were fine-tuned by a service: what their folder says, and how those that decide are asked.

A discriminator or classifier is asked with the messages that it was trained on, and answers with a class. Where the service tells how likely
the first tokens were, that is the probability; else the class that it says has 1. Replies are in the ledger before they are read.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.dataset.formats import chat
from pipeline.errors import EndpointError, InputError, NotAsked, RequestRefused, StorageError
from pipeline.llm.bases import read_model_settings
from pipeline.llm.budget import Budget
from pipeline.llm.chat import ChatReply, ChatRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pipeline.trainers.discriminator import Pair

    Probabilities = npt.NDArray[np.float64]

METHOD = "hosted"
_HERE = ("127.0.0.1", "localhost", "::1")
_CLASS_TOKENS = 16
_LIKELY = 5
_AT_ONCE, _TIMEOUT = 64, 120.0


@dataclass(slots=True)
class Hosted:
    """A fine-tuned model that decides between classes, at its service."""

    model: str
    base_url: str
    classes: tuple[str, ...]
    """of two, the second is the positive one"""
    ledger: Path
    budget: Budget = field(default_factory=Budget)
    unread: int = 0
    """how many replies so far named no class, or were refused: they count as the first class"""

    def probabilities(self, asked: Sequence[tuple[tuple[str, str], ...]], step: Callable[[int], None]) -> Probabilities:
        """Return the probability of each class for each list of messages (n, k).

        Raises PipelineError if the service can't be asked, or refuses every request.
        """
        import numpy as np

        requests = [ChatRequest(self.model, messages, _CLASS_TOKENS, likely=_LIKELY) for messages in asked]
        replies = asyncio.run(self._replies(requests, step)) if requests else []
        found = [shares(reply, self.classes) for reply in replies]
        self.unread += found.count(None)
        nothing = [1.0] + [0.0] * (len(self.classes) - 1)
        return np.asarray([one or nothing for one in found], dtype=np.float64).reshape(len(found), len(self.classes))

    async def _replies(self, requests: Sequence[ChatRequest], step: Callable[[int], None]) -> list[ChatReply | None]:
        from pipeline.ledger import Ledger
        from pipeline.llm.client import ChatClient, key_from_environment

        refused: list[RequestRefused] = []
        failed: list[EndpointError] = []
        with Ledger(self.ledger) as ledger:
            client = ChatClient(ledger, self.model, self.base_url, key_from_environment(), _AT_ONCE, _TIMEOUT, self.budget)

            async def one(request: ChatRequest) -> ChatReply | None:
                try:
                    return await client.complete(request)
                except RequestRefused as error:
                    refused.append(error)
                except NotAsked as error:
                    failed.append(error)
                except EndpointError as error:
                    failed.insert(0, error)
                finally:
                    step(1)
                return None

            async with client:
                replies = await asyncio.gather(*map(one, requests))
        if client.stopped:
            raise client.stopped
        if failed or len(refused) == len(requests):
            raise (failed or refused)[0]
        return list(replies)


def shares(reply: ChatReply | None, classes: Sequence[str]) -> list[float] | None:
    """Return the probability of each class that a reply gives; None where it names none."""
    if reply is None or reply.refusal:
        return None
    sums = dict.fromkeys(classes, 0.0)
    for token, p in reply.likely:
        named = _begun_with(token, classes)
        if named:
            sums[named] += p
    said = _said(reply.text, classes)
    total = sum(sums.values())
    if said is None:
        return None
    if total <= 0 or max(sums, key=lambda name: sums[name]) != said:  # first tokens that say another class than the whole do not tell
        return [float(name == said) for name in classes]
    return [sums[name] / total for name in classes]


def _begun_with(token: str, classes: Sequence[str]) -> str | None:
    """Return the one class that a first token can be the beginning of."""
    begun = token.strip().casefold()
    fitting = [name for name in classes if begun and name.strip().casefold().startswith(begun)]
    return fitting[0] if len(fitting) == 1 else None


def _said(text: str, classes: Sequence[str]) -> str | None:
    said = text.strip().strip(".\"'").casefold()
    exact = next((name for name in classes if name.strip().casefold() == said), None)
    if exact:
        return exact
    first = [name for name in classes if said.startswith(name.strip().casefold())]
    return first[0] if len(first) == 1 else None


@dataclass(frozen=True, slots=True)
class HostedDiscriminator:
    """A discriminator at its service."""

    model: Hosted
    threshold: float

    def probabilities(self, pairs: Sequence[Pair], step: Callable[[int], None] = lambda _n: None) -> Probabilities:
        """Return p(answerable) (n,) of each pair."""
        found: Probabilities = self.model.probabilities([chat.discriminator_asked(pair.context, pair.question) for pair in pairs], step)[:, 1]
        return found


@dataclass(frozen=True, slots=True)
class HostedClassifier:
    """A classifier at its service."""

    model: Hosted
    ending: str
    """what the prompts of its file end with, and is not shown to the model"""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.model.classes

    def probabilities(self, texts: Sequence[str], step: Callable[[int], None] = lambda _n: None) -> Probabilities:
        """Return the probability of each class for each text (n, k)."""
        return self.model.probabilities([chat.classified_asked(text.removesuffix(self.ending)) for text in texts], step)


def settings_of(folder: Path) -> dict[str, Any] | None:
    """Return a folder's settings if its model is at a service; None if it runs here."""
    settings = read_model_settings(folder) if (folder / "settings.json").is_file() else {}
    return settings if settings.get("method") == METHOD else None


def address_of(settings: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Return what the service calls the model, and the service's address.

    Raises StorageError if the settings lack it, InputError if it is an address that nobody here has named: the key would go there.
    """
    try:
        model, url = str(settings["model"]), str(settings["base_url"])
    except KeyError as error:
        raise StorageError("the model's settings are damaged", f"{folder / 'settings.json'}: no {error}", "train it again") from error
    if not _is_trusted(url):
        raise InputError(
            "the model's folder names an address that your key would go to", f"{folder}: {url}", "if you trust it, set OPENAI_BASE_URL to that address"
        )
    return model, url


def _is_trusted(url: str) -> bool:
    """Tell whether a key may go to an address that a folder names: OpenAI's, this machine, or what the environment names."""
    named = os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    at_openai = parts.scheme == "https" and parts.hostname == "api.openai.com" and parts.port in (None, 443)
    return at_openai or parts.hostname in _HERE or (bool(named) and url.rstrip("/") == named)


def open_hosted(settings: dict[str, Any], folder: Path, target: str, ledger: Path | None) -> Hosted:
    """Return the model of a folder, to be asked through a run's ledger.

    Raises InputError if it is of another target, StorageError if its settings are damaged.
    """
    if settings.get("target") != target:
        raise InputError(f"that model is no {target}", f"{folder}: {settings.get('target', 'no target')}", f"train one with --target {target}")
    model, base_url = address_of(settings, folder)
    classes = settings.get("classes")
    if not isinstance(classes, list) or len(classes) < 2:  # noqa: PLR2004
        raise StorageError("the model's settings are damaged", f"{folder / 'settings.json'}: classes", "train it again")
    return Hosted(model, base_url, tuple(map(str, classes)), ledger or folder / "ledger.sqlite")


def tokens_to_ask(asked: Iterable[tuple[tuple[str, str], ...]], count: Callable[[str], int]) -> tuple[int, int]:
    """Return about how many tokens go in and come out when so many lists of messages are asked about."""
    sizes = [sum(count(text) for _, text in messages) + 3 * len(messages) + 3 for messages in asked]
    return sum(sizes), len(sizes)
