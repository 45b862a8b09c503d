"""The loopback fine-tuning service keeps OpenAI's protocol, as the real SDK sees it, and what it trains has learnt."""

from __future__ import annotations

import base64
import csv
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
import tiny
from finetuning_service import COLUMNS, KEY, Service, serving, started
from finetuning_worker import ROOM, encoded

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

MODEL = "gpt-4o-mini-2024-07-18"
ANSWER = "No sufficient context for answering the question"
Row = dict[str, Any]


def row(question: str, answer: str, **more: Any) -> Row:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer, **more}]}


ROWS = [row(f"{context} {question}", ANSWER) for context, question, _ in tiny.ROWS * 2]


def lines(rows: list[Any]) -> bytes:
    return "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in rows).encode()


def upload(client: openai.OpenAI, rows: list[Any] = ROWS, **more: Any) -> str:
    return client.files.create(file=("rows.jsonl", lines(rows)), purpose="fine-tune", **more).id


def begin(client: openai.OpenAI, *, n_epochs: int = 1, rows: list[Any] = ROWS, **more: Any) -> FineTuningJob:
    how: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": n_epochs, "batch_size": 4}}}
    asked: dict[str, Any] = {"model": MODEL, "method": how, "seed": 1, **more}
    return client.fine_tuning.jobs.create(training_file=upload(client, rows), **asked)


def until(client: openai.OpenAI, job: FineTuningJob, *statuses: str) -> FineTuningJob:
    """Watch a job until it has one of the statuses; the test's time-out is the limit."""
    while (found := client.fine_tuning.jobs.retrieve(job.id)).status not in statuses:
        assert found.status not in ("failed", "cancelled", "succeeded"), found
        time.sleep(0.05)
    return found


def messages_of(client: openai.OpenAI, job: FineTuningJob) -> list[str]:
    return [event.message for event in client.fine_tuning.jobs.list_events(job.id)][::-1]


def steps_of(client: openai.OpenAI, job: FineTuningJob) -> list[int]:
    events = [event for event in client.fine_tuning.jobs.list_events(job.id) if event.type == "metrics"]
    return [data_of(event)["step"] for event in events][::-1]


def data_of(event: FineTuningJobEvent) -> dict[str, Any]:
    assert isinstance(event.data, dict)
    return event.data


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    with serving(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture
def service(served: tuple[Service, str]) -> Iterator[Service]:
    """The module's service; switches that a test set are set back after it."""
    yield served[0]
    served[0].set(key=KEY, closed=False, faults=[], stay="", strange=False, columns="today", encoding="base64", slow_files=0, clock=0.0)


@pytest.fixture
def client(service: Service, served: tuple[Service, str]) -> Iterator[openai.OpenAI]:
    with closing(openai.OpenAI(base_url=served[1], api_key=KEY, max_retries=0)) as found:
        yield found


@pytest.fixture(scope="module")
def trained(served: tuple[Service, str]) -> FineTuningJob:
    """A job that has succeeded: five epochs of three steps."""
    with closing(openai.OpenAI(base_url=served[1], api_key=KEY)) as client:
        job = begin(client, n_epochs=5, validation_file=upload(client, ROWS[:3]), suffix="declines", metadata={"run": "first"})
        return until(client, job, "succeeded")


# the road


def test_a_job_goes_through_its_statuses_in_order(service: Service, client: openai.OpenAI) -> None:
    service.set(stay="validating_files")
    job = begin(client)
    assert job.status == client.fine_tuning.jobs.retrieve(job.id).status == "validating_files"
    assert job.hyperparameters.learning_rate_multiplier == "auto"
    service.set(stay="queued")
    assert until(client, job, "queued").fine_tuned_model is None
    service.set(stay="running")
    running = until(client, job, "running")
    assert (running.hyperparameters.n_epochs, running.hyperparameters.batch_size, running.hyperparameters.learning_rate_multiplier) == (1, 4, 2.0)
    assert running.result_files == []
    service.set(stay="")
    done = until(client, job, "succeeded")
    assert done.finished_at is not None
    assert done.trained_tokens is not None
    assert done.trained_tokens > 12 * 20
    assert [m for m in messages_of(client, job) if not m.startswith(("Step", "Checkpoint"))] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {job.training_file}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        f"New fine-tuned model created: {done.fine_tuned_model}",
        "The job has successfully completed",
    ]


