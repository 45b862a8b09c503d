"""Train the embedded model's adapter: it learns to write a question for an answer, to answer or decline, to prove, and to judge.

    python scripts/train_embedded.py --squad train-v2.0.json --articles "Beyoncé" "IPod" --out data/adapter --max-minutes 45

Rows come from the sections of data/embedded (ours) and from the named articles of any SQuAD 2.0 file (CC BY-SA 4.0, Rajpurkar et al. 2018);
negatives are made and verified by the project itself, and are of its own kinds. Contexts are as the pipeline gives them, turns are those of
`pipeline.llm.prompts`: what is trained is what is asked. Training is `pipeline.trainers.finetune.tune`: the same command goes on after a kill.
`--out` holds models/NAME with the adapter as GGUF, settings, losses of each step and plots; `rows.json` says what it was trained on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from squad_run import articles_of, qa_of, section_of

from pipeline.dataset.formats import NO, YES
from pipeline.errors import PipelineError
from pipeline.llm import prompts
from pipeline.llm.bases import dequantised
from pipeline.llm.embedded import ADAPTER_NAME
from pipeline.negatives.make import make_examples
from pipeline.qa import checks
from pipeline.records import NO_ANSWER, QA, Example, Section, context_of, derived_page_id, stable_id
from pipeline.retrieval.minilm import encoder
from pipeline.settings import EMBEDDED_MODEL
from pipeline.store import write_json
from pipeline.text.tokens import token_counter
from pipeline.trainers import rows
from pipeline.trainers.adapter_gguf import write_adapter
from pipeline.trainers.finetune import tune
from pipeline.trainers.training import Job, Terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OWN = Path(__file__).resolve().parent.parent / "data" / "embedded"
WRITTEN = "written"


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from, and how much of it is taken: shares of the turns that could be made, and negatives of each kind for a question."""

    name: str
    times: int
    """how often each row is there"""
    write: float
    read: float
    prove: float
    judge: float
    """of the rows that are read"""
    negatives: dict[str, float]


