"""Models that a fine-tuning service makes: what is sent, what it will cost, whether that is wanted, and what came of it."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from pipeline import cli
from pipeline.errors import CapReached, InputError
from pipeline.making.measured import Purse, as_far_as_possible, measured_classifier, measured_discriminator, nothing_to_measure, tuned_name
from pipeline.making.models import Asked, fine_tuned, hashes, then_of, with_files_of
from pipeline.making.tables import listed, table_of
from pipeline.records import SPLITS, Example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pipeline.cli import Run
    from pipeline.trainers.classify import Prepared
    from pipeline.trainers.job_files import JobFile
    from pipeline.trainers.job_folder import Made
    from pipeline.trainers.job_orders import Order, Room
    from pipeline.trainers.rows import Row

_ENCODING = "cl100k_base"
"""comes with the installation; newer models count with another, which makes a few per cent fewer of English"""
_A_DIME = 0.1
_OTHERS = "docs/providers.md"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of the service: which model, where, going on from what, in the words of the flags."""

    model: str
    endpoint: str
    begin: str | None
    rows_before: int | None


def wanted(run: Run, wish: Asked, purse: Purse, target: str, classes: Sequence[str]) -> Wanted:
    """Return which model is fine-tuned where; of an earlier one in this run, where it is.

    Raises InputError if there is no key, or --from names a model that no service has, or that was made for something else.
    """
    from pipeline.llm.client import address
    from pipeline.trainers.hosted import address_of, settings_of

    model, url, rows_before = wish.model or wish.begin or "", purse.base_url, None
    folder = run.folder.model(wish.begin) if wish.begin else None
    if folder and folder.is_dir():
        settings = settings_of(folder)
        if settings is None:
            raise InputError("--from names a model of this machine", folder, "leave --trainer openai out, or name a model of the service")
        if settings.get("target") != target or list(settings.get("classes", ())) != list(classes):
            raise InputError(
                "--from names a model made for something else", f"{folder}: {settings.get('target')}, classes {settings.get('classes')}",
                f"this is {target}, classes {list(classes)}",
            )  # fmt: skip
        model, own = address_of(settings, folder)
        url, rows_before = url or own, settings.get("rows", {}).get("train")
    if not url and not os.environ.get("OPENAI_BASE_URL") and not os.environ.get("OPENAI_API_KEY"):
        raise InputError("there is no key", "OPENAI_API_KEY is not set", "set it, or name a service with --base-url; --trainer local needs none")
    if "@" in urlsplit(address(url)).netloc:
        raise InputError(
            "the service's address has a password in it", address(url).rpartition("@")[2], "leave it out: the address is written into files"
        )
    return Wanted(model, address(url), wish.begin, rows_before)


def tune_all_elsewhere(run: Run, wish: Asked, purse: Purse, made: cli.Outcome | None) -> cli.Outcome:
    """Have a service fine-tune for each target in turn, on the run's examples and the files."""
    from pipeline.store import read_rows, sha256_of
    from pipeline.trainers import rows
    from pipeline.trainers.runs import counted

    examples = with_files_of(read_rows(run.folder.examples, Example) if made else [], wish)
    lines, counts = list(made.lines) if made else [], dict(made.counts) if made else {}
    of_run = {"examples": sha256_of(run.folder.examples)} if made else {}
    made_of = {"inputs": {**hashes(wish), **of_run}, "rows": counted(examples)}
    folder = run.folder.models
    for target in fine_tuned(wish):
        classes = ("no", "yes") if target == rows.DISCRIMINATOR else ()
        _check_classes(examples, classes)
        order = _order_of_examples(run, wish, purse, target, examples, made_of)
        measure = functools.partial(measured_discriminator, run, examples=examples) if classes else nothing_to_measure
        done = _done(run, order, purse, wish, measure)
        folder, counts[target] = done.folder, {"model": done.name, **_figures(done)}
        lines += told(target, done)
    return cli.Outcome(counts, folder, (), tuple(lines), then_of(run, fine_tuned(wish)[-1], folder, wish))


def _check_classes(examples: Sequence[Example], classes: Sequence[str]) -> None:
    train = [e.answerable for e in examples if e.split == "train"]
    if classes and len(set(train)) < 2:  # noqa: PLR2004
        raise InputError("the training rows have one class alone", f"{len(train)} rows", "add questions, or ask for negatives")


