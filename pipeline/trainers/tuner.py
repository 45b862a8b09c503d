"""transformers' Trainer as we use it; imported late, for it loads torch.

What is ours: the loss of a causal model is taken on the completion alone, and logits are computed only there (twice as fast on a
CPU, where the vocabulary is wider than the model is deep); batches of like lengths in an order that depends on seed and epoch alone, so
that a killed run goes on to the same result; a rate that falls to nothing at the end of the epochs or of the minutes, whichever comes first.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback

from pipeline.store import write_json, write_text
from pipeline.trainers import results
from pipeline.trainers.packing import can_pack, collate_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.trainers.rows import Encoded

_GROUP = 32  # batches that are sorted by length together
_WARM_STEPS, _WARM_SHARE = 30, 0.1
_IGNORED = -100
_A_TOKEN = 3 << 20  # bytes of activations that a LoRA keeps for each token of a batch; where there is no room for them they are computed twice
CLOCKS = "clock.json"


class ByLength(Sampler[int]):
    """Rows in batches of like lengths, rows on one context behind one another, batches in an order drawn anew each epoch from seed and epoch alone."""

    def __init__(self, lengths: Sequence[int], contexts: Sequence[str], batch: int, seed: int) -> None:
        """`contexts` is empty where rows stand for themselves."""
        self.lengths, self.contexts, self.batch, self.seed, self.epoch = lengths, contexts, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch (accelerate calls this)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self.seed}-{self.epoch}")
        groups = self._groups(rng)
        order: list[int] = []
        for window in _windows(groups, self.batch * _GROUP):
            # of one round, lest what was parted comes together again
            order += [at for _, rows in sorted(window, key=lambda group: (group[0], max(self.lengths[at] for at in group[1]))) for at in rows]
        batches = [order[at : at + self.batch] for at in range(0, len(order), self.batch)]
        short = [batch for batch in batches if len(batch) < self.batch]  # an incomplete batch last, or batches would shift
        whole = [batch for batch in batches if len(batch) == self.batch]
        rng.shuffle(whole)
        return iter([at for batch in [*whole, *short] for at in batch])

    def _groups(self, rng: random.Random) -> list[tuple[int, list[int]]]:
        """Return the rows in random order, those on one context together, at most half a batch of them; more come in another round."""
        order = rng.sample(range(len(self.lengths)), len(self.lengths))
        if not self.contexts:
            return [(0, [at]) for at in order]
        by_context: dict[str, list[int]] = {}
        for at in order:
            by_context.setdefault(self.contexts[at], []).append(at)
        most = max(1, self.batch // 2)
        groups = [(start // most, rows[start : start + most]) for rows in by_context.values() for start in range(0, len(rows), most)]
        rng.shuffle(groups)
        return sorted(groups, key=lambda group: group[0])


def _windows(groups: Sequence[tuple[int, list[int]]], rows: int) -> Iterator[list[tuple[int, list[int]]]]:
    """Yield the groups in order, as many at a time as have that many rows."""
    window: list[tuple[int, list[int]]] = []
    size = 0
    for group in groups:
        window.append(group)
        size += len(group[1])
        if size >= rows:
            yield window
            window, size = [], 0
    if window:
        yield window


@dataclass(slots=True)
class Tally:
    """What the steps have seen since it was last emptied."""

    loss: float = 0.0
    batches: int = 0
    tokens_right: int = 0
    tokens: int = 0
    rows_right: int = 0
    rows: int = 0
    read: int = 0
    """tokens of prompts and completions"""

    def averages(self, prefix: str) -> dict[str, float]:
        """Return loss and accuracies under the names of results.csv."""
        return {
            f"{prefix}_loss": self.loss / max(1, self.batches),
            f"{prefix}_sequence_accuracy": self.rows_right / max(1, self.rows),
            f"{prefix}_token_accuracy": self.tokens_right / max(1, self.tokens),
        }


@dataclass(slots=True)
class Clock:
    """How long a training has run, over kills and restarts."""

    limit: float | None
    """seconds, or none"""
    before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.before + time.monotonic() - self.started

    @property
    def share(self) -> float:
        """The share of the limit that is used up (0 without one)."""
        return self.seconds / self.limit if self.limit else 0.0


def room_for_activations() -> int:
    """Return how many tokens a batch may have whose activations are kept: in half of the memory that is free now."""
    import psutil

    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available
    return int(free // 2 // _A_TOKEN)


def collate_causal(rows: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """Return a batch padded on the left, so that all completions end together.

    input_ids, attention_mask, position_ids, labels and rows (b, longest), and what else `packing.collate_together` has.
    """
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, _IGNORED)
    for at, row in enumerate(rows):
        ids[at, longest - len(row.ids) :] = torch.tensor(row.ids)
        mask[at, longest - len(row.ids) :] = 1
        labels[at, longest - row.n_completion :] = torch.tensor(row.ids[len(row.ids) - row.n_completion :])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    return {
        "input_ids": ids, "attention_mask": mask, "position_ids": positions, "labels": labels,
        "rows": torch.arange(len(rows))[:, None].expand_as(ids), "classes": torch.tensor([r.label for r in rows]), "tokens": mask.sum()[None],
    }  # fmt: skip


def collate_pairs(rows: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """Return a batch for an encoder, padded on the right: ids, mask, segments where there are any, labels (b,)."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        mask[at, : len(row.ids)] = 1
        if row.types:
            types[at, : len(row.types)] = torch.tensor(row.types)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([r.label for r in rows])}
    return {**batch, "token_type_ids": types} if any(row.types for row in rows) else batch