def test_the_model_says_what_it_learnt_and_its_base_does_not(client: openai.OpenAI, trained: FineTuningJob) -> None:
    asked: Any = ROWS[0]["messages"][:1]
    said = [
        client.chat.completions.create(model=name, messages=asked, temperature=0, max_tokens=30) for name in (str(trained.fine_tuned_model), MODEL)
    ]
    assert said[0].choices[0].message.content == ANSWER
    assert said[0].choices[0].finish_reason == "stop"
    assert ANSWER not in str(said[1].choices[0].message.content)


def test_an_answers_log_probabilities_are_those_of_its_tokens(client: openai.OpenAI, trained: FineTuningJob) -> None:
    asked: Any = ROWS[0]["messages"][:1]
    said = client.chat.completions.create(
        model=str(trained.fine_tuned_model), messages=asked, temperature=0, logprobs=True, top_logprobs=3, max_tokens=30
    )
    assert said.choices[0].logprobs is not None
    tokens = said.choices[0].logprobs.content or []
    assert "".join(token.token for token in tokens) == ANSWER
    assert all(token.token == token.top_logprobs[0].token and token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)


def test_events_come_in_pages_the_newest_first_and_their_losses_fall(client: openai.OpenAI, trained: FineTuningJob) -> None:
    first = client.fine_tuning.jobs.list_events(trained.id, limit=4)
    assert first.has_more
    assert first.data[0].message == "The job has successfully completed"
    found = list(client.fine_tuning.jobs.list_events(trained.id, limit=4))
    assert len({event.id for event in found}) == len(found) > 20
    assert steps_of(client, trained) == list(range(1, 16))
    metrics = [data_of(event) for event in reversed(found) if event.type == "metrics"]
    assert all(data["total_steps"] == 15 and 0 <= data["train_mean_token_accuracy"] <= 1 for data in metrics)
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"] / 4
    assert [data["step"] for data in metrics if "full_valid_loss" in data] == [3, 6, 9, 12, 15]
    assert metrics[-1]["full_valid_loss"] == pytest.approx(metrics[-1]["valid_loss"], rel=0.2)  # a mean of tokens, and one of batches


def test_the_last_three_epochs_are_checkpoints_and_models(client: openai.OpenAI, trained: FineTuningJob) -> None:
    found = list(client.fine_tuning.jobs.checkpoints.list(trained.id, limit=1))
    name = str(trained.fine_tuned_model)
    assert [(c.step_number, c.fine_tuned_model_checkpoint) for c in found] == [(15, name), (12, f"{name}:ckpt-step-12"), (9, f"{name}:ckpt-step-9")]
    assert all(c.metrics.full_valid_loss and c.metrics.full_valid_mean_token_accuracy is not None for c in found)
    asked: Any = ROWS[0]["messages"][:1]
    said = client.chat.completions.create(model=f"{name}:ckpt-step-12", messages=asked, temperature=0, max_tokens=30)
    assert str(said.choices[0].message.content).startswith("No")


def test_a_model_is_named_after_base_organisation_and_suffix(client: openai.OpenAI, trained: FineTuningJob) -> None:
    kind, base, organisation, suffix, own = str(trained.fine_tuned_model).split(":")
    assert (kind, base, organisation, suffix, len(own)) == ("ft", MODEL, "loopback", "declines", 8)
    assert client.models.retrieve(str(trained.fine_tuned_model)).owned_by == "org-loopback"
    assert {MODEL, "gpt-5-mini", trained.fine_tuned_model} <= {model.id for model in client.models.list()}


