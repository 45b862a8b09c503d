"""Pages of Markdown as things that run: their commands, what they say these show, links; and a page as a notebook.

In a page, a fence `sh` or `python` is run, in order, in one session; a fence `text` right after it is what it printed (stdout; progress goes
to stderr). That must agree word for word, but for `…`, which stands for any text in its line. What is not the same everywhere has a
comment before its output:

    <!-- varies: figures -->   numbers that depend on the processor (MiniLM's are of eight bits): near those shown, all else the same
    <!-- varies: words -->     a model's words: lines that are not indented begin alike, up to the first colon or figure; others say anything

A paragraph after `<!-- page alone -->` is not in the notebook.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
RUN = ("sh", "python")
SHOWN = "text"
ANY = "…"
SECONDS = 600
_VARIES = re.compile(r"<!--\s*varies:\s*(figures|words)\s*-->")
_PAGE_ALONE = re.compile(r"<!-- page alone -->\n(?:.+\n)+\n?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEAR, _NEAR_WHOLE = 0.15, 8
_HEAD = re.compile(r"^[^:\d]*")
_REST = re.compile(r"\s(?:2>&1|\|\|?|&&|>>?|<)(?:\s.*|$)|;\s.*")
_EXPORT = re.compile(r"export (\w+)=(\S+)")
_SETUP = """\
import os, sys
from pathlib import Path

# to the checkout, and its commands with the interpreter of this notebook
os.chdir(next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "data" / "sample").is_dir()))
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}\""""


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: its lines in the page (from, to; the fences included), and how its text may vary."""

    language: str
    text: str
    lines: tuple[int, int]
    varies: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is run, and what the page says it prints, if it says."""

    run: Fence
    shown: Fence | None


def _tokens(page: str) -> list[Token]:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").parse(page)


def fences(page: str) -> list[Fence]:
    """Return the fenced blocks of a page, in order."""
    found, varies = [], ""
    for token in _tokens(page):
        if token.type == "html_block":
            comment = _VARIES.search(token.content)
            varies = comment[1] if comment else ""
        elif token.type == "fence" and token.map:
            found.append(Fence(token.info.strip(), token.content, (token.map[0], token.map[1]), varies))
            varies = ""
    return found


def steps(page: str) -> list[Step]:
    """Return what a page runs, each with the output that stands right after it (comments and empty lines between them)."""
    blocks, lines, found = fences(page), page.splitlines(), []
    for at, block in enumerate(blocks):
        if block.language not in RUN:
            continue
        after = blocks[at + 1] if at + 1 < len(blocks) else None
        between = lines[block.lines[1] : after.lines[0]] if after else []
        adjacent = all(not line.strip() or line.lstrip().startswith("<!--") for line in between)
        found.append(Step(block, after if after and after.language == SHOWN and adjacent else None))
    return found


def commands_of(page: str) -> list[str]:
    """Return the pipeline's command lines in a page's `sh` fences, comments cut off, continued lines joined."""
    blocks = [fence.text.replace("\\\n", " ") for fence in fences(page) if fence.language == "sh"]
    return [line.split(" #")[0].strip() for block in blocks for line in block.splitlines() if "python -m pipeline." in line]


def refused(line: str) -> str:
    """Return why a command line of a page is none that its command takes; empty if it is one. Nothing is run, no file looked at."""
    import importlib

    import click

    words = shlex.split(_REST.sub("", line))
    at = next((i for i, word in enumerate(words) if word.startswith("pipeline.")), None)
    if at is None:
        return f"no command in {line!r}"
    command = importlib.import_module(words[at]).main.args[0]
    context = click.Context(command)
    try:
        values, left, _ = command.make_parser(context).parse_args(list(words[at + 1 :]))
        for parameter in command.params:
            if parameter.name in values:
                parameter.type_cast_value(context, values[parameter.name])
    except click.UsageError as error:
        return error.format_message()
    return f"too much: {left}" if left else ""


def agrees(shown: str, came: str, varies: str = "") -> bool:
    """Tell whether what a page shows is what came."""
    expected, lines = shown.rstrip().splitlines(), came.rstrip().splitlines()
    if varies == "words":
        return bool(lines) and _heads(expected) == _heads(lines)
    return len(expected) == len(lines) and all(_line_agrees(a, b, near=varies == "figures") for a, b in zip(expected, lines, strict=True))


def _heads(lines: Sequence[str]) -> list[str]:
    return [match[0].strip() for line in lines if line and not line[0].isspace() and (match := _HEAD.match(line))]


def _line_agrees(shown: str, came: str, *, near: bool) -> bool:
    if not near:
        return bool(re.fullmatch(".*".join(map(re.escape, shown.rstrip().split(ANY))), came.rstrip()))
    pattern = ".*".join(re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(_NUMBER.sub("#", part)).replace(r"\#", "#")) for part in shown.rstrip().split(ANY))
    matched = re.fullmatch(pattern, _NUMBER.sub("#", came.rstrip()))
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(came), strict=False)
    return bool(matched) and (ANY in shown or all(_near(a, b) for a, b in pairs))


def _near(shown: str, came: str) -> bool:
    a, b = (float(number.replace(",", "")) if number.count(".") < 2 else math.nan for number in (shown, came))
    return shown == came or math.isclose(a, b, rel_tol=_NEAR, abs_tol=_NEAR if "." in shown else _NEAR_WHOLE)


def refreshed(page: str, outputs: Sequence[str]) -> str:
    """Return a page with what its steps print now in place of what it showed; lines with `…` that still hold stay."""
    lines = page.splitlines()
    for step, came in reversed(list(zip(steps(page), outputs, strict=True))):
        if step.shown is None:
            continue
        kept = [line for line in step.shown.text.splitlines() if ANY in line]
        new = [next((old for old in kept if _line_agrees(old, line, near=False)), line.rstrip()) for line in came.rstrip().splitlines()]
        begin, end = step.shown.lines
        lines[begin + 1 : end - 1] = new
    return "\n".join(lines) + "\n"


def notebook_of(page: str) -> Any:
    """Return a page as a notebook without outputs: a cell for each fence that is run, the text between them as it is."""
    from nbformat import v4

    cells, lines, done = [v4.new_code_cell(_SETUP)], page.splitlines(), 0
    for step in steps(page):
        cells.append(v4.new_markdown_cell(_prose(lines[done : step.run.lines[0]])))
        cells.append(v4.new_code_cell(_code(step.run)))
        done = step.shown.lines[1] if step.shown else step.run.lines[1]
    cells.append(v4.new_markdown_cell(_prose(lines[done:])))
    cells = [cell for cell in [cells[1], cells[0], *cells[2:]] if cell.source]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # random by default
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _prose(lines: Sequence[str]) -> str:
    text = _PAGE_ALONE.sub("", "\n".join(lines))
    return "\n".join(line for line in text.splitlines() if not line.startswith("<!--")).strip()


def _code(fence: Fence) -> str:
    exports = [_EXPORT.fullmatch(line) for line in fence.text.strip().splitlines()]
    if all(exports):
        return "\n".join(f"%env {match[1]}={match[2]}" for match in exports if match)
    return f"%%bash\nset -e\n{fence.text.rstrip()}" if fence.language == "sh" else fence.text.rstrip()


def execute(notebook: Any, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run a notebook in a folder with a real kernel; return what each step printed, the folder's own path as `…`.

    Raises nbclient's CellExecutionError if a cell fails.
    """
    from nbclient import NotebookClient
    from traitlets.config import Config

    where = {"metadata": {"path": str(folder)}}
    with tempfile.TemporaryDirectory(prefix="kernel") as place:  # sockets of its own, not ports that other users of the machine can reach
        sockets = Config({"KernelManager": {"transport": "ipc", "ip": f"{place}/ipc"}})
        client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=where, config=sockets)
        client.execute(env={**environment, "PYTHONPATH": str(ROOT)})
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source != _SETUP]
    return [_printed(cell).replace(str(folder.resolve()), ANY) for cell in cells]


