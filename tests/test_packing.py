"""Turns behind one context: the same loss as rows one by one, and no turn sees another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.trainers.packing import NOT_LEARNT, Turn, collated, in_sequences, pack

TOKENS = st.lists(st.integers(1, 60), min_size=1, max_size=12)
TURNS = st.lists(st.builds(lambda p, c: Turn(tuple(p), tuple(c)), TOKENS, TOKENS), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    shape: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**shape))


def one_by_one(model: Any, context: list[int], turns: list[Turn]) -> list[float]:
    """Return the log probability of each turn's completion, asked for by itself."""
    found = []
    for turn in turns:
        ids = torch.tensor([[*context, *turn.prompt, *turn.completion]])
        with torch.no_grad():
            said = model(input_ids=ids).logits.log_softmax(-1)[0, :-1]
        wanted = said.gather(1, ids[0, 1:, None])[:, 0]
        found.append(float(wanted[-len(turn.completion) :].sum()))
    return found


@given(context=TOKENS, turns=TURNS, other=TURNS)
@settings(deadline=None, max_examples=40)
def test_a_completion_is_as_likely_behind_other_turns_and_in_a_batch_as_by_itself(
    model: Any, context: list[int], turns: list[Turn], other: list[Turn]
) -> None:
    rows = [pack(context, turns), pack([7, 8], other)]
    batch = collated(rows, 0)
    with torch.no_grad():
        said = model(**{k: v for k, v in batch.items() if k != "labels"}).logits.log_softmax(-1)
    at = len(context)
    for turn, alone in zip(turns, one_by_one(model, context, turns), strict=True):
        first = at + len(turn.prompt)
        together = sum(float(said[0, first + n - 1, token]) for n, token in enumerate(turn.completion))
        assert together == pytest.approx(alone, abs=1e-3)
        at += len(turn)


@given(context=TOKENS, turns=TURNS, longest=st.integers(1, 80))
def test_every_turn_is_in_exactly_one_sequence_and_those_are_as_long_as_allowed(context: list[int], turns: list[Turn], longest: int) -> None:
    rows = list(in_sequences(context, turns, longest))
    learnt = [token for row in rows for token in row.labels if token != NOT_LEARNT]
    assert learnt == [token for turn in turns for token in turn.completion]
    assert all(len(row) <= longest or max(row.owner) == 1 for row in rows)
    assert all(row.ids[: len(context)] == tuple(context) for row in rows)


def test_the_loss_of_a_pack_is_the_mean_over_its_completions_tokens(model: Any) -> None:
    context, turns = [5, 6, 7], [Turn((1, 2), (3, 4, 5)), Turn((9,), (8,))]
    loss = model(**collated([pack(context, turns)], 0)).loss.item()
    assert loss == pytest.approx(-sum(one_by_one(model, context, turns)) / 4, abs=1e-4)