def _order_of_examples(run: Run, wish: Asked, purse: Purse, target: str, examples: Sequence[Example], made_of: Mapping[str, Any]) -> Order:
    from pipeline.dataset.formats import chat
    from pipeline.trainers import rows

    as_chat = chat.discriminator if target == rows.DISCRIMINATOR else chat.qa
    parts = {split: [e for e in examples if e.split == split] for split in SPLITS}
    asked = [chat.discriminator_asked(e.context, e.question) for e in (*parts["validation"], *parts["test"])] if target == rows.DISCRIMINATOR else []
    classes = ("no", "yes") if target == rows.DISCRIMINATOR else ()
    known = [[rows.of_example(e) for e in parts[split]] for split in ("train", "validation")]
    return _order(
        run, wish, purse, target, [[as_chat(e) for e in parts[s]] for s in ("train", "validation")], known, classes, asked, made_of, {}, (1.0,)
    )


def classifier_elsewhere(
    run: Run, wish: Asked, purse: Purse, prepared: Prepared, betas: tuple[float, ...], lines: Sequence[str], counts: dict[str, Any]
) -> cli.Outcome:
    """Have a service fine-tune a classifier on prepared rows; `lines` and `counts` tell of them."""
    from pipeline.dataset.formats import chat
    from pipeline.trainers.classify import row_of

    parts = (prepared.train, prepared.validation)
    sent = [[chat.classified(row.text, row.label) for row in part] for part in parts]
    asked = [chat.classified_asked(row.text) for row in prepared.validation]
    order = _order(
        run, wish, purse, "classifier", sent, [list(map(row_of, part)) for part in parts], prepared.classes, asked,
        {"inputs": hashes(wish)}, {"prompt_ending": prepared.explored.ending}, betas,
    )  # fmt: skip
    done = _done(run, order, purse, wish, functools.partial(measured_classifier, run, prepared=prepared, betas=betas))
    counts["classifier"] = {"model": done.name, **_figures(done)}
    then = run.folder.command("ask", "--classifier", shlex.quote(done.folder.name), '"…"')
    return cli.Outcome(counts, done.folder, (), (*lines, *told("classifier", done)), then)


def _order(
    run: Run, wish: Asked, purse: Purse, target: str, sent: Sequence[Sequence[dict[str, Any]]], known: Sequence[Sequence[Row]], classes: tuple[str, ...],
    asked: Sequence[tuple[tuple[str, str], ...]], made_of: Mapping[str, Any], more: Mapping[str, Any], betas: tuple[float, ...],
) -> Order:  # fmt: skip
    """Return what is to be done, with the files checked and counted."""
    from pipeline.dataset.chat_rules import tokens_a_row
    from pipeline.llm.budget import base_of
    from pipeline.text.tokens import token_counter
    from pipeline.trainers.job_files import job_file
    from pipeline.trainers.job_orders import Order
    from pipeline.trainers.terms import hint_for_less_data
    from pipeline.trainers.training import Terms

    want = wanted(run, wish, purse, target, classes)
    count, limit = token_counter(_ENCODING), tokens_a_row(base_of(want.model))
    train, validation = (
        job_file(split, rows, count, limit, f"mend or add rows; or train here: `{_here(run, wish, target)}`", fewest)
        for split, rows, fewest in zip(("train", "validation"), sent, _FEWEST, strict=True)
    )
    terms = Terms(wish.n_epochs, wish.batch_size, wish.learning_rate_multiplier, None, wish.seed)
    factor = wish.learning_rate_multiplier  # what the service takes of its own is not known here
    hint = hint_for_less_data(len(train.lines), want.rows_before, factor) if factor else None
    for line in filter(None, (hint, _of_long(train, validation, limit))):
        run.say(line)
    return Order(
        target, want.model, want.begin, want.endpoint, train, validation if validation.lines else None, (known[0], known[1]), terms,
        wish.suffix, _tracker(wish.track), wish.track, classes, betas, made_of, _estimate(want.model, train, purse, wish, asked, count), more,
    )  # fmt: skip


_FEWEST = (10, 0)  # rows that services ask for, to train on and to validate on


