"""Classifiers of prompts and completions: looked through, trained, opened again; light ones and fine-tuned ones."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
from conftest import ROOT, environment, run
from sklearn.metrics import f1_score

from pipeline.trainers.saved import load_classifier

WORDS = {
    "weather": "rain clouds wind storm sunshine frost hail thunder drizzle fog".split(),
    "kitchen": "oven butter flour soup onion kettle spoon bread pan recipe".split(),
    "harbour": "ship anchor crane dock sailor rope tide ferry captain buoy".split(),
}


def toy(n: int, seed: int) -> list[dict[str, str]]:
    """Three classes that their words tell apart."""
    rng = random.Random(seed)
    rows = []
    for at in range(n):
        label = list(WORDS)[at % 3]
        rows.append(
            {"prompt": f"A note of the {rng.choice(WORDS[label])} and the {rng.choice(WORDS[label])}, number {seed}-{at}", "completion": f" {label}"}
        )
    return rows


def test_three_classes_that_can_be_told_apart_are(tmp_path: Path) -> None:
    train, validation = tiny.write_lines(tmp_path / "t.jsonl", toy(120, 0)), tiny.write_lines(tmp_path / "v.jsonl", toy(60, 1))
    given = ("--target", "classifier", "--file", train, "--validation-file", validation, "--classification-n-classes", 3, "--data", tmp_path / "run")
    result = run("train", *given, "--json")
    assert result.code == 0, result.err
    measured = result.json["counts"]["classifier"]["classification"]
    assert measured["weighted_f1"] >= 0.95
    model = load_classifier(Path(result.json["path"]))
    rows = toy(60, 1)
    p = model.probabilities([row["prompt"] for row in rows])
    assert p.shape == (60, 3)
    assert np.allclose(p.sum(axis=1), 1)
    said = [model.classes[at] for at in p.argmax(axis=1)]
    assert measured["weighted_f1"] == pytest.approx(f1_score([row["completion"].strip() for row in rows], said, average="weighted"), abs=1e-6)


def test_the_sample_of_sport_news_is_two_hundred_different_rows_and_is_learnt(tmp_path: Path) -> None:
    result = run(
        "train",
        "--target",
        "classifier",
        "--file",
        "data/sample/sport_news.jsonl",
        "--positive-class",
        "swimming",
        "--beta",
        "0.5,1",
        "--data",
        tmp_path / "run",
    )
    assert result.code == 0, result.err
    for said in ("200 rows, 2 classes: 100 'cycling', 100 'swimming'", "a fifth of the file", "precision and recall are of 'swimming'"):
        assert said in " ".join(result.out.replace("'swimming', 100 'cycling'", "").split()) or "100 'swimming', 100 'cycling'" in result.out
    folder = next((tmp_path / "run" / "models").iterdir())
    assert folder.name.startswith("light:ft-classifier-")
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))["classification"]
    assert metrics.keys() == {"accuracy", "precision", "recall", "f0.5", "f1", "auroc", "auprc"}
    assert metrics["accuracy"] >= 0.85
    model = load_classifier(folder)
    assert model.classes == ("cycling", "swimming")
    p = model.probabilities(["She dived into the pool and swam the butterfly.", "The peloton caught the breakaway before the climb."])
    assert p[0, 1] > 0.5 > p[1, 1]


@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_a_fine_tuned_classifier_learns_its_rows_and_is_opened_again(kind: str, tmp_path: Path) -> None:
    model = {"causal": tiny.causal, "encoder": tiny.encoder}[kind](tmp_path / "model")
    end = "\n\n###\n\n"
    rows = [{"prompt": row["prompt"] + end, "completion": row["completion"]} for row in toy(24, 0)]
    train = tiny.write_lines(tmp_path / "t.jsonl", rows)
    given = ("--target", "classifier", "--file", train, "--model", model, "--data", tmp_path / "run", "--batch-size", 4, "--n-epochs", 6)
    result = run("train", *given, "--learning-rate-multiplier", 2, "--json", HF_HUB_OFFLINE="1")
    assert result.code == 0, result.err
    folder = Path(result.json["path"])
    header, *lines = (folder / "results.csv").read_text("utf-8").splitlines()
    assert header.endswith("classification/accuracy,classification/weighted_f1")
    losses = [float(line.split(",")[3]) for line in lines]
    assert sum(losses[-3:]) < sum(losses[:3])
    opened = load_classifier(folder)
    assert opened.classes == ("harbour", "kitchen", "weather")
    p = opened.probabilities([rows[0]["prompt"], rows[0]["prompt"].removesuffix(end), "x " * 3000])
    assert p.shape == (3, 3)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-3)
    assert np.allclose(p[0], p[1], atol=1e-2)


def test_a_validation_row_that_is_trained_on_is_named(tmp_path: Path) -> None:
    train = tiny.write_lines(tmp_path / "t.jsonl", toy(12, 0))
    result = run("train", "--target", "classifier", "--file", train, "--validation-file", train, "--data", tmp_path / "run")
    assert result.code == 1
    assert "12 validation rows are among the training rows" in result.errors[0]
    assert "number 0-0" in result.errors[0]


def test_a_second_training_in_a_new_run_folder_waits_for_nobody_and_says_so(tmp_path: Path) -> None:
    file, folder = tiny.write_lines(tmp_path / "t.jsonl", toy(6000, 0)), tmp_path / "run"
    given = ("--target", "classifier", "--file", file, "--data", folder)
    line = [sys.executable, "-m", "pipeline.train", *map(str, given), "--quiet"]
    with subprocess.Popen(line, cwd=ROOT, env=environment()) as first:
        while not folder.is_dir() and first.poll() is None:
            time.sleep(0.05)
        second = run("train", *given)
        first.kill()
    assert second.code == 1
    assert "another command works in this run folder" in second.errors[0]
