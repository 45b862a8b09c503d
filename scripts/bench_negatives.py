"""How long negatives take, and how much memory, by number of sections: python scripts/bench_negatives.py --sections 1000,4000 --questions 1000

Mining is BM25 alone: index the sections, search for every question. Each size runs in a process of its own, so that its memory is its
own. Sections are synthetic (120 words, Zipf-distributed over 50,000), or those of a run folder (--data). Verification is timed apart, on
the questions of a run folder, with and without embeddings.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

WORDS, VOCABULARY = 120, 50_000
FOUND = 40


def synthetic(n: int) -> list[str]:
    """Return `n` texts of words that are as unevenly frequent as in a language."""
    rng = random.Random(0)
    weights = [1 / (rank + 10) for rank in range(VOCABULARY)]
    cumulative = [0.0]
    for weight in weights:
        cumulative.append(cumulative[-1] + weight)
    names = [f"word{rank}" for rank in range(VOCABULARY)]
    return [" ".join(rng.choices(names, cum_weights=cumulative[1:], k=WORDS)) for _ in range(n)]


def mine(texts: list[str], questions: int) -> None:
    """Index and search, and print a row of the table."""
    from pipeline.retrieval.bm25 import Bm25

    rng = random.Random(1)
    asked = [" ".join(rng.sample(rng.choice(texts).split(), 8)) for _ in range(questions)]
    begun = time.perf_counter()
    index = Bm25(texts)
    indexed = time.perf_counter()
    found = index.search(asked, FOUND)
    done = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{len(texts):>10,}{len(found):>11,}{indexed - begun:>10.1f}{done - indexed:>10.1f}{done - begun:>9.1f}{memory:>9.2f}", flush=True)


def verify(folder: Path, few: int, many: int) -> None:
    """Make the examples of a run's first few and first many questions, by rules alone and with embeddings; print what a run and a question take.

    Splits and the corpus' values are read once a run, whatever is asked: a thousand questions are not twenty times fifty.
    """
    from pipeline.negatives.make import make_examples
    from pipeline.retrieval.minilm import MiniLM
    from pipeline.sources.given import read_qa, read_sections

    rows, sections = read_qa(folder / "qa.parquet"), read_sections(folder / "sections.parquet")
    wanted = dict.fromkeys(("random", "same_page", "similar", "altered_question", "evidence_removed"), 1)
    for name, encoded in (("rules", False), ("rules and meaning", True)):
        took = []
        for n in (few, min(many, len(rows))):
            embed = MiniLM().sentence_vectors if encoded else None
            begun = time.perf_counter(), time.process_time()
            make_examples(rows[:n], sections, wanted, verify=True, embed=embed, seed=0)
            took.append((n, time.perf_counter() - begun[0], time.process_time() - begun[1]))
        (n, wall, cpu), (more, longer, busier) = took
        each, work = (longer - wall) / (more - n), (busier - cpu) / (more - n)
        print(
            f"all five kinds, verified by {name}: {1000 * each:.1f} s ({1000 * work:.1f} CPU-s) for a thousand questions, "
            f"and {wall - n * each:.1f} s ({cpu - n * work:.1f} CPU-s) a run of {len(sections):,} sections; measured on {n} and {more}"
        )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", default="1000,4000", help="sizes, with commas between them")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--data", type=Path, help="a run folder: mine its sections as well, and time verification on its questions")
    parser.add_argument("--verified", default="50,200", help="on how many of its questions: few,many")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        mine(synthetic(given.one), given.questions)
        return
    print(f"{'sections':>10}{'questions':>11}{'index s':>10}{'search s':>10}{'sum s':>9}{'GiB':>9}", flush=True)
    for size in given.sections.split(","):
        subprocess.run([sys.executable, __file__, "--one", size, "--questions", str(given.questions)], check=True)  # noqa: S603 (this script itself)
    if given.data:
        from pipeline.sources.given import read_sections

        mine([s.context for s in read_sections(given.data / "sections.parquet")], given.questions)
        few, many = map(int, given.verified.split(","))
        verify(given.data, few, many)


if __name__ == "__main__":
    main()
