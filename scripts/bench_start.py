"""How long `--help` takes, against an empty Python, and what importing costs.

python scripts/bench_start.py [PASSES]
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

COMMANDS = ("collect", "create_qa", "train", "ask", "report")


def seconds(arguments: list[str], passes: int) -> float:
    """Return the median wall time of a command."""
    taken = []
    for _ in range(passes):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)  # noqa: S603 (our own commands)
        taken.append(time.perf_counter() - start)
    return median(taken)


def main(passes: int) -> None:
    """Print seconds and the ratio to an empty Python for each command."""
    empty = seconds(["-c", "pass"], passes)
    print(f"empty python {empty:.3f} s")
    for command in COMMANDS:
        own = seconds(["-m", f"pipeline.{command}", "--help"], passes)
        print(f"{command} --help {own:.3f} s, ratio {own / empty:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
