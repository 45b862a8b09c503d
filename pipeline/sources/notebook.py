"""Files of OpenAI's notebooks: `olympics_sections.csv` and `olympics_qa.csv`, plain or gzipped."""

from __future__ import annotations

import gzip
import warnings
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS_AT_ONCE = 1000


def read_csv_rows(path: Path, required: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV as texts; empty cells are empty texts. What is good comes before any error.

    Raises InputError if the file is missing, empty, cut off, no CSV, or lacks a required column.
    """
    import pandas as pd

    options: dict[str, Any] = {
        "dtype": str,
        "keep_default_na": False,
        "index_col": False,
        "chunksize": ROWS_AT_ONCE,
        "encoding": "utf-8",
        "encoding_errors": "strict",
    }
    with _wrapped(path), path.open("rb") as raw, warnings.catch_warnings():
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more cells than the header would lose them
        with gzip.open(raw) if packed else raw as content, pd.read_csv(content, **options) as chunks:
            for chunk in chunks:
                missing = [name for name in required if name not in chunk.columns]
                if missing:
                    found = ", ".join(map(str, chunk.columns))[:200]
                    raise InputError("a column is missing", f"{path}: {missing[0]} (found: {found})", "rename or add it")
                yield from chunk.to_dict("records")


@contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    import pandas as pd

    try:
        yield
    except FileNotFoundError as error:
        raise InputError("there is no such file", path, "check the path") from error
    except pd.errors.EmptyDataError as error:
        raise InputError("the file is empty", path, "name one with a header line and rows") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError("the gzip file is damaged or cut off", f"{path}: {error}", "fetch or pack it again") from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8", f"{path}: {error.reason} at byte {error.start}", "save it as UTF-8") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError("the file is not a well-formed CSV", f"{path}: {error}", "mend that line") from error
    except (IsADirectoryError, PermissionError) as error:
        raise InputError("the file cannot be read", f"{path}: {error.strerror}", "check the path and its permissions") from error
