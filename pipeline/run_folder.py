"""The run folder: where each file lies, and the manifest, which says what each finished stage was made of.

manifest.json is written last, so that a stage named there is complete.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.errors import InputError, StageMissing, StorageError
from pipeline.store import storage_error, write_json


def _is_an_entry(entry: object) -> bool:
    """Tell whether a value of the manifest is what `finish` writes of a stage."""
    return isinstance(entry, dict) and all(isinstance(entry.get(part, {}), dict) for part in ("inputs", "settings", "outputs", "cost"))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run, by name."""

    root: Path

    @property
    def flag(self) -> str:
        """The flag that names this folder, fit to be pasted into a shell."""
        return f"--data {shlex.quote(str(self.root))}"

    def command(self, name: str, *arguments: str) -> str:
        """Return a command on this folder as one types it; the folder is named unless it is the default one."""
        named = () if self.root == settings.RUN_FOLDER else (self.flag,)
        return " ".join((f"python -m pipeline.{name}", *arguments, *named))

    @property
    def pages(self) -> Path:
        """Every page met, kept or not."""
        return self.root / "pages.parquet"

    @property
    def sections(self) -> Path:
        """The sections that questions are asked about."""
        return self.root / "sections.parquet"

    @property
    def dropped_sections(self) -> Path:
        """The sections that did not count, with the reason."""
        return self.root / "dropped_sections.parquet"

    @property
    def qa(self) -> Path:
        """Questions and answers that passed every check."""
        return self.root / "qa.parquet"

    @property
    def rejected(self) -> Path:
        """Candidates and replies that did not become a question with an answer, with the reason."""
        return self.root / "rejected.parquet"

    @property
    def examples(self) -> Path:
        """Positives and negatives with their split."""
        return self.root / "examples.parquet"

    @property
    def dropped_examples(self) -> Path:
        """Negatives that could not be made or did not pass, with the reason."""
        return self.root / "dropped_examples.parquet"

    @property
    def reviewed_examples(self) -> Path:
        """What people said of examples, beside what the checks had made of them."""
        return self.root / "reviewed_examples.parquet"

    @property
    def training(self) -> Path:
        """The folder of training files."""
        return self.root / "train"

    @property
    def search(self) -> Path:
        """The folder of the search's vectors."""
        return self.root / "search"

    def evaluation(self, name: str) -> Path:
        """Return the folder of an evaluation."""
        return self.root / "evaluation" / name

    @property
    def discriminator(self) -> Path:
        """The folder of the light discriminator."""
        return self.root / "models" / "discriminator"

    @property
    def models(self) -> Path:
        """The folder of all models of this run."""
        return self.root / "models"

    def model(self, name: str) -> Path:
        """Return the folder of a model by its name in this run, or by its path."""
        own = self.models / name
        return own if own.is_dir() else Path(name)

    def require_model(self, name: str) -> Path:
        """Return the folder of a model that must be there.

        Raises InputError, naming those that are, if it is not.
        """
        folder = self.model(name)
        if folder.is_dir() and name.strip("./"):
            return folder
        there = sorted(path.name for path in self.models.iterdir() if path.is_dir()) if self.models.is_dir() else []
        do = f"run `{self.command('train')}` first (with --file where there are no questions)"
        do = f"here are: {', '.join(there)}; else {do}" if there else do
        raise InputError("there is no such model", name or repr(name), do)

    @property
    def crawl(self) -> Path:
        """The pages that a wiki sent, raw."""
        return self.root / "crawl.sqlite"

    @property
    def ledger(self) -> Path:
        """Every reply that was paid for."""
        return self.root / "ledger.sqlite"

    @property
    def attribution(self) -> Path:
        """Licence and sources, to be published with the data."""
        return self.root / "ATTRIBUTION.md"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.root / "report.html"

    @property
    def manifest(self) -> Path:
        """What each finished stage was made of."""
        return self.root / "manifest.json"

    def prepare(self) -> None:
        """Create the folder.

        Raises StorageError if it cannot be made or written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise storage_error(error, self.root) from error

    def stages(self) -> dict[str, dict[str, Any]]:
        """Return the manifest: what each finished stage was made of.

        Raises StorageError if manifest.json is not what this program wrote.
        """
        if self.manifest.exists() and not self.manifest.is_file():  # a pipe would be waited for without end
            raise StorageError("the manifest is no file", self.manifest, "move it away and run the stages again")
        try:
            stages = json.loads(self.manifest.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise storage_error(error, self.manifest) from error
        except (ValueError, RecursionError) as error:
            raise StorageError("the manifest is damaged", self.manifest, "move it away and run the stages again") from error
        if not isinstance(stages, dict) or not all(map(_is_an_entry, stages.values())):
            raise StorageError("the manifest is damaged", self.manifest, "move it away and run the stages again")
        return stages

    def require(self, stage: str) -> dict[str, Any]:
        """Return what the manifest says of a stage; nothing, if its file is there without an entry (it came from elsewhere).

        Raises StageMissing if there is neither.
        """
        entry = self.stages().get(stage)
        if not self.main_file(stage).is_file():
            raise StageMissing(f"this run folder lacks a finished {stage}", self.root, f"run `{self.command(stage)}` first")
        return entry or {}

    def main_file(self, stage: str) -> Path:
        """Return the file that the stage after this one reads."""
        return {"collect": self.sections, "create_qa": self.qa, "train": self.examples}[stage]

    def unfinish(self, *stages: str) -> None:
        """Take stages out of the manifest: what follows from them is no longer known to be whole."""
        kept = {name: entry for name, entry in self.stages().items() if name not in stages}
        if kept != self.stages():
            write_json(self.manifest, kept)

    def remove_examples(self) -> None:
        """Remove what an earlier `train` wrote, so that nothing of it stands beside what comes; call `unfinish` first.

        Whatever ends a run after this, what lies in the folder is of one run, though perhaps not all of it.
        """
        try:
            for path in (self.examples, self.dropped_examples, self.reviewed_examples):
                path.unlink(missing_ok=True)
            for folder in (self.discriminator, self.training):
                if folder.is_dir():
                    shutil.rmtree(folder)
        except OSError as error:
            raise storage_error(error, self.root) from error

    def finish(self, stage: str, entry: dict[str, Any]) -> None:
        """Write a stage into the manifest; the last thing that a stage does."""
        write_json(self.manifest, {**self.stages(), stage: entry})
