"""Fine-tuning on real, tiny models: what is written, that a killed training goes on to the same end, and what is said when it can't be done."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
from conftest import ROOT, Result, environment, run

from pipeline.errors import InputError, StorageError
from pipeline.llm.bases import open_base, open_causal, quietly
from pipeline.trainers.discriminator import Pair
from pipeline.trainers.finetune import find_finished
from pipeline.trainers.results import TRAINING, VALIDATION
from pipeline.trainers.rows import QA, Encoded, Row
from pipeline.trainers.saved import load_classifier, load_scorer

NAME = re.compile(r"llama:ft-[a-z]+-\d{4}(-\d\d){5}")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.causal(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("models") / "bert")


def files(folder: Path) -> tuple[Path, Path]:
    train, validation = tiny.questions(4), tiny.questions(2, begin=4)
    return tiny.write_lines(folder / "train.jsonl", train), tiny.write_lines(folder / "validation.jsonl", validation)


def arguments(model: Path, folder: Path, target: str = "qa", epochs: int = 12) -> list[str]:
    train, validation = files(folder)
    given = ["--target", target, "--model", model, "--file", train, "--validation-file", validation, "--data", folder / "run"]
    return [*map(str, given), "--n-epochs", str(epochs), "--batch-size", "4", "--learning-rate-multiplier", "2"]


def tuned(target: str, model: Path, folder: Path, *more: str) -> Result:
    folder.mkdir(exist_ok=True)
    return run("train", *arguments(model, folder, target), *more, HF_HUB_OFFLINE="1")


@pytest.fixture(scope="module")
def answering(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A QA model trained by the command, and what the command said."""
    folder = tmp_path_factory.mktemp("answering")
    result = tuned("qa", llama, folder, "--json")
    assert result.code == 0, result.err
    return Path(result.json["path"]), result


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_qa_model_is_a_folder_with_its_name_its_curves_and_how_it_was_made(answering: tuple[Path, Result]) -> None:
    folder, result = answering
    assert NAME.fullmatch(folder.name)
    settings = json.loads((folder / "settings.json").read_text("utf-8"))
    assert settings["name"] == folder.name == result.json["counts"]["qa"]["model"]
    assert settings["terms"]["batch_size"] == 4
    assert settings["terms"]["learning_rate"] == 0.04
    assert settings["steps"] == settings["of_steps"] == 24
    assert settings["rows"] == {"train": 8, "validation": 4, "too_long": 0, "by_kind": {"positive": 4, "random": 4}}
    assert len(settings["data"]["inputs"]["file"]) == 64
    assert settings["versions"]["torch"]
    assert settings["peak_memory_mb"] > 100
    assert {p.name for p in folder.glob("*.png")} == {"loss.png", "accuracy.png"}
    assert not list(folder.glob("checkpoint-*"))


def test_results_have_a_row_a_step_and_the_guides_columns(answering: tuple[Path, Result]) -> None:
    lines = rows_of(answering[0])
    assert tuple(lines[0]) == (*TRAINING, *VALIDATION)
    assert [int(line["step"]) for line in lines] == list(range(1, 25))
    assert [int(line["elapsed_examples"]) for line in lines] == [4 * n for n in range(1, 25)]
    tokens = [int(line["elapsed_tokens"]) for line in lines]
    assert tokens == sorted(tokens)
    assert sum(bool(line["validation_loss"]) for line in lines) == 12  # every second of 24 steps
    losses = [float(line["training_loss"]) for line in lines]
    assert sum(losses[-4:]) < sum(losses[:4]) - 0.4
    assert all(0 <= float(line["training_token_accuracy"]) <= 1 for line in lines)


def test_a_finished_training_is_not_done_twice_unless_it_is_to_be(answering: tuple[Path, Result], llama: Path) -> None:
    folder = answering[0].parent.parent.parent
    again = tuned("qa", llama, folder)
    assert again.code == 0
    assert "nothing to do" in again.out
    assert len(list(answering[0].parent.iterdir())) == 1


def wait_for_a_checkpoint(models: Path, process: subprocess.Popen[bytes]) -> None:
    while not list(models.glob(".unfinished-*/checkpoint-*/trainer_state.json")):
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.02)


