"""A model that a service made is measured by asking it, as far as the service and the purse allow."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.engines.calls import budget_for
from pipeline.errors import CapReached, EndpointRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.llm.budget import Budget
    from pipeline.records import Example
    from pipeline.trainers.classify import Prepared
    from pipeline.trainers.job_orders import Order


@dataclass(frozen=True, slots=True)
class Purse:
    """Where a job goes, and what it may cost."""

    base_url: str | None
    yes: bool
    max_cost: float | None
    prices: Path | None


def tuned_name(model: str) -> str:
    """Return what a table of prices knows the fine-tuned model by."""
    return model if model.startswith("ft:") else f"ft:{model}"


def as_far_as_possible(run: Run, order: Order, purse: Purse, measure: Callable[..., dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Measure a model as far as the service and the purse allow: a model that is paid for is not lost for want of figures."""
    from pipeline.llm.bases import read_model_settings
    from pipeline.trainers.job_folder import folder_name

    left = None
    if purse.max_cost is not None:
        left = max(purse.max_cost - (order.estimate.training or 0.0), 1e-9)
    budget = budget_for(tuned_name(order.model), purse.prices, None, None, embedded=False)
    budget.max_cost = left if budget.price else None
    try:
        return measure(folder, budget=budget)
    except (EndpointRefused, CapReached) as error:
        name = shlex.quote(folder_name(str(read_model_settings(folder)["model"])))
        do = f"once it answers: python -m pipeline.evaluate --{order.target} {name} {run.folder.flag}"
        run.say(f"train: the model is made, and it was not measured: {error.what} – {error.value} – {do}")
        return {"not_measured": str(error)}


def nothing_to_measure(_folder: Path, **_budget: Budget) -> dict[str, Any]:
    """A QA model is measured by `evaluate`."""
    return {}


def measured_discriminator(run: Run, folder: Path, *, budget: Budget, examples: Sequence[Example]) -> dict[str, Any]:
    """Ask the model about validation and test; return the measures that a training here has, the threshold among them."""
    import numpy as np

    from pipeline.evaluation import classification
    from pipeline.evaluation.metrics import choose_threshold
    from pipeline.trainers.discriminator import Pair
    from pipeline.trainers.hosted import HostedDiscriminator, open_hosted, settings_of
    from pipeline.trainers.runs import measured_by_kind

    model = open_hosted(settings_of(folder) or {}, folder, "discriminator", run.folder.ledger)
    model.budget = budget
    judged = [e for e in examples if e.split in ("validation", "test")]
    validation = [e for e in judged if e.split == "validation"]
    with run.progress(len(judged), "asking the model", "row") as bar:
        scorer = HostedDiscriminator(model, 0.5)
        p = scorer.probabilities([Pair(e.question, e.context) for e in judged], bar.step)
    unread = model.unread
    of_validation = np.asarray([value for e, value in zip(judged, p, strict=True) if e.split == "validation"])
    truth = [e.answerable for e in validation]
    both = len(set(truth)) == 2  # noqa: PLR2004
    found = measured_by_kind(replace(scorer, threshold=choose_threshold(truth, of_validation) if both else 0.5), examples)
    shares = np.stack([1 - of_validation, of_validation], axis=1) if truth else np.zeros((0, 2))
    of_classes = classification.measures(list(map(int, truth)), shares)
    return {"classification": of_classes, "threshold": found["thresholds"]["discriminator"], **found, **_taken(len(judged), unread, budget)}


def measured_classifier(run: Run, folder: Path, *, budget: Budget, prepared: Prepared, betas: tuple[float, ...]) -> dict[str, Any]:
    """Ask the model about validation; return the measures that a training here has."""
    from pipeline.evaluation import classification
    from pipeline.trainers.hosted import HostedClassifier, open_hosted, settings_of

    model = open_hosted(settings_of(folder) or {}, folder, "classifier", run.folder.ledger)
    model.budget = budget
    with run.progress(len(prepared.validation), "asking the model", "row") as bar:
        p = HostedClassifier(model, "").probabilities([row.text for row in prepared.validation], bar.step)
    truth = [prepared.classes.index(row.label) for row in prepared.validation]
    return {"classification": classification.measures(truth, p, betas=betas), **_taken(len(truth), model.unread, budget)}


def _taken(n: int, unread: int, budget: Budget) -> dict[str, Any]:
    """Return what asking took, and how many replies named no class."""
    spent = budget.spent
    usd = {} if budget.cost is None else {"usd": round(budget.cost, 6)}
    return {"asked": {"rows": n, "no_class": unread, "calls": spent.calls, "tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out, **usd}}