def _printed(cell: Any) -> str:
    return "".join(output["text"] for output in cell.outputs if output.get("name") == "stdout") if not cell.source.startswith("%env") else ""


def run_shown(page: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run those steps of a page that say what they print, each by itself, in a folder; return what each printed (nothing for the others).

    Raises CalledProcessError if one fails.
    """
    shell = {"sh": ["bash", "-ec"], "python": [sys.executable, "-c"]}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**environment, "PYTHONPATH": str(ROOT), "PATH": path}
    printed = []
    for step in steps(page):
        said = ""
        if step.shown:
            command = [*shell[step.run.language], step.run.text]
            said = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True).stdout  # noqa: S603 (a page of ours)
        printed.append(said.replace(str(folder.resolve()), ANY))
    return printed


def anchors(page: str) -> set[str]:
    """Return the anchors that a code host gives a page's headings (lower case, spaces as dashes, other marks gone; repeated ones numbered)."""
    found: dict[str, int] = {}
    tokens, names = _tokens(page), set()
    for opening, content in itertools.pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in content.children or () if child.type in ("text", "code_inline"))
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names


def links(page: str) -> Iterator[str]:
    """Yield where a page's links and pictures lead, HTML's `src` and `srcset` too."""
    for token in _tokens(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield str(target)
            yield from re.findall(r'(?:src|srcset|href)="([^"]+)"', child.content) if child.type == "html_inline" else ()
        yield from re.findall(r'(?:src|srcset|href)="([^"]+)"', token.content) if token.type == "html_block" else ()


def broken_links(path: Path) -> list[str]:
    """Return the relative links of a page that lead to no file, or to no heading of it. Other sites are not asked."""
    found = []
    for link in links(path.read_text("utf-8")):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.exists() or (parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target.read_text("utf-8"))):
            found.append(link)
    return found


def pages() -> list[Path]:
    """Return every page of Markdown that is for readers."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