def test_killed_it_goes_on_from_the_checkpoint_and_ends_as_without(answering: tuple[Path, Result], llama: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "pipeline.train", *arguments(llama, tmp_path)]
    process = subprocess.Popen(line, cwd=ROOT, env=environment(HF_HUB_OFFLINE="1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_a_checkpoint(tmp_path / "run" / "models", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = list((tmp_path / "run" / "models").iterdir())
    assert [path.name.startswith(".unfinished-") for path in left] == [True]
    result = tuned("qa", llama, tmp_path, "--json")
    assert result.code == 0, result.err
    folder = Path(result.json["path"])
    assert json.loads((folder / "settings.json").read_text("utf-8"))["resumed"]
    whole, resumed = rows_of(answering[0]), rows_of(folder)
    assert [row["step"] for row in resumed] == [row["step"] for row in whole]
    for name in ("training_loss", "validation_loss", "elapsed_tokens"):
        for one, other in zip(whole, resumed, strict=True):
            assert (one[name] == "") == (other[name] == "")
            assert not one[name] or float(other[name]) == pytest.approx(float(one[name]), abs=1e-3)


def test_minutes_end_a_training_with_a_model_that_can_be_used(llama: Path, tmp_path: Path) -> None:
    result = tuned("discriminator", llama, tmp_path, "--max-minutes", "0.01", "--n-epochs", "1000", "--json")
    assert result.code == 0, result.err
    settings = json.loads((Path(result.json["path"]) / "settings.json").read_text("utf-8"))
    assert settings["stopped_by_clock"]
    assert 0 < settings["steps"] < settings["of_steps"] == 2000
    assert "--max-minutes" in result.err + result.out
    p = load_scorer(Path(result.json["path"])).probabilities([Pair("Who painted the shed?", "Ann painted it.")])
    assert 0 < p[0] < 1


def test_an_encoder_becomes_a_discriminator_that_learns_its_rows_and_reads_long_contexts(bert: Path, tmp_path: Path) -> None:
    result = run("train", *arguments(bert, tmp_path, "discriminator", epochs=40), "--json", HF_HUB_OFFLINE="1")
    assert result.code == 0, result.err
    folder = Path(result.json["path"])
    lines = rows_of(folder)
    names = [name for name in lines[0] if name.startswith("classification/")]
    assert names == [f"classification/{name}" for name in ("accuracy", "precision", "recall", "f1", "auroc", "auprc")]
    assert [int(line["step"]) for line in lines if line["classification/accuracy"]] == list(range(2, 81, 2))
    assert float(lines[-1]["training_loss"]) < float(lines[0]["training_loss"])
    assert (folder / "classification.png").is_file()
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert set(metrics["validation"]["discriminator"]) == {"random", "all"}
    scorer = load_scorer(folder)
    context, question, _ = tiny.ROWS[0]
    pairs = [Pair(question, context), Pair(question, context * 60), Pair(question, tiny.ROWS[1][0])]
    told: list[int] = []
    p = scorer.probabilities(pairs, told.append)
    assert p.shape == (3,)
    assert ((p >= 0) & (p <= 1)).all()
    assert sum(told) == 3
    assert np.allclose(p, scorer.probabilities(pairs[::-1])[::-1], atol=1e-2)


def test_going_on_from_an_earlier_model_begins_where_that_one_ended(answering: tuple[Path, Result], tmp_path: Path) -> None:
    train, validation = files(tmp_path)
    given = ["--from", answering[0], "--target", "qa", "--file", train, "--validation-file", validation, "--data", tmp_path / "run"]
    result = run("train", *given, "--n-epochs", "1", "--batch-size", "4", "--suffix", "more", "--json", HF_HUB_OFFLINE="1")
    assert result.code == 0, result.err
    assert result.json["counts"]["qa"]["model"].startswith("llama:ft-more-")
    first = float(rows_of(Path(result.json["path"]))[0]["training_loss"])
    assert first < float(rows_of(answering[0])[0]["training_loss"])


def test_validation_rows_among_the_training_rows_are_named(llama: Path, tmp_path: Path) -> None:
    train, _ = files(tmp_path)
    result = run(
        "train", "--target", "qa", "--model", llama, "--file", train, "--validation-file", train, "--data", tmp_path / "run", HF_HUB_OFFLINE="1"
    )
    assert result.code == 1
    assert "8 validation rows are among the training rows" in result.errors[0]
    assert "Who painted the shed?" in result.errors[0]


def test_what_is_no_model_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for model, said in ((str(tmp_path / "nowhere"), "no model in that place"), (str(tmp_path / "empty"), "holds no model")):
        with pytest.raises(InputError, match=said):
            open_base(model)


def test_a_model_of_the_hub_that_cannot_be_had_and_an_encoder_that_is_to_answer_are_sentences(bert: Path, tmp_path: Path) -> None:
    train, _ = files(tmp_path)
    for model, said in (("someone/no-such-model", "neither a folder nor to be had from the hub"), (bert, "an encoder writes no answers")):
        result = run("train", "--target", "qa", "--model", model, "--file", train, "--data", tmp_path / "run", HF_HUB_OFFLINE="1")
        assert result.code == 1
        assert len(result.errors) == 1
        assert said in result.errors[0]


def test_flags_that_do_not_go_together_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    cases = [
        (("--target", "qa", "--trainer", "none"), "--trainer none"), (("--suffix", "x" * 41), "too long"),
        (("--target", "classifier"), "--file is missing"), (("--positive-class", "a"), "for a classifier"), (("--model", "a", "--from", "b"), "exclude"),
        (("--max-minutes", "1"), "--max-minutes is for a fine-tune"), (("--suffix", "mine"), "--suffix is for a fine-tune"),
        (("--target", "classifier", "--file", "f", "--batch-size", "8"), "--batch-size is for a fine-tune"),
    ]  # fmt: skip
    for flags, said in cases:
        result = run("train", *flags, "--data", tmp_path / "run")
        assert result.code == 1
        assert said in result.errors[0]
    assert not (tmp_path / "run").exists()


def test_without_the_extra_a_sentence_says_what_to_install(llama: Path, tmp_path: Path) -> None:
    """The command in an interpreter that sees this environment's packages but for peft: a folder of links to all the others."""
    import site

    visible = tmp_path / "packages"
    visible.mkdir()
    for path in Path(site.getsitepackages()[0]).iterdir():
        if not path.name.startswith("peft") and path.suffix != ".pth":
            (visible / path.name).symlink_to(path)
    train, _ = files(tmp_path)
    line = [
        sys.executable,
        "-S",
        "-m",
        "pipeline.train",
        "--target",
        "qa",
        "--model",
        str(llama),
        "--file",
        str(train),
        "--data",
        str(tmp_path / "run"),
    ]
    env = environment(PYTHONPATH=f"{ROOT}{os.pathsep}{visible}", HF_HUB_OFFLINE="1")
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "needs the extra 'finetune' – peft" in done.stderr
    assert "pip install" in done.stderr


def test_a_model_folder_of_another_kind_is_a_sentence(answering: tuple[Path, Result], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no discriminator"):
        load_scorer(answering[0])
    with pytest.raises(InputError, match="no classifier"):
        load_classifier(answering[0])
    (tmp_path / "settings.json").write_text("{", "utf-8")
    with pytest.raises(StorageError, match="damaged"):
        load_scorer(tmp_path)


def test_rows_come_once_an_epoch_in_an_order_that_seed_and_epoch_decide() -> None:
    from pipeline.trainers.tuner import ByLength

    lengths = [(7 * n) % 41 for n in range(150)]
    one, other = ByLength(lengths, [], 4, 3), ByLength(lengths, [], 4, 3)
    orders = []
    for epoch in (0, 1):
        one.set_epoch(epoch)
        other.set_epoch(epoch)
        assert list(one) == list(other)
        orders.append(list(one))
        assert sorted(orders[-1]) == list(range(150))
        spread = [max(lengths[at] for at in batch) - min(lengths[at] for at in batch) for batch in (orders[-1][s : s + 4] for s in range(0, 148, 4))]
        assert sum(spread) / len(spread) < 4
    assert orders[0] != orders[1]
    assert orders[0] != list(ByLength(lengths, [], 4, 4))


def test_rows_on_one_context_stay_together_in_batches_of_like_lengths() -> None:
    from pipeline.trainers.tuner import ByLength

    contexts = [f"c{n // 4}" for n in range(160)]
    lengths = [100 + 10 * (n // 4 % 20) + n % 4 for n in range(160)]
    order = list(ByLength(lengths, contexts, 16, 3))
    assert sorted(order) == list(range(160))
    assert all(len({contexts[at] for at in order[start : start + 16]}) == 4 for start in range(0, 160, 16))


def test_of_many_rows_on_one_context_a_batch_holds_half() -> None:
    from pipeline.trainers.tuner import ByLength

    contexts = [f"c{n // 8}" for n in range(64)]
    order = list(ByLength([10 + n // 8 for n in range(64)], contexts, 8, 0))
    assert sorted(order) == list(range(64))
    assert all(len({contexts[at] for at in order[start : start + 8]}) == 2 for start in range(0, 64, 8))


def test_padding_changes_no_loss(llama: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from pipeline.trainers.tuner import collate_causal, completions

    model = AutoModelForCausalLM.from_pretrained(llama).eval()
    rows = [Encoded(tuple(range(5, 25)), 3, -1), Encoded(tuple(range(30, 37)), 5, -1)]
    together = completions(model, collate_causal(rows, 0))
    for at, row in enumerate(rows):
        alone = completions(model, collate_causal([row], 0))
        mine = together.rows == at
        assert int(mine.sum()) == row.n_completion
        assert together.wanted[mine].tolist() == list(row.ids[-row.n_completion :])
        assert torch.allclose(together.logits[mine], alone.logits, atol=1e-5)
        assert torch.allclose(together.firsts(2)[at], alone.logits[0], atol=1e-5)


def test_the_loss_is_that_of_the_completion_and_its_end_alone(llama: Path) -> None:
    from pipeline.llm.bases import tokenizer_of
    from pipeline.trainers.rows import encode_causal

    words = tokenizer_of(llama)
    row = Row("r", "Who won?", "Cleo won.", "Cleo", "yes", "positive")
    encoded = encode_causal([row], QA, (), (), words)[0]
    assert encoded is not None
    assert words.decode(encoded.ids[-encoded.n_completion :]) == "Cleo<|im_end|>"
    assert words.decode(encoded.ids[: -encoded.n_completion]).endswith("Question: Who won?<|im_end|>\n<|im_start|>assistant\n")


def test_activations_that_are_computed_twice_change_no_gradient(llama: Path, tmp_path: Path) -> None:
    """A batch that there is no room for is computed twice; the same rows in two batches are not."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, TrainingArguments

    from pipeline.trainers.tuner import Clock, Tuner, collate_causal

    rows = [Encoded(tuple(5 + (at * n) % 400 for at in range(450)), 6, -1) for n in (1, 3, 7, 11)]
    with quietly():
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(llama), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    tuner = Tuner(causal=True, said=(), clock=Clock(None), pad=0, model=model, args=arguments, train_dataset=rows)
    tuner.room = 1600  # tokens
    grads = []
    model.train()  # as the Trainer does
    for batches in ([rows], [rows[:2], rows[2:]]):
        model.zero_grad()
        for batch in batches:
            (tuner.compute_loss(model, collate_causal(batch, 0)) / len(batches)).backward()
        assert tuner.remembers == (len(batches) == 2)
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(grads[0], grads[1], atol=1e-6)
    assert float(grads[0].abs().max()) > 0


@pytest.mark.parametrize("lost", ["metrics.json", "adapter_model.safetensors"])
def test_a_finished_model_that_lost_a_file_is_not_taken_for_finished(tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "llama:ft-qa"
    folder.mkdir()
    for name, text in (("settings.json", '{"key": "k"}'), ("metrics.json", '{"training_loss": 1.0}'), ("adapter_model.safetensors", "weights")):
        (folder / name).write_text(text, "utf-8")
    assert find_finished(tmp_path, "k") == folder
    (folder / lost).write_text("", "utf-8")
    assert find_finished(tmp_path, "k") is None


@pytest.mark.parametrize("lost", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("left", [None, b"", b'{"alpha_pattern": {'])
def test_a_causal_model_that_lost_a_file_is_a_sentence(answering: tuple[Path, Result], tmp_path: Path, lost: str, left: bytes | None) -> None:
    folder = Path(shutil.copytree(answering[0], tmp_path / "model"))
    (folder / lost).unlink()
    if left is not None:
        (folder / lost).write_bytes(left)
    with pytest.raises(StorageError, match="the model's files are damaged"):
        open_causal(folder)
