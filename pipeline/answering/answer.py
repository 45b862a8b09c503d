"""A question and some sections → the answer with its source and evidence, or the refusal with what came closest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.answering.judging import Judgement, judge
from pipeline.qa.checks import answer_supported
from pipeline.text.sentences import sentences
from pipeline.trainers.discriminator import Pair, best_sentence
from pipeline.trainers.saved import Light, Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.records import Section
    from pipeline.retrieval.minilm import MiniLM
    from pipeline.text.lexical import Idf

    Word = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A section that the search found, and what was judged of it."""

    section: Section
    judged: Judgement

    def described(self) -> dict[str, Any]:
        """Return it for `--json`."""
        s = self.section
        return {
            "p_answerable": round(self.judged.p, 4), "against": self.judged.against or None, "section_id": s.section_id, "title": s.title,
            "heading": s.heading, "url": s.url, "revision_id": s.revision_id,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: `text` is empty if it is declined; `by` says who declined or worded it."""

    question: str
    text: str
    evidence: str
    candidates: tuple[Candidate, ...]
    """the likeliest first"""
    threshold: float
    by: str
    supported: bool = True
    """whether the section holds what a model's own words say: their numbers and names, and half of the rest; a sentence of it does"""

    @property
    def p(self) -> float:
        """The probability that the best candidate answers; 0 without one."""
        return self.candidates[0].judged.p if self.candidates else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Finds the sentence of a context that answers."""

    encoder: MiniLM
    idf: Idf

    def sentence(self, question: str, context: str) -> str:
        """Return the likeliest sentence; nothing if the context has none."""
        return best_sentence(question, context, self.encoder, self.idf)


def evidence_for(scorer: Scorer, contexts: Callable[[], Iterable[str]]) -> Evidence:
    """Return what finds evidence: with a light discriminator its own encoder and word counts, else MiniLM and the counts of the contexts."""
    from pipeline.retrieval.minilm import MiniLM
    from pipeline.text.lexical import Idf

    if isinstance(scorer, Light):
        return Evidence(scorer.encoder, scorer.model.idf)
    return Evidence(MiniLM(), Idf.of(contexts()))


def answer(question: str, found: Sequence[Section], scorer: Scorer, threshold: float, evidence: Evidence, word: Word | None, by: str) -> Answer:
    """Judge the sections found, and answer from the likeliest one if it reaches the threshold.

    `word` makes the answer of (context, question), and may decline; without it the evidence is the answer.

    Raises PipelineError if the model that words answers fails.
    """
    judged = judge(scorer, [Pair(question, section.context) for section in found], hurry=True)
    candidates = tuple(sorted(map(Candidate, found, judged), key=lambda one: -one.judged.p))
    if not candidates or candidates[0].judged.p < threshold:
        return Answer(question, "", "", candidates, threshold, "discriminator")
    context = candidates[0].section.context
    sentence = evidence.sentence(question, context)
    text = word(context, question) if word else sentence
    if not word or not text:
        return Answer(question, text, sentence if text else "", candidates, threshold, by if word else "sentence")
    proof = next((one for one in (sentence, *sentences(context)) if answer_supported(text, one) is None), "")
    return Answer(question, text, proof or sentence, candidates, threshold, by, supported=bool(proof))
