"""Fine-tuning at a service: the whole road against one on loopback that keeps OpenAI's protocol and trains for real."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import ROOT, Result, environment, run
from finetuning_service import KEY, Service, serving

from pipeline.trainers import results

MODEL = "gpt-4.1-nano-2025-04-14"
QUICK = ("--n-epochs", "1", "--batch-size", "12", "--yes")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    with serving(tmp_path_factory.mktemp("service")) as (service, url):
        yield service, url


@pytest.fixture
def service(served: tuple[Service, str]) -> Iterator[Service]:
    """The service as it is at first, whatever the test before has made of it."""
    service, _ = served
    service.log.clear()
    yield service
    service.set(
        closed=False,
        faults=[],
        garbled=[],
        cut_files=0,
        hold_at=0,
        hold="before",
        stay="",
        strange=False,
        columns="today",
        encoding="base64",
        slow_files=0,
        key=KEY,
    )


@pytest.fixture
def url(served: tuple[Service, str]) -> str:
    return served[1]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """Flags that name 24 rows to train on and 12 to validate on, which the service has not seen before."""
    mark = secrets.token_hex(4)
    train = [{**row, "question": f"{row['question']} ({n} {mark})"} for n in range(2) for row in tiny.questions()]
    validation = [{**row, "question": f"{row['question']} ({mark})"} for row in tiny.questions()]
    return (
        "--file", str(tiny.write_lines(tmp_path / "train.jsonl", train)),
        "--validation-file", str(tiny.write_lines(tmp_path / "validation.jsonl", validation)),
    )  # fmt: skip


def train(url: str, data: Path, *more: object, model: str | None = MODEL, target: str = "qa", key: str = KEY, **env: str) -> Result:
    named = ("--model", model) if model else ()
    line = ("--trainer", "openai", "--base-url", url, *named, "--target", target, "--data", data, *more)
    return run("train", *line, timeout=600, OPENAI_API_KEY=key, **env)


def asked(service: Service, method: str, path: str) -> list[dict[str, Any]]:
    """The requests that the service has carried out."""
    return [entry for entry in service.log if entry["method"] == method and entry["path"] == path and entry["status"] == 200]


def only_model(data: Path) -> Path:
    (folder,) = (path for path in (data / "models").iterdir() if path.name.startswith("ft:"))
    return folder


def settings(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "settings.json").read_text("utf-8"))
    return found


def test_the_samples_files_become_a_model_that_evaluate_and_ask_use(
    service: Service, url: str, trained: Path, tmp_path: Path, files: tuple[str, ...]
) -> None:
    data = tmp_path / "run"
    shutil.copytree(trained, data)
    done = train(url, data, "--n-epochs", "1", "--batch-size", "128", "--suffix", "olympics", "--yes", "--json")
    assert done.code == 0, done.err
    folder = only_model(data)
    uploads = [entry["body"]["bytes"] for entry in asked(service, "POST", "/v1/files")]
    assert uploads == [(data / "train" / f"qa.{split}.jsonl").stat().st_size for split in ("train", "validation")]
    assert {path.name for path in folder.iterdir()} == {
        "settings.json", "metrics.json", "results.csv", "service_results.csv", "seen.json", "loss.png", "accuracy.png",
    }  # fmt: skip
    told = settings(folder)
    assert told["model"] == told["name"] == done.json["counts"]["qa"]["model"]
    assert told["job"]["status"] == "succeeded"
    assert told["checkpoints"][-1]["model"] == told["model"]
    assert "olympics" in told["model"]
    assert len(results.parse((folder / "results.csv").read_text("utf-8"))) == told["steps"] > 0
    question = ("--data", data, "--qa", folder.name)
    answered = run("ask", "Who won the men's marathon?", *question, OPENAI_API_KEY=KEY)
    assert answered.code == 0, answered.err
    judged = run("evaluate", *question, "--dataset", files[3], "--json", OPENAI_API_KEY=KEY)
    assert judged.code == 0, judged.err
    assert {entry["body"]["model"] for entry in service.log if entry["path"] == "/v1/chat/completions" and "body" in entry} <= {told["model"]}
    assert judged.json["counts"]["questions"] == 12
    for path in data.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_a_discriminator_is_measured_by_asking_it_and_used_like_any_other(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    service.set(columns="azure", encoding="plain", slow_files=2)
    data = tmp_path / "run"
    done = train(url, data, *files, *QUICK, "--json", target="discriminator")
    assert done.code == 0, done.err
    folder = only_model(data)
    measured = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert set(measured["classification"]) == {"accuracy", "precision", "recall", "f1", "auroc", "auprc"}
    assert measured["asked"]["rows"] == 12
    assert measured["validation"]["discriminator"]["all"]["n_positive"] == 6
    assert measured["thresholds"]["discriminator"] == settings(folder)["threshold"]
    n_asked = len(asked(service, "POST", "/v1/chat/completions"))
    assert n_asked >= 12  # a call that takes far longer than the others is cut and sent again
    assert "full_validation_loss" in (folder / "results.csv").read_text("utf-8").partition("\n")[0]
    judged = run("evaluate", "--data", data, "--discriminator", folder.name, "--dataset", files[3], OPENAI_API_KEY=KEY)
    assert judged.code == 0, judged.err
    assert "was trained on 0 and validated on 12 of these 12 rows" in judged.err
    assert len(asked(service, "POST", "/v1/chat/completions")) == n_asked  # what it had been asked was in the ledger
    again = train(url, data, *files, *QUICK, target="discriminator")
    assert again.code == 0
    assert "nothing to do" in again.out
    assert len(asked(service, "POST", "/v1/fine_tuning/jobs")) == 1


def test_a_classifier_learns_prompts_and_completions_and_names_classes(service: Service, url: str, tmp_path: Path) -> None:
    service.set(columns="legacy")
    rows = [{"prompt": f"{text} {n}\n\n###\n\n", "completion": f" {label}"} for n in range(10) for text, label in (("A boat won", "sport"), ("Rain falls", "weather"))]  # fmt: skip
    file, data = tiny.write_lines(tmp_path / "rows.jsonl", rows), tmp_path / "run"
    done = train(url, data, "--file", file, *QUICK, target="classifier")
    assert done.code == 0, done.err
    folder = only_model(data)
    assert set(json.loads((folder / "metrics.json").read_text("utf-8"))["classification"]) == {
        "accuracy",
        "precision",
        "recall",
        "f1",
        "auroc",
        "auprc",
    }
    header = (folder / "results.csv").read_text("utf-8").partition("\n")[0]
    assert header.split(",")[: len(results.TRAINING)] == list(results.TRAINING)
    named = run("ask", "A boat won 4", "--classifier", folder.name, "--data", data, OPENAI_API_KEY=KEY)
    assert named.code == 0, named.err
    assert named.out.split()[0] in ("sport", "weather")


def shape(said: str) -> list[str]:
    """What a person sees but for names of jobs, files and folders, for numbers, and for what depends on the moment of a look."""
    moments = re.compile(r"fine-tuning: |train: ftjob-\w+: (?!succeeded)|next: ")
    lines = [line for line in said.splitlines() if line.strip() and not moments.match(line)]
    return [re.sub(r"\d[\d,.]*", "N", re.sub(r"(ftjob-|file-|loopback::)\w+|http\S+(?=/v1)|(?<=→ )\S+", "X", line)) for line in lines]


def test_a_fine_tune_is_gone_on_from_and_equal_files_are_sent_once(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    data = tmp_path / "run"
    begun = train(url, data, *files, *QUICK)
    assert begun.code == 0, begun.err
    shown = re.search(r"### What you see.*?```\n(.*?)```", (ROOT / "docs" / "providers.md").read_text("utf-8"), re.DOTALL)
    assert shown
    assert shape(begun.err + begun.out) == shape(shown[1])
    first = only_model(data)
    done = train(url, data, *files, *QUICK, "--from", first.name, model=None)
    assert done.code == 0, done.err
    assert [entry["body"]["model"] for entry in asked(service, "POST", "/v1/fine_tuning/jobs")] == [MODEL, settings(first)["model"]]
    assert len(asked(service, "POST", "/v1/files")) == 2
    second = next(path for path in (data / "models").iterdir() if path != first and path.name.startswith("ft:"))
    assert settings(second)["from"] == first.name
    refused = train(url, data, *files, *QUICK, "--from", first.name, model=None, target="discriminator")
    assert refused.code == 1
    assert "made for something else" in refused.errors[0]


@pytest.mark.parametrize("hold", ["before", "after"])
def test_killed_at_each_request_one_job_is_begun_and_each_file_is_sent_once(
    hold: str, service: Service, url: str, tmp_path: Path, files: tuple[str, ...]
) -> None:
    data = tmp_path / "run"
    line = [sys.executable, "-m", "pipeline.train", "--trainer", "openai", "--base-url", url, "--model", MODEL, "--target", "qa", *files, *QUICK, "--data", str(data)]  # fmt: skip
    code: int | None = None
    kills = 0
    # the nth process does not live to hear the answer to its nth request; by the seventh the job is begun, and they count anew
    for nth in itertools.chain(range(1, 8), itertools.count(1)):
        service.held = False
        service.set(hold=hold, hold_at=service.steps + nth)
        with subprocess.Popen(line, cwd=ROOT, env=environment(OPENAI_API_KEY=KEY), stderr=subprocess.PIPE, text=True) as process:
            while not service.held and process.poll() is None:
                time.sleep(0.02)
            code = process.poll()
            process.kill()
        service.set(hold_at=0)
        if code is not None:
            break
        kills += 1
    assert code == 0
    assert kills >= 10  # two files, looked for and sent; the job, looked for and begun; watched; results and checkpoints fetched
    assert len(asked(service, "POST", "/v1/fine_tuning/jobs")) == 1
    assert len(asked(service, "POST", "/v1/files")) == 2
    assert settings(only_model(data))["job"]["status"] == "succeeded"
    assert not list((data / "models").glob(".unfinished-*"))


def begun(service: Service, line: list[str]) -> subprocess.Popen[str]:
    """A process that watches its job, and heeds Ctrl-C even if the tests run in a shell's background, where it is ignored."""
    heed = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    process = subprocess.Popen([sys.executable, "-c", heed, *line[1:]], cwd=ROOT, env=environment(OPENAI_API_KEY=KEY), stderr=subprocess.PIPE, text=True)
    while not any("/events" in entry["path"] for entry in service.log):
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_ctrl_c_leaves_the_job_alone_and_cancel_ends_it(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    service.set(stay="queued")
    data = tmp_path / "run"
    line = [sys.executable, "-m", "pipeline.train", "--trainer", "openai", "--base-url", url, "--model", MODEL, "--target", "qa", *files, *QUICK, "--data", str(data)]  # fmt: skip
    with begun(service, line) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "without you – run the same command again to watch it, or with --cancel to cancel it" in said
    assert "Traceback" not in said
    cancelled = run("train", "--trainer", "openai", "--cancel", "--data", data, OPENAI_API_KEY=KEY)
    assert cancelled.code == 0, cancelled.err
    assert re.search(r"ftjob-\w+ at http://\S+: cancelled", cancelled.out)
    assert "no job under way" in run("train", "--trainer", "openai", "--cancel", "--data", data, OPENAI_API_KEY=KEY).out
    service.set(stay="")
    assert train(url, data, *files, *QUICK).code == 0  # begins another
    assert len(asked(service, "POST", "/v1/fine_tuning/jobs")) == 2


def test_a_job_that_somebody_else_cancels_is_a_sentence(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    import openai

    service.set(stay="queued")
    data = tmp_path / "run"
    line = [sys.executable, "-m", "pipeline.train", "--trainer", "openai", "--base-url", url, "--model", MODEL, "--target", "qa", *files, *QUICK, "--data", str(data)]  # fmt: skip
    with begun(service, line) as process, openai.OpenAI(base_url=url, api_key=KEY) as client:
        client.fine_tuning.jobs.cancel(next(iter(client.fine_tuning.jobs.list())).id)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: the job was cancelled – ftjob-" in said


def test_rate_limits_are_waited_out_and_strange_words_are_shown(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    service.set(
        strange=True,
        faults=[{"status": 429, "times": 2, "retry_after": 0.2}, {"status": 500, "method": "POST", "path": "/v1/fine_tuning", "times": 1}],
    )
    done = train(url, tmp_path / "run", *files, *QUICK)
    assert done.code == 0, done.err
    assert len(asked(service, "POST", "/v1/fine_tuning/jobs")) == 1


def test_answers_of_a_proxy_are_sentences_and_begin_no_second_job(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    data = tmp_path / "run"
    for garbled, said in (
        (["GET /v1/files"], "the service's answer is not understood"),
        (["GET /v1/fine_tuning/jobs"], "the service's answer is not understood"),
        (["POST /v1/fine_tuning/jobs", "GET /v1/fine_tuning/jobs/"], "goes on watching"),
        ([], ""),
    ):
        service.set(garbled=garbled)
        done = train(url, data, *files, *QUICK)
        assert "Traceback" not in done.err
        assert said in done.err
        assert done.code == (1 if garbled else 0), done.err
    assert len(asked(service, "POST", "/v1/fine_tuning/jobs")) == 1
    assert settings(only_model(data))["job"]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("model", "switches", "said"),
    [
        (MODEL, {"closed": True}, "takes no new fine-tuning jobs"),
        ("gpt-5-mini", {}, "the service cannot fine-tune gpt-5-mini"),
    ],
)
def test_a_refusal_names_the_command_that_trains_here_and_where_others_are_described(
    model: str, switches: dict[str, Any], said: str, service: Service, url: str, tmp_path: Path, files: tuple[str, ...]
) -> None:
    service.set(**switches)
    refused = train(url, tmp_path / "run", *files, *QUICK, model=model)
    assert refused.code == 1
    assert said in refused.errors[0]
    assert "`python -m pipeline.train --trainer local --target qa --model embedded --file " in refused.errors[0]
    assert "docs/providers.md" in refused.errors[0]
    service.set(closed=False)
    with sqlite3.connect(tmp_path / "run" / "ledger.sqlite") as ledger:  # nothing is under way that nobody began
        assert ledger.execute("SELECT count(*) FROM tuning_jobs").fetchone() == (0,)


def test_a_wrong_key_is_a_sentence_that_does_not_show_it(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    refused = train(url, tmp_path / "run", *files, *QUICK, key="sk-wrong-and-secret")
    assert refused.code == 1
    assert "check OPENAI_API_KEY" in refused.errors[0]
    assert "sk-wrong" not in refused.err + refused.out
    assert train(url, tmp_path / "run", *files, *QUICK).code == 0  # what was agreed to goes on with the right one


def test_results_that_are_cut_off_are_fetched_again_and_those_that_are_gone_are_read_from_the_events(
    service: Service, url: str, tmp_path: Path, files: tuple[str, ...]
) -> None:
    service.set(cut_files=1)
    assert train(url, tmp_path / "run", *files, *QUICK).code == 0
    assert service.switches.cut_files == 0
    service.set(faults=[{"status": 404, "path": "/v1/files/", "method": "GET", "ends": "/content", "times": 1}])
    gone = train(url, tmp_path / "other", *files, *QUICK)
    assert gone.code == 0, gone.err
    assert "has the result file no more" in gone.err
    written = [(only_model(tmp_path / name) / "results.csv").read_text("utf-8").splitlines() for name in ("run", "other")]
    assert len(written[0]) == len(written[1]) > 1


def test_a_cap_holds_for_what_was_agreed_to_and_not_begun(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    data = tmp_path / "run"
    assert train(url, data, *files, *QUICK, key="sk-wrong-and-secret").code == 1
    service.log.clear()
    refused = train(url, data, *files, *QUICK, "--max-cost", "0.0001")
    assert refused.code == 1
    assert "more than --max-cost" in refused.errors[0]
    assert "--cancel" in refused.errors[0]
    assert service.log == []
    assert "never begun, and is forgotten" in run("train", "--trainer", "openai", "--cancel", "--data", data, OPENAI_API_KEY=KEY).out


def test_a_password_in_the_address_goes_into_no_file(tmp_path: Path, files: tuple[str, ...]) -> None:
    refused = train("http://me:hunter2@127.0.0.1:9/v1", tmp_path / "run", *files, *QUICK)
    assert refused.code == 1
    assert "a password in it" in refused.errors[0]
    assert "hunter2" not in refused.out + refused.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_nothing_is_sent_that_breaks_the_rules_or_that_nobody_agreed_to(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    data = tmp_path / "run"
    (data / "models" / "here").mkdir(parents=True)
    few = tiny.write_lines(tmp_path / "few.jsonl", tiny.questions(2))
    for arguments, model, said in (
        ((*files,), MODEL, "nobody agreed to what this costs"),
        (("--file", few, "--yes"), MODEL, "4 rows, and services ask for 10"),
        ((*files, "--yes"), None, "which model?"),
        ((*files, "--yes", "--max-cost", "0.0001"), MODEL, "the job would cost more than --max-cost"),
        ((*files, "--yes", "--max-cost", "1"), "nobody-knows", "no price is known"),
        ((*files, "--yes", "--suffix", "x" * 65), MODEL, "--suffix is too long"),
        ((*files, "--yes", "--max-minutes", "3"), MODEL, "--max-minutes is for a training here"),
        ((*files, "--yes", "--track", "trackio"), MODEL, "does not know trackio"),
        ((*files, "--yes", "--from", "here"), None, "a model of this machine"),
    ):
        refused = train(url, data, *arguments, model=model)
        assert refused.code == 1, refused.err
        assert said in refused.errors[0]
    unkeyed = run("train", "--trainer", "openai", "--model", MODEL, "--target", "qa", *files, "--yes", "--data", data)
    assert "there is no key" in unkeyed.errors[0]
    assert service.log == []


@pytest.mark.parametrize(("answer", "code", "said"), [("n", 1, "nothing was sent"), ("y", 1, "takes no new fine-tuning jobs")])
def test_on_a_terminal_it_asks_first(answer: str, code: int, said: str, service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    service.set(closed=True)
    person, terminal = pty.openpty()
    line = [sys.executable, "-m", "pipeline.train", "--trainer", "openai", "--base-url", url, "--model", MODEL, "--target", "qa", *files, "--data", str(tmp_path / "run")]  # fmt: skip
    os.write(person, f"{answer}\n".encode())
    done = subprocess.run(
        line, cwd=ROOT, env=environment(OPENAI_API_KEY=KEY), stdin=terminal, capture_output=True, text=True, timeout=120, check=False
    )
    os.close(person)
    os.close(terminal)
    assert done.returncode == code
    assert "US dollars at 1.5 a million (prices of " in done.stderr
    assert said in done.stderr
    assert bool(service.log) == (answer == "y")


def test_wandb_is_asked_of_the_service_and_offline_it_is_written_here(service: Service, url: str, tmp_path: Path, files: tuple[str, ...]) -> None:
    service.set(closed=True)
    train(url, tmp_path / "run", *files, *QUICK, "--track", "wandb", WANDB_PROJECT="mine")
    service.set(closed=False)
    refused = [entry["body"] for entry in service.log if entry["path"] == "/v1/fine_tuning/jobs" and entry["method"] == "POST"]
    assert refused[0]["integrations"][0]["wandb"]["project"] == "mine"
    done = train(url, tmp_path / "run", *files, *QUICK, "--track", "wandb", WANDB_MODE="offline", WANDB_SILENT="true")
    assert done.code == 0, done.err
    assert "integrations" not in asked(service, "POST", "/v1/fine_tuning/jobs")[0]["body"]
    assert len(list((tmp_path / "run").glob("wandb/offline-run-*/*.wandb"))) == 1
