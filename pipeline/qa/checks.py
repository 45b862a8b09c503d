"""What a question with its answer must stand up to. Each check returns a Rejected with its reason, or None."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from pipeline.records import NO_ANSWER, Rejected
from pipeline.text.compare import SPACELESS, find_verbatim, mentions, normalise_answer, size, words
from pipeline.text.lexical import STOP_WORDS
from pipeline.text.nations import nation_of
from pipeline.text.numbers import OTHER_FORM

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.records import Section

MIN_WORDS, MAX_WORDS = 4, 40
MAX_ANSWER_WORDS = 40
SHORT_ANSWER_WORDS = 20
MIN_EVIDENCE_WORDS = 4
MIN_FACTS = 4  # distinct words of a section that neither its title nor its heading has
_SUPPORTED = 0.5  # share of the answer's content words that its evidence must have
_QUESTION_MARKS = ("?", "\uff1f", "\u061f", "\u055e", "\u1367", "\u037e")  # Latin, full-width, Arabic, Armenian, Ethiopic, Greek
_GREEK_MARK = re.compile(r"[\u0370-\u03ff]\w*;$")  # the Greek one is mostly written as a semicolon
_LEANS = re.compile(
    r"\b(?:the|this|that|above|given|following|provided) (?:text|section|passage|article|paragraph|context|excerpt|snippet)\b"
    r"|\b(?:this|above|following) (?:page|table|sentence|event|competition|tournament|list)\b"
    r"|\baccording to the (?:text|passage|article|section|context)\b|\bmentioned (?:above|here|in the)\b",
    re.IGNORECASE,
)
_OPENS_WITH_PRONOUN = re.compile(
    r"^\W*(?:(?:when|where|why|how|what|which|who|whom|did|do|does|was|were|is|are|has|had|have|in|at|on|for|many|much|long|old|year|day)"
    r"\s+){1,5}(?:he|she|they|it|his|her|their|its)\b", re.IGNORECASE,
)  # fmt: skip
_BARE_PRONOUN = re.compile(r"\b(?:he|she|they|him|them)\b", re.IGNORECASE)
_WHEN = re.compile(r"\b(?:when|what (?:day|date|year|month)|which (?:day|date|year|month)|until when|since when)\b", re.IGNORECASE)
_HOW_MANY = re.compile(
    r"\b(?:how (?:many|much|long|tall|high|far|old|fast|heavy|often|big|large|wide|deep)|what (?:\w+ ){0,4}(?:number|score|"
    r"time|distance|weight|length|height|age|total|share|percentage|result|record|capacity|margin|cost))\b", re.IGNORECASE,
)  # fmt: skip
_WHO_OR_WHAT = re.compile(r"\b(?:who|whom|whose|which|where|what)\b", re.IGNORECASE)
_ASKS_FOR = {
    "date": (_WHEN,), "year": (_WHEN,), "number": (_HOW_MANY,), "result": (_HOW_MANY,), "name": (_WHO_OR_WHAT,), "place": (_WHO_OR_WHAT,),
    "cell": (_WHO_OR_WHAT, _HOW_MANY, _WHEN),
}  # fmt: skip
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_SEVERAL = re.compile(r"\?\s+\W*\w.*\?", re.DOTALL)
_DECLINES = re.compile(
    r"\W*(?:i (?:do not|don['’]?t|can ?not|can['’]?t) (?:know|say|tell|answer|find)\b.*|(?:i have )?no (?:idea|answer|information|mention)\b.*"
    r"|(?:(?:this|that|it|the answer) (?:is|was) )?(?:not (?:known|mentioned|stated|specified|given|provided|available|answered|clear)|unknown|unclear)\b[^,;]*"
    r"|(?:the |this )?(?:given |provided )?(?:text|passage|section|context|article|document|page) (?:does not|doesn['’]?t|did not|didn['’]?t|provides no|gives no|has no)\b.*"
    r"|(?:it |this |that )?can(?:not|['’]t) be (?:determined|answered|known|inferred)\b.*|n/?a)\W*", re.IGNORECASE | re.DOTALL,
)  # fmt: skip
"""what people and models write where they have no answer"""
_YES_OR_NO = ("yes", "no")


def something_to_ask(section: Section) -> Rejected | None:
    """A section says something beyond its title and heading."""
    above = {*words(section.title), *words(section.heading), *STOP_WORDS}
    facts = {word for word in words(section.content) if word not in above and any(map(str.isalnum, word))}
    return (
        None if len(facts) >= MIN_FACTS or len(SPACELESS.findall(section.content)) >= 2 * MIN_FACTS else Rejected("nothing_to_ask", "too few words")
    )


def question_form(question: str) -> Rejected | None:
    """One line, a question mark, neither a stump nor a speech."""
    if not question.strip():
        return Rejected("no_question")
    if not (question.endswith(_QUESTION_MARKS) or _GREEK_MARK.search(question)) or "\n" in question:
        return Rejected("not_a_question", question[:80])
    if _SEVERAL.search(question):
        return Rejected("several_questions", question[:80])
    n = size(question)
    return None if MIN_WORDS <= n <= MAX_WORDS else Rejected("question_length", f"{n} words")


def leans(question: str) -> Rejected | None:
    """No "the text", no bare "he": whom or what is meant must not hang on something that is not shown."""
    leaning = _LEANS.search(question) or _OPENS_WITH_PRONOUN.search(question) or _bare_pronoun(question)
    return Rejected("does_not_stand_alone", leaning.group()) if leaning else None


def _bare_pronoun(question: str) -> re.Match[str] | None:
    """Return a pronoun before which nobody is named."""
    found = _BARE_PRONOUN.search(question)
    return found if found and not _names_something(question[: found.start()]) else None


def _names_something(question: str) -> bool:
    """Tell whether there is a number, a capital after the first word, or a letter of a script that has no capitals."""
    return bool(re.search(r"\d|(?<!^)\b[^\W\d_a-zß-ÿ]\w", question)) or any(unicodedata.category(character) == "Lo" for character in question)


def stands_alone(question: str) -> Rejected | None:
    """No leaning on a text that the reader of the question does not see, and something is named."""
    return leans(question) or (None if _names_something(question) else Rejected("does_not_stand_alone", "names nothing"))


def answer_form(question: str, answer: str, longest: int = MAX_ANSWER_WORDS) -> Rejected | None:
    """An answer that is short, not in the question already, and no refusal in whatever words."""
    if not normalise_answer(answer):
        return Rejected("no_answer")
    if normalise_answer(answer) == normalise_answer(NO_ANSWER) or _DECLINES.fullmatch(answer):
        return Rejected("model_declined", answer[:80])
    if size(answer) > longest:
        return Rejected("answer_length", f"{size(answer)} words")
    return Rejected("answer_in_question", answer[:80]) if mentions(question, answer) else None


def asks_for_kind(question: str, kind: str) -> Rejected | None:
    """A date is asked for with when, a number with how many, a name with who, which or where; a table's cell may be any of these."""
    return None if any(form.search(question) for form in _ASKS_FOR[kind]) else Rejected("asks_for_something_else", kind)


