"""The command that comes next, and what disk it will need."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import settings
from pipeline.standing.files import number, of
from pipeline.standing.flags import flags_of
from pipeline.standing.look import ABSENT, AGAIN
from pipeline.store import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.run_folder import RunFolder
    from pipeline.standing.look import Standing

IMPORT = "import "
"""how the manifest begins the name of an import, before the hash of its file"""
BYTES_A_SECTION_ASKED = 20_000
"""Replies and rows, measured with the embedded model on the sample (172 kB of ledger for 10 sections); a model that writes more takes more."""
BYTES_A_QUESTION = 15_000
"""Examples and training files, measured on the sample with the default negatives (2.1 MB for 150 questions)."""
BYTES_A_SECTION_SEARCHED = 15_000
"""Sentence vectors, measured on the sample (5.4 MB for 376 sections)."""
BYTES_OF_A_PAGE_TO_LOOK_AT = 5_000_000
"""The report's limit; an evaluation with its plots stays far below."""


@dataclass(frozen=True, slots=True)
class Next:
    """What to do next: the command to type, why, another one that may be meant, and about how many bytes it writes (None: nobody knows)."""

    command: str
    why: str = ""
    otherwise: str = ""
    needs: int | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What there is to ask a model with."""

    paid: bool
    """a key or an endpoint is in the environment"""
    embedded: bool
    """the embedded model's weights are here"""


def following(folder: RunFolder, stages: Sequence[Standing], inputs: Mapping[str, Mapping[str, Any]], means: Means) -> Next:
    """Return what comes next: the first stage that is not as it should be, with the flags it was made with; else a question to ask.

    `inputs`: of each stage, as the manifest has them.
    """
    by_name = {stage.name: stage for stage in stages}
    stage = next((by_name[name] for name in ("collect", "create_qa", "train") if by_name[name].state in AGAIN), None)
    if stage:
        return _first_time(folder, stage, stages, means) if stage.state == ABSENT or not stage.settings else _again(folder, stage, stages, inputs)
    evaluations = [stage for stage in stages if stage.name.startswith("evaluate ")]
    again = next((stage for stage in [*evaluations, by_name["report"]] if stage.state in AGAIN and stage.settings), None)
    has_discriminator = folder.discriminator.is_dir()
    if not evaluations and has_discriminator and not by_name["evaluate"].why:
        return Next(folder.command("evaluate"), needs=BYTES_OF_A_PAGE_TO_LOOK_AT)
    if again:
        return _again(folder, again, stages, inputs)
    if by_name["report"].state in AGAIN:
        return Next(folder.command("report"), by_name["report"].why, needs=BYTES_OF_A_PAGE_TO_LOOK_AT)
    export = folder.command("export", "examples")
    if has_discriminator:
        return Next(folder.command("ask", '"YOUR QUESTION"'), "all is done", f"to take it elsewhere: {export}", _needs("ask", folder, stages))
    return Next(export, "all is done; no discriminator was trained (--trainer none)")


def _first_time(folder: RunFolder, stage: Standing, stages: Sequence[Standing], means: Means) -> Next:
    """Return the command for a stage of which it is not known with what flags it was begun, if it was."""
    needs = _needs(stage.name, folder, stages)
    begun = f"{stage.why}; name the flags that it was begun with, if there were any" if stage.state != ABSENT else ""
    if stage.name == "collect" and stage.state == ABSENT:
        live = folder.command("collect", "--contact", "YOU@EXAMPLE.ORG")
        return Next(folder.command("collect", "--source", "sample"), "the bundled sample, no network", f"the live Wikipedia: {live}")
    if stage.name == "create_qa":
        return _ask_a_model(folder, stages, means, begun, needs)
    return Next(folder.command(stage.name), begun, needs=needs)


def _ask_a_model(folder: RunFolder, stages: Sequence[Standing], means: Means, why: str, needs: int | None) -> Next:
    sample = next(stage for stage in stages if stage.name == "collect").settings.get("source") == "sample"
    written = folder.command("create_qa", "--import", shlex.quote(_near(settings.bundled("sample", "qa.csv"))))
    otherwise = f"the sample's own questions: {written}" if sample else ""
    if means.paid:
        return Next(
            folder.command("create_qa", "--model", "NAME", "--dry-run"), why or "says what it would cost, and sends nothing", otherwise, needs
        )
    if not means.embedded:
        return Next("python -m pipeline.fetch_weights", "the embedded model's weights, 90 MB, once; or name a model", otherwise, needs)
    return Next(folder.command("create_qa"), why or "asks the embedded model: small, and free", otherwise, needs)


def _near(path: Path) -> str:
    """Return a path as one types it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _again(folder: RunFolder, stage: Standing, stages: Sequence[Standing], inputs: Mapping[str, Mapping[str, Any]]) -> Next:
    flags = flags_of(stage, inputs.get(stage.name, {}))
    lacking = [word for flag in flags.lacking for word in (flag, "FILE")]
    name = stage.name.partition(" ")[0]
    commands = [folder.command(name, *flags.words, *lacking)]
    if name == "create_qa":
        passes = of(stage.settings, "passes")
        commands = commands if "generate" in passes or not passes else []
        commands = [folder.command(name, "--import", _imported(one)) for one in passes if one.startswith(IMPORT)] + commands
    return Next(commands[0], stage.why, "then: " + "; ".join(commands[1:]) if commands[1:] else "", _needs(name, folder, stages))


def _imported(made: str) -> str:
    """Return the file of an import, of which the manifest has the hash: the sample's own one, or a place to fill in."""
    path = settings.bundled("sample", "qa.csv")
    return shlex.quote(_near(path)) if path.is_file() and sha256_of(path) == made.removeprefix(IMPORT) else "FILE"


def _needs(name: str, folder: RunFolder, stages: Sequence[Standing]) -> int | None:
    """Return about how many bytes a command will write; None where that cannot be said (nobody knows how many pages a crawl will meet)."""
    counts = {key: n for stage in stages for key in ("sections", "kept") if (n := number(stage.counts, key)) is not None}
    if name == "create_qa" and "sections" in counts:
        return counts["sections"] * BYTES_A_SECTION_ASKED
    if name == "train" and "kept" in counts:
        return counts["kept"] * BYTES_A_QUESTION
    if name == "ask":
        return 0 if folder.search.is_dir() else counts.get("sections", 0) * BYTES_A_SECTION_SEARCHED
    return BYTES_OF_A_PAGE_TO_LOOK_AT if name in ("evaluate", "report") else None
