"""The two figures of docs/method.md, as SVG that is read in light and in dark: what the kinds of examples are, and what a label passes through."""

from __future__ import annotations

from html import escape

_STYLE = """\
<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e } .bold { font-weight: 600 }
  .card { fill: none; stroke: #8c959f } .line { fill: #d1d9e0 } .proof { fill: #009e73 } .gone { fill: none; stroke: #d55e00; stroke-dasharray: 3 2 }
  .changed { fill: #d55e00; font-weight: 600 } .arrow { stroke: #8c959f; fill: none; marker-end: url(#head) } .lost { stroke: #d55e00; stroke-dasharray: 3 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .line { fill: #3d444d } .changed { fill: #ff8c42 } .lost, .gone { stroke: #ff8c42 } .proof { fill: #2fcf9f }
  }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8" fill="#8c959f"/></marker></defs>"""
_LEGEND = "Green: the sentence that proves the answer. Dashed: it was cut out. Orange: a word was exchanged, so it proves nothing any more."
_LOST = "What leaves the way is written down with its reason: pages, dropped_sections, rejected, dropped_examples. In = out + dropped, at each step."
_KINDS = (
    ("positive", "the page, the section", "proof", ""),
    ("random", "another page", "", ""),
    ("same_page", "the page, another section", "", ""),
    ("similar", "another page, found by a search", "", ""),
    ("altered_question", "the page, the section", "proof", "women's"),
    ("evidence_removed", "the page, the section", "gone", ""),
)
_GATES = (
    ("wiki page", "revision, licence", ("no article", "title filtered out")),
    ("section", "40 to 1,500 tokens", ("empty or short", "says nothing")),
    ("question", "answer, evidence", ("not proven", "asked before")),
    ("negative", "of five kinds", ("holds the answer", "gives itself away")),
    ("example", "in one split, by page", ("repeats another split",)),
)


def _svg(width: int, height: int, title: str, parts: list[str]) -> str:
    body = "\n".join(parts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    return f"{head}\n<title>{escape(title)}</title>\n{_STYLE}\n{body}\n</svg>\n"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(text)}</text>'


def _rect(kind: str, x: float, y: float, width: float, height: float, round_by: float = 2) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round_by:g}"/>'


def kinds() -> str:
    """Draw one question with its six contexts."""
    parts = []
    for at, (kind, where, proof, changed) in enumerate(_KINDS):
        x, y = 20 + at % 3 * 270, 20 + at // 3 * 190
        word = f'<tspan class="changed">{changed}</tspan>' if changed else "men's"
        parts += [_text(x, y + 12, kind, "bold"), f'<text x="{x}" y="{y + 30}">Who won the {word} high jump?</text>']
        parts += [_rect("card", x, y + 40, 240, 118, 6), _text(x + 10, y + 56, where, "small")]
        for line, width in enumerate((210, 190, 215, 170, 205)):
            marked = proof if line == 2 else "line"
            parts.append(_rect(marked or "line", x + 10, y + 68 + 17 * line, width, 8))
    parts.append(_text(20, 412, _LEGEND, "small"))
    return _svg(820, 425, "A question with the context that answers it, and five that do not", parts)


def gates() -> str:
    """Draw what a row passes on its way to an example, and where it may end."""
    parts = []
    for at, (what, detail, lost) in enumerate(_GATES):
        x = 12 + at * 178
        parts += [_rect("card", x, 30, 152, 56, 6), _text(x + 8, 53, what, "bold"), _text(x + 8, 73, detail, "small")]
        parts += [f'<path class="arrow lost" d="M{x + 76} 86V118"/>', *(_text(x + 22, 134 + 15 * n, line, "small") for n, line in enumerate(lost))]
        if at + 1 < len(_GATES):
            parts.append(f'<path class="arrow" d="M{x + 152} 58H{x + 177}"/>')
    parts.append(_text(12, 182, _LOST, "small"))
    return _svg(890, 194, "From a page to an example, and what is dropped on the way", parts)
