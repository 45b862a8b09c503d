"""Fine-tuning at a service, in parts that need none: result files, refusals, what is asked of a model and read, the ledger's notes, money."""

from __future__ import annotations

import base64
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from pipeline.dataset.chat_rules import tokens_a_row
from pipeline.errors import InputError
from pipeline.ledger import Ledger
from pipeline.llm.budget import Price, base_of, price_of, training_price_of
from pipeline.llm.chat import ChatReply, ChatRequest, entry_of, reply_of
from pipeline.llm.job_answers import each_once, event_of, job_of
from pipeline.llm.job_faults import Instead, refusal_of
from pipeline.llm.jobbook import BEGUN, ENDED, INTENDED, JobBook
from pipeline.trainers import hosted, results
from pipeline.trainers.hosted import shares
from pipeline.trainers.job_files import estimate, job_file
from pipeline.trainers.job_folder import place_of
from pipeline.trainers.job_orders import batch_size_of
from pipeline.trainers.job_watch import shown, until
from pipeline.trainers.service_results import columns_of, from_events, last_of, lines_of, text_of

TODAY = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,1.5,0.25,1.75,0.5\n2,1.25,0.5,,\n"
AZURE = (
    "step,train_loss,train_mean_token_accuracy,valid_loss,validation_mean_token_accuracy,full_valid_loss,full_valid_mean_token_accuracy\n"
    "1,1.5,0.25,1.75,0.5,-1.0,-1.0\n2,1.25,0.5,-1.0,-1.0,1.625,0.75\n"
)
LEGACY = (
    "step,elapsed_tokens,elapsed_examples,training_loss,training_sequence_accuracy,training_token_accuracy,classification/accuracy,classification/f1.0\n"
    "1,800,8,1.5,0.0,0.25,0.75,0.5\n2,1600,16,1.25,0.5,0.5,,\n"
)
GUIDE = "step,elapsed_tokens,elapsed_examples,training_loss,training_sequence_accuracy,training_token_accuracy,validation_loss,validation_sequence_accuracy,validation_token_accuracy"


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        (TODAY, f"{GUIDE}\n1,,8,1.5,,0.25,1.75,,0.5\n2,,16,1.25,,0.5,,,\n"),
        (AZURE, f"{GUIDE},full_validation_loss,full_validation_token_accuracy\n1,,8,1.5,,0.25,1.75,,0.5,,\n2,,16,1.25,,0.5,,,,1.625,0.75\n"),
        (LEGACY, f"{GUIDE},classification/accuracy,classification/f1\n1,800,8,1.5,0,0.25,,,,0.75,0.5\n2,1600,16,1.25,0.5,0.5,,,,,\n"),
    ],
)
@pytest.mark.parametrize("send", [str.encode, lambda text: base64.b64encode(text.encode()), lambda text: base64.encodebytes(text.replace("\n", "\r\n").encode()), lambda text: b"\xef\xbb\xbf" + text.encode()])  # fmt: skip
def test_each_services_columns_become_the_guides_plain_or_in_base_64(sent: str, written: str, send: object) -> None:
    assert callable(send)
    lines = lines_of(text_of(send(sent)), 8)
    assert results.table(columns_of(lines), lines) == written
    assert results.parse(written) == results.parse(results.table(columns_of(lines), lines))


@pytest.mark.parametrize("content", [b"", b"<html>no</html>", base64.b64encode(b"no table"), b"\xff\xfe\x00", b"a,b\n1,2\n"])
def test_what_is_no_result_file_is_a_sentence(content: bytes) -> None:
    with pytest.raises(InputError, match="no table of steps"):
        text_of(content)


def test_a_row_without_its_step_is_named() -> None:
    with pytest.raises(InputError, match="row 3"):
        lines_of("step,train_loss\n1,0.5\nx,0.5\n")


