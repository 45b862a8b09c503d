"""A part of a long text for a model that reads little at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.text.lexical import content_words
from pipeline.text.sentences import pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD_ENDS = "\n\n"


def window(context: str, about: str, most: int) -> str:
    """Return a context of at most `most` characters as it is; of a longer one its title and heading, and what stands around the sentence nearest to `about`.

    Nearest is the sentence that shares most words with `about`, a question or a piece of evidence, the earlier one in doubt. A sentence is cut only if
    it alone is too long.
    """
    if len(context) <= most:
        return context
    head, end, content = context.partition(_HEAD_ENDS)
    if not end or len(head) > most // 2:
        head, end, content = "", "", context
    cut = pieces(content)
    first, last = _around(cut, _nearest(cut, about), most - len(head) - len(end))
    return head + end + "".join(cut[first:last]).strip()[: most - len(head) - len(end)]


def _nearest(cut: Sequence[str], about: str) -> int:
    wanted = set(content_words(about))
    return max(range(len(cut)), key=lambda at: (len(wanted & set(content_words(cut[at]))), -at))


def _around(cut: Sequence[str], at: int, room: int) -> tuple[int, int]:
    """Return from which piece to before which one the text goes: by turns one more after and one more before, as long as there is room."""
    first, last, left = at, at + 1, room - len(cut[at])
    grows = True
    while grows:
        grows = False
        if last < len(cut) and len(cut[last]) <= left:
            left, last, grows = left - len(cut[last]), last + 1, True
        if first and len(cut[first - 1]) <= left:
            left, first, grows = left - len(cut[first - 1]), first - 1, True
    return first, last