def _of_long(train: JobFile, validation: JobFile, limit: int) -> str | None:
    n = train.n_long + validation.n_long
    return f"{n} rows are longer than the {limit:,} tokens that the model is trained on at once and were left out" if n else None


def _tracker(track: str) -> dict[str, str] | None:
    """Return where the service is asked to send the curves; offline nothing leaves this machine for a tracker."""
    from pipeline.trainers.training import PROJECT

    if track != "wandb" or _offline():
        return None
    entity = os.environ.get("WANDB_ENTITY", "")
    return {"project": os.environ.get("WANDB_PROJECT", "") or PROJECT, **({"entity": entity} if entity else {})}


def _offline() -> bool:
    return os.environ.get("WANDB_MODE", "") in ("offline", "dryrun")


def _estimate(
    model: str, train: JobFile, purse: Purse, wish: Asked, asked: Sequence[tuple[tuple[str, str], ...]], count: Callable[[str], int]
) -> Any:
    from pipeline.llm.budget import price_of, training_price_of
    from pipeline.trainers.hosted import tokens_to_ask
    from pipeline.trainers.job_files import estimate

    price, tuned = training_price_of(model, purse.prices), price_of(tuned_name(model), purse.prices)
    asking = tuned.cost(*tokens_to_ask(asked, count)) if tuned and asked else None
    if purse.max_cost is not None and price is None:
        raise InputError("no price is known for training this model", model, 'name a table that has it with --prices ([tuned."NAME"])')
    return estimate(train.tokens, wish.n_epochs, price, asking)


def _here(run: Run, wish: Asked, target: str) -> str:
    """Return the command that trains here on the very same files."""
    flags = [("--file", wish.file), ("--validation-file", wish.validation_file), ("--positive-class", wish.positive_class)]
    given = "".join(f" {flag} {shlex.quote(str(value))}" for flag, value in flags if value)
    return f"python -m pipeline.train --trainer local --target {target} --model embedded{given} {run.folder.flag}"


def _done(run: Run, order: Order, purse: Purse, wish: Asked, measure: Callable[..., dict[str, Any]]) -> Made:
    """Have an order done, and write its curves for a tracker that is offline."""
    from pipeline.trainers.finetune import ready_tracker
    from pipeline.trainers.job_folder import log_offline
    from pipeline.trainers.openai_jobs import tune

    if wish.track == "wandb" and _offline():
        ready_tracker(wish.track, run.folder.models)
    run.folder.prepare()
    with _room(run, order, _here(run, wish, order.target)) as room:
        done = tune(
            order,
            room,
            functools.partial(_agree, run, order, purse),
            functools.partial(as_far_as_possible, run, order, purse, measure),
            force=run.force,
        )
    if wish.track == "wandb" and _offline() and not done.already:
        log_offline(done)
    return done


@contextmanager
def _room(run: Run, order: Order, here: str) -> Iterator[Room]:
    import openai

    from pipeline.ledger import Ledger
    from pipeline.llm.client import key_from_environment
    from pipeline.llm.job_faults import Instead
    from pipeline.llm.jobbook import JobBook
    from pipeline.llm.jobs import Desk
    from pipeline.trainers.job_orders import Room

    instead = Instead(order.model, here, _OTHERS)
    watch = functools.partial(run.progress, what=f"fine-tuning: {order.target}", unit="step")
    with Ledger(run.folder.ledger) as ledger, openai.OpenAI(base_url=order.endpoint, api_key=key_from_environment(), max_retries=0) as sdk:
        yield Room(Desk(sdk, instead, run.say), JobBook(ledger), run.folder.models, watch, run.say, instead)


def _agree(run: Run, order: Order, purse: Purse, already: bool) -> None:
    """Say what a job will take, and ask whether that is wanted, unless it was agreed to `already`.

    Raises CapReached if it would cost more than it may, InputError if nobody agrees to it.
    """
    said = sentence_of_cost(order)
    usd = order.estimate.usd
    if purse.max_cost is not None and usd is not None and usd > purse.max_cost:
        raise CapReached(
            "the job would cost more than --max-cost",
            f"about {_money(usd)} of {purse.max_cost:g} US dollars: {said}",
            "raise it, or take the job back with --cancel: it was agreed to before" if already else "raise it, or lower --n-epochs",
        )
    if already:
        return
    if not (purse.yes or sys.stdin.isatty()):
        raise InputError("nobody agreed to what this costs", said, "add --yes")
    run.say(f"train: {said}")
    if purse.yes:
        return
    if not click.confirm(cli.harmless(f"Send the files to {order.endpoint} and begin?"), err=True):
        raise InputError("nothing was sent", "you said no", "run it again when you want to; --trainer local costs nothing")