def test_without_a_result_file_the_events_tell_and_the_last_word_counts() -> None:
    lines = from_events([{"step": 2, "train_loss": 0.5}, {"step": 1, "train_loss": 0.75}, {"step": 2, "full_valid_loss": 1.0}, {"total_steps": 9}], 4)
    assert lines == [
        {"step": 1, "elapsed_examples": 4, "training_loss": 0.75}, {"step": 2, "elapsed_examples": 8, "training_loss": 0.5, "full_validation_loss": 1.0},
    ]  # fmt: skip
    assert last_of(lines, "validation_loss", "full_validation_loss") == 1.0
    assert last_of(lines, "validation_loss") is None


@given(st.text(), st.text())
def test_no_word_of_a_service_breaks_the_reading_of_its_refusals(code: str, message: str) -> None:
    refusal_of(code, message, "value", Instead("m", "here"))


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("exceeded_quota", "Creating this fine-tuning job would exceed your hard limit", "no credit or quota"),
        ("insufficient_quota", "You exceeded your current quota", "no credit or quota"),
        ("unsafe_file", "The job failed due to an unsafe training file.", "moderation"),
        (
            "",
            "This training file was blocked by our moderation system because it contains too many examples that violate our usage policies",
            "moderation",
        ),
        ("model_not_available", "Model gpt-5 is not available for fine-tuning or does not exist.", "cannot fine-tune m"),
        ("", "model 'x' is not tunable", "cannot fine-tune m"),
        ("invalid_n_examples", "Training file has 5 example(s), but must have at least 10 examples", "too small"),
        ("", "Your organization can no longer create fine-tuning jobs.", "takes no new fine-tuning jobs"),
        ("", "Fine-tuning is no longer available for new customers", "takes no new fine-tuning jobs"),
        ("", "Please add your W&B API key before using the wandb integration", "--track wandb"),
        ("", "Invalid 'suffix': string too long", "--suffix"),
    ],
)
def test_a_refusal_is_told_from_its_code_or_its_words(code: str, message: str, said: str) -> None:
    refused = refusal_of(code, message, "value", Instead("m", "train --trainer local"))
    assert refused
    assert said in refused.what
    assert ("train --trainer local" in refused.do) == (not said.startswith("--"))


@pytest.mark.parametrize("message", ["The server is on fire", "Invalid file format in row 7", ""])
def test_what_is_not_known_is_left_to_the_general_sentences(message: str) -> None:
    assert refusal_of("", message, "value", Instead("m", "here")) is None


@pytest.mark.parametrize(
    ("text", "likely", "classes", "found"),
    [
        (" yes", (), ("no", "yes"), [0.0, 1.0]),
        ("yes", (("yes", 0.6), (" no", 0.2), ("maybe", 0.2)), ("no", "yes"), [0.25, 0.75]),
        ("No.", (("N", 0.5),), ("no", "yes"), [1.0, 0.0]),
        ("sports", (("s", 0.9),), ("science", "sports"), [0.0, 1.0]),  # both begin so: the token tells nothing
        ("yes", (("no", 0.9), ("yes", 0.1)), ("no", "yes"), [0.0, 1.0]),  # it says what it says
        ("perhaps", (("yes", 0.6),), ("no", "yes"), None),
        ("", (), ("no", "yes"), None),
    ],
)
def test_a_reply_gives_each_class_its_probability(
    text: str, likely: tuple[tuple[str, float], ...], classes: tuple[str, ...], found: list[float] | None
) -> None:
    said = shares(ChatReply(text, 0, 0, 1, from_ledger=False, likely=likely), classes)
    assert said == (pytest.approx(found) if found else None)


