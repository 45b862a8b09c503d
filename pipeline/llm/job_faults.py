"""What a service's refusal of a fine-tuning job means, and what to do about it: told from an HTTP error, or from a job that failed.

Services word these freely, so what is looked at is the code where there is one, and else the words. Seen in OpenAI's, Azure's and
others' documentation and threads: "… is not available for fine-tuning or does not exist" (model_not_available), "Training file has 5
example(s), but must have at least 10" (invalid_n_examples), "exceeded_quota", "unsafe_file". Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import EndpointRefused

_CLOSED = re.compile(
    r"fine-?tuning.{0,80}\b(no longer|not (?:available|enabled|permitted|allowed|supported) (?:to|for) (?:your|this|new|the)|closed|discontinued"
    r"|has ended|disabled|wound down|winding down)"
    r"|\bnew fine-?tuning jobs?\b.{0,80}\b(not|no longer|closed|unavailable)|(no longer|not) (?:create|accept\w*|take) (?:any )?(?:new )?(?:fine-?tuning )?jobs",
    re.IGNORECASE | re.DOTALL,
)
_MODEL = re.compile(
    r"model.{0,120}\b(not available for fine-?tuning|cannot be fine-?tuned|not (?:fine-?)?tun\w+|does not (?:exist|support fine-?tuning)|not found)"
    r"|invalid (?:base )?model",
    re.IGNORECASE | re.DOTALL,
)
_SMALL = re.compile(
    r"(at least|minimum|fewer than|too few|not enough)\D{0,40}\d*\D{0,20}(example|row|line)|example\(s\), but must have", re.IGNORECASE
)
_UNSAFE = re.compile(r"moderation|unsafe|usage polic|content polic|harmful|safety", re.IGNORECASE)
_TRACKER = re.compile(r"wandb|weights (?:and|&) biases|integration", re.IGNORECASE)
_SUFFIX = re.compile(r"suffix", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Instead:
    """For the sentences: the model that was asked for, the command that trains here on the very same files, and where other services are described."""

    model: str
    here: str
    elsewhere: str = "docs/providers.md"

    @property
    def way(self) -> str:
        """What to do instead, in words."""
        return f"train on the same files here: `{self.here}`, or with another service ({self.elsewhere} has the commands)"


def refusal_of(code: str, message: str, value: str, instead: Instead) -> EndpointRefused | None:
    """Return why a service does not do a job, where it can be told from its words; None where it can't.

    `code` and `message` are the service's; `value` is what is shown of them, with the address.
    """
    found = next((kind for kind in _KINDS if kind.means(code.lower(), message)), None)
    if found is None:
        return None
    what, do = found.what.format(model=instead.model), found.do
    return EndpointRefused(what, value, f"{do}; or {instead.way}" if do and found.else_here else do or instead.way)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of refusal: its codes (whole, or a part of one), its words, and the sentence."""

    codes: frozenset[str]
    words: re.Pattern[str] | None
    what: str
    do: str
    else_here: bool = True
    """whether training here is a way out"""

    def means(self, code: str, message: str) -> bool:
        """Tell whether a refusal is of this kind."""
        return any(name in code for name in self.codes) or bool(self.words and self.words.search(message))


_KINDS = (
    _Kind(
        frozenset(("quota", "billing")), None, "the account has no credit or quota left for a job", "top it up and run the same command again"
    ),
    _Kind(
        frozenset(("unsafe", "moderation")), _UNSAFE, "the service's moderation refuses the files or the model",
        "take out what it objects to (`python -m pipeline.report` shows all rows)",
    ),
    _Kind(
        frozenset(("fine_tuning_closed", "fine_tuning_not_available", "fine_tuning_disabled")), _CLOSED,
        "the service takes no new fine-tuning jobs from this account", "",
    ),
    _Kind(frozenset(("invalid_n_examples",)), _SMALL, "the service finds the file too small", "add questions or negatives"),
    _Kind(
        frozenset(("model_not_available", "model_not_found", "invalid_model")), _MODEL, "the service cannot fine-tune {model}",
        "name another with --model (the service's own pages list them)",
    ),
    _Kind(
        frozenset(), _TRACKER, "the service does not take --track wandb",
        "give it the tracker's key in its own settings, set WANDB_MODE=offline (the curves are then written here), or leave --track out", else_here=False,
    ),
    _Kind(frozenset(), _SUFFIX, "the service does not take --suffix", "name a shorter or plainer one", else_here=False),
)  # fmt: skip
