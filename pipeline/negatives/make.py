"""Questions → examples: the positive of each, and the negatives that were asked for, verified; in = out + dropped."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.dataset.examples import negative, positive, second_positive
from pipeline.dataset.splits import NEAR_DUPLICATE, Splits, assign
from pipeline.negatives import altered_question, evidence_removed, same_page, similar
from pipeline.negatives import random as random_kind
from pipeline.negatives.pool import Asked, Offer, Pool
from pipeline.negatives.second_reading import NOT_AVAILABLE, SECOND_POSITIVES
from pipeline.negatives.values import Values
from pipeline.negatives.verify import PARAPHRASES, Answers, Passed, negative_or_not, removed_or_not, said
from pipeline.records import SPLITS, DroppedExample, Example, Rejected
from pipeline.retrieval.bm25 import Bm25
from pipeline.text.compare import normalise_answer
from pipeline.text.groups import Groups, near_pairs
from pipeline.text.lexical import Idf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pipeline.negatives.verify import Embed
    from pipeline.records import QA, Section

_SEARCHED = 3 * similar.DEPTH // 2  # the own page's sections are among what is found
_DRAWN: Mapping[str, Callable[[Asked, Pool, random.Random], Iterator[Offer]]] = {
    "random": random_kind.offers,
    "same_page": same_page.offers,
}
"""kinds whose contexts are drawn from the split's sections; the others need more (a search, an exchange, a cut) and stand in `_Taking`"""


@dataclass(slots=True)
class Made:
    """What came of asking for negatives: rows, and one dropped row for each candidate or place that did not become one."""

    examples: list[Example] = field(default_factory=list)
    dropped: list[DroppedExample] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    """places for negatives, by kind: made + not available"""
    offered: Counter[str] = field(default_factory=Counter)
    """candidates looked at, by kind: made + second positives + dropped"""
    splits: Splits | None = None

    def drop(self, row: QA, kind: str, section_id: str, reason: str) -> None:
        """Count what did not become an example."""
        self.dropped.append(DroppedExample(row.qa_id, kind, section_id, reason))


@dataclass(frozen=True, slots=True)
class _Place:
    """What one split's questions draw their negatives from."""

    split: str
    pool: Pool
    values: Values
    idf: Idf
    wanted: Mapping[str, float]
    verify: bool
    embed: Embed | None
    seed: int


def make_examples(
    rows: Sequence[QA], sections: Sequence[Section], wanted: Mapping[str, float], verify: bool, embed: Embed | None, seed: int,
    step: Callable[[], None] = lambda: None,
) -> Made:  # fmt: skip
    """Return the examples of every question whose section is in the run, in the order of their ids.

    `wanted` is how many of each kind for a question; of 1.5, every other question has two. `embed` (texts → unit vectors of their sentences) is None where there is no encoder: then `similar` is BM25's, and nothing
    is verified by meaning. `step` is called after each question.
    """
    by_id = {section.section_id: section for section in sections}
    made = Made()
    made.splits = assign(sections, rows, seed)
    idf = Idf.of(section.context for section in sections)
    asked = _belonging(rows, by_id, made)
    for split in SPLITS:
        here = [s for s in sections if made.splits.by_title[s.title] == split and s.section_id not in made.splits.unused]
        values = Values.of(here if wanted.get("altered_question") else ())
        place = _Place(split, Pool.of(here), values, idf, wanted, verify, embed, seed)
        _split_examples([a for a in asked if made.splits.by_title[a.section.title] == split], place, made, step)
    _keep_apart(made)
    made.examples.sort(key=lambda e: e.example_id)
    made.dropped.sort(key=lambda d: (d.qa_id, d.kind, d.reason, d.context_section_id))
    return made


def _belonging(rows: Sequence[QA], by_id: Mapping[str, Section], made: Made) -> list[Asked]:
    """Return the questions that have a section with text and are not repeated from another split."""
    asked = []
    repeated = made.splits.dropped if made.splits else {}
    for row in rows:
        section = by_id.get(row.section_id)
        if section is None:
            made.drop(row, "positive", row.section_id, "section_not_in_run")
        elif row.qa_id in repeated:
            made.drop(row, "positive", row.section_id, repeated[row.qa_id].reason)
        elif not section.content.strip():
            made.drop(row, "positive", row.section_id, "section_is_empty")
        else:
            asked.append(Asked(row, section))
    return asked


