"""What all commands share: exit codes, errors as sentences, progress, the summary, and skipping finished work."""

from __future__ import annotations

import functools
import io
import json
import os
import sys
import time
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from pipeline import __version__, settings
from pipeline.errors import PipelineError
from pipeline.run_folder import RunFolder
from pipeline.store import sha256_of, storage_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

EXIT_ERROR, EXIT_INTERRUPTED = 1, 130
_BEGINNING = ("collect",)
_ONLY_READING = ("ask", "fetch_weights", "status", "export")
_PLAIN_LINE_SECONDS = 5.0
_VERSIONS_THAT_MATTER = (
    "beautifulsoup4", "bm25s", "numpy", "onnxruntime", "openai", "pandas", "pyarrow", "scikit-learn", "sentencex", "tiktoken",
    "wikipedia-api", "xllamacpp",
)  # fmt: skip


Line = str | tuple[tuple[str, str], ...]
"""A line, or its pieces, each with a colour, "bold", or nothing; shown in colour on a terminal alone."""


@dataclass(slots=True)
class Outcome:
    """What a stage made: counts by name, the file to look at, the next command; `failure` makes the exit code 1."""

    counts: dict[str, Any]
    path: Path
    outputs: tuple[Path, ...] = ()
    lines: tuple[str, ...] = ()
    then: str = ""
    failure: PipelineError | None = None
    result: tuple[Line, ...] = ()
    """lines that are what was asked for: said even with --quiet"""
    facts: dict[str, Any] = field(default_factory=dict)
    """what `--json` says beside the counts"""
    finish: bool = True
    """whether the stage came to its end and may stand in the manifest"""


@dataclass(slots=True)
class Run:
    """One call of one command: its folder, how much it says, and since when it runs."""

    stage: str
    folder: RunFolder
    quiet: bool
    as_json: bool
    force: bool
    started: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """Say something to the person who watches (stderr)."""
        if not self.quiet:
            click.echo(harmless(line), err=True)

    @contextmanager
    def progress(self, total: int | None, what: str, unit: str) -> Iterator[Progress]:
        """Show a bar with rate and ETA on stderr; plain lines every few seconds where it is no terminal."""
        from tqdm import tqdm

        live = sys.stderr.isatty()
        with tqdm(
            total=total, desc=what, unit=f" {unit}", disable=self.quiet, dynamic_ncols=live, leave=True,
            file=sys.stderr if live else _Lines(sys.stderr), mininterval=0.1 if live else _PLAIN_LINE_SECONDS,
            ascii=None if live else " .", ncols=None if live else 0,
        ) as bar:  # fmt: skip
            yield Progress(bar)

    def require(self, stage: str) -> dict[str, Any]:
        """Return what the manifest says of the stage before; nothing, with a notice, if only its file is there.

        Raises StageMissing if there is neither.
        """
        entry = self.folder.require(stage)
        if not entry:
            name = self.folder.main_file(stage).name
            self.say(f"{self.stage}: {name} has no finished {stage} behind it in this folder: it is taken as it is")
        return entry

    def is_current(self, inputs: Mapping[str, str], chosen: Mapping[str, object]) -> dict[str, Any] | None:
        """Return this stage's manifest entry if it was finished with the same inputs and settings, else None."""
        entry = self.folder.stages().get(self.stage)
        if entry is None or self.force or entry.get("inputs") != inputs or entry.get("settings") != chosen:
            return None
        return entry if _outputs_are_whole(self.folder.root, entry.get("outputs", {})) else None


@dataclass(slots=True)
class Progress:
    """A bar in use."""

    _bar: Any

    def step(self, n: int = 1, **shown: object) -> None:
        """Count `n` more; show the given figures behind the bar."""
        if shown:
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(n)

    def say(self, line: str) -> None:
        """Say a line above the bar."""
        if not self._bar.disable:
            with self._bar.external_write_mode(file=sys.stderr):
                click.echo(harmless(line), err=True)

    def expect(self, total: int) -> None:
        """Set the total, once it is known better."""
        self._bar.total = total


