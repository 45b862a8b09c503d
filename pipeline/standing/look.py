"""What a look at a run folder is made from, and what it finds of each stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.run_folder import RunFolder
    from pipeline.standing.files import Digests, Manifest
    from pipeline.standing.replies import Replies
    from pipeline.standing.working import Worker

ABSENT, COMPLETE, EDITED, FOREIGN, INTERRUPTED, RUNNING, STALE = "absent", "complete", "edited", "foreign", "interrupted", "running", "stale"
"""States. edited: complete, and a file changed since by something else; foreign: its file is there and no stage made it."""
AGAIN = (ABSENT, INTERRUPTED, STALE)
"""states of a stage whose command is to be run"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A stage: its state, why, when its file was written (seconds since 1970), and its counts."""

    name: str
    state: str
    why: str = ""
    at: float | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """those it was made with"""
    cost: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a stage's state is told from."""

    folder: RunFolder
    manifest: Manifest
    digests: Digests
    replies: Replies
    worker: Worker | None
    now_in_force: Mapping[str, Mapping[str, str]]
    """by stage: settings that the environment changes, and the variables that do"""
    prompts: str
    """the version of the prompts"""
    version: str
    """of this program"""
