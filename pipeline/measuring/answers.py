"""What QA models answer to the questions: the one that is judged, and beside it the model as it was before fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.answering import reader
from pipeline.answering.reader import Chosen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.cli import Run
    from pipeline.records import Question


@dataclass(frozen=True, slots=True)
class Replies:
    """What a QA model answered to every question (n,), empty where it declined or was not heard; how many requests were refused, and the last refusal."""

    name: str
    texts: Sequence[str]
    refused: int
    why: str


def replies_of(run: Run, questions: Sequence[Question], model: Chosen | None) -> dict[str, Replies]:
    """Have each QA model answer every question: `qa`, and `before` where there is one; none without a model.

    Raises PipelineError if the endpoint fails; what came is in the ledger.
    """
    return {role: _answered(run, questions, one) for role, one in _wanted(run, model).items()}


def told_of_refused(replies: Iterable[Replies]) -> list[str]:
    """Return a warning for each model whose endpoint refused requests: these count as declined, though nobody declined them."""
    return [
        f"  warning: the endpoint of {reply.name} refused {reply.refused} of {len(reply.texts)} questions, and they count as declined ({reply.why})"
        for reply in replies
        if reply.refused
    ]


def _wanted(run: Run, model: Chosen | None) -> dict[str, Chosen]:
    if model is None:
        return {}
    before = _before(model)
    if before is None and model.folder is not None:
        run.say("evaluate: the QA model was not made of the embedded one; what it was before fine-tuning is not judged beside it")
    return {"qa": model, **({"before": before} if before else {})}


def _before(model: Chosen) -> Chosen | None:
    """Return the model that another was made of, where it is the embedded one."""
    from pipeline.llm.embedded import BARE_NAME

    if model.folder is None or not (model.folder / "adapter.gguf").is_file():
        return None
    return Chosen(BARE_NAME, bare=True)


def _answered(run: Run, questions: Sequence[Question], model: Chosen) -> Replies:
    found = [""] * len(questions)
    run.folder.prepare()
    with reader.reader(run.folder, model, run.say) as opened, run.progress(len(questions), f"answers of {model.name}", "question") as bar:

        def done(at: int, text: str) -> None:
            found[at] = text
            bar.step(1)

        refused = opened.answers(((q.context, q.question) for q in questions), done)
    why = str(refused[max(refused)]) if refused else ""
    return Replies(model.name, found, len(refused), why)
