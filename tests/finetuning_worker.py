"""The part of the fine-tuning service that computes: trains chat rows by the project's own trainer, and answers as what it trained.

A process of its own: it reads orders, one JSON object a line, on stdin and answers on stdout, and it ends when stdin does, so that none outlives its server.

    {"train": {folder, base, begin, train, validation, n_epochs, batch_size, multiplier, seed, ...}}
        → {"planned": …}, {"line": …} a step, {"checkpoint": …} an epoch, {"done": …} or {"failed": sentence}
    {"ask": {model, base, messages, max_tokens, temperature, seed, top_logprobs}}
        → {"answered": {text, tokens_in, tokens_out, cut, tokens}} or {"failed": sentence}

A training that was killed goes on from its last checkpoint, as the trainer does. `train` and `validation` are files in chat format, `base` is
what `open_base` takes or "tiny" (tests/tiny.py, made in `bases`), `begin` the folder of a model to go on from.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SPREAD = 0.5  # of tiny's weights: wide enough to learn an answer in some twenty steps
RATES = {"tiny": 0.5}
"""what a learning-rate multiplier of 1 is for a base, in the terms of the guide of 2021 (`trainers.terms`)"""
_RATE = 0.025
AUTO_EPOCHS, AUTO_MULTIPLIER = 3, 2.0
ROOM = 1024
_AT_ONCE = 8

Tell = Callable[[dict[str, Any]], None]


def base_named(name: str, bases: Path) -> str:
    """Return what `open_base` takes for a base; "tiny" is made on first use."""
    if name != "tiny":
        return name
    folder = bases / "tiny"
    if not (folder / "tokenizer.json").is_file():
        import tiny

        tiny.causal(folder, spread=SPREAD)
    return str(folder)


def encoded(rows: Sequence[dict[str, Any]], tokenizer: Any) -> tuple[list[Any], int]:
    """Return each assistant message to learn as tokens, after all that stands before it, and how many were too long and lost their beginning."""
    from pipeline.trainers.rows import Encoded, ending_of

    found, n_cut, ending = [], 0, ending_of(tokenizer)
    for row in rows:
        messages = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
        for at, message in enumerate(row["messages"]):
            if message["role"] != "assistant" or message.get("weight") == 0:
                continue
            prompt = tokenizer.apply_chat_template(messages[:at], tokenize=False, add_generation_prompt=True)
            before = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
            said = tokenizer(message["content"] + ending, add_special_tokens=False)["input_ids"][: ROOM - 1]
            ids = [*before, *said][-ROOM:]
            n_cut += len(before) + len(said) > ROOM
            found.append(Encoded(tuple(ids), len(said), -1))
    return found, n_cut


def planned(order: dict[str, Any]) -> tuple[Any, int]:
    """Return the trainer's plan for an order, and how many rows were cut."""
    from pipeline.llm.bases import open_base, read_model_settings, require_torch, tokenizer_of
    from pipeline.trainers import terms
    from pipeline.trainers.rows import QA, Row
    from pipeline.trainers.training import Job, Named, Plan, Terms

    require_torch()
    folder, begin = Path(order["folder"]), Path(order["begin"]) if order["begin"] else None
    base = open_base(read_model_settings(begin)["base"]["name"] if begin else base_named(order["base"], Path(order["bases"])))
    tokenizer = tokenizer_of(base.folder)
    parts, cut, given = [], 0, []
    for name in ("train", "validation"):
        rows = [json.loads(line) for line in Path(order[name]).read_text("utf-8").split("\n") if line.strip()] if order[name] else []
        tokens, n_cut = encoded(rows, tokenizer)
        parts.append(tokens)
        cut += n_cut
        given.append([Row(str(at), row["messages"][-1]["content"], "", row["messages"][-1]["content"], "", "chat") for at, row in enumerate(rows)])
    batch = terms.batch_size(len(parts[0]), order["batch_size"])
    multiplier = order["multiplier"] or AUTO_MULTIPLIER
    factor = multiplier * RATES.get(order["base"], _RATE)
    asked = Terms(order["n_epochs"] or AUTO_EPOCHS, batch, factor, None, order["seed"])
    job = Job(QA, base.name, begin, (), given[0], given[1], asked, order["name"], track="wandb" if order["wandb"] else "none")
    return Plan(job, base, folder, Named(order["name"], order["name"]), batch, factor, tokenizer, (), parts[0], parts[1], 0), cut