def sentence_of_cost(order: Order) -> str:
    """Return what a job is of and what it will take, as a sentence."""
    e, terms = order.estimate, order.terms
    validation = f", {len(order.validation.lines):,} to validate" if order.validation else ""
    rows = f"{order.target}: {order.model} at {order.endpoint}, {len(order.train.lines):,} rows to train on{validation}"
    tokens = f"{terms.n_epochs} {'epoch' if terms.n_epochs == 1 else 'epochs'} of about {order.train.tokens:,} tokens are {e.tokens:,}"
    if e.training is None:
        return f"{rows}; {tokens}; what that costs is not known here: see the service's prices"
    asking = f", and about {_money(e.asking)} for asking the model afterwards, to measure it" if e.asking else ""
    return f"{rows}; {tokens}, about {_money(e.training)} US dollars at {e.a_million:g} a million (prices of {e.as_of}){asking}"


def _money(usd: float) -> str:
    """Return US dollars, to the cent; less than ten cents to the hundredth of one."""
    return f"{usd:,.2f}" if usd >= _A_DIME else f"{usd:.4f}"


def _figures(done: Made) -> dict[str, Any]:
    s = done.settings
    return {"job": s["job"]["id"], "steps": s["steps"], "seconds": s["seconds"]["training"], "usd": s["cost"]["usd"], **done.metrics}


def told(target: str, done: Made) -> list[str]:
    """Return what came of a job, as lines for a terminal."""
    s, m = done.settings, done.metrics
    if done.already:
        return [f"{target}: nothing to do, {done.name} was made of this with these settings (--force begins another job) → {done.folder}"]
    seconds = f" in {s['seconds']['training']:,} s" if s["seconds"]["training"] is not None else ""
    trained = s["job"].get("trained_tokens")
    cost = f", {trained:,} tokens" if isinstance(trained, int) else ""
    cost += f", {_money(s['cost']['usd'])} US dollars" if s["cost"]["usd"] is not None else ""
    lines = [f"{target}: {done.name}, {s['rows']['train']:,} rows, {s['steps']:,} steps{seconds}{cost} → {done.folder}"]
    figures = [f"{name.replace('_', ' ')} {m[name]:.3f}" for name in m if name.endswith(("_loss", "_accuracy"))]
    lines += ["  " + ", ".join(figures)] if figures else []
    if s["checkpoints"]:
        lines.append(f"  checkpoints: {', '.join(str(one['model']) for one in s['checkpoints'])}")
    if "classification" in m:
        lines.append("  on validation: " + listed(m["classification"]))
    if m.get("asked", {}).get("no_class"):
        lines.append(f"  {m['asked']['no_class']} of {m['asked']['rows']} replies named no class, and count as the first")
    split = "test" if m.get("test", {}).get("discriminator") else "validation"
    return [*lines, *(table_of(m, done.folder, split) if "test" in m else [])]


def cancel_all(run: Run) -> cli.Outcome:
    """Cancel the jobs that this run has under way, wherever they are."""
    import openai

    from pipeline.ledger import Ledger
    from pipeline.llm.client import key_from_environment
    from pipeline.llm.job_faults import Instead
    from pipeline.llm.jobbook import JobBook
    from pipeline.llm.jobs import Desk
    from pipeline.trainers.openai_jobs import cancelled

    lines, n = [], 0
    run.folder.prepare()
    with Ledger(run.folder.ledger) as ledger:
        book = JobBook(ledger)
        for note in book.open():
            with openai.OpenAI(base_url=note.endpoint, api_key=key_from_environment(), max_retries=0) as sdk:
                line, ended = cancelled(Desk(sdk, Instead(note.model, "", _OTHERS), run.say), book, note)
            lines.append(f"train: {line}")
            n += ended
    return cli.Outcome({"cancelled": n}, run.folder.ledger, (), tuple(lines) or ("train: this run folder has no job under way",))
