"""Several prompts on one context as one sequence: the context is read once, and each turn sees the context and itself, nothing else.

A prompt of this project is a context and a turn ("\\nQuestion: …\\nAnswer:" with its completion). Trained one by one, a section with
fifteen turns is read fifteen times. Here the turns stand behind one another; a mask keeps them apart and each one's positions go on from
the context's end, so that the loss is that of the rows one by one (the tree attention of Cai et al. 2024, Medusa, section 2.1.2, used for
training). On sections of 150 tokens with fifteen turns that is a fifth of the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch

    from pipeline.trainers.rows import Encoded

LONGEST = 768
"""tokens of a sequence of turns; attention's way back takes time with the square of them"""
_KINDS = ("llama", "qwen2", "qwen3", "mistral", "smollm3", "olmo2", "phi3")

NOT_LEARNT = -100
"""the label of a token whose prediction does not count (torch's and transformers' own)"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows a context, as tokens: the rest of the prompt, and the completion that is learnt."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class Packed:
    """A context with its turns; all four have one entry a token. `owner` is 0 for the context, else the turn's number from 1."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    labels: tuple[int, ...]
    owner: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


def pack(context: Sequence[int], turns: Iterable[Turn]) -> Packed:
    """Put turns behind their context. A label stands at its own token (transformers shifts them)."""
    ids, positions, labels, owner = [*context], [*range(len(context))], [NOT_LEARNT] * len(context), [0] * len(context)
    for number, turn in enumerate(turns, 1):
        ids += [*turn.prompt, *turn.completion]
        positions += range(len(context), len(context) + len(turn))
        labels += [NOT_LEARNT] * len(turn.prompt) + [*turn.completion]
        owner += [number] * len(turn)
    return Packed(tuple(ids), tuple(positions), tuple(labels), tuple(owner))


def together(rows: Sequence[Encoded], longest: int = LONGEST) -> Iterator[tuple[Packed, list[int]]]:
    """Yield rows on one context as sequences, with the rows' places in the order of their turns; a row without a context stands alone.

    What the prompts of a context's rows have in common is read once, whatever the template; a sequence is at most `longest` tokens,
    unless a row is by itself.
    """
    by_context: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        by_context.setdefault(row.context or f"\0{at}", []).append(at)
    for members in by_context.values():
        shared = _shared([rows[at].ids[: len(rows[at].ids) - rows[at].n_completion] for at in members])
        chosen: list[int] = []
        size = shared
        for at in members:
            own = len(rows[at].ids) - shared
            if chosen and size + own > longest:
                yield _packed(rows, chosen, shared), chosen
                chosen, size = [], shared
            chosen.append(at)
            size += own
        yield _packed(rows, chosen, shared), chosen


def _packed(rows: Sequence[Encoded], chosen: Sequence[int], shared: int) -> Packed:
    context = rows[chosen[0]].ids[:shared]
    bounds = [len(rows[at].ids) - rows[at].n_completion for at in chosen]
    return pack(context, [Turn(rows[at].ids[shared:end], rows[at].ids[end:]) for at, end in zip(chosen, bounds, strict=True)])


def _shared(prompts: Sequence[tuple[int, ...]]) -> int:
    """Return how many tokens all prompts begin with; each keeps one of its own, from which its completion is predicted."""
    low, high = min(prompts), max(prompts)  # what these two share, all share
    most = min(map(len, prompts)) - 1
    return next((at for at, (one, other) in enumerate(zip(low, high, strict=False)) if one != other or at >= most), max(0, most))


def collate_together(rows: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """Return a batch in which each context is read once.

    input_ids, position_ids, labels and rows (s, longest), attention_mask (s, 1, longest, longest), True where a token sees another; `rows` says of which row
    a token is (-1: of a context or padding), `classes` (n,) each row's class, `tokens` (1,) how many the rows have one by one. A padding token
    sees itself alone: a line of the mask without any True would be not a number.
    """
    import torch

    packs = list(together(rows))
    longest = max(len(pack) for pack, _ in packs)
    shape = (len(packs), longest)
    batch = {
        "input_ids": torch.full(shape, pad), "position_ids": torch.zeros(shape, dtype=torch.long), "labels": torch.full(shape, NOT_LEARNT),
        "rows": torch.full(shape, -1), "attention_mask": torch.zeros((len(packs), 1, longest, longest), dtype=torch.bool),
        "classes": torch.tensor([row.label for row in rows]), "tokens": torch.tensor([sum(len(row.ids) for row in rows)]),
    }  # fmt: skip
    for at, (packed, places) in enumerate(packs):
        n = len(packed)
        for name, values in (("input_ids", packed.ids), ("position_ids", packed.positions), ("labels", packed.labels)):
            batch[name][at, :n] = torch.tensor(values)
        owner = torch.tensor(packed.owner)
        batch["rows"][at, :n] = torch.tensor([-1, *places])[owner]
        seen = (owner[None, :] == owner[:, None]) | (owner[None, :] == 0)
        batch["attention_mask"][at, 0, :n, :n] = seen.tril()
        batch["attention_mask"][at, 0, range(n, longest), range(n, longest)] = True
    return batch


def can_pack(config: Any) -> bool:
    """Return whether a model, by its configuration, heeds such a mask: one of the Llama kind, whose layers all see the whole text.

    Models that carry a state along (Mamba) or look at a window would mix up the turns without a word.
    """
    windowed = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    return config.model_type in _KINDS and not windowed and config._attn_implementation == "sdpa"  # noqa: SLF001 (transformers has no other name for it)
