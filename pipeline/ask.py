"""python -m pipeline.ask ["question"] [--context FILE] [--threshold P] [--qa NAME] [--classifier NAME] [--data DIR]

Search → discriminator → the answer with its source and evidence; or a clear refusal with the sections that came closest.

Examples
  python -m pipeline.ask "Who won the women's marathon at the 2020 Summer Olympics?"
  python -m pipeline.ask "Who won the women's marathon at the 2048 Summer Olympics?"
      no section answers that: the answer declines, and names the sections that came closest
  python -m pipeline.ask
      a prompt that keeps models and index loaded, until Ctrl-D; questions may come from a pipe, too, one a line
  python -m pipeline.ask "How tall is it?" --context notes.txt
      judge one text instead of searching the run
  python -m pipeline.ask "Who won the javelin?" --qa NAME
      a QA model words the answer ('embedded': the small one that comes with this); the sentence that it rests on is still shown, and if the
      model declines, so does ask
  python -m pipeline.ask --classifier NAME "She touched the wall first after two hundred metres."
      the class of a text, and its probability

The search fuses BM25 with MiniLM's sentence vectors; the vectors are made at the first question (a minute for 2,000 sections) and kept in
search/. A section that lacks a year of the question, is about other games or about men for women is not taken, whatever the discriminator
says; the refusal tells so.
"""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from pipeline import cli, settings
from pipeline.errors import InputError, PipelineError
from pipeline.records import NO_ANSWER, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.answering.answer import Answer
    from pipeline.cli import Run

_PROMPT = "? "
_CLOSEST = 3


@cli.stage("ask")
@click.argument("question", required=False)
@settings.context_file
@settings.discriminator
@settings.threshold
@settings.top_k
@settings.max_tokens
@settings.qa_model
@settings.qa_base_url
@settings.classifier
def main(
    run: Run, question: str | None, context_file: Path | None, discriminator: str, threshold: float | None, candidates: int, max_tokens: int,
    qa: str | None, base_url: str | None, classifier: str | None,
) -> cli.Outcome:  # fmt: skip
    """Search → discriminator → the answer with its source; or a clear refusal."""
    question = None if question is None else _readable(question)
    if question is not None and not question.strip():
        raise InputError("there is no question", repr(question), 'write it in quotes: python -m pipeline.ask "Who won …?"')
    if classifier:
        return _classify(run, classifier, question)
    with _answering(run, context_file, discriminator, threshold, candidates, max_tokens, qa, base_url) as answer:
        notices = _notices(run, discriminator)
        if question is None:
            return _converse(run, answer, notices)
        found = answer(question)
    counts = {"candidates": len(found.candidates), "answered": int(bool(found.text))}
    return cli.Outcome(counts, run.folder.root, (), result=tuple(_said(found)), facts={**_facts(found), "notices": notices})


@contextlib.contextmanager
def _answering(
    run: Run, context_file: Path | None, discriminator: str, threshold: float | None, most: int, max_tokens: int, qa: str | None, base_url: str | None
) -> Iterator[Callable[[str], Answer]]:  # fmt: skip
    """Load all that is needed, once, and yield what answers a question."""
    from pipeline.answering import reader
    from pipeline.answering.answer import answer, evidence_for
    from pipeline.trainers.saved import load_scorer

    if base_url and not qa:
        raise InputError("--base-url is for --qa", base_url, "name the endpoint's model with --qa")
    folder = _trained(run, discriminator)
    with contextlib.ExitStack() as stack:
        scorer = load_scorer(folder, run.folder.ledger)
        given = _given(context_file) if context_file else None
        sections = [given] if given else _sections(run)
        evidence = evidence_for(scorer, lambda: (section.context for section in sections))
        search = _search(run, sections, evidence.encoder) if not given else None
        limit = scorer.threshold if threshold is None else threshold
        model = stack.enter_context(reader.reader(run.folder, reader.chosen(run.folder, qa, base_url), run.say)) if qa else None

        def answered(question: str) -> Answer:
            found = search.candidates(question, most, max_tokens) if search else sections
            return answer(question, found, scorer, limit, evidence, model.answer if model else None, qa or "")

        yield answered


def _trained(run: Run, discriminator: str) -> Path:
    """Return the discriminator's folder."""
    folder = run.folder.discriminator
    if discriminator != folder.name:
        return run.folder.require_model(discriminator)
    stage = run.require("train")
    if stage.get("settings", {}).get("trainer") == "none":
        run.say("ask: the discriminator is older than the examples: the last train had --trainer none")
    return folder


def _notices(run: Run, discriminator: str) -> list[str]:
    """Say, and return, what is to be known of the discriminator before its answers are believed."""
    from pipeline.measuring.provenance import unmeasured

    why = unmeasured(run, run.folder.model(discriminator))
    if not why:
        return []
    measure = run.folder.command(
        "evaluate", "--dataset", "FILE", *(() if discriminator == "discriminator" else ("--discriminator", shlex.quote(discriminator)))
    )
    notice = (
        f"the discriminator was never measured – {discriminator}: {why} – take its answers with doubt; `{measure}` measures it on questions of yours"
    )
    run.say(f"ask: {notice}")
    return [notice]


