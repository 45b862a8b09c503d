"""What a reader sees of a page: its text, and the headings, lists and tables that the text stands in.

lxml reads the HTML and mends it, BeautifulSoup builds the tree; the builder here stands between them. What is no text of the article
never becomes a tree: `DROPPED_ELEMENTS`, `DROPPED_CLASSES`, `DROPPED_IDS` and all that is hidden. Elements that only dress the text
(`<a>`, `<b>`, `<span>`) leave their text alone, and those that set paragraphs apart leave `PARAGRAPH_END`. Formulas are their TeX,
and raised numbers are Unicode's, since a line of text has no raised ones: `10<sup>3</sup>` is not 103.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, Tag, XMLParsedAsHTMLWarning
from bs4.builder._lxml import LXMLTreeBuilder  # bs4.builder has it too, where type checkers cannot see it

from pipeline.wiki.formulas import Formula, is_formula

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PARAGRAPH_END = "\u2029"
"""Unicode's paragraph separator: white space to whoever joins lines."""

DROPPED_ELEMENTS = frozenset({
    "style", "script", "noscript", "template", "head", "title", "base", "link", "meta", "input", "audio", "video", "img", "map",
    "figure", "figure-inline", "figcaption", "iframe",
})  # fmt: skip
DROPPED_IDS = frozenset({"toc", "coordinates", "siteSub", "contentSub", "mw-indicators"})
DROPPED_CLASSES = frozenset({
    # contents, edit links, hidden parts, MediaWiki's own notices, what it leaves out of extracts itself
    "toc", "mw-editsection", "mw-empty-elt", "mw-jump-link", "mw-hidden", "mw-indicator", "noprint", "noexcerpt", "sortkey", "catlinks",
    "printfooter", "navigation-not-searchable", "redirectMsg", "error", "scribunto-error", "mw-ext-cite-error",
    # references
    "mw-cite-backlink", "mw-references-wrap", "mw-references", "references", "mw-ref", "reference", "reflist",
    # navigation and boxes
    "navbox", "navbox-styles", "vertical-navbox", "navbar", "sidebar", "side-box", "sistersitebox", "mbox-small", "metadata", "ambox", "tmbox",
    "ombox", "cmbox", "fmbox", "dmbox", "asbox", "portalbox", "portal-bar", "hatnote", "dablink", "rellink", "shortdescription",
    # pictures and their captions, maps, coordinates in a second notation
    "gallery", "gallerybox", "gallerytext", "thumb", "thumbinner", "thumbcaption", "mw-default-size", "mw-broken-media", "infobox-image",
    "infobox-caption", "infobox-navbar", "mw-kartographer-map", "mw-kartographer-container", "mw-kartographer-link", "mw-kartographer-maplink",
    "mw-kartographer-caption", "mw-kartographer-autostyled", "geo-nondefault", "geo-multi-punct", "geo-inline-hidden",
})  # fmt: skip
"""What is no text of the article: references, navigation, boxes, edit links, pictures' captions, hidden parts."""

INFOBOX_CLASSES = frozenset({"infobox", "infobox_v2", "infobox_v3", "sinottico"})
"""The box of facts, as the larger Wikipedias call it: dropped too, unless it is asked for."""

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
LISTS = frozenset({"ul", "ol", "dl"})
_CELLS = frozenset({"td", "th"})
_TABLE_PARTS = _CELLS | {"thead", "tbody", "tfoot", "tr", "caption"}
_BUILT = HEADINGS | LISTS | _TABLE_PARTS | {"li", "dt", "dd", "table"}
_PARAGRAPHS = frozenset({
    "address", "article", "aside", "blockquote", "center", "details", "div", "fieldset", "footer", "form", "header", "hr", "main", "nav",
    "p", "pre", "section", "summary",
})  # fmt: skip
_FRAMES = LISTS | {"table", "thead", "tbody", "tfoot", "tr"}  # what stands in them is in their items and cells
_BLOCKS = _BUILT | _PARAGRAPHS
_ENDS_A_FORMULA = _BLOCKS - {"div"}  # one that is never closed must not swallow the page; divs are MediaWiki's own, around and in it
_KEPT_ATTRIBUTES = ("id", "rowspan", "colspan", "start", "value")