def train(order: dict[str, Any], tell: Tell) -> None:
    """Train, and tell of each step, epoch and of the end."""
    from pipeline.store import write_json
    from pipeline.trainers.results import parse
    from pipeline.trainers.training import train as train_plan

    plan, n_cut = planned(order)
    folder, told = plan.work, 0
    if order["wandb"]:
        _ready_wandb(order["wandb"], folder)
    folder.mkdir(parents=True, exist_ok=True)
    tell({"planned": {"n_epochs": plan.job.terms.n_epochs, "batch_size": plan.batch, "learning_rate_multiplier": order["multiplier"] or AUTO_MULTIPLIER,
                      "steps": plan.steps, "n_cut": n_cut}})  # fmt: skip

    def flush(more: dict[str, float] | None = None) -> None:
        nonlocal told
        path = folder / "results.csv"
        lines = [line for line in (parse(path.read_text("utf-8")) if path.is_file() else []) if (line["step"] or 0) > told]
        for line in lines:
            tell({"line": {**line, **(more or {} if line is lines[-1] else {})}})
            told = int(line["step"] or 0)

    def at_epoch(model: Any, step: int) -> None:
        measured = judged(model, plan) if plan.validation else {}
        flush(measured)
        checkpoint = folder / f"epoch-{step}"
        model.save_pretrained(checkpoint, save_embedding_layers=False)
        write_json(checkpoint / "settings.json", described(plan))
        plan.tokenizer.save_pretrained(checkpoint)
        tell({"checkpoint": {"step": step, "folder": str(checkpoint), **measured}})

    _at_each_epoch(at_epoch)

    @contextmanager
    def watch(_total: int) -> Iterator[_Bar]:
        yield _Bar(flush, folder / "hold")

    settings, metrics = train_plan(plan, watch, lambda _line: None)  # type: ignore[arg-type]
    flush()
    write_json(folder / "settings.json", settings)
    write_json(folder / "metrics.json", metrics)
    if order["wandb"]:
        import wandb

        wandb.finish()
    tell({"done": {"folder": str(folder), "metrics": metrics}})


def _ready_wandb(asked: dict[str, Any], folder: Path) -> None:
    """Have the Trainer's own integration write an offline run, which lies in the job's folder."""
    named = {"WANDB_PROJECT": asked["project"], "WANDB_ENTITY": asked.get("entity"), "WANDB_TAGS": ",".join(asked.get("tags") or [])}
    os.environ.update({name: value for name, value in named.items() if value})
    os.environ.update({"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"})


def described(plan: Any) -> dict[str, Any]:
    """Return what is needed to open a checkpoint, as settings.json has it."""
    base = {"name": plan.base.name, "digest": plan.base.digest}
    return {"name": plan.named.name, "short": plan.base.short, "target": "qa", "method": plan.base.kind, "classes": [], "base": base}


class _Bar:
    """What the trainer moves at each step."""

    def __init__(self, flush: Callable[[], None], hold: Path) -> None:
        self._flush, self._hold = flush, hold

    def step(self, _n: int, **_shown: str) -> None:
        self._flush()
        while self._hold.exists():
            time.sleep(0.02)


def _at_each_epoch(do: Callable[[Any, int], None]) -> None:
    """Have every Trainer of this process call `do` with its model at the end of an epoch."""
    from transformers import TrainerCallback, trainer

    class AtEpoch(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            do(given["model"], state.global_step)

    trainer.DEFAULT_CALLBACKS[:] = [one for one in trainer.DEFAULT_CALLBACKS if getattr(one, "__name__", "") != "AtEpoch"] + [AtEpoch]


def judged(model: Any, plan: Any) -> dict[str, float]:
    """Return loss and token accuracy on the whole of validation."""
    import torch

    from pipeline.trainers.tuner import collate_causal, completions

    loss = right = tokens = 0.0
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(plan.validation), _AT_ONCE):
            batch = collate_causal(plan.validation[start : start + _AT_ONCE], plan.tokenizer.pad_token_id)
            said = completions(model, {name: part.to(model.device) for name, part in batch.items()})
            loss += float(torch.nn.functional.cross_entropy(said.logits, said.wanted, reduction="sum"))
            right += int((said.logits.argmax(-1) == said.wanted).sum())
            tokens += len(said.wanted)
    model.train()
    return {"full_valid_loss": loss / tokens, "full_valid_mean_token_accuracy": right / tokens}


