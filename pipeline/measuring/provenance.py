"""What a judged model was made of, as its folder tells: its files' hashes, the rows that it knows, what its threshold was chosen on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.standing.files import of
from pipeline.store import sha256_of
from pipeline.trainers.seen import seen_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.trainers.rows import Row

_HASHED = ("model.json", "settings.json", "metrics.json")


def hashes(role: str, folder: Path) -> dict[str, str]:
    """Return the hashes of a model's files for the manifest, by the model's role and the file's name."""
    return {f"{role} {name}": sha256_of(folder / name) for name in _HASHED if (folder / name).is_file()}


def known_rows(run: Run, models: Sequence[Path], rows: Sequence[Row], digest: str, dataset: str) -> dict[str, dict[str, int] | None]:
    """Return how many of the rows each model was made with (None where its folder does not tell), and say so where there are any.

    `digest` is the hash of the file, or of the examples, that the rows are from: a model made before `seen.json` may name it in its settings.
    """
    known = {model.name: seen_of(model, rows) for model in models}
    for (name, found), model in zip(known.items(), models, strict=True):
        if found and any(found.values()):
            run.say(
                f"evaluate: {name} was trained on {found['train']} and validated on {found['validation']} of these {len(rows)} rows: "
                "these figures are too good"
            )
        elif found is None and digest in json.dumps(_read(model / "settings.json")):
            run.say(f"evaluate: {name} was trained on {dataset} (or validated): these figures are too good")
    return known


def metrics_of(folder: Path) -> dict[str, Any]:
    """Return what a model's training measured; nothing where the folder does not tell."""
    return _read(folder / "metrics.json")


def unmeasured(run: Run, discriminator: Path) -> str:
    """Return why nobody knows how good a discriminator is: neither its training nor an evaluation of this run has measured it.

    An empty text where one has.
    """
    measured = metrics_of(discriminator)
    if of(of(of(measured, "test"), "discriminator"), "all").get("auroc") is not None or _is_evaluated(run, discriminator):
        return ""
    return str(measured.get("not_measured") or "its training had no test rows with both an answerable question and a negative")


def _is_evaluated(run: Run, discriminator: Path) -> bool:
    """Tell whether an evaluation of this run has judged the discriminator as it is now."""
    made_of = hashes("discriminator", discriminator).items()
    entries = [entry for name, entry in run.folder.stages().items() if name.startswith("evaluate ")]
    return any(of(entry, "settings").get("discriminator") == discriminator.name and made_of <= of(entry, "inputs").items() for entry in entries)


def threshold_chosen_on(folder: Path) -> str:
    """Return what a discriminator's threshold was chosen on, as its training noted."""
    return str(metrics_of(folder).get("threshold_chosen_on", "validation"))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