def test_likely_tokens_are_asked_for_and_read_and_other_requests_keep_their_key() -> None:
    plain, likely = ChatRequest("m", (("user", "u"),), 4), ChatRequest("m", (("user", "u"),), 4, likely=5)
    assert "likely" not in plain.canonical()
    assert plain.key() != likely.key()
    assert likely.body()["top_logprobs"] == 5
    assert not {"logprobs", "top_logprobs"} & likely.body(("logprobs",)).keys()
    tokens = [{"token": "yes", "logprob": 0.0, "top_logprobs": [{"token": "yes", "logprob": -0.5}, {"token": "no", "logprob": -1.0}]}]
    body = json.dumps({"choices": [{"message": {"content": "yes"}, "logprobs": {"content": tokens}}]})
    assert [token for token, _ in reply_of(entry_of(body, {}, 1), from_ledger=False).likely] == ["yes", "no"]
    broken: list[Any] = [None, {}, {"content": []}, {"content": [{"top_logprobs": [{"token": "x"}]}]}]
    for odd in broken:
        body = json.dumps({"choices": [{"message": {"content": "yes"}, "logprobs": odd}]})
        assert reply_of(entry_of(body, {}, 1), from_ledger=False).likely == ()


def test_an_intention_an_id_and_an_end_are_found_again(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        note = JobBook(ledger).intend("job-1", "http://x/v1", "m")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        book = JobBook(ledger)
        assert book.latest("job-1") == note
        assert note.state == INTENDED
        assert note.tag != book.intend("job-2", "http://x/v1", "m").tag
        book.advance(book.open()[-1], ENDED)
        begun = book.advance(note, BEGUN, job={"id": "ftjob-1", "status": "queued"})
        assert book.open() == [begun]
        book.note_events(begun, [{"id": "e1", "data": {"step": 3}}, {"id": "e1"}], 3)
        book.note_events(begun, [{"id": "e1"}], 1)
        assert book.known_events("ftjob-1") == {"e1"}
        assert book.events("ftjob-1") == [{"id": "e1", "data": {"step": 3}}]
        again = book.latest("job-1")
        assert again
        assert again.step == 3
        book.give_up(begun)  # only what was never begun is forgotten
        ended = book.advance(begun, ENDED, job={"id": "ftjob-1", "status": "failed"})
        assert (ended.status, book.open()) == ("failed", [])
        assert book.intend("job-1", "http://x/v1", "m").attempt == 2


def test_training_has_a_price_a_fine_tune_its_own_and_a_table_of_ones_own_goes_first(tmp_path: Path) -> None:
    assert base_of("ft:gpt-4.1-mini-2025-04-14:org:suffix:id") == base_of("gpt-4.1-mini-2025-04-14")
    trained = training_price_of("gpt-4.1-mini-2025-04-14", None)
    assert trained == training_price_of("ft:gpt-4.1-mini-2025-04-14:org::id", None)
    assert trained
    assert trained[0] == 5.0
    tuned, plain = price_of("ft:gpt-4.1-mini-2025-04-14:org::id", None), price_of("gpt-4.1-mini", None)
    assert tuned
    assert plain
    assert tuned.input > plain.input
    own = tmp_path / "p.toml"
    own.write_text('as_of = "2030-01-01"\n[tuned."mine"]\ntraining = 2\ninput = 1\noutput = 1\n')
    assert training_price_of("mine", own) == (2.0, "2030-01-01")
    assert price_of("ft:mine:x", own) == Price(1.0, 1.0, "2030-01-01")
    assert training_price_of("nobody", own) is None
    own.write_text('[tuned."mine"]\ninput = 1\noutput = 1\n')
    with pytest.raises(InputError, match="training ="):
        training_price_of("mine", own)


def test_an_estimate_is_tokens_times_epochs_and_says_when_no_price_is_known() -> None:
    assert estimate(1_000_000, 3, (2.0, "2030"), 0.5).usd == 6.5
    assert estimate(10, 3, None, None).usd is None
    assert estimate(10, 3, None, None).tokens == 30


def row(answer: str) -> dict[str, list[dict[str, str]]]:
    return {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]}


