"""ATTRIBUTION.md: licence and sources of a run's text, fit to be published beside a dataset made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.text.markdown import escaped, linked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.records import Page

_WEB = re.compile(r"https?://[^\s<>/]+/[^\s<>]*")
_INTRODUCTION = """# Sources and licence

This data holds text of {n} wiki pages, listed below with the revision that was read.
{licences}
Who wrote a page is listed in its history, which its link leads to. The text was changed: it was cut into sections, tables and lists were
written out as lines, and references, navigation and pictures were left out.
{share_alike}"""
_SHARE_ALIKE = """Whatever is made of this text and passed on must name these sources, say what was changed, and bear the same licence (share alike).
"""


def attribution(pages: Iterable[Page]) -> str:
    """Return a page in Markdown that names each kept page with its revision and licence, in the order of their titles."""
    kept = sorted((page for page in pages if page.status == "kept"), key=lambda page: page.title)
    licences = sorted({page.licence for page in kept if page.licence})
    said = "".join(f"Licence of the text, as its wiki states it: {linked(licence)}.\n" for licence in licences) or "The source named no licence.\n"
    share_alike = _SHARE_ALIKE if any("by-sa" in licence.lower() or "share" in licence.lower() for licence in licences) else ""
    head = _INTRODUCTION.format(n=len(kept), licences=said, share_alike=share_alike)
    return f"{head}\n" + "".join(f"- {_line(page)}\n" for page in kept)


def _line(page: Page) -> str:
    if not _is_web(page.url):
        return escaped(page.title) + (f", revision {page.revision_id}" if page.revision_id else "")
    dated = f" of {page.revision_timestamp[:10]}" if page.revision_timestamp else ""
    joint = "&" if "?" in page.url else "?"
    revision = f", [revision {page.revision_id}{dated}](<{page.url}{joint}oldid={page.revision_id}>)" if page.revision_id else ""
    return f"[{escaped(page.title)}](<{page.url}>){revision}"


def _is_web(url: str) -> bool:
    return _WEB.fullmatch(url) is not None
