"""Build what is generated in docs/: python scripts/build_docs.py [--run]

The reference (of the commands' --help, the records, the settings), the notebook (of the tutorial), the figures, and, with --run, what
the pages show is printed anew (some minutes: the tutorial is run). Then every page's links are looked at. tests/test_docs.py says when something is out of date.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import documents
import figures
import reference
from documents import ROOT

DOCS = ROOT / "docs"
TUTORIAL, NOTEBOOK = DOCS / "tutorial.md", DOCS / "tutorial.ipynb"
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))


def notebook() -> str:
    """Return the tutorial as a notebook's JSON."""
    import nbformat

    return str(nbformat.writes(documents.notebook_of(TUTORIAL.read_text("utf-8")))) + "\n"


def refresh() -> None:
    """Run the tutorial and what the how-to pages show, each in a folder with the sample beside it; write what was printed into the pages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "OPENAI_"))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "data" / "sample", folder / "data" / "sample")
        page = TUTORIAL.read_text("utf-8")
        TUTORIAL.write_text(documents.refreshed(page, documents.execute(documents.notebook_of(page), folder, environment)), "utf-8")
        for path in HOW_TO:
            shutil.rmtree(folder / "data" / "run", ignore_errors=True)
            shutil.copytree(folder / "data" / "tutorial", folder / "data" / "run")
            page = path.read_text("utf-8")
            path.write_text(documents.refreshed(page, documents.run_shown(page, folder, environment)), "utf-8")


def build() -> dict[Path, str]:
    """Return the text of every generated file."""
    return {
        NOTEBOOK: notebook(),
        DOCS / "figures" / "kinds.svg": figures.kinds(),
        DOCS / "figures" / "gates.svg": figures.gates(),
        DOCS / "reference" / "commands.md": reference.commands_page(),
        DOCS / "reference" / "tables.md": reference.tables_page(),
        DOCS / "reference" / "topic-file.md": reference.topic_page(),
    }


def main() -> None:
    """Write them; end with 1 if a link leads nowhere."""
    if "--run" in sys.argv[1:]:
        refresh()
    for path, text in build().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    broken = [f"{path.relative_to(ROOT)}: {link}" for path in documents.pages() for link in documents.broken_links(path)]
    print("\n".join(broken) or f"{len(documents.pages())} pages, no broken link")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