def _split_examples(asked: list[Asked], place: _Place, made: Made, step: Callable[[], None]) -> None:
    found: list[similar.Near | None] = [None] * len(asked)
    if place.wanted.get("similar"):
        ranked = Bm25([s.context for s in place.pool.sections]).search([a.row.question for a in asked], _SEARCHED)
        found = [similar.near(one, place.pool, places, place.idf) for one, places in zip(asked, ranked, strict=True)]
    if place.embed and place.verify:
        place.embed(_to_be_embedded(asked, found))  # at once, in even batches: four times as fast as one by one
    for one, near in zip(asked, found, strict=True):
        made.examples.append(positive(one.row, one.section, place.split))
        _Taking(one, place, made, near).all_kinds()
        step()


def _to_be_embedded(asked: Sequence[Asked], found: Sequence[similar.Near | None]) -> list[str]:
    """Return the questions, answers, evidence and true contexts, and the similar ones that are looked at first: most of what verification reads."""
    texts: dict[str, None] = {}
    for one, near in zip(asked, found, strict=True):
        row = one.row
        first = near.first if near else []
        texts |= dict.fromkeys([row.question, row.evidence, said(one), one.section.context, *(section.context for section in first)])
    return list(texts)


@dataclass(slots=True)
class _Taking:
    """The negatives of one question, kind by kind; no context is taken twice as it is."""

    one: Asked
    place: _Place
    made: Made
    near: similar.Near | None
    taken: set[str] = field(default_factory=set)
    seconds: int = 0

    def all_kinds(self) -> None:
        for kind, amount in self.place.wanted.items():
            rng = random.Random(f"{self.place.seed}/{self.one.row.qa_id}/{kind}")
            n = int(amount) + (rng.random() < amount % 1)
            self.made.asked[kind] += n
            if kind == "altered_question":
                self._altered(n, rng)
            elif kind == "evidence_removed":
                self._removed(n)
            else:
                self._contexts(kind, n, self._offered(kind, rng))

    def _offered(self, kind: str, rng: random.Random) -> Iterable[tuple[Offer, str]]:
        """Return what a kind offers, and why the kind itself refuses it, if it does."""
        if self.near and kind == "similar":
            return ((found.offer, found.refused) for found in similar.offers(self.one, self.near, self.place.embed))
        return ((offer, "") for offer in _DRAWN[kind](self.one, self.place.pool, rng))

    def _contexts(self, kind: str, n: int, offered: Iterable[tuple[Offer, str]]) -> None:
        """Take the first `n` contexts that pass; what does not pass, and each place that stays empty, is counted with its reason."""
        left = n
        for offer, refused in offered:
            if not left:
                return
            section = offer.section
            if section.section_id in self.taken:
                continue
            self.taken.add(section.section_id)
            self.made.offered[kind] += 1
            verdict = Rejected(refused, offer.note) if refused else self._verdict(kind, section)
            left -= self._settle(kind, offer, verdict)
        self._not_available(kind, left, "")

    def _verdict(self, kind: str, section: Section) -> Passed | Answers | Rejected:
        if not self.place.verify:
            return Passed("not verified", 0.0)
        embed = None if kind == "random" else self.place.embed  # what was drawn at random is no paraphrase; half the time goes into embedding
        return negative_or_not(self.one, section, embed)

    def _settle(self, kind: str, offer: Offer, verdict: Passed | Answers | Rejected) -> int:
        """Make what a verdict says of an offer; return how many negatives that is (0 or 1)."""
        row, section, split = self.one.row, offer.section, self.place.split
        if isinstance(verdict, Passed):
            how = "; ".join(filter(None, (offer.note, verdict.how)))
            score = verdict.score if self.place.verify else None
            self.made.examples.append(negative(row, section, split, kind, how, score, offer.question, offer.plausible))
            return 1
        if isinstance(verdict, Answers) and self.seconds < SECOND_POSITIVES:
            self.seconds += 1
            self.made.examples.append(second_positive(row, section, split, kind, verdict.evidence))
        else:
            self.made.drop(row, kind, section.section_id, verdict.reason)
        return 0

    def _altered(self, n: int, rng: random.Random) -> None:
        left, why = n, "nothing_to_exchange"
        for offer in altered_question.offers(self.one, self.place.values, self.place.idf, rng):
            if not left:
                return
            self.made.offered["altered_question"] += 1
            if isinstance(offer, Rejected):
                self.made.drop(self.one.row, "altered_question", self.one.section.section_id, offer.reason)
                why = offer.reason
                continue
            how = "what came stands nowhere in the context, what went does"
            left -= self._settle("altered_question", offer, Passed(how, 1.0))
        self._not_available("altered_question", left, why)

    def _removed(self, n: int) -> None:
        why = "only_one_can_be_made"
        if n:
            self.made.offered["evidence_removed"] += 1
            offer, verdict = self._cut()
            if isinstance(verdict, Rejected):
                why = verdict.reason
            if offer is None:
                self.made.drop(self.one.row, "evidence_removed", self.one.section.section_id, why)
            else:
                n -= self._settle("evidence_removed", offer, verdict)
        self._not_available("evidence_removed", n, why)

    def _cut(self) -> tuple[Offer | None, Passed | Rejected]:
        """Cut the answer out of the true context; what still paraphrases the evidence is cut out too, once."""
        one, place = self.one, self.place
        embed = place.embed if place.verify else None
        offer = evidence_removed.offer(one, place.idf)
        if isinstance(offer, Rejected):
            return None, offer
        verdict = removed_or_not(one, offer.section, embed)
        if embed and isinstance(verdict, Rejected) and verdict.reason == PARAPHRASES:
            again = evidence_removed.offer(one, place.idf, evidence_removed.paraphrases(one, offer.section, embed))
            return (None, again) if isinstance(again, Rejected) else (again, removed_or_not(one, again.section, embed))
        return offer, verdict

    def _not_available(self, kind: str, left: int, why: str) -> None:
        reason = f"{NOT_AVAILABLE}: {why}" if why else NOT_AVAILABLE
        for _ in range(left):
            self.made.drop(self.one.row, kind, "", reason)


