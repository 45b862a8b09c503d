"""Exact match and token F1 as SQuAD 2.0's official script counts them (Rajpurkar, Jia and Liang 2018, evaluate-v2.0.py), in percent.

An answer that declines is the empty text, as in that script. `best_exact` and `best_f1` are what the best threshold would reach that one
could choose with these very questions at hand: an upper bound, and no result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.text.compare import normalise_answer, token_f1

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]


def score(answer: str, gold: Sequence[str]) -> tuple[float, float]:
    """Return exact match (0 or 1) and token F1 of an answer with the nearest of the right ones; of none, whether it declines."""
    right = [text for text in gold if normalise_answer(text)] or [""]
    said = normalise_answer(answer)
    return max(float(said == normalise_answer(text)) for text in right), max(token_f1(answer, text) for text in right)


def summary(exact: Floats, f1: Floats, has_answer: Bools) -> dict[str, float | int]:
    """Return exact and f1 over all questions, over those with an answer (HasAns) and those without (NoAns), as the script names them."""
    found: dict[str, float | int] = {"exact": _percent(exact), "f1": _percent(f1), "total": len(exact)}
    for name, rows in (("HasAns", has_answer), ("NoAns", ~has_answer)):
        if rows.any():
            found |= {f"{name}_exact": _percent(exact[rows]), f"{name}_f1": _percent(f1[rows]), f"{name}_total": int(rows.sum())}
    return found


def _percent(values: Floats) -> float:
    return 100.0 * float(values.mean()) if len(values) else 0.0


def gated(scores: Floats, has_answer: Bools, declines: Bools) -> Floats:
    """Return scores (n,) after some answers are withheld: such a question counts 1 if it has no answer, else 0."""
    import numpy as np

    return np.where(declines, (~has_answer).astype(np.float64), scores)


def best_threshold(scores: Floats, said: Bools, p_no_answer: Floats, has_answer: Bools) -> tuple[float, float]:
    """Return the best score in percent that withholding answers by p(no answer) can reach, and the p above which to withhold.

    `scores` (n,) are those of the answers ungated, `said` (n,) where there was one.
    """
    import numpy as np

    order = np.argsort(p_no_answer, kind="stable")
    gain = np.where(has_answer, scores, np.where(said, -1.0, 0.0))[order]
    total = float((~has_answer).sum())
    reached = total + np.cumsum(gain)
    if not len(reached) or reached.max() <= total:
        return (100.0 * total / len(scores) if len(scores) else 0.0), 0.0
    at = int(reached.argmax())
    return 100.0 * float(reached[at]) / len(scores), float(p_no_answer[order][at])
