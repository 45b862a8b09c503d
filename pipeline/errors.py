"""Everything that can go wrong and that a person can act on.

    PipelineError
    ├── InputError        a file, a column or a value given by the user is not what it must be
    ├── StageMissing      the stage before has not been run (or was not finished) in this run folder
    ├── StorageError      the disk: full, read-only, a half-written or foreign file
    │   └── LedgerError   ledger.sqlite cannot be read or written
    ├── SourceError       a wiki did not answer as a wiki does
    │   ├── PageRefused       … about one page: it was deleted, or may not be read
    │   └── SourceStopped     … and asks not to be asked any more for now
    ├── EndpointError     a model's endpoint did not answer one request properly
    │   ├── RequestRefused    … because of that very request (400, 422): asking again is no use
    │   ├── EndpointRefused   … in a way that every further request would meet too (key, model, address)
    │   └── NotAsked          … because it was not asked any more: the run had been stopped
    ├── CapReached        --max-cost or --max-total-tokens leaves no room for another call
    ├── Interrupted       Ctrl-C: no further call is sent
    └── ExtraMissing      an optional part of the installation is not there

A message is a sentence in three parts: what went wrong – the value that shows it – what to do.
`cli.py` prints it after `error: ` and exits with 1; no other module prints or exits.
"""

from __future__ import annotations


class PipelineError(Exception):
    """The root: `what` went wrong, the offending `value`, and what to `do` about it."""

    def __init__(self, what: str, value: object = "", do: str = "") -> None:
        self.what, self.value, self.do = what, str(value), do
        super().__init__(" – ".join(part for part in (what, str(value), do) if part))


class InputError(PipelineError):
    """A file, a column or a value given by the user is not what it must be."""


class StageMissing(PipelineError):
    """The stage before has not been run, or not to its end."""


class StorageError(PipelineError):
    """The disk is full, read-only, or holds something that is not ours."""


class LedgerError(StorageError):
    """ledger.sqlite cannot be read or written."""


class SourceError(PipelineError):
    """A wiki did not answer as a wiki does."""


class PageRefused(SourceError):
    """A wiki refuses one page: it was deleted meanwhile, or may not be read."""


class SourceStopped(SourceError):
    """A wiki asks not to be asked any more for now."""


class EndpointError(PipelineError):
    """A model's endpoint did not answer one request properly; `attempts`: how often it was sent."""

    attempts = 0


class RequestRefused(EndpointError):
    """The endpoint refuses this very request (400, 422); others it may take."""


class EndpointRefused(EndpointError):
    """The endpoint refuses in a way that every further request would meet too."""


class NotAsked(EndpointError):
    """A request was not sent, because the run had been stopped; the message says by what."""


class CapReached(PipelineError):
    """--max-cost or --max-total-tokens leaves no room for another call."""


class Interrupted(PipelineError):
    """Ctrl-C: no further call is sent."""


class ExtraMissing(PipelineError):
    """An optional part of the installation is not there."""
