"""What OpenAI's files and fine-tuning endpoints take, and with which words and codes they refuse. Pure: nothing is opened, no clock is looked at.

The shape of a request is checked against the SDK's own types (`openai.types`), unknown keys refused; limits are those of the API reference
(https://developers.openai.com/api/reference/resources/fine_tuning/subresources/jobs/methods/create). Words and codes are the service's own where
they are on record (`invalid_n_examples`, `invalid_file_format`, `invalid_training_file`, `fine_tune_not_found`, `model_not_available`,
`invalid_api_key`, the upload's "Expected file to have JSONL format"); nobody has recorded what it says to an organisation that may begin no new
jobs, so CLOSED is in our words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.file_create_params import ExpiresAfter
from openai.types.fine_tuning.job_create_params import JobCreateParams
from pydantic import ConfigDict, TypeAdapter, ValidationError

FEWEST_ROWS, LONGEST_SUFFIX, MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 10, 64, 16, 64, 512
LARGEST_FILE = 512 * 1024 * 1024
SHORTEST_LIFE, LONGEST_LIFE = 3_600, 2_592_000
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
MOST_EPOCHS, MOST_A_BATCH = 50, 256
_STRICT = ConfigDict(extra="forbid", strict=True)
JOB: TypeAdapter[Any] = TypeAdapter(list[JobCreateParams], config=_STRICT)
EXPIRY: TypeAdapter[Any] = TypeAdapter(list[ExpiresAfter], config=_STRICT)
CHAT: TypeAdapter[Any] = TypeAdapter(list[CompletionCreateParamsNonStreaming], config=_STRICT)
ANSWERED = frozenset("model messages max_tokens max_completion_tokens temperature seed logprobs top_logprobs n user store metadata stream".split())
"""what of a chat completion this service does; the rest is refused, not passed over"""
_CODES = {"extra_forbidden": "unknown_parameter", "missing": "missing_required_parameter", "literal_error": "invalid_value"}
_ROW_KEYS = {"messages", "tools", "parallel_tool_calls", "functions"}
_MESSAGE_KEYS = {"role", "content", "name", "weight", "refusal", "tool_calls", "tool_call_id", "function_call"}
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_SPECIAL = re.compile(r"<\|(?:im_start|im_end|endoftext|endofprompt|fim_[a-z]+)\|>")


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal in OpenAI's form."""

    status: int
    message: str
    code: str | None
    param: str | None = None
    type: str = "invalid_request_error"

    @property
    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class Refused(Exception):
    """A request is refused; carries the Problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


WRONG_KEY = Problem(401, "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.", "invalid_api_key")
CLOSED = Problem(403, "Your organization can no longer create fine-tuning jobs. Existing fine-tuned models stay available.", "fine_tuning_closed")
FULL = Problem(429, "Rate limit reached for requests. Please try again later.", "rate_limit_exceeded", None, "requests")
BROKEN = Problem(500, "The server had an error while processing your request. Sorry about that!", None, None, "server_error")


def no_file(file_id: str, param: str = "id") -> Problem:
    return Problem(404 if param == "id" else 400, f"No such File object: {file_id}", "file_not_found" if param != "id" else None, param)


def no_job(job_id: str) -> Problem:
    return Problem(404, f"Could not find fine tune: {job_id}", "fine_tune_not_found", "fine_tune_id")


def no_model(name: str) -> Problem:
    return Problem(404, f"The model `{name}` does not exist or you do not have access to it.", "model_not_found", "model")


def not_tunable(name: str) -> Problem:
    return Problem(400, f"Model {name} is not available for fine-tuning or does not exist.", "model_not_available", "model")


def checked(adapter: TypeAdapter[Any], body: Any) -> dict[str, Any]:
    """Return a request's body as the SDK's type describes it.

    Raises Refused naming the first thing that is not so.
    """
    try:
        value = adapter.validate_python([body])[0]
        return dict(_whole(value))
    except ValidationError as error:
        raise Refused(_problem(error)) from error


def _whole(value: Any) -> Any:
    """Return a value with all that is checked only when it is looked at (an Iterable of the SDK's types) checked."""
    if isinstance(value, Mapping):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_whole(part) for part in value]
    return value


def _problem(error: ValidationError) -> Problem:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"][1:] if not str(part).endswith("Param"))
    code = _CODES.get(first["type"], "invalid_type")
    words = {"unknown_parameter": f"Unknown parameter: '{path}'.", "missing_required_parameter": f"Missing required parameter: '{path}'."}
    return Problem(400, words.get(code, f"Invalid value for '{path}': {first['msg']}."), code, path)


def check_job(asked: Mapping[str, Any]) -> None:
    """Check the limits that the types do not know.

    Raises Refused.
    """
    suffix = asked.get("suffix")
    if suffix is not None:
        _check_length("suffix", suffix, LONGEST_SUFFIX, at_least=1)
    check_metadata(asked.get("metadata") or {})
    seed = asked.get("seed")
    if seed is not None and not 0 <= seed < 2**31:
        raise Refused(Problem(400, f"Invalid 'seed': expected a value from 0 to 2147483647, but got {seed} instead.", "invalid_value", "seed"))
    for name, most in (("n_epochs", MOST_EPOCHS), ("batch_size", MOST_A_BATCH)):
        value = hyperparameters(asked).get(name, "auto")
        if value != "auto" and not 1 <= value <= most:
            where, code = ("above maximum", "integer_above_max_value") if value > most else ("below minimum", "integer_below_min_value")
            limit = f"<= {most}" if value > most else ">= 1"
            raise Refused(Problem(400, f"Invalid '{name}': integer {where} value. Expected a value {limit}, but got {value} instead.", code, name))
    factor = hyperparameters(asked).get("learning_rate_multiplier", "auto")
    if factor != "auto" and factor <= 0:
        what = "Invalid 'learning_rate_multiplier': expected a value > 0"
        raise Refused(Problem(400, f"{what}, but got {factor} instead.", "decimal_below_min_value", "learning_rate_multiplier"))


