"""A trained discriminator, whatever it is made of: opened from its folder, asked for p(answerable)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.trainers.discriminator import Discriminator, Pair, features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pipeline.retrieval.minilm import MiniLM

    Probabilities = npt.NDArray[np.float64]


class Scorer(Protocol):
    """What `ask` and `evaluate` need of a discriminator."""

    @property
    def threshold(self) -> float:
        """The probability from which on it says "answerable", chosen on validation."""

    def probabilities(self, pairs: Sequence[Pair], step: Callable[[int], None] = ...) -> Probabilities:
        """Return p(answerable) (n,) of each pair; `step` is told how many texts are done."""


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


def load_scorer(folder: Path) -> Scorer:
    """Open the discriminator in a model folder.

    Raises StageMissing if there is none, StorageError if it is damaged, InputError if it is of another make.
    """
    from pipeline.retrieval.minilm import MiniLM

    return Light(Discriminator.load(folder), MiniLM())