class Answerer:
    """Keeps opened models."""

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Any, Any]] = {}

    def _open(self, order: dict[str, Any]) -> tuple[Any, Any]:
        from pipeline.llm.bases import open_base, open_causal, require_torch, tokenizer_of

        name = order["model"] or order["base"]
        if name not in self._opened:
            if order["model"]:
                self._opened[name] = open_causal(Path(order["model"]))
            else:
                require_torch()
                from transformers import AutoModelForCausalLM

                base = open_base(base_named(order["base"], Path(order["bases"])))
                self._opened[name] = AutoModelForCausalLM.from_pretrained(base.folder).eval(), tokenizer_of(base.folder)
        return self._opened[name]

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the text a model says, and each of its tokens with the likeliest beside it."""
        import torch

        model, tokenizer = self._open(order)
        prompt = tokenizer.apply_chat_template(order["messages"], tokenize=False, add_generation_prompt=True)
        shown = tokenizer(prompt, return_tensors="pt", add_special_tokens=False, return_token_type_ids=False).to(model.device)
        how = {"do_sample": True, "temperature": order["temperature"]} if order["temperature"] > 0 else {"do_sample": False}
        stops = _stops(model, tokenizer)
        with torch.inference_mode():
            torch.manual_seed(order["seed"])
            made = model.generate(**shown, **how, max_new_tokens=order["max_tokens"], pad_token_id=tokenizer.pad_token_id, eos_token_id=stops,
                                  return_dict_in_generate=True, output_logits=True)  # fmt: skip
        n = shown["input_ids"].shape[1]
        ids = made.sequences[0][n:].tolist()
        kept = [token for token in ids if token not in stops]
        tokens = [_token(tokenizer, token, logits[0], order["top_logprobs"]) for token, logits in zip(kept, made.logits, strict=False)]
        return {"text": tokenizer.decode(kept), "tokens_in": n, "tokens_out": len(ids), "cut": len(kept) == len(ids), "tokens": tokens}


def _stops(model: Any, tokenizer: Any) -> list[int]:
    own = model.generation_config.eos_token_id
    return sorted({token for token in [*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id] if token is not None})


def _token(tokenizer: Any, token: int, logits: Any, n: int) -> dict[str, Any]:
    """Return a token in the form of a chat completion's logprobs."""
    import torch

    likely = torch.log_softmax(logits.float(), -1)

    def one(at: int) -> dict[str, Any]:
        text = tokenizer.decode([at])
        return {"token": text, "logprob": max(-9999.0, float(likely[at])), "bytes": list(text.encode("utf-8", "replace"))}

    return {**one(token), "top_logprobs": [one(int(at)) for at in likely.topk(n).indices] if n else []}


def main() -> None:
    """Carry out orders until there are no more."""
    from pipeline.errors import PipelineError

    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    answerer = Answerer()
    orders: list[str] = []
    some = threading.Condition()

    def read() -> None:
        for line in sys.stdin:
            with some:
                orders.append(line)
                some.notify()
        os._exit(0)  # the server is gone: in the middle of a step too

    threading.Thread(target=read, daemon=True).start()

    def tell(said: dict[str, Any]) -> None:
        out.write(json.dumps(_finite(said)) + "\n")
        out.flush()

    while True:
        with some:
            some.wait_for(lambda: bool(orders))
            order = json.loads(orders.pop(0))
        try:
            if "train" in order:
                train(order["train"], tell)
            else:
                tell({"answered": answerer.answer(order["ask"])})
        except PipelineError as error:
            tell({"failed": str(error)})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