def test_rows_that_are_too_long_are_left_out_and_counted_and_what_breaks_a_rule_is_named() -> None:
    rows = [row("a " * n) for n in range(1, 31)]
    file = job_file("train", rows, lambda text: len(text.split()), 30, "instead")
    assert len(file.lines) + file.n_long == len(rows)
    assert file.n_long > 0
    assert file.content.count(b"\n") == len(file.lines)
    with pytest.raises(InputError, match=r"(?s)4 rows, and services ask for 10.*longer than 3 tokens were left out|0 rows"):
        job_file("train", rows[:4], len, 3, "instead")
    with pytest.raises(InputError, match=r"the content of a message is empty \(row 2\).*instead"):
        job_file("train", [row("a"), row(" ")] * 8, len, 1000, "instead")


def test_newer_models_take_longer_rows_and_of_unknown_ones_the_strictest_is_thought() -> None:
    assert tokens_a_row("gpt-4.1-mini-2025-04-14") == tokens_a_row("gpt-4o-mini") == 65_536
    assert tokens_a_row("gpt-3.5-turbo") == tokens_a_row("mistral") == 16_385


class Bar:
    """A bar that notes what it is told."""

    def __init__(self) -> None:
        self.at, self.total, self.lines = 0, 0, list[str]()

    def step(self, n: int = 1, **shown: object) -> None:
        self.at += n

    def expect(self, total: int) -> None:
        self.total = total

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_steps_go_to_the_bar_and_everything_else_is_said_whatever_the_service_calls_it() -> None:
    bar = Bar()
    events: list[dict[str, Any]] = [
        {"message": "Created", "level": "info", "data": {}}, {"message": "Step 3/9: training loss=1.25", "data": None},
        {"message": "", "data": {"step": 5, "total_steps": 9, "train_loss": 1.5}, "type": "metrics"}, {"message": "hot", "level": "warn", "type": "weather"},
        {"message": None}, {"message": "Step 4/9: late"},
    ]  # fmt: skip
    assert shown(events, bar, 1) == 5
    assert (bar.at, bar.total) == (4, 9)
    assert bar.lines == ["  Created", "  warn: hot", "  "]


def test_a_time_that_is_none_is_not_shown() -> None:
    assert [until(finish) for finish in (None, 0, -5, 10**18, "soon")] == [""] * 5
    assert re.fullmatch(r", until about \d\d:\d\d", until(1_795_529_839))