def _given(path: Path) -> Section:
    """Return a text file as a section of its own."""
    try:
        text = path.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError("the context is not UTF-8 text", path, "save it as UTF-8") from error
    except OSError as error:
        raise InputError("the context cannot be read", f"{path}: {error.strerror}", "check --context") from error
    if not text:
        raise InputError("the context is empty", path, "name a file with text")
    return Section("", 0, 0, 0, path.name, "", "", 1, text, 0, None, "", "")


def _sections(run: Run) -> list[Section]:
    from pipeline.sources.given import read_sections

    run.require("collect")
    return read_sections(run.folder.sections)


def _search(run: Run, sections: list[Section], encoder: Any) -> Any:
    from pipeline.retrieval.search import Search

    return Search.over(sections, run.folder.search, encoder, functools.partial(run.progress, what="sections for the search, once", unit="section"))


def _converse(run: Run, answer: Callable[[str], Answer], notices: list[str]) -> cli.Outcome:
    """Answer questions as they come, from a person or a pipe, until there are no more; one that fails ends nothing."""
    counts = {"asked": 0, "answered": 0}
    failure: PipelineError | None = None
    for question in _questions(run):
        began = time.monotonic()
        try:
            found = answer(question)
        except PipelineError as error:
            failure = error
            click.echo(f"error: {cli.harmless(str(error))}", err=True)
            continue
        seconds = time.monotonic() - began
        counts["asked"] += 1
        counts["answered"] += bool(found.text)
        for line in [] if sys.stdin.isatty() else [f"{_PROMPT}{question}"]:
            click.echo(line, err=run.as_json)
        for line in _said(found):
            click.echo(cli.harmless(line), err=run.as_json)
        run.say(f"  {seconds:.2f} s")
        if run.as_json:
            click.echo(cli.as_json({**_facts(found), "seconds": round(seconds, 3)}))
    return cli.Outcome(counts, run.folder.root, failure=failure, facts={"notices": notices})


def _questions(run: Run) -> Iterator[str]:
    """Yield the questions of the terminal (with history and editing where readline is there), or the lines of a pipe."""
    if not sys.stdin.isatty():
        yield from (_readable(line.strip()) for line in sys.stdin if line.strip())
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (input() edits with it)
    run.say("Ask; Ctrl-D ends.")
    while True:
        try:
            line = input(_PROMPT).strip()
        except EOFError:
            click.echo(err=True)
            return
        if line:
            yield _readable(line)


def _readable(text: str) -> str:
    """Return a text with a question mark for each byte that was no UTF-8 (Python has half a character there, which no model takes)."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _said(found: Answer) -> list[str]:
    """Return an answer as lines for a terminal."""
    lines = [found.text or NO_ANSWER]
    if found.text and found.text != found.evidence:
        lines.append(
            f"  evidence: {found.evidence}"
            if found.supported
            else f"  in the model's own words, which the section does not hold; it says: {found.evidence}"
        )
    shown = found.candidates[: 1 if found.text else _CLOSEST]
    if not found.text:
        asked_model = found.by not in ("discriminator", "")
        lines += [f"{found.by} declined; closest:" if asked_model else "closest:"] if shown else ["no section has a word of the question"]
    for one in shown:
        s = one.section
        place = " – ".join(part for part in (s.title, s.heading) if part)
        source = " ".join(part for part in (s.url, f"(revision {s.revision_id})" if s.revision_id else "") if part)
        judged = one.judged.against or f"p(answerable) {one.judged.p:.2f}, threshold {found.threshold:.2f}"
        lines.append(f"  {place}  {judged}" + (f"\n  {source}" if source else ""))
    return lines


def _facts(found: Answer) -> dict[str, Any]:
    """Return an answer for `--json`."""
    return {
        "question": found.question, "answer": found.text or None, "evidence": found.evidence or None, "supported": found.supported if found.text else None, "p_answerable": round(found.p, 4),
        "threshold": found.threshold, "by": found.by, "candidates": [one.described() for one in found.candidates],
    }  # fmt: skip


def _classify(run: Run, name: str, text: str | None) -> cli.Outcome:
    """Name the class of a text, or of each line of a pipe."""
    from pipeline.trainers.saved import load_classifier

    model = load_classifier(run.folder.require_model(name), run.folder.ledger)
    texts = [text] if text is not None else list(_questions(run))
    lines, told = [], []
    for one, row in zip(texts, model.probabilities(texts) if texts else [], strict=True):
        best = int(row.argmax())
        lines.append(f"{model.classes[best].strip()}  {row[best]:.2f}")
        ranked = {model.classes[at]: round(float(row[at]), 4) for at in row.argsort()[::-1]}
        told.append({"text": one, "class": model.classes[best], "p": round(float(row[best]), 4), "classes": ranked})
    facts = told[0] if text is not None else {"texts": told}
    return cli.Outcome({"texts": len(texts)}, run.folder.root, result=tuple(lines), facts=facts)


if __name__ == "__main__":
    main()
