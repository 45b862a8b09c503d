"""Fine-tuning jobs of whoever speaks OpenAI's protocol, through its SDK: files, jobs, events, checkpoints, result files.

Source of the rules: OpenAI's API reference, "Fine-tuning" and "Files" (purpose fine-tune; method supervised; metadata of 16 pairs,
64 and 512 characters; events newest first, in pages). The SDK repeats nothing here: a job that it began twice would be paid for twice, and it
waits for no Retry-After above two minutes. What is repeated, how often and after which wait is that of all calls (`client.Tries`).
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipeline.errors import EndpointError, EndpointRefused, InputError, RequestRefused
from pipeline.llm.client import Tries
from pipeline.llm.faults import FAULT, GARBLED, Passing, Where, fault_for
from pipeline.llm.job_answers import each_once, event_of, is_count, is_name, job_of
from pipeline.llm.job_faults import refusal_of
from pipeline.store import storage_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import openai
    from openai.types.fine_tuning import FineTuningJob
    from tenacity import RetryCallState

    from pipeline.llm.job_faults import Instead

T = TypeVar("T")
TAG = "run"
"""the key of the metadata by which a job is found again"""
PURPOSE: Final = "fine-tune"
_PAGE = 100
_CLOCKS_APART = 86_400  # seconds that the service's clock may be behind ours
_WITHOUT_METADATA = 300  # the same, where a job is told by its files alone
_LONGEST_WAIT = 3600.0
_SAID_FROM = 10.0
_FILE_LOOK, _FILE_PATIENCE = 0.25, 600.0
_BUSY = 429
_MOST_LISTED = 100_000  # of files, jobs, or a job's events
_LARGEST_RESULTS = 64_000_000  # bytes; a step takes about 60
_NO = (400, 402, 403, 404, 422, _BUSY)


class Desk:
    """Speaks with one service, in one person's name."""

    def __init__(self, sdk: openai.OpenAI, instead: Instead, say: Callable[[str], None]) -> None:
        """Work through an SDK client that repeats nothing itself; `instead` stands in the sentences of refusals."""
        self._sdk, self._instead, self._say = sdk, instead, say
        self._heard = False
        self.declined = False
        """whether the service has said no to a file or a job, so that none can have been begun"""

    @property
    def where(self) -> str:
        """The service's address."""
        return str(self._sdk.base_url).rstrip("/")

    def has_file(self, file_id: str) -> bool:
        """Tell whether the service still has a file, fit to train on."""
        import openai

        def look() -> bool:
            try:
                return self._sdk.files.retrieve(file_id).status != "error"
            except openai.NotFoundError:
                return False

        return self._sent(look)

    def await_file(self, file_id: str) -> None:
        """Wait until a file can be trained on: some services look it through first. What they find is in their refusal of the job."""
        wait, waited = _FILE_LOOK, 0.0

        def look() -> object:
            return self._sdk.files.retrieve(file_id).status

        while waited < _FILE_PATIENCE and self._sent(look) not in ("processed", "error", None):  # OpenAI calls it deprecated
            time.sleep(wait)
            wait, waited = min(10.0, 2 * wait), waited + wait

    def upload(self, path: Path, name: str) -> str:
        """Return what the service calls a file, sent now unless it has one with this name and size."""

        def send() -> str:
            files = _listed(self._sdk.files.list(purpose=PURPOSE))
            there = (file.id for file in files if file.filename == name and file.bytes == path.stat().st_size and file.status != "error")
            known: str | None = next(there, None)
            if known:
                return known
            with path.open("rb") as file:
                sent: object = self._sdk.files.create(file=(name, file), purpose=PURPOSE).id
            if not is_name(sent):
                raise ValueError(f"a file without an id: {sent!r}")
            return str(sent)

        return self._sent(send, begins=True)

    def begin(self, tag: str, since: int, asked: Mapping[str, Any]) -> FineTuningJob:
        """Return the job with this tag, begun now unless the service has it; whatever ends an attempt, the next one looks first.

        Raises EndpointRefused with the remedy if the service does not take it.
        """
        return self._sent(lambda: self._found(tag, since, asked) or self._created(tag, since, asked), begins=True)

    def _created(self, tag: str, since: int, asked: Mapping[str, Any]) -> FineTuningJob:
        """Return a job begun now. What was taken and is answered with something else is not sent again: each might be another job."""
        import openai

        try:
            return self._job(self._sdk.fine_tuning.jobs.create(**asked))
        except (openai.APIResponseValidationError, ValueError, AttributeError, TypeError) as error:
            found = self._found(tag, since, asked)
            if found:
                return found
            raise EndpointError(
                "the service has answered with something that is no job, and lists none",
                f"{self.where}: {self._safe(repr(error))}",
                "look in its own pages whether one was begun before you run the command again, for it would begin another",
            ) from error

    def find(self, tag: str, since: int) -> FineTuningJob | None:
        """Return the job with this tag in its metadata, begun after `since` (seconds since 1970); None where there is none."""
        return self._sent(lambda: self._found(tag, since, {}))

    def _found(self, tag: str, since: int, asked: Mapping[str, Any]) -> FineTuningJob | None:
        """Return the job with this tag; of a service that keeps no metadata, the one on the same files with the same seed."""
        for listed in _listed(self._sdk.fine_tuning.jobs.list(limit=_PAGE, metadata={TAG: tag})):
            try:
                job = self._job(listed)
            except ValueError:  # another one's: ours came well when it was begun
                continue
            if job.created_at and job.created_at < since - _CLOCKS_APART:
                return None  # they come newest first
            recent = not job.created_at or job.created_at >= since - _WITHOUT_METADATA
            if (job.metadata or {}).get(TAG) == tag or (not job.metadata and recent and _alike(job, asked)):
                return job
        return None

    def job(self, job_id: str) -> FineTuningJob:
        """Return a job as it is now."""
        return self._sent(lambda: self._job(self._sdk.fine_tuning.jobs.retrieve(job_id)))

    def cancel(self, job_id: str) -> FineTuningJob:
        """Cancel a job."""
        return self._sent(lambda: self._job(self._sdk.fine_tuning.jobs.cancel(job_id)))

    def _job(self, answer: object) -> FineTuningJob:
        return job_of(answer, self._sdk.api_key)

    def new_events(self, job_id: str, known: set[str]) -> list[dict[str, Any]]:
        """Return a job's events that are not among the known ones, the oldest first; none of a service that has none to be understood."""

        def read() -> list[dict[str, Any]]:
            found: dict[str, dict[str, Any]] = {}
            for answer in _listed(self._sdk.fine_tuning.jobs.list_events(job_id, limit=_PAGE)):
                event = event_of(answer, self._sdk.api_key)
                if event["id"] in known:
                    break
                found[event["id"]] = event
            return list(found.values())[::-1]

        return self._spared(read)

    def checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        """Return a job's checkpoints, the first first; none of a service that keeps none."""
        found = self._spared(lambda: [*self._checkpoints(job_id)])
        return sorted(found, key=lambda one: step if is_count(step := one.get("step_number")) else 0)

    def _spared(self, call: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Make a call that a job is fetched without: refused, or not understood, it gives nothing."""
        try:
            return self._sent(call)
        except (EndpointRefused, RequestRefused):
            return []
        except Passing as passing:
            if passing.kind != GARBLED:
                raise
            return []

    def _checkpoints(self, job_id: str) -> Iterator[dict[str, Any]]:
        for answer in _listed(self._sdk.fine_tuning.jobs.checkpoints.list(job_id, limit=_PAGE)):
            yield event_of(answer, self._sdk.api_key)

    def content(self, file_id: str) -> bytes:
        """Return a file's bytes.

        Raises InputError if the service has it no more, or if it is larger than any table of steps.
        """
        import openai

        def read() -> bytes:
            with self._sdk.files.with_streaming_response.content(file_id) as answer:
                content = bytearray()
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > _LARGEST_RESULTS:
                        raise InputError(
                            "the result file is too large", f"{file_id}: above {_LARGEST_RESULTS:,} bytes", "look at it in the service's own pages"
                        )
            return bytes(content)

        def there() -> bytes | None:
            try:
                return read()
            except openai.NotFoundError:
                return None

        found = self._sent(there)
        if found is None:
            raise InputError("the service has the result file no more", f"{file_id} at {self.where}", "nothing is lost but its figures")
        return found

    def _sent(self, call: Callable[[], T], *, begins: bool = False) -> T:
        """Make a call until it is answered, refused or given up; `begins`: a refusal is one of the job, with its remedy."""
        import tenacity

        tries = Tries()
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing), stop=tries.over, wait=tries.wait, before_sleep=self._tell, reraise=True
        )
        found: T = again(self._once, call, tries, begins=begins)
        return found

    def _once(self, call: Callable[[], T], tries: Tries, *, begins: bool) -> T:
        tries.sent += 1
        try:
            with self._wrapped(begins=begins):
                found = call()
        except Passing as passing:
            tries.kinds[passing.kind] += 1
            raise
        self._heard = True
        return found

    def _tell(self, state: RetryCallState) -> None:
        seconds = state.next_action.sleep if state.next_action else 0.0
        if seconds > _LONGEST_WAIT:
            raise EndpointError("the service asks to wait very long", f"{self.where}: {seconds:,.0f} s", "run the same command again then")
        if seconds >= _SAID_FROM:
            self._say(f"train: the service asks for patience: nothing is sent for {seconds:,.0f} s")

    @contextmanager
    def _wrapped(self, *, begins: bool) -> Iterator[None]:
        import httpx2
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            raise self._fault(error, begins=begins) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:  # the latter while a file is read in parts
            cause = type(error.__cause__).__name__ if error.__cause__ else "no answer"
            said = ("the service cannot be reached", f"{self.where}: {cause}", "check --base-url and the network; the same command goes on")
            raise Passing(FAULT, *said) if self._heard else EndpointRefused(*said) from error
        except (openai.APIError, ValueError, AttributeError, TypeError) as error:  # what the SDK makes of an answer that is not the protocol's
            value = f"{self.where}: {self._safe(repr(error))}"
            raise Passing(GARBLED, "the service's answer is not understood", value, "check --base-url (it usually ends in /v1)") from error
        except OSError as error:
            raise storage_error(error, error.filename or "the training file") from error

    def _fault(self, error: openai.APIStatusError, *, begins: bool) -> EndpointError:
        said, status = self._safe(error.message), error.status_code
        value = f"{self.where}: {status}: {said}"
        found: EndpointError | None = None
        if begins and status in _NO:
            found = refusal_of(str(error.code or ""), said if status != _BUSY else "", value, self._instead)
            self.declined = found is not None or status != _BUSY
            if found:
                return found
        found = fault_for(status, error.response.headers, said, error.response.text, Where(self.where, self._instead.model))
        if begins and isinstance(found, EndpointRefused | RequestRefused):
            return EndpointRefused(found.what, found.value, f"{found.do}; or {self._instead.way}")
        return found

    def _safe(self, text: str) -> str:
        """Some services repeat the key in their errors: it goes no further."""
        return " ".join(text.replace(self._sdk.api_key, "[key]").split())[:300]


def _listed(pages: Any) -> Iterator[Any]:
    """Yield what is listed; an answer without a list is no empty one."""
    if not isinstance(getattr(pages, "data", None), list):
        raise ValueError(f"no list: {str(pages)[:200]!r}")  # noqa: TRY004 (what comes from outside is not of a type, but of a form)
    yield from each_once(pages, _MOST_LISTED)


def _alike(job: FineTuningJob, asked: Mapping[str, Any]) -> bool:
    return (job.training_file, job.validation_file or None, job.seed) == (asked.get("training_file"), asked.get("validation_file"), asked.get("seed"))
