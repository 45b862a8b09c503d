"""What a MediaWiki's API answers, read into records; nothing of another type goes further.

Texts become one line without control characters: a title or a licence is shown, and written into files. Numbers are those that a
parquet file can hold.

Format: https://www.mediawiki.org/wiki/API:JSON_version_2 (`formatversion=2`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SourceError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class WikiInfo:
    """What a wiki says of itself: its name and the licence of its text."""

    name: str
    licence: str
    licence_url: str


@dataclass(frozen=True, slots=True)
class ApiPage:
    """What a wiki says of a title: the page that has it, or why there is none."""

    title: str
    namespace: int = 0
    page_id: int | None = None
    url: str = ""
    revision_id: int | None = None
    revision_timestamp: str = ""
    missing: str = ""
    """why there is no such page"""
    disambiguation: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """What a wiki says of one title: the redirects it goes through, and the page at their end (None: they go in a circle)."""

    hops: tuple[tuple[str, str], ...]
    page: ApiPage | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A revision of a page: its HTML, the article titles that it links to (red ones too, sorted), and when it was rendered, if that is known."""

    html: str
    links: tuple[str, ...]
    retrieved_at: str


def read_info(answer: dict[str, Any]) -> WikiInfo:
    """Read the answer to `meta=siteinfo`.

    Raises SourceError, like all functions here, if it has another shape.
    """
    query = _object(answer.get("query"))
    general, rights = _object(query.get("general")), _object(query.get("rightsinfo"))
    return WikiInfo(line(general.get("sitename")), line(rights.get("text")), line(rights.get("url")))


def read_described(answer: dict[str, Any], titles: list[str]) -> dict[str, Described]:
    """Read the answer to a query about titles; each of them is in the result."""
    query = _object(answer.get("query"))
    renamed = {name: to for key in ("normalized", "converted") for name, to in _pairs(query.get(key)).items()}
    redirects = _pairs(query.get("redirects"))
    elsewhere = [line(o.get("title")) for o in _objects(query.get("interwiki"))]
    pages = {page.title: page for page in map(_page, _objects(query.get("pages")))}
    pages |= {title: ApiPage(title, missing="lies on another wiki") for title in elsewhere}
    return {title: _followed(title, renamed, redirects, pages) for title in titles}


def read_parsed(answer: dict[str, Any], revision_id: int) -> Parsed:
    """Read the answer to `action=parse`, which must be about that revision."""
    parse = _object(answer.get("parse"))
    text, revision = parse.get("text"), _whole(parse.get("revid"))
    if not isinstance(text, str) or revision != revision_id:
        value = f"revision {revision_id}" + (f": got {revision}" if isinstance(text, str) else "")
        raise SourceError("the wiki did not send the page", value, "try again; if it stays so, leave the page out with title_excludes")
    links = {line(link.get("title")) for link in _objects(parse.get("links")) if link.get("ns") == 0}
    return Parsed(text, tuple(sorted(links)), line(parse.get("retrieved_at")))


def line(value: object) -> str:
    """Return a text as one line that any file and any terminal can take; what is left out is an empty one."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SourceError("the wiki's answer has an unknown shape", repr(value)[:100], "check --api-url")
    return _CONTROL.sub(" ", value.encode("utf-8", "replace").decode("utf-8")).strip()


def _page(page: dict[str, Any]) -> ApiPage:
    revisions = _objects(page.get("revisions"))
    revision = revisions[0] if revisions else {}
    missing = line(page.get("invalidreason")) or "no such page" if page.get("missing") or page.get("invalid") else ""
    return ApiPage(
        line(page.get("title")), _whole(page.get("ns")) or 0, _whole(page.get("pageid")), line(page.get("canonicalurl")),
        _whole(revision.get("revid")), line(revision.get("timestamp")), missing, "disambiguation" in _object(page.get("pageprops")),
    )  # fmt: skip


def _followed(title: str, renamed: dict[str, str], redirects: dict[str, str], pages: dict[str, ApiPage]) -> Described:
    """Follow a title to the page at its end: first to the spelling that the wiki gives it, then through redirects."""
    met = {title}
    at = title
    while at not in redirects and at in renamed and renamed[at] not in met:
        at = renamed[at]
        met.add(at)
    hops: dict[str, str] = {}
    while at in redirects and at not in hops:
        hops[at] = redirects[at]
        at = redirects[at]
    if at in hops:
        return Described(tuple(hops.items()), None)
    if at not in pages:
        raise SourceError("the wiki's answer leaves a title out", title, "check --api-url, then run it again")
    return Described(tuple(hops.items()), pages[at])


def _pairs(value: object) -> dict[str, str]:
    return {line(item.get("from")): line(item.get("to")) for item in _objects(value)}


def _whole(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
        raise SourceError("the wiki's answer has an unknown shape", repr(value)[:100], "check --api-url")
    return value


def _object(value: object) -> dict[str, Any]:
    """Return an answer's part that must be an object; what is left out is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SourceError("the wiki's answer has an unknown shape", repr(value)[:100], "check --api-url")
    return value


def _objects(value: object) -> list[dict[str, Any]]:
    """Return an answer's part that must be a list of objects."""
    if value is not None and not isinstance(value, list):
        raise SourceError("the wiki's answer has an unknown shape", repr(value)[:100], "check --api-url")
    return [_object(item) for item in value or []]