class _Lines:
    """A stream that turns a bar's carriage returns into lines, for logs."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != "\x1b[A":
            self._stream.write(line + "\n")

    def flush(self) -> None:
        self._stream.flush()


def _outputs_are_whole(root: Path, outputs: Mapping[str, str]) -> bool:
    return all((root / name).is_file() and sha256_of(root / name) == digest for name, digest in outputs.items())


def stage(name: str, force: Callable[[Any], Any] | None = settings.force) -> Callable[[Callable[..., Outcome]], Callable[[], None]]:
    """Turn a function `(run, **options) -> Outcome` into the command `python -m pipeline.NAME`; `force` is its --force, None: it has none.

    The returned function never returns: it exits with 0 (done), 1 (an error a person can act on),
    2 (usage) or 130 (interrupted; what was done is kept).
    """

    def wrap(function: Callable[..., Outcome]) -> Callable[[], None]:
        @functools.wraps(function)
        def body(data: Path, quiet: bool, as_json: bool, force: bool = False, **options: Any) -> Outcome | None:
            run = Run(name, RunFolder(data), quiet, as_json, force)
            given = options.get("file")
            with _alone(run, begins=name in _BEGINNING or (given is not None and given.is_file())):
                outcome = function(run, **options)
            _tell(run, outcome)
            return outcome

        command: Any = body
        for option in filter(None, (settings.as_json, settings.quiet, force, settings.data)):
            command = option(command)
        version = click.version_option(__version__, prog_name="pipeline")
        shown = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        command = click.command(name, help=_help(sys.modules[function.__module__].__doc__ or ""), context_settings=shown)(version(command))
        return functools.partial(_main, command, name)

    return wrap


@contextmanager
def _alone(run: Run, *, begins: bool) -> Iterator[None]:
    """Keep a second process out of the run folder while this one writes there; the lock ends with the process."""
    import fcntl

    if begins:
        run.folder.prepare()  # or two that begin together would both go on
    if run.stage in _ONLY_READING or not run.folder.root.is_dir():
        yield
        return
    folder = os.open(run.folder.root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise PipelineError("another command works in this run folder", run.folder.root, "wait until it has ended") from error
    finally:
        os.close(folder)


def _help(docstring: str) -> str:
    """Return a module's docstring as click's help: paragraphs with indented lines keep their lines (click's \\b)."""
    _, _, rest = docstring.partition("\n\n")
    paragraphs = [f"\b\n{p}" if "\n  " in p else p for p in rest.strip().split("\n\n")]
    return "\n\n".join(paragraphs)


def _main(command: click.Command, name: str) -> None:
    for name_of_stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name_of_stream) is None:  # closed by the caller
            setattr(sys, name_of_stream, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 (for as long as the process lives)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no arrow gets a question mark; so does a byte that is no text
    try:
        outcome = command.main(prog_name=f"python -m pipeline.{name}", standalone_mode=False, auto_envvar_prefix=settings.ENV_PREFIX)
        failed = isinstance(outcome, Outcome) and outcome.failure is not None
        sys.exit(_report(outcome.failure) if failed else 0)
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted – what was done is kept – run the same command again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except PipelineError as error:
        sys.exit(_report_early(name, error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_ERROR)
    except OSError as error:
        sys.exit(_report_early(name, storage_error(error, error.filename or "the run folder")))


def _report(error: PipelineError | None) -> int:
    click.echo(f"error: {_shown(str(error))}", err=True)
    return EXIT_ERROR


def _shown(text: str) -> str:
    """Return a text of strangers as one line that no terminal obeys."""
    return harmless(" ".join(text.splitlines()))


def harmless(text: str) -> str:
    """Return a text of strangers, its lines kept, with nothing in it that a terminal obeys: ESC and its like are shown as \\x1b."""
    return "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)


def _coloured(line: Line) -> str:
    """Return a line as a terminal shows it (click takes colours out where there is none); without any if NO_COLOR is set (no-color.org)."""
    pieces = ((line, ""),) if isinstance(line, str) else line
    plain = bool(os.environ.get("NO_COLOR"))
    return "".join(
        harmless(text)
        if plain or not colour
        else click.style(harmless(text), bold=True)
        if colour == "bold"
        else click.style(harmless(text), fg=colour)
        for text, colour in pieces
    )


def as_json(value: object) -> str:
    """Return a value as a line of JSON, other alphabets readable, with the control characters escaped that JSON lets stand (U+009B is one)."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) == "Cc" else c for c in text)


def _report_early(name: str, error: PipelineError) -> int:
    """Report an error that came before there was an outcome; who asked for JSON gets a line of it all the same."""
    if "--json" in sys.argv[1:] or os.environ.get(f"{settings.ENV_PREFIX}_JSON", "").lower() in ("1", "true", "yes", "on", "t", "y"):
        click.echo(as_json({"stage": name, "counts": {}, "error": str(error)}))
    return _report(error)


def _tell(run: Run, outcome: Outcome) -> None:
    for line in outcome.result:
        click.echo(_coloured(line), err=run.as_json)
    for line in outcome.lines:
        click.echo(harmless(line), err=run.as_json) if not run.quiet else None
    if outcome.then and not run.quiet:
        click.echo(f"next: {outcome.then}", err=run.as_json)
    if run.as_json:
        seconds = round(time.monotonic() - run.started, 3)
        said = {
            "stage": run.stage, "counts": outcome.counts, "seconds": seconds, "path": str(outcome.path),
            "paths": [str(path) for path in outcome.outputs], "error": str(outcome.failure) if outcome.failure else None,
            **outcome.facts,
        }  # fmt: skip
        click.echo(as_json(said))


def finish(run: Run, outcome: Outcome, inputs: Mapping[str, str], chosen: Mapping[str, object], cost: Mapping[str, object]) -> None:
    """Write the stage into the manifest: inputs, settings, versions, counts, seconds, cost, and what was written."""
    root = run.folder.root
    run.folder.finish(
        run.stage,
        {
            "inputs": dict(inputs), "settings": dict(chosen), "outputs": {str(p.relative_to(root)): sha256_of(p) for p in outcome.outputs},
            "counts": outcome.counts, "cost": dict(cost), "seconds": round(time.monotonic() - run.started, 3), "versions": _versions(),
        },
    )  # fmt: skip


def _versions() -> dict[str, str]:
    found = {"pipeline": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    for name in _VERSIONS_THAT_MATTER:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
