"""Each kind of negative by itself: what it makes, what it refuses and why, and splits in which nothing repeats."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.balance import distance
from pipeline.dataset.splits import SHARES, TOLERANCE, assign, balanced, place_of, split_of
from pipeline.negatives import altered_question, evidence_removed, similar
from pipeline.negatives.align import Aligned, align
from pipeline.negatives.make import make_examples
from pipeline.negatives.pool import Asked, Offer, Pool
from pipeline.negatives.reading import read
from pipeline.negatives.values import Values
from pipeline.negatives.variants import forms
from pipeline.negatives.verify import Answers, Passed, by_rules, negative_or_not, removed_or_not, says_the_answer
from pipeline.records import KINDS, QA, SPLITS, Rejected, Section
from pipeline.retrieval.minilm import MiniLM
from pipeline.text.compare import jaccard, shingles
from pipeline.text.groups import Groups, near_pairs
from pipeline.text.lexical import Idf

JUDO = (
    "Judo at the Games was held in the Budokan from 24 July to 31 July. A total of 393 judoka from 128 nations took part in the events. "
    "The mixed team event was new to the programme of the Games. France defeated Japan in the final of the mixed team event. "
    "The draw had been held two days before the first bout. Every judoka was tested each morning before breakfast, and gloves were forbidden."
)


def section(content: str, name: str = "sec-1", page: int = 1, title: str = "Judo at the 2020 Summer Olympics", position: int = 0) -> Section:
    return Section(name, page, position, 0, title, "Summary", "Summary", 2, content, 50, None, "", "")


def asked(question: str, answer: str, evidence: str = "", content: str = JUDO) -> Asked:
    return Asked(QA("qa-1", "sec-1", question, answer, evidence, "written", "", None, "", "", 0, 0), section(content))


WHO = asked(
    "Who won the mixed team event of judo at the 2020 Summer Olympics?", "France", "France defeated Japan in the final of the mixed team event."
)


def idf(*texts: str) -> Idf:
    return Idf.of(texts or [WHO.section.context])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("3 August 2016", "It was on August 3, 2016."),
        ("3 August 2016", "on the 3rd of August"),
        ("46", "forty-six of them came"),
        ("24 teams", "Twenty four teams were drawn."),
        ("109,041", "109041 votes"),
        ("21.53 secs", "She ran 21.53 in Tokyo."),
        ("22.1-kilometre", "a circuit of 22.1 km"),
        ("12th", "the twelfth time"),
        ("25th appearance", "for the twenty-fifth time"),
        ("twentieth", "its 20th edition"),
        ("12 athletes", "a dozen of them"),
        ("United States", "the US team"),
        ("United States", "the U.S. swimmers"),
        ("France", "a French judoka"),
        ("French", "a victory for France"),
        ("Great Britain", "won by the British"),
        ("Simone Biles", "S. Biles withdrew"),
        ("Simone Biles", "as Biles said"),
        ("Annemiek van Vleuten", "Van Vleuten won by 56 seconds."),
        ("45 athletes", "45 competitors"),
        ("3–1", "with 3-1 they won"),
    ],
)  # fmt: skip
def test_an_answer_is_known_in_its_other_forms(answer: str, said: str) -> None:
    assert says_the_answer(answer, read(said))


@pytest.mark.parametrize(
    ("answer", "said"), [("46", "460 of them"), ("France", "a Spanish judoka"), ("3 August 2016", "3 July 2016"), ("Simone Biles", "Simone")]
)
def test_what_merely_resembles_an_answer_is_not_it(answer: str, said: str) -> None:
    assert not says_the_answer(answer, read(said))


def test_a_list_is_held_by_a_text_that_has_one_member_of_it() -> None:
    assert says_the_answer("Spain, Hungary and Montenegro", read("The team of Montenegro won."))


def test_an_altered_question_differs_by_one_value_of_the_same_type_that_the_context_lacks() -> None:
    other = section(
        "In 2016 and 2012 the Summer Olympics had karate. The 2012 Summer Olympics and the 2016 Summer Olympics were held.",
        "sec-2",
        2,
        "Karate at the 2016 Summer Olympics",
    )
    values = Values.of([WHO.section, other])
    made = [o for o in altered_question.offers(WHO, values, idf(WHO.section.context, other.context), random.Random(1)) if isinstance(o, Offer)]
    assert made
    for offer in made:
        before, after = WHO.row.question.split(), offer.question.split()
        changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
        assert len(changed) == 1
        assert changed[0][1].casefold() not in WHO.section.context.casefold()
        assert changed[0] in {("2020", "2016"), ("2020", "2012"), ("judo", "karate")}
        assert offer.section == WHO.section
        assert offer.plausible == "France"


def test_a_question_without_a_value_that_the_context_has_is_not_altered() -> None:
    plain = asked("Who won the last bout of the day?", "France")
    assert list(altered_question.offers(plain, Values.of([plain.section]), idf(), random.Random(1))) == []


def test_values_are_typed_by_rules() -> None:
    values = Values.of([section("At the Ariake Arena and the Saitama Arena and the Yokohama Arena, Teddy Riner of Japan won 12 bouts in 2016.")])
    found = {(v.text, v.type) for v in values.found_in("Did Teddy Riner win 12 bouts for Japan at the Ariake Arena in 2016?")}
    assert found == {("Teddy Riner", "name"), ("12", "number"), ("Japan", "nation"), ("Ariake Arena", "name: … Arena"), ("2016", "year")}


def test_names_of_common_words_are_no_values_for_two_of_them_may_mean_the_same() -> None:
    values = Values.of([section("In summer the games of the Summer Games are held, and Olympic Games they are: the games of the world.")])
    assert values.found_in("Who won at the Olympic Games of the World Games?") == []


def test_every_sentence_with_the_answer_is_removed_and_the_others_stay_word_for_word() -> None:
    twice = replace(WHO, section=section(JUDO + " | Gold | FRA French team |\nIt rained."))
    offer = evidence_removed.offer(twice, idf())
    assert isinstance(offer, Offer)
    assert "France" not in offer.section.content
    assert "French" not in offer.section.content
    assert "The draw had been held two days before the first bout." in offer.section.content
    assert "aligned 1.00" in offer.note
    assert isinstance(removed_or_not(twice, offer.section, None), Passed)


def test_evidence_that_is_not_given_is_found_with_a_score_below_one() -> None:
    found = align(replace(WHO, row=replace(WHO.row, evidence="")))
    assert isinstance(found, Aligned)
    assert [read(JUDO).sentences[at].strip() for at in found.sentences] == [WHO.row.evidence]
    assert 0.6 <= found.score < 1


def test_what_can_not_be_aligned_or_leaves_too_little_is_not_available() -> None:
    assert evidence_removed.offer(asked("Who lit the cauldron?", "Naomi Osaka"), idf()) == Rejected("no_evidence_aligned", "0.00")
    short = asked("Who won?", "France", content="France defeated Japan. It rained.")
    verdict = evidence_removed.offer(short, idf())
    assert isinstance(verdict, Rejected)
    assert verdict.reason == "too_little_left"
    in_title = asked("In which year was judo held in the Budokan?", "2020", "Judo at the Games was held in the Budokan from 24 July to 31 July.")
    assert evidence_removed.offer(in_title, idf()) == Rejected("answer_in_the_title")


def test_a_copied_fact_on_another_page_answers_and_a_reworded_one_is_no_negative() -> None:
    told = "Elsewhere it is told so: who won. France defeated Japan in the final of the mixed team event."
    copied = section(told, "sec-2", 2, "France in judo at the 2020 Summer Olympics")
    assert by_rules(WHO, copied) == Answers("France defeated Japan in the final of the mixed team event.", "repeats_the_evidence")
    reworded = section("In the mixed team final the hosts lost to the French side.", "sec-3", 3, "Japan")
    assert isinstance(by_rules(WHO, reworded), Rejected)


def test_a_description_in_other_words_is_found_by_its_meaning() -> None:
    why = asked(
        "Why was the marathon of the 2020 Summer Olympics moved to Sapporo?", "concerns about the heat in the capital",
        "The marathon was moved to Sapporo because of concerns about the heat in the capital.",
        "The marathon was moved to Sapporo because of concerns about the heat in the capital. Runners set out in the morning.",
    )  # fmt: skip
    embed = MiniLM().sentence_vectors
    told_again = section("The marathon was relocated to Sapporo since Tokyo was feared to be too hot.", "sec-2", 2, "Sapporo")
    something_else = section("The city of Sapporo has two million inhabitants and a beer museum, which opened in 1987.", "sec-3", 3, "Sapporo")
    assert isinstance(by_rules(why, told_again), Passed)
    assert isinstance(negative_or_not(why, told_again, embed), Rejected)
    assert isinstance(negative_or_not(why, something_else, embed), Passed)


def test_similar_offers_the_nearest_and_refuses_what_shares_few_words() -> None:
    near = section(
        "The mixed team event of karate at the 2020 Summer Olympics was won by Spain, the mixed judo team said.",
        "sec-2",
        2,
        "Karate at the 2020 Summer Olympics",
    )
    far = section("Rowing was held at the Sea Forest Waterway.", "sec-3", 3, "Rowing")
    pool = Pool.of([WHO.section, near, far])
    found = list(similar.offers(WHO, similar.near(WHO, pool, [0, 1, 2], idf(*(s.context for s in pool.sections))), None))
    assert [(f.offer.section.section_id, f.refused) for f in found] == [("sec-2", ""), ("sec-3", "not_similar_enough")]


def test_a_page_that_shares_nothing_keeps_its_split_when_pages_are_added() -> None:
    few = [section(f"Page {n} tells of {n} things that nobody else knows about number {n}.", f"sec-{n}", n, f"Page {n}") for n in range(60)]
    more = few + [section(f"Later {n} came and told {n} other tales of {n} kinds, all new.", f"sec-l{n}", 100 + n, f"Added {n}") for n in range(60)]
    before, after = assign(few, [], 3), assign(more, [], 3)
    assert {t: after.by_title[t] for t in before.by_title} == dict(before.by_title)
    assert all(before.by_title[f"Page {n}"] == split_of(f"Page {n}", 3) for n in range(60))


@given(st.dictionaries(st.integers(0, 10**6).map(str), st.integers(1, 6), max_size=60), st.integers(0, 5))
def test_each_split_has_its_share_of_a_stratums_questions_as_near_as_its_components_allow(weights: dict[str, int], seed: int) -> None:
    found = balanced(weights, seed)
    assert found.keys() == weights.keys()
    total, largest = sum(weights.values()), max(weights.values(), default=0)
    so_far, wanted = 0, 0.0
    for split, share in SHARES[:-1]:
        so_far, wanted = so_far + sum(n for name, n in weights.items() if found[name] == split), wanted + share
        assert abs(so_far - wanted * total) <= max(TOLERANCE * total, largest / 2) + 1e-9


def test_questions_that_come_move_few_pages_and_only_those_near_a_bound() -> None:
    weights = {f"Page {n}": 1 + n % 4 for n in range(150)}
    before, after = balanced(weights, 1), balanced(weights | {f"Added {n}": 2 for n in range(30)}, 1)
    moved = [name for name in weights if before[name] != after[name]]
    assert len(moved) <= 0.1 * len(weights)
    assert all(min(abs(place_of(name, 1) - bound) for bound in (0.70, 0.85)) < 0.1 for name in moved)


def test_a_page_without_questions_stays_where_its_hash_says_whatever_is_asked_about_others() -> None:
    pages = [section(f"Page {n} tells of {n} things that nobody else knows about number {n}.", f"sec-{n}", n, f"Page {n}") for n in range(60)]
    rows = [QA(f"qa-{n}", f"sec-{n}", f"What does page {n} tell of?", "things", "", "", "", None, "", "", 0, 0) for n in range(30)]
    found = assign(pages, rows, 3).by_title
    assert all(found[f"Page {n}"] == split_of(f"Page {n}", 3) for n in range(30, 60))


def test_lengths_that_match_have_no_distance_and_lengths_that_do_not_overlap_have_all() -> None:
    assert distance([1, 2, 3], [1, 2, 3]) == 0
    assert distance([1, 2], [5, 6]) == 1
    assert distance([1, 5], [1, 2, 3, 5]) == 0.25
    assert distance([], [1]) == 0


def test_a_suspect_passes_only_where_the_answer_is_a_name_or_a_number() -> None:
    told = "The women's single sculls final was moved to Friday, and Emma Twigg won it before empty stands in a strong wind."
    sister = section(told.replace("Emma Twigg", "somebody else"), "sec-2", 2, "Rowing")
    embed = MiniLM().sentence_vectors
    for answer, refused in (("Emma Twigg", ""), ("before empty stands in a strong wind", "as_near_as_the_true_context")):
        one = asked("How did the women's single sculls final of rowing end?", answer, told, told)
        pool = Pool.of([one.section, sister])
        assert [f.refused for f in similar.offers(one, similar.near(one, pool, [0, 1], idf(*(s.context for s in pool.sections))), embed)] == [refused]


def words_of(*numbers: int) -> str:
    return " ".join(f"word{n}" for n in numbers)


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3), min_size=3, max_size=30), st.integers(0, 5))
def test_no_near_duplicate_sections_and_no_near_duplicate_questions_are_used_in_two_splits(pages: list[list[int]], seed: int) -> None:
    sections, rows = [], []
    for page, stories in enumerate(pages):
        for position, story in enumerate(stories):
            name = f"sec-{page}-{position}"
            sections.append(section(words_of(*range(story * 50, story * 50 + 30)), name, page, f"Page {page}", position))
            rows.append(QA(f"qa-{name}", name, f"Who told story number {story % 5} first of all people?", "A", "", "", "", None, "", "", 0, 0))
    splits = assign(sections, rows, seed)
    used = [s for s in sections if s.section_id not in splits.unused]
    for kept in (
        [(s.content, s.title) for s in used],
        [(r.question, f"Page {r.section_id.split('-')[1]}") for r in rows if r.qa_id not in splits.dropped],
    ):
        for text in {text for text, _ in kept}:
            assert len({splits.by_title[title] for other, title in kept if other == text}) == 1
    assert {r.qa_id for r in rows if r.section_id in splits.unused} <= set(splits.dropped)


def test_near_pairs_join_what_a_comparison_of_all_with_all_joins() -> None:
    rng = random.Random(3)
    texts = [words_of(*(rng.randrange(5) if rng.random() < 0.02 else n + 100 * (at % 7) for n in range(60))) for at in range(60)]
    fast, slow = Groups(map(str, range(60))), Groups(map(str, range(60)))
    for one, other in near_pairs(texts, 0.8):
        assert jaccard(shingles(texts[one]), shingles(texts[other])) >= 0.8
        fast.join((str(one), str(other)))
    for one in range(60):
        for other in range(one):
            if jaccard(shingles(texts[one]), shingles(texts[other])) >= 0.8:
                slow.join((str(one), str(other)))
    assert [fast.root(str(n)) for n in range(60)] == [slow.root(str(n)) for n in range(60)]
    assert 7 <= len({fast.root(str(n)) for n in range(60)}) < 60


def corpus() -> tuple[list[Section], list[QA]]:
    """Thirty pages in one form; the first shares a sentence with the second."""
    sections, rows = [], []
    for n in range(30):
        for part in range(2):
            text = (
                f"The harbour of town {n}x{part} was founded in {1700 + n} by captain Nemo{n} after a storm had taken the older one away. "
                f"Its lighthouse has {n + 30} lamps. Fishers of the {n}th guild mend {n} nets there in winter, and in summer they sail to the north with a priest."
            )
            sections.append(section(text, f"sec-{n}-{part}", n, f"Harbour {n}", part))
        rows.append(
            QA(
                f"qa-{n}",
                f"sec-{n}-0",
                f"Who founded the harbour of town {n}x0 in {1700 + n}?",
                f"captain Nemo{n}",
                "",
                "imported",
                "",
                None,
                "",
                "",
                0,
                0,
            )
        )
    return sections, [*rows, QA("qa-lost", "sec-none", "Who knows?", "x", "", "", "", None, "", "", 0, 0)]


def test_every_place_asked_for_is_a_row_or_counted_and_no_context_is_empty() -> None:
    sections, rows = corpus()
    sections.append(section(" \n", "sec-empty", 0, "Harbour 0", 5))
    made = make_examples(rows, sections, dict.fromkeys(KINDS[1:], 2), True, None, 0)
    reasons = Counter(d.reason for d in made.dropped)
    assert reasons["section_not_in_run"] == 1
    for kind in KINDS[1:]:
        rows_of_kind = [e for e in made.examples if e.kind == kind]
        missing = [d for d in made.dropped if d.kind == kind and d.reason.startswith("not_available")]
        assert len(rows_of_kind) + len(missing) == made.asked[kind] == 60
    assert sum(e.kind == "positive" for e in made.examples) == 30
    assert all(e.context.partition("\n\n")[2].strip() for e in made.examples)
    assert len({e.example_id for e in made.examples}) == len(made.examples)
    assert {e.split for e in made.examples} <= set(SPLITS)


def test_half_a_negative_for_each_question_is_one_for_about_every_other() -> None:
    sections, rows = corpus()
    made = make_examples(rows, sections, {"random": 0.5, "same_page": 1.5}, True, None, 0)
    assert 6 <= made.asked["random"] <= 24
    assert 36 <= made.asked["same_page"] <= 54
    assert made.asked["random"] == sum(e.kind == "random" for e in made.examples)


def test_the_same_seed_makes_the_same_examples_and_another_does_not() -> None:
    sections, rows = corpus()
    wanted = dict.fromkeys(KINDS[1:], 1)
    first, again, other = (make_examples(rows, sections, wanted, True, None, seed).examples for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_forms_are_never_empty() -> None:
    assert "" not in forms("!!!")
    assert "" not in forms("the")
