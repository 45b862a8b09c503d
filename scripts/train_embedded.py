"""Train the embedded model's adapter: it learns to write a question for an answer, to check it, to answer or decline, and to judge.

    python scripts/train_embedded.py --squad train-v2.0.json --articles "Beyoncé" "IPod" --out data/adapter --max-minutes 45

Rows are those of `embedded_rows`: the sections of data/embedded (ours), the named articles of any SQuAD 2.0 file (CC BY-SA 4.0, Rajpurkar et al.
2018), and with `--sections olympics_sections.csv` what readers thought of questions that the model wrote on those pages. What is trained is what is
asked. Training is `pipeline.trainers.finetune.tune`: the same command goes on after a kill, `--from` begins with an earlier adapter's folder.
`--out` holds models/NAME with the adapter as GGUF, settings, losses of each step and plots; `rows.json` says what it was trained on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from embedded_rows import JUDGED_TIMES, OWN_ROWS, SQUAD_ROWS, judged_material, own_material, squad_material, turns, turns_of_judged

from pipeline.errors import PipelineError
from pipeline.llm.bases import dequantised
from pipeline.llm.embedded import ADAPTER_NAME
from pipeline.settings import EMBEDDED_MODEL
from pipeline.store import write_json
from pipeline.trainers import rows
from pipeline.trainers.adapter_gguf import write_adapter
from pipeline.trainers.finetune import tune
from pipeline.trainers.training import Job, Terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.records import Section


def parted(sections: Sequence[Section]) -> set[str]:
    """Return the contexts that are kept back to watch the loss on: a twentieth."""
    return {section.context for section in sections if int(section.section_id[-4:], 16) % 20 == 0}


class _Bar:
    """What `tune` tells of its steps."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def step(self, n: int = 1, **shown: str) -> None:
        """Go on by n steps."""
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(n)


@contextmanager
def watch(total: int) -> Iterator[_Bar]:
    """Show the steps of a training."""
    from tqdm import tqdm

    with tqdm(total=total, desc="training", unit=" step", mininterval=20) as bar:
        yield _Bar(bar)


def main() -> None:
    """Read the arguments, make the rows, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, required=True, help="SQuAD 2.0 JSON, plain or gzipped")
    parser.add_argument("--articles", nargs="+", required=True, help="the articles to train on; keep others to measure with")
    parser.add_argument("--sections", type=Path, help="the notebooks' olympics_sections.csv: learn from judged questions on them, too")
    parser.add_argument("--from", dest="begin", type=Path, help="the folder of an earlier adapter to go on from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-minutes", type=float)
    parser.add_argument("--n-epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate-multiplier", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        _train(given)
    except PipelineError as error:
        raise SystemExit(f"error: {error}") from error


def _train(given: argparse.Namespace) -> None:
    own, squad = own_material(), squad_material(given.squad, given.articles)
    aside = parted([*own.sections, *squad.sections])
    judged = list(turns_of_judged(judged_material(given.sections))) if given.sections else []
    every = [*turns(own, OWN_ROWS, given.seed), *turns(squad, SQUAD_ROWS, given.seed), *judged * JUDGED_TIMES]
    train = [row for row in every if row.context not in aside]
    validation = list({row.row_id: row for row in every if row.context in aside}.values())
    counts = {"train": dict(sorted(Counter(row.kind for row in train).items())), "validation": len(validation), "articles": given.articles}
    print(json.dumps(counts, indent=1, ensure_ascii=False), file=sys.stderr)
    given.out.mkdir(parents=True, exist_ok=True)
    write_json(given.out / "rows.json", counts)
    terms = Terms(given.n_epochs, given.batch_size, given.learning_rate_multiplier, given.max_minutes, given.seed)
    job = Job(rows.TASKS, EMBEDDED_MODEL, given.begin, (), train, validation, terms, "tasks", made_of=counts)
    done = tune(job, given.out / "models", datetime.now(tz=UTC), watch, lambda line: print(line, file=sys.stderr))
    shipped = given.out / ADAPTER_NAME
    write_adapter(done.folder, dequantised(), shipped, half=True)
    print(
        f"{done.folder}\n{shipped} ({shipped.stat().st_size / 1e6:.1f} MB): copy it to pipeline/llm/weights/, under a new name if it is another one"
    )


if __name__ == "__main__":
    main()
