"""What a person is told: whether a model's own words are held by the section, how labels were verified, which command comes next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.answering.answer import Evidence, answer
from pipeline.cli import Run
from pipeline.dataset.statistics import way_of
from pipeline.making.models import Asked, then_of
from pipeline.records import Section
from pipeline.retrieval.minilm import encoder
from pipeline.store import RunFolder
from pipeline.text.lexical import Idf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from pipeline.trainers.discriminator import Pair

CONTENT = "Teddy Riner of France lost a quarter-final to Tamerlan Bashaev. Lukas Krpalek of the Czech Republic won the title."


class Sure:
    """A discriminator that takes every context."""

    threshold = 0.5

    def probabilities(self, pairs: Sequence[Pair], step: Callable[[int], None] = lambda _n: None) -> npt.NDArray[np.float64]:
        return np.full(len(pairs), 0.9)


@pytest.mark.parametrize(("said", "supported", "evidence"), [
    ("Tamerlan Bashaev", True, "Teddy Riner of France lost a quarter-final to Tamerlan Bashaev."),
    ("Lukas Krpalek", True, "Lukas Krpalek of the Czech Republic won the title."),
    ("Saeid Mollaei defeated Teddy Riner.", False, "Teddy Riner of France lost a quarter-final to Tamerlan Bashaev."),
])  # fmt: skip
def test_a_models_words_have_the_sentence_that_holds_them_as_evidence_or_are_said_to_have_none(said: str, *, supported: bool, evidence: str) -> None:
    section = Section("sec-1", 1, 0, 0, "Judo", "Men", "Men", 2, CONTENT, 30, 1, "u", "")
    found = answer("Who defeated Teddy Riner?", [section], Sure(), 0.5, Evidence(encoder(), Idf.of([section.context])), lambda _c, _q: said, "m")
    assert (found.text, found.supported, found.evidence) == (said, supported, evidence)


def test_ways_of_verifying_are_counted_without_what_is_of_one_row_alone() -> None:
    one = way_of("overlap 0.26 to 0.34, cosine 92% of the true context's; rules: answer absent; nearest sentence by meaning")
    assert one == way_of("overlap 0.31 to 0.40, cosine 98% of the true context's; rules: answer absent; nearest sentence by meaning")
    assert way_of("topic archery → Athletics; what went stands there") == way_of("year 2020 → 1912; what went stands there")


@pytest.mark.parametrize(("there", "command"), [
    (False, "python -m pipeline.train --target discriminator --file mine.jsonl"), (True, "python -m pipeline.evaluate --qa"),
])  # fmt: skip
def test_after_a_qa_model_comes_the_discriminator_that_evaluate_and_ask_need_if_there_is_none(tmp_path: Path, *, there: bool, command: str) -> None:
    run = Run("train", RunFolder(tmp_path), quiet=True, as_json=False, force=False)
    if there:
        run.folder.discriminator.mkdir(parents=True)
    wish = Asked(
        target="qa", seed=0, model=None, begin=None, suffix=None, n_epochs=4, batch_size=None, learning_rate_multiplier=None, max_minutes=None,
        file=Path("mine.jsonl"), validation_file=None, n_classes=None, positive_class=None, beta="1", track="none",
    )  # fmt: skip
    assert then_of(run, "qa", tmp_path / "models" / "m:ft-qa", wish).startswith(command)