_HIDDEN = re.compile(r"(?<![-\w])(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_MAX_DEPTH = 500  # deeper than anybody reads, lists and tables are text: BeautifulSoup's work grows with the square of the depth
_MAX_ALT = 100  # characters: a sign, not the description of a photograph
_FILE_NAME = re.compile(r"\.(?:svg|png|jpe?g|gif|webp|tiff?)$", re.IGNORECASE)
_MAX_ELEMENTS = 250_000  # about 300 MB of BeautifulSoup; a wiki's largest pages have half as many lists, items and cells
_RAISED = re.compile(r"(?=.*[\d+−–=-])[\d+−–=()\s,./-]{1,40}", re.ASCII | re.DOTALL)
_SUPERSCRIPTS = str.maketrans("0123456789+-−–=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁼⁽⁾")


class Line(NamedTuple):
    """A line of a section, and what it was on the page."""

    kind: Literal["text", "item", "row", "legend"]
    text: str


class VisibleTree(LXMLTreeBuilder):
    """BeautifulSoup's builder for lxml, told of what is visible alone.

    When the page is read, `headings` are its headings in order, `infoboxes` the outermost boxes of facts if they are kept.
    """

    def __init__(self, *, keep_infoboxes: bool, max_elements: int) -> None:
        """Prepare for one page; what comes after `max_elements` elements in the tree is text."""
        super().__init__(preserve_whitespace_tags=set(), string_containers={})
        self.headings: list[Tag] = []
        self.infoboxes: list[Tag] = []
        self._dropped = DROPPED_CLASSES if keep_infoboxes else DROPPED_CLASSES | INFOBOX_CLASSES
        self._marked = INFOBOX_CLASSES | {"legend"} if keep_infoboxes else frozenset({"legend"})
        self._open: list[str | None] = []  # of each open element, what its end writes; None: it is in the tree
        self._depth = 0  # how many of them are in the tree
        self._room = max_elements
        self._skipping = 0  # how many elements are open in one that is dropped, itself among them
        self._picture = ""  # what the last picture in the cell says to those who cannot see it
        self._formula: Formula | None = None
        self._raised: list[str] | None = None  # the text so far of an open <sup>
        self._formula_at = self._raised_at = self._infobox_at = -1  # where in _open these began

    def start(self, tag: str | bytes, attrib: dict[str | bytes, str | bytes], nsmap: Mapping[str, str] | None = None) -> None:
        """Take the beginning of an element from lxml."""
        name, attributes = cast("str", tag), cast("dict[str, str]", attrib)
        if self._skipping:
            self._skipping += 1
        elif self._formula is not None and name not in _ENDS_A_FORMULA:
            self._formula.start(name, attributes)
            self._open.append("")
        else:
            self._end_formula()
            classes = attributes["class"].split() if "class" in attributes else ()
            if is_formula(name, classes) and not self._is_hidden(attributes):
                self._begin_formula(name, attributes)
            elif name in DROPPED_ELEMENTS or (attributes and self._is_dropped(attributes, classes)) or self._repeats_title(name):
                self._skipping = 1
                if name == "img":
                    self._see_picture(attributes)
            else:
                self._enter(name, attributes, classes)

    def end(self, tag: str | bytes) -> None:
        """Take the end of the element that began last."""
        if self._skipping:
            self._skipping -= 1
            return
        writes = self._open.pop()
        at = len(self._open)
        if self._formula is not None:
            self._formula.end()
            if at <= self._formula_at:
                self._end_formula()
        if at == self._raised_at:
            self._end_raised()
        if writes is None:
            if tag in _CELLS:
                self._end_cell()
            self._depth -= 1
            super().end(tag)
        elif writes:
            self.data(writes)
        if at == self._infobox_at:
            self._infobox_at = -1

    def data(self, data: str | bytes) -> None:
        """Take a text."""
        if self._skipping:
            return
        if self._formula is not None:
            self._formula.data(cast("str", data))
        elif self._raised is not None:
            self._raised.append(cast("str", data))
        elif not (data.isspace() and self._between_cells()):
            super().data(data)

    def comment(self, text: str | bytes) -> None:
        """Leave out what only the page's source shows."""

    def pi(self, target: str, data: str) -> None:
        """Leave out what only the page's source shows."""

    def doctype(self, name: str, pubid: str, system: str) -> None:
        """Leave out what only the page's source shows."""

    def _is_dropped(self, attributes: Mapping[str, str], classes: Collection[str]) -> bool:
        if classes and not self._dropped.isdisjoint(classes):
            return True
        return attributes.get("id") in DROPPED_IDS or attributes.get("role") == "navigation" or self._is_hidden(attributes)

    def _repeats_title(self, name: str) -> bool:
        return name == "caption" and self._infobox_at >= 0

    @staticmethod
    def _is_hidden(attributes: Mapping[str, str]) -> bool:
        return "hidden" in attributes or ("style" in attributes and _HIDDEN.search(attributes["style"]) is not None)

    def _enter(self, name: str, attributes: Mapping[str, str], classes: Collection[str]) -> None:
        marked = bool(classes) and not self._marked.isdisjoint(classes)
        if (name in _BUILT or marked) and self._depth < _MAX_DEPTH and self._room:
            self._build(name, attributes, marked=marked)
        elif name in _BLOCKS:
            self.data(PARAGRAPH_END)
            self._open.append(PARAGRAPH_END)
        else:
            self._dress(name, attributes, classes)
            self._open.append("")

    def _build(self, name: str, attributes: Mapping[str, str], *, marked: bool) -> None:
        """Begin an element that stays in the tree, and note headings and the outermost infoboxes on the way."""
        self._end_raised()
        kept: dict[str | bytes, str | bytes] = {key: attributes[key] for key in _KEPT_ATTRIBUTES if key in attributes} if attributes else {}
        if marked:
            kept["class"] = attributes["class"]
        if name in _CELLS:
            self._picture = ""
        super().start(name, kept)
        self._depth += 1
        self._room -= 1
        if name in HEADINGS:
            self.headings.append(self._current())
        if marked and self._infobox_at < 0 and "legend" not in self._current()["class"]:
            self.infoboxes.append(self._current())
            self._infobox_at = len(self._open)
        self._open.append(None)

    def _dress(self, name: str, attributes: Mapping[str, str], classes: Collection[str]) -> None:
        if name == "br":
            self.data(" ")
        elif name == "sup":
            self._end_raised()
            self._raised, self._raised_at = [], len(self._open)
        elif "mw-headline" in classes:  # up to MediaWiki 1.43 the anchor is in the heading
            self._current()["id"] = attributes.get("id", "")

    def _current(self) -> Tag:
        return cast("Tag", cast("BeautifulSoup", self.soup).currentTag)

    def _end_cell(self) -> None:
        """Give a cell that is nothing but a picture the picture's words: the gold medal that stands for rank 1."""
        words, self._picture = self._picture, ""
        if words and not self._current().contents and not "".join(cast("BeautifulSoup", self.soup).current_data).strip():
            super().data(words)

    def _see_picture(self, attributes: Mapping[str, str]) -> None:
        words = attributes.get("alt", "")
        if self._infobox_at < 0 and len(words) <= _MAX_ALT and not _FILE_NAME.search(words) and not self._is_hidden(attributes):
            self._picture = words

    def _between_cells(self) -> bool:
        """Say whether a cell or item has just begun or ended: in large tables, half of all texts are the line ends there."""
        return not cast("BeautifulSoup", self.soup).current_data and self._current().name in _FRAMES

    def _begin_formula(self, name: str, attributes: Mapping[str, str]) -> None:
        apart = PARAGRAPH_END if name in _BLOCKS else ""
        self.data(apart)
        self._formula, self._formula_at = Formula(), len(self._open)
        self._formula.start(name, attributes)
        self._open.append(apart)

    def _end_formula(self) -> None:
        if self._formula is not None:
            tex, self._formula = self._formula.tex(), None
            self.data(tex)

    def _end_raised(self) -> None:
        if self._raised is not None:
            text, self._raised, self._raised_at = "".join(self._raised), None, -1
            self.data(text.translate(_SUPERSCRIPTS) if _RAISED.fullmatch(text) else text)


def visible_tree(html: str, *, keep_infoboxes: bool = False, max_elements: int = _MAX_ELEMENTS) -> tuple[BeautifulSoup, VisibleTree]:
    """Parse a page's HTML into the tree of what is visible, and the builder that knows its headings and infoboxes.

    NUL and lone surrogates, at which lxml would stop, are taken out; what comes after `max_elements` headings, lists, items and cells
    is text without such order, since no page may take all memory. Never raises for any text.
    """
    clean = html.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    builder = VisibleTree(keep_infoboxes=keep_infoboxes, max_elements=max_elements)
    with warnings.catch_warnings():  # a page that is just "a.html", or XHTML, is a page all the same
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        return BeautifulSoup(clean, builder=builder), builder


def text_of(tag: Tag) -> str:
    """Return the text of an element as one line, what is apart on the page set apart by spaces."""
    return text_and_inner(tag, frozenset())[0]


def text_and_inner(tag: Tag, inner: frozenset[str]) -> tuple[str, list[Tag]]:
    """Return the text of an element as one line, and what stands in it and is no part of that text.

    That is the outermost elements of the names in `inner`, and, if it names any, legends.
    """
    parts: list[str] = []
    found: list[Tag] = []
    stack: list[object] = [*reversed(tag.contents)]
    while stack:
        node = stack.pop()
        if not isinstance(node, Tag):
            parts.append(str(node))
        elif node.name in inner or (inner and is_legend(node)):
            found.append(node)
        elif node.name in _BLOCKS:
            parts.append(" ")
            stack += (" ", *node.contents[::-1])
        else:
            stack += node.contents[::-1]
    return one_line("".join(parts)), found


def one_line(text: str) -> str:
    """Return a text with each run of white space, visible or not, as one space, and none at its ends."""
    return " ".join(text.replace("\u200b", " ").replace("\ufeff", " ").split())


def is_block(node: object) -> bool:
    """Say whether text before and after a node is apart from its own."""
    return isinstance(node, Tag) and node.name in _BLOCKS


def is_legend(tag: Tag) -> bool:
    """Say whether an element has the class that Wikipedia's legends have."""
    return "legend" in (tag.attrs.get("class") or ())
