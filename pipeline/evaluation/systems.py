"""What is judged, and what it is judged beside: a way to decide whether to answer, and the answers it would give.

Every system is measured alike, so that each figure has the baselines' beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.evaluation import abstention, bootstrap, calibration, squad
from pipeline.evaluation.metrics import by_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from pipeline.records import Question

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

JUDGED = "judged"


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to all questions before anything is withheld (empty: declined), with exact match and F1 of each (n,)."""

    texts: Sequence[str]
    exact: Floats
    f1: Floats

    @classmethod
    def of(cls, texts: Sequence[str], questions: Sequence[Question]) -> Answers:
        """Score answers against what is right."""
        import numpy as np

        scored = [squad.score(text, question.answers) for text, question in zip(texts, questions, strict=True)]
        both = np.asarray(scored, dtype=np.float64).reshape(-1, 2)
        return cls(texts, both[:, 0], both[:, 1])


@dataclass(frozen=True, slots=True)
class System:
    """A way to decide, and answers. Without scores (n,) it answers whatever its answers do not decline."""

    name: str
    about: str
    answers: Answers
    scores: Floats | None = None
    threshold: float = 0.5

    def declines(self) -> Bools:
        """Return which questions are declined (n,): by the scores, or because there is no answer."""
        import numpy as np

        silent = np.asarray([not text for text in self.answers.texts], dtype=bool)
        return silent if self.scores is None else silent | (self.scores < self.threshold)


def measured(system: System, questions: Sequence[Question]) -> dict[str, Any]:
    """Return all measures of a system: SQuAD's, abstention by kind, and how well its scores tell answerable from not, by kind."""
    import numpy as np

    answerable = np.asarray([q.answerable for q in questions], dtype=bool)
    declines = system.declines()
    found: dict[str, Any] = {"about": system.about, "squad": _squad(system, answerable, declines)}
    found["abstention"] = abstention.by_kind([q.kind for q in questions], answerable, declines)
    found["accuracy"] = round(float((declines != answerable).mean()), 4)
    if system.scores is not None:
        found["threshold"] = system.threshold
        kinds = ["positive" if q.answerable else q.kind or "unnamed" for q in questions]
        found["discriminator"] = by_kind(kinds, system.scores, system.threshold)
    return found


def _squad(system: System, answerable: Bools, declines: Bools) -> dict[str, Any]:
    """Return SQuAD's figures at the threshold, and what its best thresholds would reach."""
    import numpy as np

    answers = system.answers
    exact, f1 = (squad.gated(scores, answerable, declines) for scores in (answers.exact, answers.f1))
    found: dict[str, Any] = squad.summary(exact, f1, answerable)
    if system.scores is not None:
        said = np.asarray([bool(text) for text in answers.texts], dtype=bool)
        for name, scores in (("exact", answers.exact), ("f1", answers.f1)):
            best, place = squad.best_threshold(scores, said, 1 - system.scores, answerable)
            found |= {f"best_{name}": best, f"best_{name}_thresh": place}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def certainty(system: System, questions: Sequence[Question], seed: int) -> dict[str, Any]:
    """Return 95 % intervals of a system's chief figures, and how they were resampled."""
    import numpy as np

    answerable = np.asarray([q.answerable for q in questions], dtype=bool)
    declines, clusters = system.declines(), bootstrap.clusters_of([q.title for q in questions])
    exact, f1 = (squad.gated(scores, answerable, declines) for scores in (system.answers.exact, system.answers.f1))
    yes, no, ones = answerable.astype(np.float64), (~answerable).astype(np.float64), np.ones(len(answerable))
    declined, right = declines.astype(np.float64), declines * no
    ratios = {
        "exact": (exact, ones), "f1": (f1, ones), "HasAns_exact": (exact * yes, yes), "HasAns_f1": (f1 * yes, yes), "NoAns_f1": (f1 * no, no),
        "accuracy": ((declines != answerable).astype(np.float64), ones), "over_refusal": (declined * yes, yes),
        "answered_when_insufficient": ((1 - declined) * no, no), "abstention_precision": (right, declined), "abstention_recall": (right, no),
        "abstention_f1": (2 * right, declined + no),
    }  # fmt: skip
    found: dict[str, Any] = dict(bootstrap.intervals(ratios, clusters, seed))
    if system.scores is not None:
        found["auroc"] = bootstrap.auroc_interval(answerable, system.scores, clusters, seed)
    how = f"bootstrap, {bootstrap.RESAMPLES} resamples of {clusters.size} {clusters.what}s with replacement, seed {seed}; percentiles (AUROC: 200)"
    return {"level": bootstrap.LEVEL, "how": how, "shares_of_one": found}


def risks(system: System, questions: Sequence[Question]) -> dict[str, Any]:
    """Return calibration and risk–coverage curves of a system's scores.

    Two losses: of `sufficiency`, answering where there is no answer; of `f1`, 1 − F1 of the answer (where there is none, 1).
    """
    import numpy as np

    if system.scores is None:
        return {}
    answerable = np.asarray([q.answerable for q in questions], dtype=bool)
    lost = 1 - np.where(answerable, system.answers.f1, 0.0)
    return {
        "calibration": calibration.calibration(answerable, system.scores),
        "risk_coverage": {
            "sufficiency": calibration.risk_coverage((~answerable).astype(np.float64), system.scores),
            "f1": calibration.risk_coverage(lost, system.scores),
        },
    }
