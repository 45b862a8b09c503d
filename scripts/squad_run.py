"""Make a run folder of a SQuAD 2.0 file, so that negatives of this project's own kinds can be made, trained on and judged with it.

    python scripts/squad_run.py train-v2.0.json --data data/squad --articles 40 --questions-per-paragraph 2
    python -m pipeline.train --data data/squad

A paragraph becomes a section of its article's page (sections.parquet), an answerable question a row of qa.parquet with its first answer and the
sentence that has it as evidence. Questions that people wrote to be unanswerable go to written.jsonl in the form that `evaluate --dataset`
reads (kind "written"); their context is the section's as a model is given it, title first, as in the examples that `train` makes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.dataset.given import WRITTEN, read_dataset
from pipeline.errors import PipelineError
from pipeline.records import QA, Section, context_of, derived_page_id, stable_id
from pipeline.run_folder import RunFolder
from pipeline.store import write_jsonl, write_rows
from pipeline.text.sentences import pieces
from pipeline.text.tokens import token_counter


def articles_of(path: Path) -> list[dict[str, Any]]:
    """Return a SQuAD file's articles, once each of its questions was found to be in order."""
    read_dataset(path)
    packed = path.open("rb").read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as file:
        found = json.load(file)
    if "data" not in found:
        raise SystemExit(f"error: this is not SQuAD JSON – {path} – name a file with articles and paragraphs")
    return list(found["data"])


def sentence_at(text: str, start: int, end: int) -> str:
    """Return the sentence, or the sentences in a row, in which the characters from `start` to before `end` stand."""
    place, found = 0, ""
    for piece in pieces(text):
        if place < end and place + len(piece) > start:
            found += piece
        place += len(piece)
    return found.strip()


def section_of(title: str, position: int, content: str, tokens: int) -> Section:
    """Return a paragraph as a section."""
    page_id = derived_page_id(title)
    return Section(stable_id("sec", page_id, "", position, content), page_id, position, 0, title, "", "", 2, content, tokens, None, "", "")


def qa_of(section: Section, qa: dict[str, Any]) -> QA:
    """Return an answerable question with its first answer."""
    answer = qa["answers"][0]
    evidence = sentence_at(section.content, answer["answer_start"], answer["answer_start"] + len(answer["text"]))
    return QA(f"qa-{qa['id']}", section.section_id, qa["question"].strip(), answer["text"], evidence, "imported", "", None, "", "", 0, 0)


def written_of(section: Section, qa: dict[str, Any]) -> dict[str, Any]:
    """Return a question that was written to be unanswerable, as a row of `evaluate`'s JSON lines."""
    return {
        "id": qa["id"], "context": section.context, "question": qa["question"].strip(), "answers": [], "answerable": False,
        "kind": WRITTEN, "title": section.title,
    }  # fmt: skip


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("squad", type=Path, help="SQuAD 2.0 JSON, plain or gzipped")
    parser.add_argument("--data", type=Path, required=True, help="the run folder to make")
    parser.add_argument("--articles", type=int, help="take N articles (default: all)")
    parser.add_argument("--skip", type=int, default=0, help="… after the first N")
    parser.add_argument("--questions-per-paragraph", type=int, help="draw at most N answerable questions of each paragraph (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    end = None if given.articles is None else given.skip + given.articles
    try:
        _write(articles_of(given.squad)[given.skip : end], given)
    except PipelineError as error:
        raise SystemExit(f"error: {error}") from error


def _write(articles: list[dict[str, Any]], given: argparse.Namespace) -> None:
    count, rng = token_counter("cl100k_base"), random.Random(given.seed)
    sections: dict[str, Section] = {}
    rows: dict[str, QA] = {}
    written: list[dict[str, Any]] = []
    for article in articles:
        title = str(article.get("title", "")).replace("_", " ")
        for position, paragraph in enumerate(article["paragraphs"]):
            content = paragraph["context"]
            section = section_of(title, position, content, count(context_of(title, "", content)))
            sections[section.section_id] = section
            answerable = [qa for qa in paragraph["qas"] if not qa.get("is_impossible", False)]
            if given.questions_per_paragraph is not None and len(answerable) > given.questions_per_paragraph:
                answerable = rng.sample(answerable, given.questions_per_paragraph)
            rows |= {f"qa-{qa['id']}": qa_of(section, qa) for qa in answerable}
            written += [written_of(section, qa) for qa in paragraph["qas"] if qa.get("is_impossible", False)]
    folder = RunFolder(given.data)
    folder.prepare()
    write_rows(folder.sections, Section, sorted(sections.values(), key=lambda s: (s.page_id, s.position, s.part)))
    write_rows(folder.qa, QA, (rows[name] for name in sorted(rows)))
    write_jsonl(folder.root / "written.jsonl", written)
    print(f"{len(articles)} articles, {len(sections)} sections, {len(rows)} questions, {len(written)} written to be unanswerable → {folder.root}")


if __name__ == "__main__":
    main()
