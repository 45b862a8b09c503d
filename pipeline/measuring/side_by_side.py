"""The system that is judged, and what it is judged beside: itself in parts, the model before fine-tuning, baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.answering.answer import Evidence, evidence_for
from pipeline.answering.judging import judge
from pipeline.evaluation.systems import JUDGED, Answers, System
from pipeline.text.compare import mentions
from pipeline.text.lexical import content_words
from pipeline.trainers.discriminator import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.answering.judging import Judgement
    from pipeline.cli import Run
    from pipeline.measuring.answers import Replies
    from pipeline.measuring.questions import Asked
    from pipeline.records import Question
    from pipeline.text.lexical import Idf
    from pipeline.trainers.saved import Scorer

AT_ONCE = 64
"""Questions that are judged between two steps of the bar."""


def side_by_side(
    run: Run, asked: Asked, scorer: Scorer, limit: float, trained: Mapping[str, Any], replies: Mapping[str, Replies]
) -> tuple[list[System], list[Judgement]]:  # fmt: skip
    """Return the system that is judged, then what it is judged beside; and what was thought of each question (n,).

    `limit` is the threshold on p(answerable); `trained` what the discriminator's training measured (with the threshold of word counting);
    `replies` those of the QA models by role. Without them the answers are the sentences that fit best.
    """
    import numpy as np

    questions = asked.questions
    evidence = evidence_for(scorer, lambda: (q.context for q in questions))
    judged, sentences = _judged(run, questions, scorer, evidence)
    p, alone = (np.asarray([getattr(one, what) for one in judged], dtype=np.float64) for what in ("p", "alone"))
    sentence = Answers.of(sentences, questions)
    given = {role: Answers.of(reply.texts, questions) for role, reply in replies.items()}
    answers = given.get("qa", sentence)
    about = f"discriminator, then {replies['qa'].name}" if replies else "discriminator, then the sentence that fits best"
    systems = [
        System(JUDGED, about, answers, p, limit),
        System("discriminator_alone", "the same without the rules for other years, games and sides", answers, alone, limit),
        *_models_alone(given, p, limit),
        _word_overlap(questions, answers, evidence.idf, trained.get("thresholds", {}).get("idf_overlap")),
        _oracle(asked),
        *_without_deciding(questions, answers, sentence),
    ]
    return systems, judged


def _judged(run: Run, questions: Sequence[Question], scorer: Scorer, evidence: Evidence) -> tuple[list[Judgement], list[str]]:
    """Judge each question and find the sentence that would answer it; in the order of their contexts, so that each is read once."""
    found: dict[int, tuple[Judgement, str]] = {}
    order = sorted(range(len(questions)), key=lambda at: questions[at].context)
    with run.progress(len(questions), "judging", "question") as bar:
        for start in range(0, len(order), AT_ONCE):
            chosen = order[start : start + AT_ONCE]
            judged = judge(scorer, [Pair(questions[at].question, questions[at].context) for at in chosen])
            for at, one in zip(chosen, judged, strict=True):
                found[at] = one, evidence.sentence(questions[at].question, questions[at].context)
            bar.step(len(chosen))
    return [found[at][0] for at in range(len(questions))], [found[at][1] for at in range(len(questions))]


def _models_alone(given: Mapping[str, Answers], p: Any, limit: float) -> Iterator[System]:
    if "qa" in given:
        yield System("qa_alone", "the QA model decides by itself", given["qa"])
    if "before" in given:
        yield System("before_fine_tuning", "discriminator, then the model as it was before fine-tuning", given["before"], p, limit)
        yield System("before_fine_tuning_alone", "the model as it was before fine-tuning decides by itself", given["before"])


def _word_overlap(questions: Sequence[Question], answers: Answers, idf: Idf, threshold: float | None) -> System:
    import numpy as np

    overlap = np.asarray([idf.overlap(content_words(q.question), content_words(q.context)) for q in questions], dtype=np.float64)
    about = "decides by the share of the question's words, by weight, that the context has"
    about += "" if threshold is not None else "; no threshold was chosen on validation: 0.5"
    return System("idf_overlap", about, answers, overlap, 0.5 if threshold is None else float(threshold))


def _oracle(asked: Asked) -> System:
    import numpy as np

    rows = list(zip(asked.questions, asked.told, strict=True))
    held = np.asarray([bool(told) and mentions(q.context, told) for q, told in rows], dtype=np.float64)
    about = "an oracle: it is told the right answer, and gives it if it stands in the context"
    about += "" if any(told for q, told in rows if not q.answerable) else "; of unanswerable questions nobody knows one"
    return System("answer_in_context", about, Answers.of(list(asked.told), asked.questions), held, 0.5)


def _without_deciding(questions: Sequence[Question], answers: Answers, sentence: Answers) -> Iterator[System]:
    texts = [text or other for text, other in zip(answers.texts, sentence.texts, strict=True)]
    yield System("always_answer", "answers every question", answers if texts == list(answers.texts) else Answers.of(texts, questions))
    yield System("always_decline", "declines every question", Answers.of([""] * len(questions), questions))
