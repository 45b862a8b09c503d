"""Several prompts on one context as one sequence: the context is read once, and each turn sees the context and itself, nothing else.

A prompt of this project is a context and a turn ("\\nQuestion: …\\nAnswer:" with its completion). Trained one by one, a section with
fifteen turns is read fifteen times. Here the turns stand behind one another; a mask keeps them apart and each one's positions go on from
the context's end, so that the loss is that of the rows one by one (the tree attention of Cai et al. 2024, Medusa, section 2.1.2, used for
training). On sections of 150 tokens with fifteen turns that is a fifth of the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch

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


def in_sequences(context: Sequence[int], turns: Sequence[Turn], longest: int) -> Iterator[Packed]:
    """Yield a context with as many of its turns as fit into `longest` tokens, again and again; a turn that is too long alone stands alone."""
    chosen: list[Turn] = []
    for turn in turns:
        if chosen and len(context) + sum(map(len, chosen)) + len(turn) > longest:
            yield pack(context, chosen)
            chosen = []
        chosen.append(turn)
    if chosen:
        yield pack(context, chosen)


def collated(rows: Sequence[Packed], pad: int) -> dict[str, torch.Tensor]:
    """Return a batch: input_ids, position_ids and labels (n, longest), and attention_mask (n, 1, longest, longest), True where a token sees another.

    A padding token sees itself alone: a row of the mask without any True would be not a number.
    """
    import torch

    longest = max(map(len, rows))
    batch = {
        "input_ids": torch.full((len(rows), longest), pad), "position_ids": torch.zeros((len(rows), longest), dtype=torch.long),
        "labels": torch.full((len(rows), longest), NOT_LEARNT), "attention_mask": torch.zeros((len(rows), 1, longest, longest), dtype=torch.bool),
    }  # fmt: skip
    for at, row in enumerate(rows):
        n = len(row)
        for name, values in (("input_ids", row.ids), ("position_ids", row.positions), ("labels", row.labels)):
            batch[name][at, :n] = torch.tensor(values)
        owner = torch.tensor(row.owner)
        seen = (owner[None, :] == owner[:, None]) | (owner[None, :] == 0)
        batch["attention_mask"][at, 0, :n, :n] = seen.tril()
        batch["attention_mask"][at, 0, range(n, longest), range(n, longest)] = True
    return batch
