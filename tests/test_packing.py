"""Rows on one context as one sequence: the same loss as one by one, and no turn sees another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.trainers.packing import NOT_LEARNT, can_pack, collate_together, together
from pipeline.trainers.rows import Encoded
from pipeline.trainers.tuner import collate_causal, completions

TOKENS = st.lists(st.integers(1, 60), min_size=1, max_size=12)
CONTEXTS = {"": [], "river": [5, 6, 7, 8, 9, 9], "town": [5, 6, 11]}


@st.composite
def some_rows(draw: st.DrawFn) -> list[Encoded]:
    found = []
    for _ in range(draw(st.integers(1, 7))):
        context = draw(st.sampled_from(sorted(CONTEXTS)))
        completion = draw(TOKENS)
        found.append(Encoded((*CONTEXTS[context], *draw(TOKENS), *completion), len(completion), draw(st.integers(0, 1)), context=context))
    return found


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    shape: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**shape))


@given(rows=some_rows())
@settings(deadline=None, max_examples=60)
def test_each_completion_has_the_logits_that_it_has_by_itself(model: Any, rows: list[Encoded]) -> None:
    with torch.no_grad():
        said = completions(model, collate_together(rows, 0))
        for at, row in enumerate(rows):
            alone = completions(model, collate_causal([row], 0))
            mine = said.rows == at
            assert said.wanted[mine].tolist() == list(row.ids[len(row.ids) - row.n_completion :])
            assert torch.allclose(said.logits[mine], alone.logits, atol=1e-4)
            assert torch.allclose(said.firsts(len(rows))[at], alone.logits[0], atol=1e-4)


@given(rows=some_rows(), longest=st.integers(1, 80))
def test_every_row_is_in_exactly_one_sequence_with_all_its_tokens(rows: list[Encoded], longest: int) -> None:
    found = list(together(rows, longest))
    assert sorted(at for _, places in found for at in places) == list(range(len(rows)))
    for packed, places in found:
        assert len(packed.ids) <= longest or len(places) == 1
        for number, at in enumerate(places, 1):
            ids = [token for token, owner in zip(packed.ids, packed.owner, strict=True) if owner in (0, number)]
            assert ids == list(rows[at].ids)
        assert sum(label != NOT_LEARNT for label in packed.labels) == sum(rows[at].n_completion for at in places)


def test_rows_on_one_context_read_it_once() -> None:
    context = tuple(range(1, 41))
    rows = [Encoded((*context, 50 + n, 60), 1, -1, context="c") for n in range(5)]
    assert [len(packed.ids) for packed, _ in together(rows)] == [40 + 5 * 2]


def test_a_batch_counts_the_tokens_of_its_rows_one_by_one() -> None:
    rows = [Encoded((1, 2, 3, n), 1, n, context="c") for n in (4, 5)]
    batch = collate_together(rows, 0)
    assert batch["tokens"].tolist() == [8]
    assert batch["classes"].tolist() == [4, 5]
    assert batch["input_ids"].shape == (1, 6)


@pytest.mark.parametrize(("kind", "changed", "fits"), [
    ("llama", {}, True), ("mistral", {"sliding_window": 4096}, False), ("mistral", {"sliding_window": None}, True),
    ("qwen2", {"sliding_window": 4096, "use_sliding_window": False}, True), ("mamba", {}, False), ("gemma2", {}, False),
])  # fmt: skip
def test_only_models_whose_layers_see_the_whole_text_are_packed(kind: str, changed: dict[str, Any], *, fits: bool) -> None:
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind, **changed)
    config._attn_implementation = "sdpa"
    assert can_pack(config) is fits