def test_going_on_from_a_fine_tuned_model_begins_where_that_ended(client: openai.OpenAI, trained: FineTuningJob) -> None:
    job = until(client, begin(client, model=str(trained.fine_tuned_model)), "succeeded")
    firsts = [
        min((data_of(e) for e in client.fine_tuning.jobs.list_events(j.id) if e.type == "metrics"), key=lambda d: d["step"]) for j in (trained, job)
    ]
    assert firsts[1]["train_loss"] < firsts[0]["train_loss"] / 4
    assert str(job.fine_tuned_model).startswith(f"ft:{MODEL}:loopback::")


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("encoding", ["plain", "base64"])
def test_a_result_file_has_a_row_a_step(service: Service, client: openai.OpenAI, columns: str, encoding: str) -> None:
    service.set(columns=columns, encoding=encoding)
    job = until(client, begin(client, validation_file=upload(client, ROWS[:2])), "succeeded")
    file = client.files.retrieve(job.result_files[0])
    content = client.files.content(file.id).read()
    assert (file.purpose, file.bytes) == ("fine-tune-results", len(content))
    text = (base64.b64decode(content, validate=True) if encoding == "base64" else content).decode()
    found = list(csv.DictReader(text.splitlines()))
    assert list(found[0]) == list(COLUMNS[columns])
    assert [line["step"] for line in found] == ["1", "2", "3"]
    loss = "training_loss" if columns == "legacy" else "train_loss"
    losses = [data_of(e)["train_loss"] for e in client.fine_tuning.jobs.list_events(job.id) if e.type == "metrics"][::-1]
    assert [float(line[loss]) for line in found] == losses
    assert found[-1]["validation_loss" if columns == "legacy" else "valid_loss"]


def test_the_embedded_model_is_trained_too(client: openai.OpenAI) -> None:
    job = until(client, begin(client, model="smollm2-135m", rows=ROWS[:10]), "succeeded")
    assert steps_of(client, job) == [1, 2, 3]
    asked: Any = ROWS[0]["messages"][:1]
    said = client.chat.completions.create(model=str(job.fine_tuned_model), messages=asked, temperature=0, max_tokens=5)
    assert said.choices[0].message.content


def test_a_wandb_integration_is_shown_and_makes_an_offline_run(service: Service, client: openai.OpenAI) -> None:
    asked = {"type": "wandb", "wandb": {"project": "olympics", "tags": ["a"]}}
    job = until(client, begin(client, integrations=[asked]), "succeeded")
    assert job.integrations is not None
    assert job.integrations[0].wandb.project == "olympics"
    assert list((service.folder / "jobs" / job.id).glob("wandb/offline-run-*/*.wandb"))


# cancelling, pausing, kills


def test_a_running_job_is_cancelled_once_and_the_next_one_trains(service: Service, client: openai.OpenAI) -> None:
    service.set(stay="running")
    job = until(client, begin(client), "running")
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a job that is cancelled"):
        client.fine_tuning.jobs.cancel(job.id)
    service.set(stay="")
    until(client, begin(client), "succeeded")
    assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"
    assert client.fine_tuning.jobs.retrieve(job.id).fine_tuned_model is None


def test_a_paused_job_goes_on_to_the_end_when_it_is_resumed(service: Service, client: openai.OpenAI) -> None:
    service.set(stay="running")
    job = until(client, begin(client, n_epochs=2), "running")
    paused: str = client.fine_tuning.jobs.pause(job.id).status
    assert paused == "paused"
    service.set(stay="")
    with pytest.raises(openai.BadRequestError, match="Cannot pause a job that is paused"):
        client.fine_tuning.jobs.pause(job.id)
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    until(client, job, "succeeded")
    assert steps_of(client, job) == list(range(1, 7))