def check_metadata(pairs: Mapping[str, str]) -> None:
    """Check that there are at most 16 pairs of at most 64 and 512 characters.

    Raises Refused.
    """
    if len(pairs) > MOST_PAIRS:
        what = f"Invalid 'metadata': too many properties. Expected an object with at most {MOST_PAIRS} properties"
        raise Refused(Problem(400, f"{what}, but got an object with {len(pairs)} properties instead.", "object_above_max_properties", "metadata"))
    for key, value in pairs.items():
        _check_length("metadata", key, LONGEST_KEY)
        _check_length(f"metadata.{key}", value, LONGEST_VALUE)


def _check_length(name: str, text: str, most: int, at_least: int = 0) -> None:
    if len(text) > most:
        what = f"Invalid '{name}': string too long. Expected a string with maximum length {most}"
        raise Refused(Problem(400, f"{what}, but got a string with length {len(text)} instead.", "string_above_max_length", name))
    if len(text) < at_least:
        raise Refused(Problem(400, f"Invalid '{name}': empty string.", "empty_string", name))


def hyperparameters(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of the training, under `method` or, as it was once, above it."""
    method = asked.get("method") or {}
    return dict((method.get("supervised") or {}).get("hyperparameters") or asked.get("hyperparameters") or {})


def check_upload(purpose: str, content: bytes) -> None:
    """Check a file as the upload does: a known purpose, and of a training file that each line is a JSON object.

    Raises Refused.
    """
    if purpose not in PURPOSES:
        known = ", ".join(f"'{name}'" for name in PURPOSES)
        raise Refused(Problem(400, f"'{purpose}' is not one of [{known}] - 'purpose'", "invalid_value", "purpose"))
    if len(content) > LARGEST_FILE:
        raise Refused(Problem(413, f"The file is too large: {len(content)} bytes, the limit is {LARGEST_FILE}.", "file_too_large", "file"))
    if not content:
        raise Refused(Problem(400, "File is empty.", "empty_file", "file"))
    if purpose == "fine-tune":
        for number, line in enumerate(content.decode("utf-8", "replace").removesuffix("\n").split("\n"), 1):
            if not isinstance(_parsed(line), dict):
                what = "Expected file to have JSONL format, where every line is a JSON dictionary."
                raise Refused(Problem(400, f'{what} Line {number} is not a dictionary (HINT: line starts with: "{line[:8]}...").', None, None))


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def fault_of_files(method: str, file_id: str, contents: Mapping[str, bytes]) -> dict[str, Any] | None:
    """Return a job's `error` for what is wrong with its files (by `training_file` and `validation_file`), or None; `file_id` is the first's."""
    if method != "supervised":
        what = f"Input file {file_id} is in the fine-tune-chat format, but the specified fine-tuning job is not using 'supervised' as the training method"
        message = f"The job failed due to an invalid training file. Invalid file format. {what} (provided method={method})."
        return {"code": "invalid_training_file", "message": message, "param": "training_file"}
    for param, content in contents.items():
        name, fewest = param.removesuffix("_file"), FEWEST_ROWS if param == "training_file" else 1
        rows = [_parsed(line) for line in content.decode("utf-8", "replace").removesuffix("\n").split("\n")]
        said = next((f"Example {number}{fault}" for number, row in enumerate(rows, 1) if (fault := _fault_of_row(row))), "")
        if said:
            message = f"The job failed due to a file format error in the {name} file. Invalid file format. {said}"
            return {"code": "invalid_file_format", "message": message, "param": param}
        if len(rows) < fewest:
            message = f"{name.capitalize()} file has {len(rows)} example(s), but must have at least {fewest} examples"
            return {"code": "invalid_n_examples", "message": message, "param": param}
    return None


def _fault_of_row(row: dict[str, Any]) -> str:
    """Return what is wrong with a row (it begins behind "Example 7"), or nothing."""
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return ' is missing key "messages".'
    extra = sorted(row.keys() - _ROW_KEYS)
    if extra:
        return f' contains an extra "{extra[0]}".'
    for number, message in enumerate(messages, 1):
        fault = _fault_of_message(message)
        if fault:
            return f", message {number} {fault}"
    if messages[-1]["role"] != "assistant" or all(m.get("weight") == 0 for m in messages if m["role"] == "assistant"):
        return " has no message of the assistant to learn at its end."
    return ""


def _fault_of_message(message: Any) -> str:
    if not isinstance(message, dict) or "role" not in message:
        return "Discriminator 'role' is missing in value"
    extra = sorted(message.keys() - _MESSAGE_KEYS)
    if extra:
        return f'contains an extra "{extra[0]}".'
    if message["role"] not in _ROLES:
        return f"has an unknown role: {message['role']!r}."
    if message.keys() & {"tool_calls", "tool_call_id", "function_call"} or message["role"] in ("tool", "function"):
        return "calls tools, which this service does not train."
    return _fault_of_content(message)


def _fault_of_content(message: dict[str, Any]) -> str:
    if not isinstance(message.get("content"), str):
        return "has no text as its content."
    if "weight" in message and (message["role"] != "assistant" or message["weight"] not in (0, 1)):
        return "has a weight that is not 0 or 1, or is not on the assistant's."
    special = _SPECIAL.search(message["content"])
    return f"contains an invalid token: {special[0]}." if special else ""