OWN_ROWS = Source(
    "own", 2, write=1.0, read=1.0, prove=0.15, judge=0.3,
    negatives={"random": 0.1, "similar": 0.8, "altered_question": 0.5, "evidence_removed": 0.12},
)  # fmt: skip
SQUAD_ROWS = Source(
    "squad", 1, write=0.45, read=0.5, prove=0.1, judge=0.3,
    negatives={"random": 0.04, "same_page": 0.12, "similar": 0.2, "altered_question": 0.4, "evidence_removed": 0.06},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Material:
    """Sections with their questions, and (section, question) of those that were written to be unanswerable."""

    sections: list[Section]
    questions: list[QA]
    unanswerable: list[tuple[Section, str]]


def own_material() -> Material:
    """Return the project's own sections."""
    count = token_counter("cl100k_base")
    found = Material([], [], [])
    for path in sorted(OWN.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            given = json.loads(line)
            title, heading, content = given["title"], given["heading"], given["content"]
            page_id = derived_page_id(title)
            tokens = count(context_of(title, heading, content))
            section = Section(
                stable_id("sec", page_id, heading, 0, content), page_id, 0, 0, title, heading, heading, 2, content, tokens, None, "", ""
            )
            found.sections.append(section)
            found.questions.extend(_own_qa(section, qa) for qa in given["qa"])
            found.unanswerable.extend((section, question) for question in given["unanswerable"])
    return found


def _own_qa(section: Section, qa: dict[str, str]) -> QA:
    qa_id = stable_id("qa", section.section_id, qa["question"], qa["answer"])
    return QA(qa_id, section.section_id, qa["question"], qa["answer"], qa["evidence"], "imported", "", None, "", "", 0, 0)


def squad_material(path: Path, titles: Sequence[str]) -> Material:
    """Return the named articles of a SQuAD file.

    Raises SystemExit naming a title that is not there.
    """
    by_title = {str(article["title"]): article for article in articles_of(path)}
    missing = [title for title in titles if title not in by_title]
    if missing:
        raise SystemExit(f"error: no such article – {missing[0]} – the file has: {', '.join(by_title)}")
    count = token_counter("cl100k_base")
    found = Material([], [], [])
    for name in titles:
        title = name.replace("_", " ")
        for position, paragraph in enumerate(by_title[name]["paragraphs"]):
            content = paragraph["context"]
            section = section_of(title, position, content, count(context_of(title, "", content)))
            found.sections.append(section)
            for qa in paragraph["qas"]:
                if qa.get("is_impossible", False):
                    found.unanswerable.append((section, qa["question"].strip()))
                else:
                    found.questions.append(qa_of(section, qa))
    return found


def turns(material: Material, source: Source, seed: int) -> Iterator[rows.Row]:
    """Yield the rows of a source, in an order that does not matter (the trainer draws its own)."""
    made = make_examples(material.questions, material.sections, source.negatives, True, encoder().sentence_vectors, seed)
    by_id = {section.section_id: section for section in material.sections}
    titles = {row.qa_id: by_id[row.section_id].title for row in material.questions}
    rng = random.Random(f"{seed}-{source.name}")
    for example in made.examples:
        if example.kind == "positive":
            yield from _of_positive(example, titles[example.qa_id], source, rng)
        else:
            yield from _of_negative(example.context, example.question, example.kind, source, rng)
    for section, question in material.unanswerable:
        yield from _of_negative(section.context, question, WRITTEN, source, rng)


def _of_positive(example: Example, title: str, source: Source, rng: random.Random) -> Iterator[rows.Row]:
    if rng.random() < source.write and _worth_writing(example, title):
        yield _row(example.context, prompts.turn_write(example.evidence, example.answer), f" {example.question}", "write")
    if rng.random() >= source.read:
        return
    yield _row(example.context, prompts.turn_read(example.question), f" {example.answer}", "read")
    if example.evidence and rng.random() < source.prove:
        yield _row(example.context, prompts.turn_prove(example.question, example.answer), f" {' '.join(example.evidence.split())}", "prove")
    if rng.random() < source.judge:
        yield _row(example.context, prompts.turn_judge(example.question), YES, "judge yes")


def _of_negative(context: str, question: str, kind: str, source: Source, rng: random.Random) -> Iterator[rows.Row]:
    yield _row(context, prompts.turn_read(question), f" {NO_ANSWER}", f"decline {kind}")
    if rng.random() < source.judge:
        yield _row(context, prompts.turn_judge(question), NO, f"judge {kind}")


def _worth_writing(example: Example, title: str) -> bool:
    """Tell whether a question is one that create_qa would keep: it is what the model is to write."""
    question, answer, evidence = example.question, example.answer, example.evidence
    why = (
        checks.question_form(question) or checks.stands_alone(question) or checks.answer_form(question, answer, checks.SHORT_ANSWER_WORDS // 2)
        or checks.about_the_evidence(question, title, answer, evidence)
    )  # fmt: skip
    return bool(evidence) and why is None


def _row(context: str, turn: str, said: str, kind: str) -> rows.Row:
    return rows.Row(stable_id("turn", context, turn, said), turn, context, said, "", kind)


def parted(sections: Sequence[Section]) -> set[str]:
    """Return the contexts that are kept back to watch the loss on: a twentieth."""
    return {section.context for section in sections if int(section.section_id[-4:], 16) % 20 == 0}


class _Bar:
    """What `tune` tells of its steps."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def step(self, n: int = 1, **shown: str) -> None:
        """Go on by n steps."""
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(n)


@contextmanager
def watch(total: int) -> Iterator[_Bar]:
    """Show the steps of a training."""
    from tqdm import tqdm

    with tqdm(total=total, desc="training", unit=" step", mininterval=20) as bar:
        yield _Bar(bar)


def main() -> None:
    """Read the arguments, make the rows, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, required=True, help="SQuAD 2.0 JSON, plain or gzipped")
    parser.add_argument("--articles", nargs="+", required=True, help="the articles to train on; keep others to measure with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--n-epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate-multiplier", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        _train(given)
    except PipelineError as error:
        raise SystemExit(f"error: {error}") from error


def _train(given: argparse.Namespace) -> None:
    own, squad = own_material(), squad_material(given.squad, given.articles)
    aside = parted([*own.sections, *squad.sections])
    every = [*list(turns(own, OWN_ROWS, given.seed)) * OWN_ROWS.times, *list(turns(squad, SQUAD_ROWS, given.seed)) * SQUAD_ROWS.times]
    train = [row for row in every if row.context not in aside]
    validation = list({row.row_id: row for row in every if row.context in aside}.values())
    counts = {"train": dict(sorted(Counter(row.kind for row in train).items())), "validation": len(validation), "articles": given.articles}
    print(json.dumps(counts, indent=1, ensure_ascii=False), file=sys.stderr)
    given.out.mkdir(parents=True, exist_ok=True)
    write_json(given.out / "rows.json", counts)
    terms = Terms(given.n_epochs, given.batch_size, given.learning_rate_multiplier, given.max_minutes, given.seed)
    job = Job(rows.TASKS, EMBEDDED_MODEL, None, (), train, validation, terms, "tasks", made_of=counts)
    done = tune(job, given.out / "models", datetime.now(tz=UTC), watch, lambda line: print(line, file=sys.stderr))
    shipped = given.out / ADAPTER_NAME
    write_adapter(done.folder, dequantised(), shipped, half=True)
    print(f"{done.folder}\n{shipped} ({shipped.stat().st_size / 1e6:.1f} MB): copy it to pipeline/llm/weights/, under a new name if it is another one")


if __name__ == "__main__":
    main()