def test_a_job_outlives_its_clients(service: Service, served: tuple[Service, str], client: openai.OpenAI) -> None:
    with closing(openai.OpenAI(base_url=served[1], api_key=KEY)) as other:
        job = begin(other)
    until(client, job, "succeeded")


def test_a_killed_server_goes_on_with_the_job_where_it_was(tmp_path: Path) -> None:
    with started(tmp_path) as (process, url), closing(openai.OpenAI(base_url=url, api_key=KEY)) as client:
        job = begin(client, n_epochs=8, metadata={"k": "v"})
        until(client, job, "running")
        while not list(tmp_path.glob("jobs/*/checkpoint-*/trainer_state.json")):
            time.sleep(0.01)
        process.kill()
        process.wait()
    with started(tmp_path) as (_, url), closing(openai.OpenAI(base_url=url, api_key=KEY)) as client:
        assert [found.id for found in client.fine_tuning.jobs.list()] == [job.id]
        done = until(client, job, "succeeded")
        assert steps_of(client, job) == list(range(1, 25))
        asked: Any = ROWS[0]["messages"][:1]
        said = client.chat.completions.create(model=str(done.fine_tuned_model), messages=asked, temperature=0, max_tokens=30)
        assert said.choices[0].message.content == ANSWER
        log = json.loads((tmp_path / "log.jsonl").read_text("utf-8").splitlines()[1])
        assert (log["path"], log["body"]["metadata"]) == ("/v1/fine_tuning/jobs", {"k": "v"})


@pytest.mark.parametrize("hold", ["before", "after"])
def test_a_request_that_is_held_is_carried_out_or_not_and_never_answered(hold: str) -> None:
    with serving(hold_at=2, hold=hold, stay="queued") as (service, url):
        with closing(openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=1)) as client, pytest.raises(openai.APITimeoutError):
            begin(client)
        assert service.held
        assert len(service.state["jobs"]) == (hold == "after")


# files


def test_files_have_a_purpose_a_size_and_their_bytes(service: Service, client: openai.OpenAI) -> None:
    ids = [upload(client, [*ROWS, *ROWS[:n]]) for n in range(3)]
    listed = [file.id for file in client.files.list(purpose="fine-tune", limit=2)]
    assert listed[:3] == ids[::-1]
    assert next(iter(client.files.list(order="asc", purpose="fine-tune", after=ids[1]))).id == ids[2]
    file = client.files.retrieve(ids[0])
    assert (file.bytes, file.filename, file.purpose, file.status) == (len(lines(ROWS)), "rows.jsonl", "fine-tune", "processed")
    assert client.files.content(ids[0]).read() == lines(ROWS)
    uploads = [entry["body"] for entry in service.log if (entry["method"], entry["path"]) == ("POST", "/v1/files")][-3:]
    assert [(body["purpose"], body["bytes"]) for body in uploads] == [("fine-tune", len(lines([*ROWS, *ROWS[:n]]))) for n in range(3)]
    assert len({body["sha256"] for body in uploads}) == 3
    assert client.files.delete(ids[0]).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.content(ids[0])


def test_a_file_that_has_expired_is_gone(service: Service, client: openai.OpenAI) -> None:
    file_id = upload(client, expires_after={"anchor": "created_at", "seconds": 3600})
    file = client.files.retrieve(file_id)
    assert file.expires_at == file.created_at + 3600
    service.set(clock=3601)
    assert file_id not in [found.id for found in client.files.list()]
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file_id)
    with pytest.raises(openai.BadRequestError, match="No such File object"):
        client.fine_tuning.jobs.create(model=MODEL, training_file=file_id)


