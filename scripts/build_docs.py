"""Build what is generated in docs/: python scripts/build_docs.py [--run]

The reference (of the commands' --help, the records, the settings), the notebook (of the tutorial), the figures, and, with --run, what the
tutorial's blocks print (two minutes: the tutorial is run). Then every page's links are looked at. tests/test_docs.py says when something is out of date.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import documents
import reference
from documents import ROOT

DOCS = ROOT / "docs"
TUTORIAL, NOTEBOOK = DOCS / "tutorial.md", DOCS / "tutorial.ipynb"


def notebook() -> str:
    """Return the tutorial as a notebook's JSON."""
    import nbformat

    return str(nbformat.writes(documents.notebook_of(TUTORIAL.read_text("utf-8")))) + "\n"


def run_tutorial(folder: Path) -> list[str]:
    """Run the tutorial's notebook in a folder, with the sample beside it; return what each step printed."""
    shutil.copytree(ROOT / "data" / "sample", folder / "data" / "sample")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "OPENAI_"))}
    return documents.execute(documents.notebook_of(TUTORIAL.read_text("utf-8")), folder, kept)


def build() -> dict[Path, str]:
    """Return the text of every generated file."""
    return {
        NOTEBOOK: notebook(),
        DOCS / "reference" / "commands.md": reference.commands_page(),
        DOCS / "reference" / "tables.md": reference.tables_page(),
        DOCS / "reference" / "topic-file.md": reference.topic_page(),
    }


def main() -> None:
    """Write them; end with 1 if a link leads nowhere."""
    if "--run" in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            outputs = run_tutorial(Path(folder))
        TUTORIAL.write_text(documents.refreshed(TUTORIAL.read_text("utf-8"), outputs), "utf-8")
    for path, text in build().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    broken = [f"{path.relative_to(ROOT)}: {link}" for path in documents.pages() for link in documents.broken_links(path)]
    print("\n".join(broken) or f"{len(documents.pages())} pages, no broken link")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
