"""How many sections of a notebook's CSV are in a run word for word?

    python scripts/compare_sections.py RUN SECTIONS.csv [--ignore REGEX]

For a wiki that was filled from that CSV. White space, list marks, lone labels and legend lines aside, as are lines (or their ends) that
match --ignore: what the wiki adds on purpose. Prints the share, and the first that differ.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

from pipeline.records import DroppedSection, Section
from pipeline.run_folder import RunFolder
from pipeline.sources.notebook import read_csv_rows
from pipeline.sources.sectioning import LEFT_OUT
from pipeline.store import read_rows

ASIDE = re.compile(r"((Men|Women|Mixed|Boys|Girls|Open)('s)?)+|.*legend:.*|(\* )?key:?", re.IGNORECASE)


def plain(text: str, ignore: re.Pattern[str] | None) -> str:
    """Return a section's text without what is set aside."""
    lines = (re.sub(r"^\s*(\*|\d+\.)\s+", "", line).strip() for line in (ignore.sub("", text) if ignore else text).split("\n"))
    return "".join("".join(line.split()) for line in lines if not ASIDE.fullmatch(line))


def collected(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return title → heading → the texts that stand under it, dropped ones too, parts joined."""
    run = RunFolder(folder)
    whole: dict[tuple[str, int, str], str] = defaultdict(str)
    for section in read_rows(run.sections, Section):
        whole[section.title, section.position, section.heading] += section.content
    for dropped in read_rows(run.dropped_sections, DroppedSection):
        if dropped.reason != LEFT_OUT:
            whole[dropped.title, dropped.position, dropped.heading] += dropped.content
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (title, _, heading), content in whole.items():
        found[title][heading].append(content)
    return found


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--ignore", type=lambda pattern: re.compile(pattern, re.DOTALL | re.MULTILINE))
    arguments = parser.parse_args()
    found = collected(arguments.run)
    rows = [row for row in read_csv_rows(arguments.csv, ("title", "heading", "content")) if row["title"] in found]
    other = []
    for row in rows:
        ours = {plain(text, arguments.ignore) for text in found[row["title"]][row["heading"]]}
        if plain(row["content"], arguments.ignore) not in ours:
            other.append(row)
    print(f"{len(rows) - len(other)} of {len(rows)} sections are equal ({1 - len(other) / len(rows):.2%})")
    for row in other[:10]:
        print(f"differs: {row['title']} | {row['heading']}")


if __name__ == "__main__":
    main()