@dataclass(frozen=True, slots=True)
class Said:
    """The tokens of a batch's completions, in one line: logits (m, vocabulary), what should be said (m,), and of which row each is (m,)."""

    logits: torch.Tensor
    wanted: torch.Tensor
    rows: torch.Tensor

    def firsts(self, n: int) -> torch.Tensor:
        """Return the logits (n, vocabulary) of each row's first token."""
        m = len(self.rows)
        first = torch.full((n,), m, device=self.rows.device).scatter_reduce(0, self.rows, torch.arange(m, device=self.rows.device), "amin")
        return self.logits[first]


def completions(model: Any, batch: dict[str, torch.Tensor]) -> Said:
    """Return what a model says where a batch's completions stand; logits are computed in those columns alone."""
    sequences, places = (batch["labels"] != _IGNORED).nonzero(as_tuple=True)
    columns, column = (places - 1).unique(return_inverse=True)  # type: ignore[no-untyped-call]
    shown = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
    logits = model(**shown, use_cache=False, logits_to_keep=columns).logits
    return Said(logits[sequences, column].float(), batch["labels"][sequences, places], batch["rows"][sequences, places])


class Tuner(Trainer):  # type: ignore[misc, unused-ignore]
    """The Trainer, with a loss on completions, a record of every step, and our order of rows."""

    def __init__(self, *, causal: bool, said: Sequence[int], clock: Clock, pad: int, **more: Any) -> None:
        """`said`: the first token of each class's completion (causal); `pad`: the id that fills batches up."""
        self.causal, self.said, self.clock = causal, list(said), clock
        self.packs = causal and can_pack(more["model"].config)
        self.tally = Tally()
        self.total_steps = 1
        self.rate: Any = None
        self.remembers, self.room = True, room_for_activations()
        collate = collate_pairs if not causal else collate_together if self.packs else collate_causal
        super().__init__(data_collator=lambda rows: collate(rows, pad), **more)
        self.model_accepts_loss_kwargs = False  # the mean of a batch is the mean of its completions
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        contexts = [row.context or str(at) for at, row in enumerate(rows)] if self.packs else []
        return ByLength([len(row.ids) for row in rows], contexts, self.args.train_batch_size, self.args.seed)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Return the loss of a batch, and count what it got right."""
        if self.causal:
            self._remember(model, activations=inputs["input_ids"].numel() <= self.room)
        loss, _ = self.judged(model, inputs, self.tally)
        return (loss, {}) if return_outputs else loss

    def _remember(self, model: Any, *, activations: bool) -> None:
        """Keep a batch's activations for the way back, or compute them a second time (Chen et al. 2016, arXiv:1604.06174)."""
        if activations != self.remembers:
            (model.activation_checkpointing_disable if activations else model.activation_checkpointing_enable)()
            self.remembers = activations

    def judged(self, model: Any, batch: dict[str, torch.Tensor], tally: Tally) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return loss and class logits (b, k) of a batch (None where there are no classes); add to the tally."""
        if self.causal:
            n = len(batch["classes"])
            said = completions(model, batch)
            loss = torch.nn.functional.cross_entropy(said.logits, said.wanted)
            right = said.logits.argmax(-1) == said.wanted
            wrong_rows = len(set(said.rows[~right].tolist()))
            by_class = said.firsts(n)[:, self.said].detach() if self.said else None
            tally.read += int(batch["tokens"].sum())
        else:
            n = len(batch["labels"])
            by_class = model(**batch).logits.float()
            loss = torch.nn.functional.cross_entropy(by_class, batch["labels"])
            right = by_class.argmax(-1) == batch["labels"]
            wrong_rows = int((~right).sum())
            tally.read += int(batch["attention_mask"].sum())
        tally.loss += float(loss.detach())
        tally.batches += 1
        tally.tokens_right += int(right.sum())
        tally.tokens += right.numel()
        tally.rows_right += n - wrong_rows
        tally.rows += n
        return loss, by_class

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return a rate that rises over the first steps and then falls in a line to nothing, by steps or by the clock."""
        if self.rate is None:
            self.total_steps = num_training_steps
            warm = max(1, min(_WARM_STEPS, round(_WARM_SHARE * num_training_steps)))
            clock = self.clock

            def factor(step: int) -> float:
                return min(1.0, (step + 1) / warm) * max(0.0, 1.0 - max(step / max(1, num_training_steps), clock.share))

            self.rate = self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.rate

    @torch.no_grad()
    def judge(self, rows: Sequence[Encoded], step: Callable[[int], None] = lambda _n: None) -> tuple[Tally, np.ndarray[Any, Any]]:
        """Return loss and accuracies over rows, and their class probabilities (n, k) in the rows' order."""
        tally, batch = Tally(), self.args.per_device_eval_batch_size
        order = sorted(range(len(rows)), key=lambda at: (rows[at].context if self.packs else "", len(rows[at].ids)))
        found: list[torch.Tensor | None] = [None] * len(rows)
        self.model.eval()
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            inputs = self._prepare_inputs(self.data_collator([rows[at] for at in chosen]))
            with self.compute_loss_context_manager(), self.autocast_smart():
                _, by_class = self.judged(self.model, inputs, tally)
            if by_class is not None:
                for at, row in zip(chosen, by_class.softmax(-1).cpu(), strict=True):
                    found[at] = row
            step(len(chosen))
        self.model.train()
        kept = [row for row in found if row is not None]
        return tally, torch.stack(kept).double().numpy() if kept else np.zeros((len(rows), 0))

    def autocast_smart(self) -> Any:
        """Return the precision that training uses."""
        return torch.autocast(self.args.device.type, dtype=torch.bfloat16, enabled=self.args.bf16)


