"""The dataset card of train/hf: what a reader of the Hub must know before using the rows.

Its header is what the Hub and `datasets` read (https://huggingface.co/docs/hub/datasets-cards and
https://github.com/huggingface/hub-docs/blob/main/datasetcard.md): licence, language, tasks, size, and where each split lies. What
stands in the text follows the questions of Gebru et al. (Datasheets for Datasets, 2021) as far as a program can answer them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.dataset.statistics import TOTAL, left_out_of_squad, tables
from pipeline.records import NO_ANSWER, SPLITS
from pipeline.text.markdown import LINK, escaped, linked, quoted, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.dataset.statistics import Statistics
    from pipeline.records import Page

_TITLE = "Questions that wiki pages answer, and contexts that do not"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
_LARGEST = "10M<n<100M"
_LICENCE_URL = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)/(\d\.\d)|publicdomain/(zero)/1\.0)")
_LICENCE_NAME = re.compile(r"(?:CC[ -]BY|Creative Commons Attribution)([ -]Share[ -]?Alike|-SA)?[^\d]{0,40}(\d\.\d)", re.IGNORECASE)
_WIKI_HOST = re.compile(r"([a-z]{2,3}(?:-[a-z]+)*)\.(?:m\.)?wiki[a-z]+\.org")

KINDS = {
    "positive": "the context answers the question",
    "random": "the context is a section of another page",
    "same_page": "the context is another section of the page that answers",
    "similar": "the context was found for the question by search, on another page",
    "altered_question": "a year, number, name or place of the question was exchanged, so that its context no longer answers it",
    "evidence_removed": "the context is the one that answers, without the sentences that carry the answer",
}


@dataclass(frozen=True, slots=True)
class About:
    """What the examples are made of: the kept pages, the languages of their text (if known), the discriminator's metrics (if measured)."""

    pages: Sequence[Page]
    languages: Sequence[str]
    metrics: Mapping[str, Any]


def languages_of(pages: Sequence[Page]) -> list[str]:
    """Return the languages that the addresses of Wikimedia's wikis name; of other wikis nothing is known."""
    hosts = {urlsplit(page.url).hostname or "" for page in pages if page.url.startswith(("https://", "http://")) and "[" not in page.url}
    return sorted({match[1] for host in hosts if (match := _WIKI_HOST.fullmatch(host))})


