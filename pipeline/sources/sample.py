"""The bundled sample wiki, behind the same HTTP client as a live one.

`data/sample/pages/` holds, for each page, what a real MediaWiki answered to this program's two
requests; this transport puts the answers together as the API does: batches, redirects, missing pages.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx

from pipeline.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

API_URL = "https://sample.invalid/w/api.php"
"""An address that can't exist (RFC 2606): nothing asks the network for it."""


class SampleTransport(httpx.AsyncBaseTransport):
    """Answers `action=query` and `action=parse` from files."""

    def __init__(self, folder: Path) -> None:
        """Read the index of the sample in `folder`.

        Raises StorageError if it is not there or damaged.
        """
        self._folder = folder
        self._wiki = self._read("wiki.json", "siteinfo", "rendered_at", "pages", "redirects")
        self._redirects: dict[str, str] = self._wiki["redirects"]

    def _read(self, name: str, *keys: str) -> dict[str, Any]:
        path = self._folder / name
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise StorageError("the bundled sample is not whole", f"{path}: {error}", "check out data/sample again") from error
        if not isinstance(content, dict) or not content.keys() >= set(keys):
            raise StorageError("the bundled sample is not whole", f"{path} lacks {', '.join(keys)}", "check out data/sample again")
        return content

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one GET as MediaWiki's API does."""
        params = dict(request.url.params)
        return httpx.Response(200, json=self._answer(params), request=request)

    def _answer(self, params: dict[str, str]) -> dict[str, Any]:
        if params.get("action") == "parse":
            page = self._page(self._titles_by_revision.get(params.get("oldid", ""), ""))
            if page is None:
                return {"error": {"code": "nosuchrevid", "info": f"There is no revision with ID {params.get('oldid')}."}}
            return {"parse": {**page["parse"], "retrieved_at": self._wiki["rendered_at"]}}
        if params.get("meta") == "siteinfo":
            return {"query": self._wiki["siteinfo"]}
        return {"query": self._describe(params.get("titles", "").split("|"))}

    @cached_property
    def _titles_by_revision(self) -> dict[str, str]:
        described = ((title, self._page(title)) for title in self._wiki["pages"])
        return {str(page["query"]["revisions"][0]["revid"]): title for title, page in described if page}

    def _page(self, title: str) -> dict[str, Any] | None:
        name = self._wiki["pages"].get(title)
        return self._read(f"pages/{name}", "query", "parse") if name else None

    def _describe(self, titles: list[str]) -> dict[str, Any]:
        followed = [{"from": title, "to": self._redirects[title]} for title in titles if title in self._redirects]
        targets = dict.fromkeys(self._redirects.get(title, title) for title in titles)
        pages = [(self._page(title) or {"query": {"title": title, "missing": True}})["query"] for title in targets]
        return {"pages": pages, **({"redirects": followed} if followed else {})}