class Bookkeeper(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Writes results.csv as the steps go by, measures on validation, stops when the minutes are over."""

    def __init__(
        self, path: Path, names: Sequence[str], sample: Sequence[Encoded], whole: Sequence[Encoded],
        classify: Callable[[Sequence[int], Any], dict[str, float | None]] | None, progress: Callable[..., None],
    ) -> None:  # fmt: skip
        """`sample` is judged some ten times, `whole` by `classify` at the end of each epoch."""
        self.path, self.names, self.sample, self.whole, self.classify, self.progress = path, names, sample, whole, classify, progress
        self.trainer: Tuner | None = None
        self.tokens = self.rows = 0
        self.line: dict[str, float | None] = {}
        self.lines: list[results.Line] = []
        self.clocks: dict[str, float] = {}
        self.stopped_by_clock = False

    @property
    def tuner(self) -> Tuner:
        """The trainer that calls."""
        if self.trainer is None:
            raise RuntimeError("on_train_begin comes first")
        return self.trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the rows of results.csv that the checkpoint has behind it; begin the file."""
        before = results.parse(self.path.read_text("utf-8")) if self.path.is_file() else []
        self.lines = results.up_to(before, state.global_step)
        self.tokens = int(self.lines[-1]["elapsed_tokens"] or 0) if self.lines else 0
        self.rows = int(self.lines[-1]["elapsed_examples"] or 0) if self.lines else 0
        clocks = self.path.parent / CLOCKS
        if clocks.is_file() and state.global_step:
            self.clocks = json.loads(clocks.read_text("utf-8"))
            self.tuner.clock.before = self.clocks.get(str(state.global_step), 0.0)
        self.tuner.clock.started = time.monotonic()
        write_text(self.path, results.table(self.names, self.lines))
        self.progress(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the step, and validation where it is due; stop if the minutes are over."""
        tally, self.tuner.tally = self.tuner.tally, Tally()
        self.tokens, self.rows = self.tokens + tally.read, self.rows + tally.rows
        self.line = {"step": state.global_step, "elapsed_tokens": self.tokens, "elapsed_examples": self.rows, **tally.averages("training")}
        self.progress(1, loss=f"{self.line['training_loss']:.3f}")
        if self.tuner.clock.share >= 1:
            control.should_training_stop = self.stopped_by_clock = True
        last = control.should_training_stop or state.global_step >= state.max_steps
        if self.sample and (state.global_step % args.eval_steps == 0 or last):
            self.line |= self.tuner.judge(self.sample)[0].averages("validation")
        self._write(whole=last or state.global_step % (state.max_steps // state.num_train_epochs) == 0)

    def _write(self, *, whole: bool) -> None:
        if whole and self.classify and self.whole:
            probabilities = self.tuner.judge(self.whole)[1]
            found = self.classify([row.label for row in self.whole], probabilities)
            self.line |= {f"classification/{name}": value for name, value in found.items()}
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(results.line_of(self.names, self.line))
        self.lines.append(dict(self.line))
        shown = {name: value for name, value in self.line.items() if value is not None and name != "step"}
        self.tuner.log(shown)
        self.line = {}

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the clock of the checkpoint."""
        self.clocks[str(state.global_step)] = self.tuner.clock.seconds
        write_json(self.path.parent / CLOCKS, self.clocks)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that is whole: its state is written last."""
    found = []
    for path in folder.glob("checkpoint-*/trainer_state.json"):
        try:
            found.append((int(json.loads(path.read_text("utf-8"))["global_step"]), path.parent))
        except (ValueError, KeyError):
            continue
    return max(found)[1] if found else None