def card(about: About, statistics: Statistics) -> str:
    """Return README.md of the dataset: the header in YAML, then the card in Markdown."""
    parts = [
        _header(about, statistics), _introduction(), _kinds(statistics), *tables(statistics), _labels(statistics), _baselines(about),
        _limits(statistics), _sources(about),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def _header(about: About, statistics: Statistics) -> str:
    """Return the header that the Hub reads (https://huggingface.co/docs/hub/datasets-cards)."""
    sizes = statistics.by_kind_and_split[TOTAL]
    tasks, tags = ("question-answering", "text-classification"), ("unanswerable-questions", "abstention", "hard-negatives")
    return header_of(_TITLE, about.pages, about.languages, sizes[TOTAL], {split: sizes[split] for split in SPLITS}, tasks, tags)


def header_of(
    title: str, pages: Sequence[Page], languages: Sequence[str], size: int, splits: Mapping[str, int], tasks: Sequence[str], tags: Sequence[str]
) -> str:
    """Return the card's header: what the Hub and `datasets` read. A split without rows is left out."""
    lines = ["---", f"pretty_name: {quoted(title)}"]
    lines += _listed("language", languages)
    lines += _licence_lines(pages)
    lines += _listed("task_categories", tasks)
    lines += _listed("size_categories", (next((name for bound, name in _SIZES if size < bound), _LARGEST),))
    lines += _listed("tags", tags)
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split, n in splits.items():
        if n:
            lines += [f"  - split: {split}", f"    path: data/{split}.parquet"]
    return "\n".join([*lines, "---", ""])


def _listed(key: str, values: Sequence[str]) -> list[str]:
    return [f"{key}:", *(f"- {quoted(value)}" for value in values)] if values else []


def licence_ids(pages: Sequence[Page]) -> dict[str, str]:
    """Return the Hub's name (https://huggingface.co/docs/hub/repositories-licenses) of each licence that the pages name."""
    return {licence: _licence_id(licence) for licence in sorted({page.licence for page in pages if page.licence})}


def _licence_id(licence: str) -> str:
    by_url, by_name = _LICENCE_URL.search(licence.lower()), _LICENCE_NAME.search(licence)
    if by_url:
        return "cc0-1.0" if by_url[3] else f"cc-{by_url[1]}-{by_url[2]}"
    if by_name:
        return f"cc-by{'-sa' if by_name[1] else ''}-{by_name[2]}"
    return "cc0-1.0" if re.search(r"\bCC0\b", licence) else "other"


def _licence_lines(pages: Sequence[Page]) -> list[str]:
    known = licence_ids(pages)
    ids = sorted(set(known.values())) or ["unknown"]
    lines = [f"license: {quoted(ids[0])}"] if len(ids) == 1 else _listed("license", ids)
    others = [licence for licence, name in known.items() if name == "other"]
    if others:
        link = LINK.search(others[0])
        lines += [f"license_name: {quoted(others[0][:100])}", f"license_link: {quoted(link[0] if link else 'ATTRIBUTION.md')}"]
    return lines


def _introduction() -> str:
    return f"""# {_TITLE}

Each row is a question with a context. Where `answerable` is true the context answers it, and `answer` is the answer; where it is
false it does not, as far as the checks named below can tell, and `answer` is, word for word,

> {NO_ANSWER}

For fine-tuning and measuring models that answer from a context and decline where it does not suffice, and discriminators that tell the
two apart. `answer_span` and `answer_start` say where the answer stands in the context (SQuAD 2.0's terms; `answer_alignment` says how
literally), `evidence` is the sentence that proves it, `plausible_answer` what one might wrongly answer.

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder")
```
"""


def _kinds(statistics: Statistics) -> str:
    kinds = [kind for kind in statistics.by_kind_and_split if kind != TOTAL]
    return "## Kinds\n\n" + "".join(f"- `{kind}`: {KINDS.get(kind, 'see the program that made it')}\n" for kind in kinds)


def _labels(statistics: Statistics) -> str:
    ways = "".join(
        f"- {escaped(kind)}: {escaped(how)} ({n})\n" for kind, found in statistics.verified.items() for how, n in sorted(found.items())[:12]
    )
    return f"""## How the labels were verified

Each row says it in `verified`, with a score in `verified_score` (of a positive the round trip's F1, of a negative its 5-gram
Jaccard similarity with the true context, unless `verified` says otherwise). By kind:

{ways}"""


def _baselines(about: About) -> str:
    test = about.metrics.get("test", {})
    rows = []
    for kind, row in test.get("discriminator", {}).items():
        base = test.get("idf_overlap", {}).get(kind, {})
        rows.append((kind, row.get("n_negative"), *(_figure(scores.get(name)) for scores in (base, row) for name in ("auroc", "f1"))))
    if not rows:
        return ""
    heads = ("negatives", "n", "IDF overlap: AUROC", "F1", "discriminator: AUROC", "F1")
    return f"""## Baselines

On test, whose pages were not trained on; the thresholds were chosen on {escaped(str(about.metrics.get("threshold_chosen_on", "validation")))}.
The discriminator is a logistic regression over features of words and sentence embeddings; a model worth its cost is above both.

{table(heads, rows)}"""


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "–"


def _limits(statistics: Statistics) -> str:
    leaks = [leak for leak in statistics.leaks if leak.found]
    found = "".join(f"- {leak.what}: {leak.found} of {leak.of}; figures on test flatter.\n" for leak in leaks)
    unaligned = (
        f"- Of {left} answers no span of the context is known; `answer_span` is empty there.\n" if (left := left_out_of_squad(statistics)) else ""
    )
    positives = statistics.by_kind_and_split.get("positive", {}).get("test", 0)
    return f"""## Known limits

- Labels were checked by program, not by people; a context may answer a question in words that no check knows.
- Questions were written for a section that answers them, and share words with it more than questions of people who search.
- The test split has {positives} answerable questions: figures on few are rough.
{unaligned}{found}"""


def _sources(about: About) -> str:
    if not about.pages:
        return "## Source and licence\n\nThe text came without a list of its pages: neither its source nor its licence is known. Find out before you publish it.\n"
    dates = sorted(page.revision_timestamp[:10] for page in about.pages if page.revision_timestamp)
    span = f", dated {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else ""
    known = sum(page.revision_id is not None for page in about.pages)
    revisions = "in the revisions" if known == len(about.pages) else f"(of {known} the revision is known)"
    licences = "".join(f"- {linked(licence)}\n" for licence in licence_ids(about.pages)) or "- none named\n"
    return f"""## Source and licence

Text of {len(about.pages)} wiki pages {revisions} that ATTRIBUTION.md lists{span}. Licence, as the wiki states it:

{licences}
The text was changed: cut into sections, tables and lists written out as lines, references, navigation and pictures left out. Questions and
answers were added.

To cite a row, cite its page in its revision – title, wiki, address with `?oldid=` and `revision_id` – and name this dataset; to cite
all of it, name the wiki, its licence, and ATTRIBUTION.md. Who wrote a page is listed in its history.
"""