def _keep_apart(made: Made) -> None:
    """Drop what was made anew and nearly repeats something of another split.

    Pages and questions are apart already; a cut context or an altered question may still come to resemble one elsewhere.
    """
    cut = _crossing(made.examples, lambda e: e.context.partition("\n\n")[2])
    altered = _crossing(made.examples, lambda e: normalise_answer(e.question))
    gone = {
        e.example_id: e
        for e in made.examples
        if (e.kind == "evidence_removed" and e.context in cut) or (e.kind == "altered_question" and e.question in altered)
    }
    made.examples = [e for e in made.examples if e.example_id not in gone]
    for e in gone.values():
        made.dropped.append(DroppedExample(e.qa_id, e.kind, e.context_section_id, "near_duplicate_in_another_split"))
        made.dropped.append(DroppedExample(e.qa_id, e.kind, "", f"{NOT_AVAILABLE}: near_duplicate_in_another_split"))


def _crossing(examples: Sequence[Example], text_of: Callable[[Example], str]) -> set[str]:
    """Return contexts and questions of the examples whose texts are in a group of near-duplicates that is in two splits."""
    splits: dict[str, set[str]] = {}
    members: dict[str, set[str]] = {}
    for e in examples:
        splits.setdefault(text_of(e), set()).add(e.split)
        members.setdefault(text_of(e), set()).update((e.context, e.question))
    texts = sorted(splits)
    groups = Groups(texts)
    for one, other in near_pairs(texts, NEAR_DUPLICATE):
        groups.join((texts[one], texts[other]))
    of_group: dict[str, set[str]] = {}
    for text in texts:
        of_group.setdefault(groups.root(text), set()).update(splits[text])
    return {member for text in texts if len(of_group[groups.root(text)]) > 1 for member in members[text]}
