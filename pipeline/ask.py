"""python -m pipeline.ask "question" [--context FILE] [--threshold P] [--data DIR]

Search → discriminator → the sentence that answers, with its source; or a clear refusal.

Examples
  python -m pipeline.ask "Who won the women's marathon at the 2020 Summer Olympics?"
  python -m pipeline.ask "Who won the women's marathon at the 2048 Summer Olympics?"
      no section answers that: the answer declines, and names the sections that came closest
  python -m pipeline.ask "How tall is it?" --context notes.txt
      judge one text instead of searching the run
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pipeline import cli, settings
from pipeline.errors import InputError
from pipeline.records import NO_ANSWER, Section

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.cli import Run


@dataclass(frozen=True, slots=True)
class Judged:
    """A section that the search found, and the discriminator's p(answerable)."""

    section: Section
    p: float

    def described(self) -> dict[str, Any]:
        """Return it for `--json`."""
        s = self.section
        return {
            "p_answerable": round(self.p, 4),
            "section_id": s.section_id,
            "title": s.title,
            "heading": s.heading,
            "url": s.url,
            "revision_id": s.revision_id,
        }


@cli.stage("ask")
@click.argument("question")
@settings.context_file
@settings.threshold
@settings.top_k
def main(run: Run, question: str, context_file: Path | None, threshold: float | None, candidates: int) -> cli.Outcome:
    """Search → discriminator → the sentence that answers, with its source; or a clear refusal."""
    from pipeline.retrieval.minilm import MiniLM
    from pipeline.trainers.discriminator import Discriminator, Pair, best_sentence, features

    if not question.strip():
        raise InputError("there is no question", repr(question), 'write it in quotes: python -m pipeline.ask "Who won …?"')
    stage = run.require("train")
    model = Discriminator.load(run.folder.discriminator)
    if stage.get("settings", {}).get("trainer") == "none":
        run.say("ask: the discriminator is older than the examples: the last train had --trainer none")
    found = [_given(context_file)] if context_file else _search(run, question, candidates)
    limit = model.threshold if threshold is None else threshold
    encoder = MiniLM()
    judged: list[Judged] = []
    if found:
        p = model.probabilities(features([Pair(question, s.context) for s in found], model.idf, encoder))
        judged = sorted((Judged(s, float(v)) for s, v in zip(found, p, strict=True)), key=lambda j: -j.p)
    evidence = ""
    if judged and judged[0].p >= limit:
        best = judged[0].section
        evidence = best_sentence(question, best.content, f"{best.title} {best.heading}", encoder, model.idf)
    return _outcome(run, question, evidence, judged, limit)


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


def _search(run: Run, question: str, k: int) -> list[Section]:
    from pipeline.retrieval.bm25 import Bm25
    from pipeline.sources.given import read_sections

    run.require("collect")
    sections = read_sections(run.folder.sections)
    return [sections[at] for at in Bm25([section.context for section in sections]).search([question], k)[0]]


def _outcome(run: Run, question: str, evidence: str, judged: list[Judged], limit: float) -> cli.Outcome:
    lines = [evidence or NO_ANSWER]
    shown = judged[:1] if evidence else judged[:3]
    lines += [] if evidence else ["closest:"] if shown else ["no section has a word of the question"]
    for one in shown:
        s = one.section
        place = " – ".join(part for part in (s.title, s.heading) if part)
        source = " ".join(part for part in (s.url, f"(revision {s.revision_id})" if s.revision_id else "") if part)
        lines.append(f"  {place}  p(answerable) {one.p:.2f}, threshold {limit:.2f}" + (f"\n  {source}" if source else ""))
    facts = {
        "question": question, "answer": evidence or None, "evidence": evidence or None, "p_answerable": round(judged[0].p, 4) if judged else 0.0,
        "threshold": limit, "candidates": [one.described() for one in judged],
    }  # fmt: skip
    return cli.Outcome({"candidates": len(judged), "answered": int(bool(evidence))}, run.folder.root, (), result=tuple(lines), facts=facts)


if __name__ == "__main__":
    main()
