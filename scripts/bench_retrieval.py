"""How often the search finds the section that a question was asked about: python scripts/bench_retrieval.py data/run [--end-to-end N]

As the notebooks measured it: the share of questions whose section is among the first 2,000 tokens of what the search returns (theirs: 74.3 %), and
of those whose section is not among the first 200 (theirs: 7.4 %). A section counts as found only if its very text is. BM25 alone and MiniLM alone
stand beside. With --end-to-end N, N questions of the run are asked as `ask` does, as they are and (where the run has such examples) with a year,
number or name exchanged so that the section does not answer any more; the shares answered, and answered from the right section, are told
for several numbers of candidates.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.answering.judging import judge
from pipeline.records import Example
from pipeline.retrieval.minilm import MiniLM
from pipeline.retrieval.search import DEPTH, Search, within
from pipeline.run_folder import RunFolder
from pipeline.sources.given import read_qa, read_sections
from pipeline.store import read_rows
from pipeline.trainers.discriminator import Pair
from pipeline.trainers.saved import Light, load_scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pipeline.records import Section

BUDGETS = (1000, 1800, 2000)
RANKS = (1, 5, 8)
BEYOND = 200


def table(sections: Sequence[Section], asked: list[tuple[str, Section]], ways: Mapping[str, Callable[[str], list[int]]]) -> None:
    """Print a row for each way to search."""
    heads = [*(f"in {n:,} tokens" for n in BUDGETS), *(f"first {n}" for n in RANKS), f"beyond {BEYOND}", "ms"]
    print(f"{len(sections):,} sections, {len(asked):,} questions\n{'':<10}" + "".join(f"{head:>17}" for head in heads))
    for name, search in ways.items():
        begun = time.perf_counter()
        found = [search(question) for question, _ in asked]
        took = 1000 * (time.perf_counter() - begun) / max(1, len(asked))
        pairs = [(f, gold) for f, (_, gold) in zip(found, asked, strict=True)]
        shares = [sum(_is_in(within(sections, f, DEPTH, budget), gold) for f, gold in pairs) for budget in BUDGETS]
        ranks = [next((r for r, at in enumerate(f) if sections[at].context == gold.context), DEPTH) for f, gold in pairs]
        shares += [sum(rank < n for rank in ranks) for n in RANKS] + [sum(rank >= BEYOND for rank in ranks)]
        print(f"{name:<10}" + "".join(f"{100 * n / len(asked):>16.1f}%" for n in shares) + f"{took:>17.1f}", flush=True)


def _is_in(found: Iterable[Section], gold: Section) -> bool:
    return any(section.context == gold.context for section in found)


def end_to_end(folder: RunFolder, search: Search, asked: list[tuple[str, Section]], n: int) -> None:
    """Print how many questions are answered, and from which section, for some numbers of candidates."""
    scorer = load_scorer(folder.discriminator)
    if isinstance(scorer, Light):
        search = Search(search.sections, search.bm25, search.vectors, scorer.encoder)
    altered = [e for e in read_rows(folder.examples, Example) if e.kind == "altered_question"] if folder.examples.is_file() else []
    drawn = random.Random(0).sample(asked, min(n, len(asked)))
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        ("as asked", [(question, gold.context) for question, gold in drawn]),
        ("altered", [(e.question, "") for e in random.Random(0).sample(altered, min(n, len(altered)))]),
    ]
    for name, questions in groups:
        judged = []
        for question, gold in questions:
            found = search.candidates(question, max(RANKS), BUDGETS[1])
            judged.append(
                [(one.p, s.context == gold) for one, s in zip(judge(scorer, [Pair(question, s.context) for s in found]), found, strict=True)]
            )
        for most in RANKS:
            best = [max(row[:most], default=(0.0, False)) for row in judged]
            answered = [right for p, right in best if p >= scorer.threshold]
            print(
                f"{name:<10}{most} candidates: {len(answered)} of {len(questions)} answered, {sum(answered)} of these from the section asked about",
                flush=True,
            )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    demo = Path(__file__).resolve().parent.parent / "data" / "demo"
    parser.add_argument("data", type=Path, nargs="?", default=demo, help="a run folder with sections and questions (default: the demo's)")
    parser.add_argument("--end-to-end", type=int, default=0, metavar="N")
    given = parser.parse_args()
    if not RunFolder(given.data).qa.is_file():
        print(f"there are no questions in {given.data}: run `make demo`, or name a run folder")
        return
    folder, encoder = RunFolder(given.data), MiniLM()
    sections = read_sections(folder.sections)
    by_id = {s.section_id: s for s in sections}
    asked = [(row.question, by_id[row.section_id]) for row in read_qa(folder.qa) if row.section_id in by_id]
    silent: Callable[[int], Any] = lambda _n: nullcontext(SimpleNamespace(step=lambda _n: None))  # noqa: E731
    search = Search.over(sections, folder.search, encoder, silent)
    ways = {"BM25": search.by_words, "MiniLM": search.by_meaning, "fused": search.ranked}
    encoder.embed([question for question, _ in asked])
    table(sections, asked, ways)
    if given.end_to_end:
        end_to_end(folder, search, asked, given.end_to_end)


if __name__ == "__main__":
    main()
