"""The flags that a stage was made with, as one types them, and where the environment says otherwise now."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pipeline import settings
from pipeline.standing.files import of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipeline.standing.look import Standing

_OF: dict[str, dict[str, Callable[[Any], Any]]] = {
    "collect": {"source": settings.source, "api_url": settings.api_url, "max_pages": settings.max_pages, "encoding": settings.encoding},
    "create_qa": {"per_section": settings.questions_per_section, "limit": settings.limit},
    "train": {"trainer": settings.trainer, "negatives": settings.negatives, "verify": settings.verify, "seed": settings.seed},
    "evaluate": {
        "discriminator": settings.discriminator, "threshold": settings.threshold, "qa": settings.qa_model, "base_url": settings.qa_base_url,
        "classifier": settings.classifier, "seed": settings.seed,
    },
    "report": {"audit": settings.audit, "seed": settings.seed},
}  # fmt: skip
"""by stage and by the manifest's name of a setting, its flag"""
_FILES = {"file": "--file", "validation_file": "--validation-file", "review": "--review", "topic": "--topic", "dataset": "--dataset"}
"""inputs that are files of one's own: of them the manifest has hashes and no names"""


@dataclass(frozen=True, slots=True)
class Flags:
    """The words to type, and flags whose file has to be named once more."""

    words: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


def flags_of(stage: Standing | None, inputs: Mapping[str, Any]) -> Flags:
    """Return the flags that a stage was made with, where these are not the default ones; `inputs` as the manifest has them."""
    if stage is None:
        return Flags()
    name, _, evaluation = stage.name.partition(" ")
    chosen = _generated(stage) if name == "create_qa" else dict(stage.settings)
    words = [*_model_words(chosen)] if name == "create_qa" else []
    words += [word for option, value in _told_apart(name, chosen) for word in (option.opts[0], shlex.quote(_typed(value)))]
    if evaluation and (chosen.get("dataset") != "test" or chosen.get("qa")):
        words += ["--name", shlex.quote(evaluation)]
    return Flags(tuple(words), tuple(flag for key, flag in _FILES.items() if key in inputs and not (key == "topic" and _is_bundled(inputs[key]))))


def contradicted(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of a finished stage that the environment would change now, each with its variable."""
    chosen = of(entry, "settings")
    chosen = of(of(chosen, "passes"), "generate") if name == "create_qa" else chosen
    found = {}
    for setting, decorate in _OF[name].items():
        option = _option(decorate)
        variable = option.envvar or f"{settings.ENV_PREFIX}_{str(option.name).upper()}"
        if setting in chosen and isinstance(variable, str) and os.environ.get(variable) and _differs(option, os.environ[variable], chosen[setting]):
            found[setting] = variable
    return found


def _generated(stage: Standing) -> dict[str, Any]:
    return dict(of(of(stage.settings, "passes"), "generate"))


def _model_words(chosen: Mapping[str, Any]) -> Iterator[str]:
    """Yield what names the model, and its style and round trip where these are not what it has by default."""
    from pipeline.llm.embedded import MODEL_NAME

    if not chosen:
        return
    embedded = chosen.get("model") == MODEL_NAME
    yield from ("--model", settings.EMBEDDED_MODEL if embedded else shlex.quote(str(chosen.get("model"))))
    style = str(chosen.get("style"))
    if style != ("answer-first" if embedded else "question-first"):
        yield from ("--style", shlex.quote(style))
    if chosen.get("round_trip") != (0.6 if style == "answer-first" else 0.0):
        yield from ("--round-trip", shlex.quote(str(chosen.get("round_trip"))))


def _told_apart(name: str, chosen: Mapping[str, Any]) -> Iterator[tuple[click.Option, Any]]:
    for setting, decorate in _OF[name].items():
        option = _option(decorate)
        value = chosen.get(setting)
        if value is not None and _differs(option, option.get_default(click.Context(click.Command(name))), value):
            yield option, value


def _option(decorate: Callable[[Any], Any]) -> click.Option:
    """Return the option that a decorator of `settings` adds."""

    def carrier() -> None: ...

    decorate(carrier)
    option: click.Option = carrier.__click_params__[0]  # type: ignore[attr-defined]
    return option


def _differs(option: click.Option, given: Any, made_with: Any) -> bool:
    """Tell whether a value in force, as a text or as it is, is another than the one in the manifest."""
    if not isinstance(given, str):
        return bool(given != made_with)
    if isinstance(made_with, dict):
        return _amounts(given) != _amounts(_typed(made_with))
    try:
        return bool(option.type.convert(given, option, None) != made_with)
    except click.UsageError:
        return True


def _typed(value: Any) -> str:
    return (
        ",".join(f"{kind}={n:g}" if isinstance(n, int | float) else f"{kind}={n}" for kind, n in value.items())
        if isinstance(value, dict)
        else str(value)
    )


def _amounts(text: str) -> dict[str, str]:
    """Return what a text of KIND=N,... says, however it is spelt."""
    parts = (part.strip().partition("=") for part in text.split(",") if part.strip())
    return {kind: n.rstrip("0").rstrip(".") if "." in n else n for kind, _, n in parts}


def _is_bundled(digest: Any) -> bool:
    from pipeline.store import sha256_of

    path = settings.bundled("topics", "olympics-2020.toml")
    return path.is_file() and sha256_of(path) == digest
