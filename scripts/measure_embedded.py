"""Measure the embedded model as reader and judge on SQuAD articles that it was not trained on, as the pipeline asks it.

    python scripts/measure_embedded.py --squad train-v2.0.json --articles "Spectre_(2015_film)" "Solar_energy" --questions 150

Reader: exact match and F1 of answerable questions by SQuAD's own script's rules, how many of them it declines, how much of each kind of negative it
declines. Judge: AUROC of p(yes) by kind. The negatives are the project's own; "written" are SQuAD's unanswerable questions. `--bare` measures the
model without its adapter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from embedded_rows import WRITTEN, squad_material
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.squad import score
from pipeline.ledger import Entry
from pipeline.llm import answering
from pipeline.llm.chat import ChatReply, ChatRequest, reply_of, wire
from pipeline.llm.embedded import ADAPTER, SLOTS, serve
from pipeline.negatives.make import make_examples
from pipeline.retrieval.minilm import encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

REFUSAL = " No"
KINDS = {"random": 1.0, "same_page": 1.0, "similar": 1.0, "altered_question": 1.0, "evidence_removed": 1.0}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on a context, its answer (empty: it has none), and its kind."""

    context: str
    question: str
    answer: str
    kind: str


def questions(squad: Path, articles: list[str], most: int, seed: int) -> list[Asked]:
    """Return up to `most` questions of each kind."""
    material = squad_material(squad, articles)
    rng = random.Random(seed)
    drawn = rng.sample(material.questions, min(most, len(material.questions)))
    made = make_examples(drawn, material.sections, KINDS, True, encoder().sentence_vectors, seed)
    found = [Asked(e.context, e.question, e.answer if e.answerable else "", e.kind) for e in made.examples]
    written = [Asked(trap.section.context, trap.question, "", WRITTEN) for trap in material.traps]
    by_kind: dict[str, list[Asked]] = defaultdict(list)
    for one in [*found, *written]:
        by_kind[one.kind].append(one)
    return [one for kind in sorted(by_kind) for one in (by_kind[kind] if len(by_kind[kind]) <= most else rng.sample(by_kind[kind], most))]


async def ask(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a completion."""
    async with session.post(f"{url}/chat/completions", data=wire(body), headers={"Content-Type": "application/json"}) as reply:
        found: dict[str, Any] = await reply.json()
        return found["choices"][0] if reply.status == 200 else {"message": {"content": ""}, "refused": found}


@dataclass(frozen=True, slots=True)
class Found:
    """What the reader would answer, by how much it prefers to decline (log-odds against the likeliest answer), and what the judge thinks."""

    said: str
    refuses: float
    p_yes: float


def _prefers_refusal(choice: dict[str, Any]) -> float:
    top = choice["logprobs"]["content"][0]["top_logprobs"]
    refusal = max((one["logprob"] for one in top if one["token"] == REFUSAL), default=-20.0)
    return float(refusal - max((one["logprob"] for one in top if one["token"] != REFUSAL), default=-20.0))


def _reply(choice: dict[str, Any]) -> ChatReply:
    return reply_of(Entry(json.dumps({"choices": [choice]}), 0, 0, 1, 200), from_ledger=False)


async def measured(base_url: str, key: str, asked: list[Asked]) -> list[Found]:
    """Return what the reader says and the judge thinks of each question."""
    import aiohttp

    slots = asyncio.Semaphore(SLOTS)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}, timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def one(row: Asked) -> Found:
            first = ChatRequest("m", answering.small_request("m", row.context, row.question, leaning=0.0).messages, 1, likely=20)
            async with slots:
                said = await ask(session, base_url, answering.small_request("m", row.context, row.question, leaning=answering.NEVER_DECLINE).body())
                begins = await ask(session, base_url, first.body())
                judged = await ask(session, base_url, answering.small_judgement("m", row.context, row.question).body())
            return Found(said["message"]["content"].strip(), _prefers_refusal(begins), answering.p_yes(_reply(judged)))

        return list(await asyncio.gather(*map(one, asked)))


def reader_figures(asked: list[Asked], found: list[Found], leaning: float) -> dict[str, Any]:
    """Return the reader's measures if `leaning` is added to the logit of a refusal."""
    scores = [score(one.said if one.refuses + leaning <= 0 else "", [row.answer]) for row, one in zip(asked, found, strict=True) if row.answer]
    declined: dict[str, list[bool]] = defaultdict(list)
    for row, one in zip(asked, found, strict=True):
        declined[row.kind].append(one.refuses + leaning > 0)
    n = len(scores)
    return {
        "leaning": leaning, "exact_match": round(sum(exact for exact, _ in scores) / n, 3), "f1": round(sum(f1 for _, f1 in scores) / n, 3),
        "over_refusal": round(sum(declined.pop("positive")) / n, 3),
        "declined": {kind: round(sum(some) / len(some), 2) for kind, some in sorted(declined.items())},
    }  # fmt: skip


def judge_figures(asked: list[Asked], found: list[Found]) -> dict[str, Any]:
    """Return the judge's AUROC by kind, and that of the reader's own leaning to decline."""
    told: dict[str, Any] = {}
    sure: dict[str, Callable[[Found], float]] = {"judge": lambda one: one.p_yes, "reader": lambda one: -one.refuses}
    for name, of in sure.items():
        by_kind: dict[str, list[float]] = defaultdict(list)
        for row, one in zip(asked, found, strict=True):
            by_kind[row.kind].append(of(one))
        yes = by_kind.pop("positive")
        told[name] = {"all": _auroc(yes, [p for no in by_kind.values() for p in no]), **{k: _auroc(yes, no) for k, no in sorted(by_kind.items())}}
    return told


def _auroc(yes: list[float], no: list[float]) -> float:
    return round(float(roc_auc_score([True] * len(yes) + [False] * len(no), yes + no)), 3)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, required=True, help="SQuAD 2.0 JSON, plain or gzipped")
    parser.add_argument("--articles", nargs="+", required=True)
    parser.add_argument("--questions", type=int, default=150, help="at most so many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adapter", type=Path, default=ADAPTER, help="another adapter than the one that is shipped")
    parser.add_argument("--bare", action="store_true", help="without an adapter")
    parser.add_argument("--leaning", type=float, nargs="+", default=[answering.LEANING], help="added to a refusal's logit; several: a line for each")
    parser.add_argument("--out", type=Path, help="write each question with what was said of it, as JSON lines")
    given = parser.parse_args()
    asked = questions(given.squad, given.articles, given.questions, given.seed)
    began = time.monotonic()
    with serve(None if given.bare else given.adapter) as endpoint:
        found = asyncio.run(measured(endpoint.base_url, endpoint.api_key, asked))
    counts = Counter(row.kind for row in asked)
    told = {"asked": counts, "seconds": round(time.monotonic() - began, 1), "auroc": judge_figures(asked, found)}
    print(json.dumps(told, indent=1))
    for leaning in given.leaning:
        print(json.dumps(reader_figures(asked, found, leaning)))
    if given.out:
        lines = [json.dumps({**asdict(row), **asdict(one)}, ensure_ascii=False) for row, one in zip(asked, found, strict=True)]
        given.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
