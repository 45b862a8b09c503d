"""The dataset that `train` makes: examples of every kind, verified, the training files of each split, and what describes them."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline import settings
from pipeline.engines.calls import progress_of
from pipeline.errors import InputError
from pipeline.records import KINDS, QA, SPLITS, Example, Page, ReviewedExample, Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.cli import Run
    from pipeline.dataset.formats.squad import Span
    from pipeline.dataset.review import Verdict
    from pipeline.engines.second_reader import Reader
    from pipeline.negatives.make import Made
    from pipeline.negatives.second_reading import Reread
    from pipeline.retrieval.minilm import MiniLM

_AMOUNT = re.compile(r"\d{1,3}(?:\.\d{1,3})?", re.ASCII)
NEGATIVE_KINDS = tuple(kind for kind in KINDS if kind != "positive")
VERDICT_COUNTS = (("keep", "kept"), ("fix", "fixed"), ("drop", "dropped"))
_REASONS = 3  # of dropping, the most frequent; the summary is a line, and there are a dozen
NOTICES = 3  # of a file; one sentence shows what is meant, a thousand hide it


def parse_negatives(text: str) -> dict[str, float]:
    """Read `KIND=N,...`; 0.5 is one for every other question.

    Raises InputError naming the part that is no such thing.
    """
    wanted: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        kind, _, number = part.partition("=")
        if kind not in NEGATIVE_KINDS or not _AMOUNT.fullmatch(number) or float(number) > 100:  # noqa: PLR2004
            raise InputError("--negatives is not understood", part, f"write KIND=N with a kind of {', '.join(NEGATIVE_KINDS)}")
        wanted[kind] = float(number)
    return {kind: wanted[kind] for kind in NEGATIVE_KINDS if kind in wanted}


def examples(run: Run, rows: list[QA], sections: list[Section], wanted: Mapping[str, float], verify: str, trainer: str, seed: int) -> Made:
    """Return the examples of all questions, positives and the negatives that were asked for, with progress."""
    from pipeline.negatives.make import make_examples

    encoder = _encoder(run, trainer)
    with run.progress(len(rows), "examples", "question") as bar:
        return make_examples(rows, sections, wanted, verify != "none", encoder.sentence_vectors if encoder else None, seed, bar.step)


def _encoder(run: Run, trainer: str) -> MiniLM | None:
    """Return the encoder; without the extra, files can still be made, by rules and BM25 alone."""
    from pipeline.errors import ExtraMissing
    from pipeline.retrieval.minilm import encoder

    try:
        return encoder()
    except ExtraMissing:
        if trainer == "local":
            raise
        run.say("train: without the extra 'train' negatives are verified by rules alone, and similar ones are BM25's alone")
        return None


def read_again(run: Run, made: Made, rows: list[QA], reader: Reader) -> Reread:
    """Ask a model on each negative that passed the rules; change `made` by what it says."""
    from pipeline.engines.second_reader import known_of, read_all
    from pipeline.negatives.second_reading import settle

    if reader.calls.embedded:
        run.say(f"train: negatives are read by the embedded model {reader.model} (small: it is not always right)")
    negatives = [e for e in made.examples if e.kind != "positive"]
    with run.progress(len(negatives), "verifying", "negative") as bar:
        said = read_all(negatives, reader.model, reader.calls, run.folder.ledger, run.say, lambda client: bar.step(1, **progress_of(client.budget)))
    known = known_of((e for e in made.examples if e.kind == "positive"), reader.model, run.folder.ledger, embedded=reader.calls.embedded)
    reread = settle(made, {row.qa_id: row.answer for row in rows}, said, reader.model)
    reread.positives_known, reread.positives_declined = len(known), sum(one.declined for one in known)
    return reread


def read_review(path: Path) -> dict[str, Verdict]:
    """Read the verdicts that a report exported, by example id.

    Raises InputError if the file cannot be read, or naming the line that is no verdict.
    """
    from pipeline.dataset.review import parse

    try:
        return parse(path.name, path.read_text("utf-8").split("\n"))  # U+2028 in a text ends no line
    except UnicodeDecodeError as error:
        raise InputError("the review is not UTF-8 text", path, "export it from the report again") from error
    except OSError as error:
        raise InputError("the review cannot be read", f"{path}: {error.strerror}", "check --review") from error


def apply_review(run: Run, made: Made, review: Path | None, verdicts: Mapping[str, Verdict]) -> tuple[Made, list[ReviewedExample]]:
    """Return what was made, after its review, and each verdict beside what the checks had said.

    Raises InputError naming the line of a verdict that cannot be applied, or if nothing is left.
    """
    from dataclasses import replace

    from pipeline.dataset.review import apply

    if review is None:
        if run.folder.stages().get("train", {}).get("counts", {}).get("review"):
            run.say("train: the last one applied a review, this one does not (--review FILE)")
        return made, []
    done = apply(review.name, made.examples, verdicts)
    if not done.examples:
        raise InputError("the review drops every example", review, "keep some")
    return replace(made, examples=done.examples, dropped=[*made.dropped, *done.dropped]), done.verdicts


def review_counts(judged: Sequence[ReviewedExample]) -> dict[str, int]:
    """Return how many rows were kept, fixed and dropped by people."""
    return {name: sum(row.verdict == verdict for row in judged) for verdict, name in VERDICT_COUNTS}


def write_training_files(
    folder: Path, examples: list[Example], sections: Mapping[str, Section], spans: Mapping[str, Span]
) -> tuple[list[Path], list[str]]:
    """Write the files of each split in every format; return their paths, and what a service will say of too few or too large rows.

    Raises InputError if a row of a chat file is not what services take (an answer is empty, say).
    """
    from pipeline.dataset.formats import hf, squad
    from pipeline.dataset.formats.lines import ROWS, TARGETS
    from pipeline.store import write_jsonl, write_rows, write_text

    titles = {section_id: section.title for section_id, section in sections.items()}
    written, notices = [], []
    for split in SPLITS:
        rows = [example for example in examples if example.split == split]
        for target in TARGETS:
            name = f"{target}.{split}.jsonl"
            for where, row_of in ROWS.items():
                write_jsonl(folder / where / name, map(row_of[target], rows))
                written.append(folder / where / name)
            notices += check_chat_file(folder / name, split)
        write_text(folder / "squad" / f"{split}.json", json.dumps(squad.document(rows, spans, titles), ensure_ascii=False) + "\n")
        write_rows(
            folder / "hf" / "data" / f"{split}.parquet", hf.HubRow, (hf.row(e, spans[e.example_id], sections.get(e.context_section_id)) for e in rows)
        )
        written += [folder / "squad" / f"{split}.json", folder / "hf" / "data" / f"{split}.parquet"]
    write_jsonl(folder / "squad" / "aligned.jsonl", squad.notes(examples, spans))
    return [*written, folder / "squad" / "aligned.jsonl"], notices


def check_chat_file(path: Path, split: str) -> list[str]:
    """Read a chat file as a service will; return what it will say of its size.

    Raises InputError naming the first row that is not as documented.
    """
    from pipeline.dataset.chat_rules import FEWEST_ROWS, faults
    from pipeline.text.tokens import token_counter

    fewest = {"train": FEWEST_ROWS}.get(split, 0)
    with path.open("rb") as lines:
        found = faults(path.name, lines, token_counter("cl100k_base"), fewest_rows=fewest)
    of_form = [fault for fault in found if not fault.of_amount]
    if of_form:
        more = f" (and {len(of_form) - 1} more)" if len(of_form) > 1 else ""
        raise InputError(of_form[0].what, f"{path}, row {of_form[0].row}{more}", of_form[0].do)
    return [f"notice: {fault}" for fault in found[:NOTICES]]


def write_descriptions(
    run: Run, made: Made, sections: Mapping[str, Section], home: Mapping[str, str], spans: Mapping[str, Span], metrics: Mapping[str, Any]
) -> tuple[list[Path], list[str]]:
    """Write statistics and dataset card; return their paths, and a warning for each leak between splits."""
    from pipeline.dataset import card
    from pipeline.dataset.leaks import leaks
    from pipeline.dataset.statistics import as_json, page, statistics, warnings
    from pipeline.evaluation.overlap import overlap_by_split
    from pipeline.sources.attribution import attribution
    from pipeline.store import read_rows, write_json, write_text

    found = leaks(made.examples, {section_id: section.title for section_id, section in sections.items()}, home)
    notes = [note for note in (metrics.get("threshold_warning"),) if note]
    figures = statistics(made.examples, made.dropped, spans, found, overlap_by_split(made.examples), notes)
    pages = [page for page in (read_rows(run.folder.pages, Page) if run.folder.pages.is_file() else []) if page.status == "kept"]
    about = card.About(pages, card.languages_of(pages) or _language_of_the_topic(run), metrics)
    folder = run.folder.training
    write_json(folder / "statistics.json", as_json(figures))
    write_text(folder / "statistics.md", page(figures))
    write_text(folder / "hf" / "README.md", card.card(about, figures))
    write_text(folder / "hf" / "ATTRIBUTION.md", attribution(pages))
    return [folder / "statistics.json", folder / "statistics.md", folder / "hf" / "README.md", folder / "hf" / "ATTRIBUTION.md"], warnings(figures)


def _language_of_the_topic(run: Run) -> list[str]:
    """Return the language of the bundled topic if the pages were collected for it; of other topics' files nothing but a hash is known."""
    from pipeline.store import sha256_of

    topic = settings.bundled("topics", "olympics-2020.toml")
    used = run.folder.stages().get("collect", {}).get("inputs", {}).get("topic")
    return [settings.load_topic(topic).language] if used == sha256_of(topic) else []