SECRET = "sk-very-secret-indeed"
ODD: list[dict[str, Any]] = [
    {"created_at": "yesterday"}, {"finished_at": 10**30}, {"error": "the key sk-very-secret-indeed is spent"}, {"hyperparameters": "auto"}, {"method": "x"},
    {"method": {"supervised": []}}, {"result_files": 5}, {"result_files": ["", None, "file-1"]}, {"fine_tuned_model": ["a"]}, {"fine_tuned_model": "a\nb"},
    {"trained_tokens": 0.5}, {"metadata": []},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.filterwarnings("error")
def test_what_a_service_says_of_a_job_is_of_its_kind_or_nothing_and_never_the_key(odd: dict[str, Any]) -> None:
    job = job_of(FineTuningJob.construct(**{"id": "ftjob-1", "status": "galaxy", **odd}), SECRET)
    assert (job.id, job.status) == ("ftjob-1", "galaxy")
    told = job.to_dict(warnings=False)
    assert SECRET not in json.dumps(told)
    assert told["result_files"] == ["file-1"] * ("result_files" in odd and isinstance(odd["result_files"], list))
    assert [name for name in odd if told[name] is not None] == [name for name in odd if name in ("error", "result_files")]
    assert batch_size_of(told) is None


@pytest.mark.parametrize("answer", ["<html>no</html>", [], None, 3, FineTuningJob.construct(), FineTuningJob.construct(id="a", status=None)])
def test_what_is_no_job_is_not_taken_for_one(answer: object) -> None:
    with pytest.raises(ValueError, match=r"no job|no object"):
        job_of(answer, SECRET)


def test_an_event_without_an_id_is_the_same_one_when_it_comes_again() -> None:
    said: dict[str, Any] = {"message": f"Bearer {SECRET}", "data": {SECRET: [SECRET, 1]}}
    first, again = (event_of(FineTuningJobEvent.construct(**said), SECRET) for _ in range(2))
    assert first == again == {"id": first["id"], "message": "Bearer [key]", "data": {"[key]": ["[key]", 1]}}
    assert event_of(FineTuningJobEvent.construct(id="e1", message="a key is a word"), "key")["message"] == "a key is a word"


def test_pages_without_an_end_are_left() -> None:
    events = [FineTuningJobEvent.construct(id=f"e{n}") for n in range(3)]
    assert list(each_once(itertools.cycle(events), 10)) == events
    assert len(list(each_once((FineTuningJobEvent.construct(id=f"e{n}") for n in itertools.count()), 10))) == 10


@pytest.mark.parametrize("step", [-3, 10**30, True, float("inf"), "7"])
def test_a_step_that_is_no_number_of_steps_moves_no_bar(step: object) -> None:
    bar = Bar()
    assert shown([{"message": "", "data": {"step": step, "total_steps": step}}, {"message": f"Step {'9' * 5000}/9"}], bar, 2) == 2
    assert (bar.at, bar.total) == (0, 0)
    assert from_events([{"step": step, "train_loss": 1.0}]) == []


@pytest.mark.parametrize("text", ['step,train_loss\n1,"' + "9" * 200_000 + '"\n', "step,train_loss\n-5,1\n", "step,train_loss\n1e30,1\n"])
def test_a_result_file_that_cannot_be_read_is_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"no table of steps|has no step"):
        lines_of(text)


def test_of_a_step_that_comes_twice_the_last_word_counts() -> None:
    assert lines_of("step,train_loss,valid_loss\n2,1.0,3.0\n1,5,\n2,0.5,\n") == [
        {"step": 1, "training_loss": 5},
        {"step": 2, "training_loss": 0.5, "validation_loss": 3.0},
    ]
    assert from_events([{"step": 1, "train_loss": float("nan"), "train_accuracy": 0.5}]) == [{"step": 1, "training_token_accuracy": 0.5}]


def test_a_services_name_for_a_model_takes_no_other_models_place(tmp_path: Path) -> None:
    for name, key in (("ft:mine", "one"), ("ft:mine-2", "two"), ("foreign", None)):
        (tmp_path / name).mkdir()
        if key:
            (tmp_path / name / "settings.json").write_text(json.dumps({"key": key}), "utf-8")
    asked = [
        ("ft:mine", "one"),
        ("ft:mine", "two"),
        ("ft:mine", "three"),
        ("foreign", "one"),
        ("discriminator", "one"),
        ("../../etc", "one"),
        ("..", "x"),
    ]
    assert [place_of(tmp_path, model, key).name for model, key in asked] == [
        "ft:mine", "ft:mine-2", "ft:mine-3", "foreign-2", "discriminator-2", "etc", "model",
    ]  # fmt: skip


@pytest.mark.parametrize(("url", "trusted"), [
    ("https://api.openai.com/v1", True), ("http://127.0.0.1:8000/v1", True), ("https://mine.example/v1/", True), ("https://evil.example/v1", False),
    ("http://api.openai.com/v1", False), ("https://api.openai.com.evil.example/v1", False), ("https://api.openai.com@evil.example/v1", False),
    ("https://mine.example/v1/../x", False), ("https://[bad", False),
])  # fmt: skip
def test_a_key_goes_to_no_address_that_a_folder_alone_names(url: str, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://mine.example/v1")
    settings = {"model": "ft:m", "base_url": url}
    if trusted:
        assert hosted.address_of(settings, tmp_path) == ("ft:m", url)
    else:
        with pytest.raises(InputError, match="your key would go to"):
            hosted.address_of(settings, tmp_path)
