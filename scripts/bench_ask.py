"""How fast `ask` is: python scripts/bench_ask.py data/run [--questions 30]

Cold: a process that is started, answers one question of the run and ends, beside one that only imports the libraries that it needs (numpy, pyarrow,
bm25s, onnxruntime, tokenizers). Warm: search, judging and evidence, each question for the first time, beside the encoder's time for two texts of
a hundred words; so a figure can be compared between machines that are busy with other things. The run's vectors must have been made.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.answering.answer import answer, evidence_for
from pipeline.retrieval.search import Search
from pipeline.run_folder import RunFolder
from pipeline.sources.given import each_qa, read_sections
from pipeline.trainers.saved import load_scorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.retrieval.minilm import MiniLM

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = "import numpy, pyarrow.parquet, bm25s, onnxruntime, tokenizers"
CANDIDATES, TOKENS, STARTS = 5, 1800, 5
WORDS = "the ship went out to sea at dawn and came back with fish for the town by night " * 6


def seconds(do: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def process(*arguments: str) -> None:
    """Run Python to its end."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)  # noqa: S603 (this very interpreter)


def cold(data: Path, question: str) -> None:
    """Print how long a whole process takes, beside bare imports."""
    asking = ("-m", "pipeline.ask", question, "--data", str(data), "--quiet")
    process(*asking)
    pairs = [(seconds(lambda: process(*asking)), seconds(lambda: process("-c", LIBRARIES))) for _ in range(STARTS)]
    ratios = [a / b for a, b in pairs]
    asked, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"cold   {asked:.2f} s, bare imports {bare:.2f} s: {statistics.median(ratios):.1f} times ({STARTS} starts, medians)", flush=True)


def warm(folder: RunFolder, questions: list[str]) -> None:
    """Print how long a question takes once all is loaded, beside the encoder alone."""
    scorer, sections = load_scorer(folder.discriminator), read_sections(folder.sections)
    evidence = evidence_for(scorer, lambda: (section.context for section in sections))
    silent: Callable[[int], Any] = lambda _n: nullcontext(SimpleNamespace(step=lambda _n: None))  # noqa: E731
    search = Search.over(sections, folder.search, evidence.encoder, silent)
    answer("A first question?", search.candidates("A first question?", CANDIDATES, TOKENS), scorer, scorer.threshold, evidence, None, "")
    searching, deciding, encoding = [], [], []
    for number, question in enumerate(questions):
        found: list[Any] = []
        searching.append(seconds(lambda: found.extend(search.candidates(question, CANDIDATES, TOKENS))))  # noqa: B023 (called at once)
        deciding.append(seconds(functools.partial(answer, question, found, scorer, scorer.threshold, evidence, None, "")))
        encoding.append(seconds(functools.partial(_encode, evidence.encoder, number)))
    whole = [a + b for a, b in zip(searching, deciding, strict=True)]
    ratio = statistics.median(a / b for a, b in zip(whole, encoding, strict=True))
    ordered = sorted(whole)
    print(
        f"warm   {statistics.median(whole):.3f} s (search {statistics.median(searching):.3f}, decide {statistics.median(deciding):.3f}), "
        f"nine of ten under {ordered[int(0.9 * (len(ordered) - 1))]:.3f} s; two texts through the encoder {statistics.median(encoding):.3f} s: "
        f"{ratio:.1f} times ({len(sections):,} sections, {len(questions)} questions, {CANDIDATES} candidates)"
    )


def _encode(encoder: MiniLM, number: int) -> None:
    encoder.embed([f"{number} {WORDS}", f"{number} again {WORDS}"])


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=ROOT / "data" / "demo", help="a run folder with a trained discriminator")
    parser.add_argument("--questions", type=int, default=30)
    given = parser.parse_args()
    folder = RunFolder(given.data.resolve())
    if not folder.qa.is_file() or not folder.discriminator.is_dir():
        print(f"there is no trained discriminator in {given.data}: run `make demo`, or name a run folder")
        return
    asked = [row.question for row in each_qa(folder.qa)]
    step = max(1, len(asked) // given.questions)
    cold(folder.root, asked[0])
    warm(folder, asked[::step][: given.questions])


if __name__ == "__main__":
    main()