def counts_of(made: Made) -> dict[str, Any]:
    """Return what was made, by kind, split and source, and what was not, by reason: the counts of the manifest."""
    negatives = [e for e in made.examples if e.kind != "positive"]
    unfilled = [d for d in made.dropped if d.reason.startswith("not_available")]
    seconds = sum(e.kind == "positive" and e.verified.startswith("offered as") for e in made.examples)
    return {
        "examples": len(made.examples), "by_kind": dict(sorted(Counter(e.kind for e in made.examples).items())),
        "by_split": dict(sorted(Counter(e.split for e in made.examples).items())),
        "by_source": dict(sorted(Counter(e.source for e in made.examples).items())),
        "negatives_asked_for": sum(made.asked.values()), "negatives": len(negatives), "not_available": len(unfilled),
        "not_available_by_kind": dict(sorted(Counter(d.kind for d in unfilled).items())),
        "asked_by_kind": dict(sorted(made.asked.items())), "candidates_by_kind": dict(sorted(made.offered.items())), "second_positives": seconds,
        "pages_in_components": made.splits.pages_in_components if made.splits else 0,
        "largest_component": made.splits.largest_component if made.splits else 0,
        "dropped_by_reason": dict(sorted(Counter(d.reason for d in made.dropped).items())),
    }  # fmt: skip


def sentence_of(counts: Mapping[str, Any]) -> str:
    """Return the counts as a sentence for a terminal."""
    by_kind, by_split = (", ".join(f"{n} {key}" for key, n in counts[name].items()) for name in ("by_kind", "by_split"))
    reasons = sorted(counts["dropped_by_reason"].items(), key=lambda one: (-one[1], one[0]))
    shown = ", ".join(f"{n} {reason}" for reason, n in reasons[:_REASONS])
    more = ", … (all in dropped_examples.parquet)" if len(reasons) > _REASONS else ""
    return f"{counts['examples']} examples ({by_kind}; {by_split}){f'; candidates dropped: {shown}{more}' if reasons else ''}"