def nothing_foreign(question: str, context: str) -> Rejected | None:
    """Each name and number of a question stands in its context (a nation in any of its forms): a small model makes up what it lacks."""
    missing = numbers_supported(question, context)
    if missing:
        return Rejected("names_something_else", missing.detail)
    there = _forms(context)
    strange = [name for name in _names(question) if not _forms(_bare(name)) & there and not _is_named(name, context)]
    return Rejected("names_something_else", strange[0]) if strange else None


def _bare(name: str) -> str:
    return re.sub(r"[’']s?$", "", name)


def _is_named(nation: str, context: str) -> bool:
    """Tell whether a nation stands in a text in another form (Norwegian, Norway)."""
    return any(mentions(context, form) for form in nation_of(_bare(nation)))


def verbatim_evidence(evidence: str, content: str) -> str | Rejected:
    """Return the section's own wording of the evidence, or why there is none."""
    if not evidence.strip():
        return Rejected("no_evidence")
    return find_verbatim(evidence, content) or Rejected("evidence_not_in_section", evidence[:120])


def evidence_form(evidence: str, content: str) -> Rejected | None:
    """Evidence says something: a few words at least, or a whole line (a row of a table, an item of a list)."""
    whole_line = evidence.strip() in {line.strip() for line in content.splitlines()}
    return None if whole_line or size(evidence) >= MIN_EVIDENCE_WORDS else Rejected("evidence_too_short", evidence[:120])


