"""A trained discriminator or classifier, whatever it is made of: opened from its folder, asked for probabilities."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import InputError, StorageError
from pipeline.trainers.discriminator import Discriminator, Pair, features
from pipeline.trainers.hosted import METHOD, HostedClassifier, HostedDiscriminator, open_hosted
from pipeline.trainers.light_classifier import LightClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pipeline.retrieval.minilm import MiniLM
    from pipeline.trainers.tuned import Tuned

    Probabilities = npt.NDArray[np.float64]


class Scorer(Protocol):
    """What `ask` and `evaluate` need of a discriminator."""

    @property
    def threshold(self) -> float:
        """The probability from which on it says "answerable", chosen on validation."""

    def probabilities(self, pairs: Sequence[Pair], step: Callable[[int], None] = ...) -> Probabilities:
        """Return p(answerable) (n,) of each pair; `step` is told how many texts are done."""


class Classifier(Protocol):
    """What `ask` and `evaluate` need of a classifier."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities; of two, the second is the positive one."""

    @property
    def ending(self) -> str:
        """What the prompts of its file end with, and is not shown to it."""

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Return the probability of each class for each text (n, k)."""


@dataclass(frozen=True, slots=True)
class Light:
    """The light discriminator with its encoder."""

    model: Discriminator
    encoder: MiniLM

    @property
    def threshold(self) -> float:
        """The probability from which on it says "answerable"."""
        return self.model.threshold

    def probabilities(self, pairs: Sequence[Pair], step: Callable[[int], None] = lambda _n: None) -> Probabilities:
        """Return p(answerable) (n,) of each pair."""
        return self.model.probabilities(features(pairs, self.model.idf, self.encoder, step))


@dataclass(frozen=True, slots=True)
class FineTuned:
    """A fine-tuned discriminator: an encoder, or a causal model with a LoRA."""

    model: Tuned

    @property
    def threshold(self) -> float:
        """The probability from which on it says "answerable"."""
        return self.model.threshold

    def probabilities(self, pairs: Sequence[Pair], step: Callable[[int], None] = lambda _n: None) -> Probabilities:
        """Return p(answerable) (n,) of each pair."""
        found: Probabilities = self.model.of_pairs([(pair.question, pair.context) for pair in pairs], step)[:, 1]
        return found


@dataclass(frozen=True, slots=True)
class FineTunedClassifier:
    """A fine-tuned classifier: an encoder, or a causal model with a LoRA."""

    model: Tuned
    ending: str
    """what the prompts of its file end with, and is not shown to the model"""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.model.classes

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Return the probability of each class for each text (n, k)."""
        return self.model.of_pairs([(text.removesuffix(self.ending), "") for text in texts])


def load_scorer(folder: Path, ledger: Path | None = None) -> Scorer:
    """Open the discriminator in a model folder; one at a service is asked through `ledger` (without it, one in its folder).

    Raises StageMissing if there is none, StorageError if it is damaged, InputError if it is of another make or no discriminator.
    """
    settings = _settings(folder)
    if settings.get("method") == METHOD:
        return HostedDiscriminator(open_hosted(settings, folder, "discriminator", ledger), float(settings.get("threshold", 0.5)))
    if settings.get("method", "light") != "light":
        from pipeline.trainers.tuned import open_tuned

        return FineTuned(open_tuned(folder, "discriminator"))
    from pipeline.retrieval.minilm import MiniLM

    return Light(Discriminator.load(folder), MiniLM())


def load_classifier(folder: Path, ledger: Path | None = None) -> Classifier:
    """Open the classifier in a model folder; one at a service is asked through `ledger` (without it, one in its folder).

    Raises InputError if there is none, StorageError if it is damaged.
    """
    settings = _settings(folder)
    if settings.get("target") != "classifier":
        said = settings.get("target", "no settings.json" if not settings else "no target")
        raise InputError("there is no classifier here", f"{folder}: {said}", "train one with `python -m pipeline.train --target classifier --file F`")
    if settings["method"] == "light":
        return LightClassifier.load(folder)
    if settings["method"] == METHOD:
        return HostedClassifier(open_hosted(settings, folder, "classifier", ledger), str(settings.get("prompt_ending", "")))
    from pipeline.trainers.tuned import open_tuned

    return FineTunedClassifier(open_tuned(folder, "classifier"), str(settings.get("prompt_ending", "")))


def _settings(folder: Path) -> dict[str, Any]:
    """Return a model's settings; of a folder without any, nothing."""
    path = folder / "settings.json"
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError:
        return {}
    except ValueError as error:
        raise StorageError("the model's settings are damaged", f"{path}: {error}", "train it again") from error
    return value if isinstance(value, dict) else {}
