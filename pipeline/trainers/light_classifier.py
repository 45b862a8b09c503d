"""The light classifier: a text's MiniLM vector and a logistic regression. Trained in seconds, without torch; saved as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError, StorageError
from pipeline.retrieval.minilm import NAME as ENCODER
from pipeline.store import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pipeline.retrieval.minilm import MiniLM

    Matrix = npt.NDArray[np.float64]

FORMAT = 1
_C = 10.0


@dataclass(frozen=True, slots=True)
class LightClassifier:
    """softmax(vectors @ weights + bias): weights (384, k), bias (k,)."""

    classes: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    ending: str
    """what the prompts of its file end with, and is not read"""
    encoder: MiniLM | None = field(default=None, compare=False)

    def probabilities(self, texts: Sequence[str]) -> Matrix:
        """Return the probability of each class for each text (n, k)."""
        from pipeline.retrieval.minilm import MiniLM

        return self.of_vectors(vectors([text.removesuffix(self.ending) for text in texts], self.encoder or MiniLM()))

    def of_vectors(self, matrix: Matrix) -> Matrix:
        """Return the probability of each class for each vector (n, k)."""
        import numpy as np

        z = matrix @ np.asarray(self.weights) + np.asarray(self.bias)
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def save(self, folder: Path) -> None:
        """Write `model.json` into a folder."""
        value = {
            "format": FORMAT,
            "encoder": ENCODER,
            "classes": self.classes,
            "weights": self.weights,
            "bias": self.bias,
            "prompt_ending": self.ending,
        }
        write_json(folder / "model.json", value)

    @classmethod
    def load(cls, folder: Path) -> LightClassifier:
        """Read `model.json` from a folder.

        Raises StorageError if it is damaged or not there, InputError if it is of another make.
        """
        from pipeline.retrieval.minilm import MiniLM

        path = folder / "model.json"
        try:
            value: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if value["format"] != FORMAT or value["encoder"] != ENCODER:
                raise InputError("the classifier was made by another version", path, "train it again")
            return cls(tuple(value["classes"]), tuple(map(tuple, value["weights"])), tuple(value["bias"]), value["prompt_ending"], MiniLM())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError("the classifier's file is damaged", f"{path}: {error}", "train it again") from error


def vectors(texts: Sequence[str], encoder: MiniLM, step: Callable[[int], None] = lambda _n: None) -> Matrix:
    """Return a unit vector for each text (n, 384): the mean of its word pieces; of a text without words, zeros."""
    import numpy as np

    found = np.zeros((len(texts), 384))
    for at, embedded in enumerate(encoder.embed(texts, step)):
        if len(embedded.pieces):
            mean = embedded.pieces.mean(axis=0)
            found[at] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return found


def fit(matrix: Matrix, labels: Sequence[str], classes: tuple[str, ...], ending: str, seed: int) -> LightClassifier:
    """Fit on vectors (n, 384) and labels (n,); all classes weigh the same."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_C, max_iter=2000, class_weight="balanced", random_state=seed)
    model.fit(matrix, np.asarray([classes.index(label) for label in labels]))
    weights, bias = model.coef_.T, model.intercept_
    if len(classes) == 2:  # noqa: PLR2004 (scikit-learn keeps the second class alone)
        weights, bias = np.concatenate([np.zeros_like(weights), weights], axis=1), np.asarray([0.0, bias[0]])
    return LightClassifier(classes, tuple(tuple(round(float(v), 8) for v in row) for row in weights), tuple(round(float(v), 8) for v in bias), ending)
