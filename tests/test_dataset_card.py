"""Statistics and dataset card: figures that add up, text of pages that stays text, a folder that `datasets` loads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from conftest import ROOT, environment, run
from examples_of_formats import EXAMPLES, example, negative
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.dataset.card import About, card, languages_of, licence_ids
from pipeline.dataset.formats import hf, squad
from pipeline.dataset.leaks import leaks
from pipeline.dataset.statistics import Statistics, as_json, left_out_of_squad, lengths, page, share_verified, statistics, warnings
from pipeline.evaluation.overlap import overlap_by_split, overlap_scores
from pipeline.records import SPLITS, DroppedExample, Example, Page
from pipeline.run_folder import RunFolder
from pipeline.store import read_rows, write_rows, write_text
from pipeline.text.markdown import escaped, quoted, table

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = ROOT / "tests" / "golden"
PAGE = Page(
    1,
    "Judo",
    "https://en.wikipedia.org/wiki/Judo",
    7,
    "2021-08-08T12:00:00Z",
    "",
    "CC BY-SA 4.0 https://creativecommons.org/licenses/by-sa/4.0/",
    3,
    "kept",
    "",
)
DROPPED = [DroppedExample("qa-1", "similar", "sec-x", "holds_the_answer"), DroppedExample("qa-1", "similar", "", "not_available")]
METRICS: dict[str, Any] = {
    "threshold_chosen_on": "validation",
    "test": {"discriminator": {"all": {"n_negative": 1, "auroc": 0.9, "f1": None}}, "idf_overlap": {"all": {"auroc": 0.75, "f1": 0.5}}},
}
LOAD = """
import json, sys
from datasets import load_dataset
loaded = load_dataset(sys.argv[1], cache_dir=sys.argv[2])
print(json.dumps({split: rows.to_list() for split, rows in loaded.items()}))
"""


def figures(examples: list[Example], dropped: list[DroppedExample] = DROPPED) -> Statistics:
    spans = {e.example_id: squad.span_of(e) for e in examples}
    return statistics(examples, dropped, spans, leaks(examples, {}, {}), overlap_by_split(examples))


def test_the_pages_are_those_of_the_golden_files(tmp_path: Path) -> None:
    write_text(tmp_path / "card.md", card(About([PAGE], ["en"], METRICS), figures(EXAMPLES)))
    write_text(tmp_path / "statistics.md", page(figures(EXAMPLES)))
    for name in ("card.md", "statistics.md"):
        assert (tmp_path / name).read_text("utf-8") == (GOLDEN / name).read_text("utf-8")


def test_counts_by_kind_and_split_add_up() -> None:
    rows = figures(EXAMPLES).by_kind_and_split
    assert rows["all"]["all"] == len(EXAMPLES) == sum(row["all"] for kind, row in rows.items() if kind != "all")
    assert all(sum(row[split] for split in SPLITS) == row["all"] for row in rows.values())
    assert list(rows) == ["positive", "altered_question", "evidence_removed", "random", "same_page", "all"]


def test_each_example_is_aligned_left_out_or_has_nothing_to_align() -> None:
    found = figures(EXAMPLES)
    assert sum(found.squad.values()) == len(EXAMPLES)
    assert left_out_of_squad(found) == 1


def test_what_was_not_checked_is_not_called_verified() -> None:
    rows = [example("a"), example("b", verified="given as imported, no evidence"), negative("c", "random", verified="not verified")]
    found = figures(rows)
    assert (share_verified(found, "positive"), share_verified(found, "random"), share_verified(found, "similar")) == (0.5, 0.0, 0.0)
    assert as_json(found)["share_verified"] == {"positive": 0.5, "random": 0.0}


def test_dropped_candidates_and_empty_places_are_counted_apart_by_kind_and_reason() -> None:
    found = figures(EXAMPLES)
    assert found.dropped == {"similar": {"holds_the_answer": 1, "not_available": 1}}
    assert "| similar | 0 | 0.0% | 1 | 1 |" in page(found)


def test_lengths_are_words_at_the_nearest_rank() -> None:
    found = lengths("a " * n for n in range(1, 101))
    assert (found.n, found.shortest, found.quarter, found.median, found.three_quarters, found.p95, found.longest) == (100, 1, 25, 50, 75, 95, 100)
    assert lengths([]).n == 0
    assert lengths(["one two"]).p95 == 2


def test_word_counting_is_measured_with_scikit_learns_auroc_against_all_positives_of_the_split() -> None:
    scores = overlap_scores(EXAMPLES)
    chosen = [at for at, e in enumerate(EXAMPLES) if e.kind in ("positive", "random")]
    assert overlap_by_split(EXAMPLES)["all"]["random"]["auroc"] == round(
        float(roc_auc_score([EXAMPLES[at].answerable for at in chosen], scores[chosen])), 4
    )
    assert set(overlap_by_split(EXAMPLES)) == {"train", "test", "all"}
    assert scores[0] > scores[3]


def test_a_leak_is_a_warning_that_says_what_to_do_and_stands_in_the_card() -> None:
    rows = [example("a"), example("b", split="test", question="Another one?")]
    found = figures(rows)
    assert len(warnings(found)) == 2
    assert all(line.startswith("warning: ") and "split anew" in line for line in warnings(found))
    assert "contexts in two splits: 1 of 1; figures on test flatter" in card(About([], [], {}), found)
    assert warnings(figures([rows[0]])) == []


def header(text: str) -> dict[str, Any]:
    value = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(value, dict)
    return value


def test_the_header_says_licence_language_tasks_size_and_where_each_split_lies() -> None:
    found = header(card(About([PAGE], ["en"], {}), figures(EXAMPLES)))
    assert (found["license"], found["language"], found["size_categories"]) == ("cc-by-sa-4.0", ["en"], ["n<1K"])
    assert found["task_categories"] == ["question-answering", "text-classification"]
    files = [{"split": split, "path": f"data/{split}.parquet"} for split in ("train", "test")]  # validation is empty
    assert found["configs"] == [{"config_name": "default", "data_files": files}]


@pytest.mark.parametrize(
    ("licence", "name"),
    [
        ("CC BY-SA 4.0 https://l.example", "cc-by-sa-4.0"),
        ("Creative Commons Attribution-Share Alike 4.0 https://creativecommons.org/licenses/by-sa/4.0/", "cc-by-sa-4.0"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported", "cc-by-sa-3.0"),
        ("Creative Commons Attribution 4.0", "cc-by-4.0"),
        ("CC BY-NC https://creativecommons.org/licenses/by-nc/4.0/", "cc-by-nc-4.0"),
        ("Creative Commons Zero 1.0 (written for this project) https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("CC0", "cc0-1.0"),
        ("All rights reserved", "other"),
    ],
)
def test_a_licence_has_the_hubs_name(licence: str, name: str) -> None:
    assert licence_ids([replace(PAGE, licence=licence)]) == {licence: name}
    assert header(card(About([replace(PAGE, licence=licence)], [], {}), figures(EXAMPLES)))["license"] == name


def test_an_unknown_licence_is_named_with_its_link_and_no_licence_is_not_made_up() -> None:
    found = header(card(About([replace(PAGE, licence='My "own": #1 https://l.example/x')], [], {}), figures(EXAMPLES)))
    assert (found["license"], found["license_name"], found["license_link"]) == ("other", 'My "own": #1 https://l.example/x', "https://l.example/x")
    without = card(About([], [], {}), figures(EXAMPLES))
    assert header(without)["license"] == "unknown"
    assert "language" not in header(without)
    assert "neither its source nor its licence is known" in without
    unknown = card(About([replace(PAGE, licence="", revision_id=None, revision_timestamp="")], [], {}), figures(EXAMPLES))
    assert "Text of 1 wiki pages (of 0 the revision is known) that ATTRIBUTION.md lists. Licence, as the wiki states it:\n\n- none named\n" in unknown


def test_languages_are_those_of_wikimedias_addresses_and_not_guessed_from_others() -> None:
    urls = (
        "https://en.wikipedia.org/wiki/X",
        "https://de.m.wikipedia.org/wiki/X",
        "https://wiki.example.org/en/X",
        "",
        "https://[broken",
        "https://www.mediawiki.org/",
    )
    assert languages_of([replace(PAGE, url=url) for url in urls]) == ["de", "en"]


HOSTILE = "x | <script>alert(1)</script> [a](https://evil.example) **b** `c`\n# d\n---\nlicense: mit"


def test_text_of_pages_and_models_adds_no_markup_to_the_pages() -> None:
    rows = [example("a", context=HOSTILE, verified=HOSTILE), example("b", split="test", context=HOSTILE, verified=HOSTILE, question=HOSTILE)]
    found = figures(rows, [DroppedExample("qa-1", HOSTILE, "", HOSTILE)])
    about = About([replace(PAGE, licence=HOSTILE, title=HOSTILE)], [HOSTILE], {})
    clean = figures([replace(row, context=f"{row.split} x", verified="x") for row in rows], [DroppedExample("qa-1", "x", "", "x")])
    for text, usual in ((card(about, found).split("---\n", 2)[2], card(About([PAGE], ["en"], {}), clean)), (page(found), page(clean))):
        assert "<script>" not in text
        assert not re.search(r"(?<!\\)\]\(", text)
        assert "**b**" not in text
        assert [line for line in text.splitlines() if line.startswith("# ")] == [line for line in usual.splitlines() if line.startswith("# ")]
    assert header(card(about, found))["license"] == "other"


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_scalar_of_yaml_and_one_line_of_markdown(text: str) -> None:
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert yaml.safe_load(f"key: {quoted(text)}\nother: 1\n") == {"key": whole, "other": 1}
    assert "\n" not in escaped(text)
    assert len(table(("a", "b"), [(text, 1)]).splitlines()) == 3 or any(c in text for c in "\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def load(folder: Path, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """Load a folder with `datasets`, in a process of its own that may ask no hub."""
    more = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cache), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), str(cache)], env=environment(**more), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return loaded


def test_datasets_loads_the_folder_of_a_run_with_every_row(trained: Path, tmp_path: Path) -> None:
    loaded = load(trained / "train" / "hf", tmp_path)
    examples = {e.example_id: e for e in read_rows(RunFolder(trained).examples, Example)}
    assert {split: len(rows) for split, rows in loaded.items()} == Counter(e.split for e in examples.values())
    for split, rows in loaded.items():
        for row in rows:
            known = examples.pop(row["id"])
            assert (known.split, known.question, known.context, known.answer, known.kind) == (
                split,
                row["question"],
                row["context"],
                row["answer"],
                row["kind"],
            )
            assert row["url"].startswith("https://")
            assert row["revision_id"]
            assert row["answer_start"] is None or row["context"][row["answer_start"] :].startswith(row["answer_span"])
    assert not examples


def test_datasets_loads_odd_text_and_a_run_with_an_empty_split(tmp_path: Path) -> None:
    odd = 'quote " back \\ slash \0 nul \u202e\u05d0 \U0001f94b\r\n\t{}'
    rows = [example("1", context=odd, question=odd, answer=odd, evidence=odd), negative("2", "random", split="test", context=odd)]
    for split in SPLITS:
        found = [hf.row(e, squad.span_of(e), None) for e in rows if e.split == split]
        write_rows(tmp_path / "hf" / "data" / f"{split}.parquet", hf.HubRow, found)
    write_text(tmp_path / "hf" / "README.md", card(About([], [], {}), figures(rows)))
    loaded = load(tmp_path / "hf", tmp_path / "cache")
    assert loaded.keys() == {"train", "test"}
    assert (loaded["train"][0]["context"], loaded["train"][0]["answer"], loaded["test"][0]["context"]) == (odd, odd, odd)


def test_the_check_of_a_runs_files_passes_and_finds_a_file_that_was_changed(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    command = [sys.executable, "scripts/check_formats.py", str(folder)]
    more = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    good = subprocess.run(command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=200, check=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "datasets        hf: {'train': " in good.stdout
    path = folder / "train" / "squad" / "test.json"
    path.write_text(path.read_text("utf-8").replace('"answer_start": ', '"answer_start": 1'), "utf-8")
    bad = subprocess.run(command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=200, check=False)
    assert bad.returncode == 1
    assert "is not where it is said to be" in bad.stdout


def test_train_lists_all_files_in_the_manifest_and_the_card_shows_its_metrics(trained: Path) -> None:
    listed = set(json.loads((trained / "manifest.json").read_text("utf-8"))["train"]["outputs"])
    there = {str(path.relative_to(trained)) for path in (trained / "train").rglob("*") if path.is_file()}
    assert there <= listed
    assert {"train/squad/aligned.jsonl", "train/hf/README.md", "train/hf/ATTRIBUTION.md", "train/statistics.md", "train/statistics.json"} <= there
    shown = (trained / "train" / "hf" / "README.md").read_text("utf-8")
    base = json.loads((trained / "models" / "discriminator" / "metrics.json").read_text("utf-8"))["test"]["idf_overlap"]["all"]
    assert f"| all | {base['n_negative']} | {base['auroc']:.3f} |" in shown
    assert header(shown)["language"] == ["en"]
    assert header(shown)["license"] == "cc0-1.0"


def test_word_counting_in_the_statistics_is_the_baseline_of_the_metrics(trained: Path) -> None:
    found = json.loads((trained / "train" / "statistics.json").read_text("utf-8"))["overlap"]["test"]
    metrics = json.loads((trained / "models" / "discriminator" / "metrics.json").read_text("utf-8"))["test"]["idf_overlap"]
    assert {kind: row["auroc"] for kind, row in found.items()} == {kind: row["auroc"] for kind, row in metrics.items()}


NOTEBOOK = """title,heading,content,tokens,context,questions,answers
2020 Summer Olympics,Broadcasting,x,1,x,"1. Why were the finals held in the morning?
2. When were the finals held?
3. What did the evening bring?","1. Because in America it was prime time
2. in the morning
3. IN THE EVENING"
"""


def test_rows_without_evidence_are_aligned_where_they_stand_and_left_out_of_squad_alone(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    (tmp_path / "qa.csv").write_text(NOTEBOOK, "utf-8")
    assert run("create_qa", "--import", tmp_path / "qa.csv", "--data", folder).code == 0
    result = run("train", "--trainer", "none", "--data", folder)
    assert result.code == 0, result.err
    examples = read_rows(RunFolder(folder).examples, Example)
    how = Counter(squad.span_of(e).how for e in examples if e.kind == "positive")
    assert how["not_in_context"] >= 1
    assert how["verbatim"] >= 1
    documents = [json.loads((folder / "train" / "squad" / f"{split}.json").read_text("utf-8")) for split in SPLITS]
    written = sum(len(p["qas"]) for document in documents for article in document["data"] for p in article["paragraphs"])
    notes = [json.loads(line) for line in (folder / "train" / "squad" / "aligned.jsonl").read_text("utf-8").splitlines()]
    assert written + sum(note["how"] in squad.LEFT_OUT for note in notes) == len(examples)
    assert sum(len((folder / "train" / f"qa.{split}.jsonl").read_bytes().splitlines()) for split in SPLITS) == len(examples)
    assert "neither" not in (folder / "train" / "hf" / "README.md").read_text("utf-8")


def test_few_rows_are_a_notice_and_an_empty_answer_is_an_error_that_names_the_row(collected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(collected, folder)
    import pyarrow as pa
    import pyarrow.parquet as pq

    section = pq.read_table(folder / "sections.parquet", columns=["section_id"])["section_id"][0].as_py()
    for answer, code in (("Tokyo", 0), (" ", 1)):
        row = {"section_id": [section], "question": ["Where were they held?"], "answer": [answer]}
        pq.write_table(pa.table(row), folder / "qa.parquet")
        result = run("train", "--trainer", "none", "--negatives", "random=1", "--data", folder)
        assert result.code == code, result.err
        if code:
            assert "error: the content of a message is empty – " in result.err
            assert ", row " in result.err
        else:
            assert "the file has" in result.out