def numbers_supported(answer: str, evidence: str) -> Rejected | None:
    """Every number of the answer stands in the evidence, in figures or (up to 99) in words."""
    there = {*_NUMBER.findall(evidence), *(OTHER_FORM.get(word, word) for word in normalise_answer(evidence.replace("-", "")).split())}
    missing = [number for number in _NUMBER.findall(answer) if number not in there]
    return Rejected("number_not_in_evidence", missing[0]) if missing else None


def some_support(answer: str, context: str) -> Rejected | None:
    """Where there is no evidence: the answer's numbers stand in the context, and one telling word of it at least."""
    missing = numbers_supported(answer, context)
    wanted = [word for word in words(answer) if word not in STOP_WORDS]
    there = _forms(context)
    found = not wanted or normalise_answer(answer) in _YES_OR_NO or any(_forms(word) & there for word in wanted) or _within(answer, context)
    return missing or (None if found else Rejected("answer_not_in_section", answer[:120]))


def _within(answer: str, text: str) -> bool:
    """Tell whether an answer in a script without spaces stands in a text."""
    return SPACELESS.search(answer) is not None and normalise_answer(answer) in normalise_answer(text)


def answer_supported(answer: str, evidence: str) -> Rejected | None:
    """The answer stands in the evidence, or its numbers and names do and half of its other words."""
    if mentions(evidence, answer) or _within(answer, evidence):
        return None
    missing = numbers_supported(answer, evidence)
    if missing:
        return missing
    there = _forms(evidence)
    unnamed = [name for name in _names(answer) if not _forms(name) & there]
    if unnamed:
        return Rejected("name_not_in_evidence", unnamed[0])
    wanted = [word for word in words(answer) if word not in STOP_WORDS]
    found = sum(1 for word in wanted if _forms(word) & there)
    return None if wanted and found >= _SUPPORTED * len(wanted) else Rejected("answer_not_in_evidence", answer[:120])


def _forms(text: str) -> set[str]:
    """Return the words of a text, without a plural's s, and small numbers in both forms."""
    stems = {word.rstrip("s") or word for word in words(text)}
    return stems | {OTHER_FORM[word] for word in words(text) if word in OTHER_FORM}


def _names(answer: str) -> list[str]:
    """Return the words of an answer that are names: with a capital, the first one only if the next has one too."""
    found = re.findall(r"[^\W_][\w’'-]*", answer)
    capital = [word[:1].isupper() and word.lower() not in STOP_WORDS for word in found]
    return [word for at, word in enumerate(found) if capital[at] and (at or capital[1:2] == [True])]


def about_the_evidence(question: str, title: str, answer: str, evidence: str) -> Rejected | None:
    """The question shares a word with the evidence that is in neither the title nor the answer."""
    common = set(words(title)) | set(words(answer)) | STOP_WORDS
    shared = (set(words(question)) - common) & set(words(evidence))
    return None if shared else Rejected("not_about_the_evidence")


def findable(question: str, section_id: str, search: Callable[[str, int], list[str]], within: int) -> Rejected | None:
    """The question finds its own section among the first `within` (round-trip retrieval, Dai et al. 2022)."""
    return None if section_id in search(question, within) else Rejected("not_specific", f"its section is not among the first {within} found")
