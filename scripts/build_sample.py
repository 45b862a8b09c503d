"""Build data/sample/ from its wikitext with a real MediaWiki.

    python scripts/build_sample.py dump OUT.xml              wikitext → a MediaWiki export to import
    scripts/mediawiki/wiki.sh start FOLDER PORT OUT.xml      a MediaWiki that holds them
    python scripts/build_sample.py render API_URL            its API's answers → data/sample/pages/, wiki.json

The pages are written by us (data/sample/wikitext/, CC0). MediaWiki makes of them what `action=parse`
answers, so the sample has the markup of the real thing. Debian's MediaWiki (1.39) writes headings in the
old markup; pages with an even number are given today's (1.44), so that the sample has both.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import httpx
from bs4 import BeautifulSoup

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
ADDRESS = "https://sample.invalid/wiki/"
LICENCE = {"text": "Creative Commons Zero 1.0 (written for this project)", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}
SITE_NAME = "Sample wiki (written for this project, CC0; not Wikipedia)"
WRITTEN = "2026-11-23T08:00:00Z"
TITLE = re.compile(r"<!-- title: (.+?) -->\n")
NAMESPACES = {"Talk": 1, "Template": 10, "Category": 14}


def sources() -> dict[str, str]:
    """Return {title: wikitext} of every file, sorted by title."""
    pages = {}
    for path in sorted((SAMPLE / "wikitext").glob("*.wiki")):
        text = path.read_text("utf-8")
        match = TITLE.match(text)
        if not match:
            sys.exit(f"error: {path} does not begin with <!-- title: … -->")
        pages[match[1]] = text[match.end() :]
    return dict(sorted(pages.items()))


def export(pages: Mapping[str, str]) -> str:
    """Return {title: wikitext} as a MediaWiki export (XML, schema 0.11) that its importDump.php takes."""
    written = []
    for number, (title, text) in enumerate(pages.items(), 1):
        namespace = NAMESPACES.get(title.partition(":")[0], 0)
        written.append(
            f"<page><title>{escape(title)}</title><ns>{namespace}</ns><id>{number}</id><revision><id>{number}</id>"
            f"<timestamp>{WRITTEN}</timestamp><contributor><username>sample</username></contributor><model>wikitext</model>"
            f'<format>text/x-wiki</format><text xml:space="preserve">{escape(text)}</text></revision></page>'
        )
    head = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">'
    return f"{head}\n{chr(10).join(written)}\n</mediawiki>\n"


def render(api_url: str) -> None:
    """Ask a MediaWiki that holds the pages for each of them and write down its answers."""
    folder = SAMPLE / "pages"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    index: dict[str, str] = {}
    redirects: dict[str, str] = {}
    with httpx.Client(timeout=60) as client:
        for number, (title, text) in enumerate(sources().items(), 1):
            redirect = re.match(r"#REDIRECT \[\[(.+?)\]\]", text)
            if redirect:
                redirects[title] = redirect[1]
            elif title.partition(":")[0] not in NAMESPACES:
                name = f"{number:03d}.json"
                index[title] = name
                write(folder / name, answers(client, api_url, title, number))
    general = {"sitename": SITE_NAME, "generator": "MediaWiki 1.39, with today's heading markup on every second page", "lang": "en"}
    siteinfo = {"general": general, "rightsinfo": LICENCE}
    rendered_at = datetime.now(UTC).isoformat(timespec="seconds")
    write(SAMPLE / "wiki.json", {"siteinfo": siteinfo, "rendered_at": rendered_at, "pages": index, "redirects": redirects})


def answers(client: httpx.Client, api_url: str, title: str, number: int) -> dict[str, Any]:
    """Return what the API says of a page, with the sample's own numbers, address and dates."""
    common = {"format": "json", "formatversion": "2"}
    about = {"action": "query", "titles": title, "prop": "info|pageprops"}
    page = client.get(api_url, params={**common, **about}).raise_for_status().json()["query"]["pages"][0]
    query = {
        "pageid": number, "ns": 0, "title": title, "canonicalurl": ADDRESS + quote(title.replace(" ", "_"), safe="/:'(),–"),
        "revisions": [{"revid": 1000 + number, "parentid": 0, "timestamp": WRITTEN}],
    }  # fmt: skip
    if "disambiguation" in page.get("pageprops", {}):
        query["pageprops"] = {"disambiguation": ""}
    asked = {"action": "parse", "page": title, "prop": "text|links|displaytitle", "disablelimitreport": "1"}
    parse = client.get(api_url, params={**common, **asked}).raise_for_status().json()["parse"]
    html = re.sub(r"<!--\s*(NewPP|Saved in|Transclusion).*?-->\s*", "", parse["text"], flags=re.DOTALL)
    links = sorted((link for link in parse["links"] if link["ns"] == 0), key=lambda link: str(link["title"]))
    html = today(html) if number % 2 == 0 else html
    return {
        "query": query,
        "parse": {"title": title, "pageid": number, "revid": 1000 + number, "displaytitle": parse["displaytitle"], "text": html, "links": links},
    }


def today(html: str) -> str:
    """Give headings the markup of MediaWiki 1.44: `<div class="mw-heading"><h2 id=…>`."""
    soup = BeautifulSoup(html, "html.parser")
    for headline in soup.select(".mw-headline"):
        heading = headline.parent
        if heading is None or not heading.name:
            continue
        level = heading.name
        box = soup.new_tag("div", attrs={"class": f"mw-heading mw-heading{level[1:]}"})
        heading.insert_before(box)
        heading["id"] = headline["id"]
        rest = [child for child in list(heading.children) if child is not headline]
        headline.unwrap()
        box.append(heading)
        for child in rest:
            box.append(child)
    return str(soup)


def write(path: Path, value: object) -> None:
    """Write JSON that a person can read and a diff can show."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["dump", out]:
            Path(out).write_text(export(sources()), "utf-8")
        case ["render", api_url]:
            render(api_url)
        case _:
            sys.exit(__doc__)