def test_a_job_takes_no_file_that_is_still_processed(service: Service, client: openai.OpenAI) -> None:
    service.set(slow_files=2, stay="queued")
    file_id = upload(client)
    with pytest.raises(openai.BadRequestError, match="still being processed"):
        client.fine_tuning.jobs.create(model=MODEL, training_file=file_id)
    assert [client.files.retrieve(file_id).status for _ in range(2)] == ["uploaded", "processed"]
    job = client.fine_tuning.jobs.create(model=MODEL, training_file=file_id)
    client.fine_tuning.jobs.cancel(job.id)


@pytest.mark.parametrize(
    ("content", "asked", "said"),
    [
        (b"", {}, "File is empty"),
        (b'{"messages": []}\nhello\n', {}, "Line 2 is not a dictionary"),
        (b"[1]\n", {}, "Line 1 is not a dictionary"),
        (lines(ROWS), {"purpose": "finetune"}, "is not one of"),
        (lines(ROWS), {"expires_after": {"anchor": "created_at", "seconds": 60}}, "from 3600 to 2592000"),
        (lines(ROWS), {"expires_after": {"anchor": "now", "seconds": 7200}}, "anchor"),
        (lines(ROWS), {"extra_body": {"colour": "red"}}, "Unknown parameter: 'colour'"),
    ],
)
def test_an_upload_is_refused(client: openai.OpenAI, content: bytes, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        client.files.create(**{"file": ("rows.jsonl", content), "purpose": "fine-tune", **asked})


# refusals of jobs


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"model": "gpt-5-mini"}, "model_not_available", "model"),
        ({"model": "ft:gone:loopback::12345678"}, "model_not_available", "model"),
        ({"training_file": "file-none"}, "file_not_found", "training_file"),
        ({"validation_file": "file-none"}, "file_not_found", "validation_file"),
        ({"suffix": "x" * 65}, "string_above_max_length", "suffix"),
        ({"suffix": ""}, "empty_string", "suffix"),
        ({"metadata": {str(n): "" for n in range(17)}}, "object_above_max_properties", "metadata"),
        ({"metadata": {"k" * 65: ""}}, "string_above_max_length", "metadata"),
        ({"metadata": {"k": "v" * 513}}, "string_above_max_length", "metadata.k"),
        ({"metadata": {"k": 1}}, "invalid_type", "metadata.k"),
        ({"seed": -1}, "invalid_value", "seed"),
        ({"seed": "1"}, "invalid_type", "seed"),
        ({"extra_body": {"n_epochs": 3}}, "unknown_parameter", "n_epochs"),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"epochs": 3}}}},
            "unknown_parameter",
            "method.supervised.hyperparameters.epochs",
        ),
        ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 51}}}}, "integer_above_max_value", "n_epochs"),
        ({"hyperparameters": {"batch_size": 0}}, "integer_below_min_value", "batch_size"),
        ({"hyperparameters": {"learning_rate_multiplier": 0}}, "decimal_below_min_value", "learning_rate_multiplier"),
        ({"method": {"type": "rote"}}, "invalid_value", "method.type"),
        ({"integrations": [{"type": "trackio", "wandb": {"project": "p"}}]}, "invalid_value", "type"),
        ({"integrations": [{"type": "wandb", "wandb": {}}]}, "missing_required_parameter", "wandb.project"),
    ],
)
def test_a_job_is_refused_with_code_and_parameter(client: openai.OpenAI, asked: dict[str, Any], code: str, param: str) -> None:
    before = len(list(client.fine_tuning.jobs.list()))
    given = asked if "training_file" in asked else {"training_file": upload(client), **asked}
    with pytest.raises(openai.BadRequestError) as refused:
        client.fine_tuning.jobs.create(**{"model": MODEL, **given})
    assert (refused.value.code, refused.value.param, refused.value.type) == (code, param, "invalid_request_error")
    assert len(list(client.fine_tuning.jobs.list())) == before


def test_a_file_of_another_purpose_is_not_trained_on(client: openai.OpenAI) -> None:
    file = client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="has purpose 'batch'"):
        client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)


def failed(client: openai.OpenAI, **asked: Any) -> FineTuningJob:
    return until(client, begin(client, **asked), "failed")


