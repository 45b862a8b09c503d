"""Fine-tuned models that decide between classes, opened again: probabilities of each class for texts or pairs. Imported late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError, StorageError
from pipeline.llm.bases import CAUSAL, bf16_here, damage_told, device_here, open_causal, quietly, read_model_settings, require_torch, tokenizer_of
from pipeline.trainers import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Probabilities = npt.NDArray[np.float64]

_AT_ONCE = 16
_LONGEST = 4096  # tokens that a causal model is shown; what is longer loses the end of its context


@dataclass(frozen=True, slots=True)
class Tuned:
    """A fine-tuned encoder or causal model with its classes."""

    model: Any
    tokenizer: Any
    causal: bool
    target: str
    classes: tuple[str, ...]
    said: tuple[str, ...]
    """what a causal model says for each class"""
    threshold: float

    def of_pairs(self, pairs: Sequence[tuple[str, str]], step: Callable[[int], None] = lambda _n: None) -> Probabilities:
        """Return probabilities (n, k) of each class for (question or text, context or nothing)."""
        return self._by_next_token(pairs, step) if self.causal else self._by_head(pairs, step)

    def _by_head(self, pairs: Sequence[tuple[str, str]], step: Callable[[int], None]) -> Probabilities:
        """An encoder reads long contexts in windows; the window that says the last class most decides."""
        import numpy as np

        from pipeline.trainers.tuner import collate_pairs

        encoded, of = rows.windows(pairs, self.tokenizer)

        def run(chosen: list[int]) -> Any:
            batch = collate_pairs([encoded[at] for at in chosen], self.tokenizer.pad_token_id)
            del batch["labels"]
            return self.model(**{k: v.to(self.model.device) for k, v in batch.items()}).logits

        each = self._batched([len(row.ids) for row in encoded], run, step, total=len(pairs))
        found = np.zeros((len(pairs), len(self.classes)))
        best = np.full(len(pairs), -1.0)
        for at, row in zip(of, each, strict=True):
            if row[-1] > best[at]:
                best[at], found[at] = row[-1], row
        return found

    def _by_next_token(self, pairs: Sequence[tuple[str, str]], step: Callable[[int], None]) -> Probabilities:
        from pipeline.trainers.tuner import collate_causal

        room = min(_LONGEST, getattr(self.model.config, "max_position_embeddings", _LONGEST)) - 1
        prompts = [self._prompt(text, context, room) for text, context in pairs]
        firsts = [self.tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in self.said]

        def run(chosen: list[int]) -> Any:
            shown = collate_causal([rows.Encoded(tuple(prompts[at]), 0, -1) for at in chosen], self.tokenizer.pad_token_id)
            given = {name: shown[name].to(self.model.device) for name in ("input_ids", "attention_mask", "position_ids")}
            return self.model(**given, use_cache=False, logits_to_keep=1).logits[:, -1, firsts]

        return self._batched([len(ids) for ids in prompts], run, step, total=len(pairs))

    def _prompt(self, text: str, context: str, room: int) -> list[int]:
        """Return a prompt's tokens; one that is too long loses the end of its context (or text) until it fits."""
        while True:
            shown = rows.prompt_of(self.target, text, context, self.tokenizer)
            ids: list[int] = self.tokenizer(shown, add_special_tokens=False, verbose=False)["input_ids"]
            if len(ids) <= room:
                return ids
            kept = 0.95 * room / len(ids)
            if len(context) > len(text):
                context = context[: int(len(context) * kept)]
            else:
                text = text[: int(len(text) * kept)]

    def _batched(self, lengths: list[int], run: Callable[[list[int]], Any], step: Callable[[int], None], total: int) -> Probabilities:
        """Return probabilities (n, k) in the rows' order, batches of like lengths."""
        import numpy as np
        import torch

        found = np.zeros((len(lengths), len(self.classes)))
        order = sorted(range(len(lengths)), key=lambda at: lengths[at])
        told = 0
        for start in range(0, len(order), _AT_ONCE):
            chosen = order[start : start + _AT_ONCE]
            with quietly(), torch.inference_mode(), torch.autocast(device_here(), dtype=torch.bfloat16, enabled=bf16_here()):
                logits = run(chosen)
            found[chosen] = logits.float().softmax(-1).cpu().numpy()
            done = total * (start + len(chosen)) // len(order)
            step(done - told)
            told = done
        return found


def open_tuned(folder: Path, target: str) -> Tuned:
    """Open a fine-tuned discriminator or classifier.

    Raises InputError if the folder holds something else, StorageError if it is damaged, ExtraMissing without torch.
    """
    settings = read_model_settings(folder)
    if settings.get("target") != target:
        raise InputError(f"that model is no {target}", f"{folder}: {settings.get('target', 'no target')}", f"train one with --target {target}")
    try:
        classes, said = tuple(settings["classes"]), tuple(settings["said"])
        threshold, causal = float(settings["threshold"]), settings["method"] == CAUSAL
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError("the model's settings are damaged", f"{folder / 'settings.json'}: {error}", "train it again") from error
    model, tokenizer = open_causal(folder) if causal else _encoder(folder)
    return Tuned(model, tokenizer, causal, target, classes, said, threshold)


def _encoder(folder: Path) -> tuple[Any, Any]:
    require_torch()
    import torch
    from transformers import AutoModelForSequenceClassification

    with damage_told(folder), quietly():
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    return model.to(device_here()).eval(), tokenizer_of(folder)
