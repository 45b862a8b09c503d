"""Shared by the tests: running a command as a user does, and a finished run on the bundled sample."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("no clock", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("no clock")

ROOT = Path(__file__).resolve().parent.parent
KEYS = {"OPENAI_API_KEY", "OPENAI_BASE_URL"}


@dataclass(frozen=True)
class Result:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of stdout, as JSON."""
        value: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return value

    @property
    def errors(self) -> list[str]:
        """The lines that begin with `error:`."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def environment(**more: str) -> dict[str, str]:
    """Return the environment without keys or settings of the person who runs the tests."""
    kept = {k: v for k, v in os.environ.items() if k not in KEYS and not k.startswith("PIPELINE_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


def run(command: str, *args: object, timeout: float = 240, **env: str) -> Result:
    """Run `python -m pipeline.COMMAND ARGS` in a process of its own."""
    line = [sys.executable, "-W", "error", "-m", f"pipeline.{command}", *map(str, args)]
    done = subprocess.run(line, cwd=ROOT, env=environment(**env), capture_output=True, text=True, timeout=timeout, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder in which `collect --source sample` has finished. Not to be written to: copy it."""
    folder = tmp_path_factory.mktemp("collected") / "run"
    result = run("collect", "--source", "sample", "--data", folder)
    assert result.code == 0, result.err
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, collected: Path) -> Path:
    """A run folder with the written questions imported and the discriminator trained. Not to be written to: copy it."""
    import shutil

    folder = tmp_path_factory.mktemp("trained") / "run"
    shutil.copytree(collected, folder)
    for command in (("create_qa", "--import", "data/sample/qa.csv"), ("train",)):
        result = run(*command, "--data", folder)
        assert result.code == 0, result.err
    return folder