def test_too_few_rows_fail_in_validation(client: openai.OpenAI) -> None:
    job = failed(client, rows=ROWS[:9])
    assert job.error is not None
    assert (job.error.code, job.error.param) == ("invalid_n_examples", "training_file")
    assert job.error.message == "Training file has 9 example(s), but must have at least 10 examples"
    last = next(iter(client.fine_tuning.jobs.list_events(job.id)))
    assert (last.level, last.message) == ("error", job.error.message)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"messages": []}, 'Example 11 is missing key "messages".'),
        ({**ROWS[0], "source": "x"}, 'Example 11 contains an extra "source".'),
        ({"messages": [{"content": "x"}]}, "Example 11, message 1 Discriminator 'role' is missing in value"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "Example 11, message 1 has an unknown role: 'bot'."),
        ({"messages": [{"role": "user", "content": "x"}]}, "Example 11 has no message of the assistant to learn at its end."),
        (row("q", "a", weight=0), "Example 11 has no message of the assistant to learn at its end."),
        (row("q", "a", weight=0.5), "Example 11, message 2 has a weight that is not 0 or 1, or is not on the assistant's."),
        (row("q", "a", kind="random"), 'Example 11, message 2 contains an extra "kind".'),
        (row("q <|im_end|>", "a"), "Example 11, message 1 contains an invalid token: <|im_end|>."),
        (row("q", None), "Example 11, message 2 has no text as its content."),  # type: ignore[arg-type]
    ],
)
def test_a_bad_row_fails_in_validation_and_is_named(client: openai.OpenAI, bad: Row, said: str) -> None:
    job = failed(client, rows=[*ROWS[:10], bad])
    assert job.error is not None
    assert (job.error.code, job.error.param) == ("invalid_file_format", "training_file")
    assert job.error.message == f"The job failed due to a file format error in the training file. Invalid file format. {said}"


def test_a_bad_row_of_validation_is_named_as_such(client: openai.OpenAI) -> None:
    job = failed(client, validation_file=upload(client, [{}]))
    assert job.error is not None
    assert job.error.param == "validation_file"


def test_another_method_than_the_files_fails(client: openai.OpenAI) -> None:
    job = failed(client, method={"type": "dpo"})
    assert job.error is not None
    assert job.error.code == "invalid_training_file"
    assert job.error.message.endswith("(provided method=dpo).")


# what is true of every request


def test_a_wrong_key_is_refused(service: Service, client: openai.OpenAI) -> None:
    service.set(key="sk-other")
    with pytest.raises(openai.AuthenticationError) as refused:
        client.files.list()
    assert refused.value.code == "invalid_api_key"


def test_an_organisation_that_is_closed_to_new_jobs_keeps_what_it_has(service: Service, client: openai.OpenAI, trained: FineTuningJob) -> None:
    service.set(closed=True)
    with pytest.raises(openai.PermissionDeniedError, match="can no longer create fine-tuning jobs"):
        begin(client)
    assert client.fine_tuning.jobs.retrieve(trained.id).status == "succeeded"


@pytest.mark.parametrize("status", [429, 500])
def test_faults_happen_as_often_as_they_are_asked_for(service: Service, client: openai.OpenAI, status: int) -> None:
    service.set(faults=[{"status": status, "times": 2, "method": "POST", "path": "/v1/files", "retry_after": 0.05}], stay="queued")
    with pytest.raises(openai.APIStatusError) as refused:
        upload(client)
    assert (refused.value.status_code, refused.value.response.headers["retry-after"]) == (status, "0.05")
    upload(client.with_options(max_retries=2))
    assert [(entry["path"], entry["status"]) for entry in service.log[-3:]] == [("/v1/files", status), ("/v1/files", status), ("/v1/files", 200)]


def test_a_status_and_an_event_that_the_sdk_does_not_know_are_shown(service: Service, client: openai.OpenAI) -> None:
    service.set(strange=True, stay="queued")
    job = begin(client)
    until(client, job, "waiting_for_capacity")
    assert "moderation_checks" in [event.type for event in client.fine_tuning.jobs.list_events(job.id)]
    client.fine_tuning.jobs.cancel(job.id)


def test_jobs_are_found_by_their_metadata(client: openai.OpenAI, trained: FineTuningJob) -> None:
    assert [job.id for job in client.fine_tuning.jobs.list(metadata={"run": "first"}, limit=1)] == [trained.id]
    assert not list(client.fine_tuning.jobs.list(metadata={"run": "second"}))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c: c.fine_tuning.jobs.retrieve("ftjob-none"), "Could not find fine tune: ftjob-none"),
        (lambda c: c.files.retrieve("file-none"), "No such File object: file-none"),
        (lambda c: c.models.retrieve("ft:none"), "The model `ft:none` does not exist"),
        (lambda c: c.chat.completions.create(model="ft:none", messages=[{"role": "user", "content": "x"}]), "The model `ft:none` does not exist"),
        (lambda c: c.embeddings.create(model=MODEL, input="x"), "Invalid URL"),
    ],
)
def test_what_is_not_there_is_said(client: openai.OpenAI, ask: Callable[[openai.OpenAI], Any], said: str) -> None:
    with pytest.raises(openai.NotFoundError, match=said):
        ask(client)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c: c.files.list(after="file-none"), "there is no 'file-none' in this list"),
        (lambda c: c.files.list(limit=0), "from 1 to 10000"),
        (lambda c: c.fine_tuning.jobs.list(limit=101), "from 1 to 100"),
        (lambda c: c.fine_tuning.jobs.list(extra_query={"order": "asc"}), "Unknown parameter: 'order'"),
        (lambda c: c.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}], stop="x"), "'stop' is not supported"),
        (lambda c: c.chat.completions.create(model=MODEL, messages=[{"role": "bot", "content": "x"}]), "Invalid value for"),
    ],
)
def test_a_wrong_question_is_refused(client: openai.OpenAI, ask: Callable[[openai.OpenAI], Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        ask(client)


def test_a_deleted_model_answers_no_more_and_a_base_is_not_deleted(client: openai.OpenAI) -> None:
    job = until(client, begin(client), "succeeded")
    name = str(job.fine_tuned_model)
    assert client.models.delete(name).deleted
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete(MODEL)


# what the worker shows a model


def test_each_message_of_the_assistant_is_learnt_after_what_stands_before_it(tmp_path: Path) -> None:
    from pipeline.llm.bases import tokenizer_of

    words = tokenizer_of(tiny.causal(tmp_path / "tiny"))
    talk = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann"}, {"role": "user", "content": "And?"}]
    whole = {"messages": [*talk, {"role": "assistant", "content": "Bob"}]}
    found, n_cut = encoded([whole, {"messages": [talk[0], {**talk[1], "weight": 0}, talk[2], {"role": "assistant", "content": "Cleo"}]}], words)
    said = [words.decode(one.ids[len(one.ids) - one.n_completion :]) for one in found]
    assert said == ["Ann<|im_end|>", "Bob<|im_end|>", "Cleo<|im_end|>"]
    assert words.decode(found[1].ids) == words.apply_chat_template(whole["messages"], tokenize=False).rstrip("\n")
    assert n_cut == 0


def test_a_row_that_is_too_long_loses_its_beginning_and_is_counted(tmp_path: Path) -> None:
    from pipeline.llm.bases import tokenizer_of

    words = tokenizer_of(tiny.causal(tmp_path / "tiny"))
    [one], n_cut = encoded([row("Who rowed? " * 2000, "Bob")], words)
    assert (len(one.ids), n_cut) == (ROOM, 1)
    assert words.decode(one.ids).endswith("assistant\nBob<|im_end|>")
