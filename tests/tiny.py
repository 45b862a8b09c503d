"""Models for the tests: of the real kinds, two layers deep, drawn at random, written to a folder as save_pretrained does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ROWS = [
    ("The shed was painted green in May by Ann.", "Who painted the shed?", "Ann"),
    ("Bob rowed across the lake in nine minutes.", "Who rowed across the lake?", "Bob"),
    ("Cleo won the chess cup of the village.", "Who won the chess cup?", "Cleo"),
    ("Dan baked forty loaves before sunrise.", "Who baked the loaves?", "Dan"),
    ("Eve mended the old tower clock in June.", "Who mended the clock?", "Eve"),
    ("Finn sold his boat to a baker from Hull.", "Who sold the boat?", "Finn"),
]


def texts() -> list[str]:
    return [part for row in ROWS for part in row] + ["system user assistant Question: Related: yes no Answer: No sufficient context"]


def tokenizer(special: dict[str, str], chat: str | None) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(dict.fromkeys(special.values())),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts() * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, **special, model_max_length=512)
    if chat:
        fast.chat_template = chat
    return fast


def causal(folder: Path, *, chat: str | None = CHATML, spread: float | None = None) -> Path:
    """A Llama of two layers.

    `spread` is that of its weights. A LoRA on a wide one learns to say a sentence and to end it; on the usual one, whose embeddings are
    nearly nothing and whose ending is nothing at all (it is the padding too), no LoRA can.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    words = tokenizer({"eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "bos_token": "<|im_start|>"}, chat)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=1024, eos_token_id=words.eos_token_id, bos_token_id=words.bos_token_id, pad_token_id=words.pad_token_id,
        tie_word_embeddings=True, **({"initializer_range": spread} if spread else {}),
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    if spread:
        with torch.no_grad():
            model.get_input_embeddings().weight[words.eos_token_id].normal_(0, spread)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def encoder(folder: Path) -> Path:
    """A BERT of two layers."""
    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    words = tokenizer({"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}, None)
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", words.cls_token_id), ("[SEP]", words.sep_token_id)],
    )  # fmt: skip
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512,
        pad_token_id=words.pad_token_id, hidden_dropout_prob=0.1,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def questions(n: int = 6, *, begin: int = 0) -> list[dict[str, Any]]:
    """Rows of a dataset: each question on its own context, and on that of the next."""
    chosen = [ROWS[(begin + at) % len(ROWS)] for at in range(n)]
    found: list[dict[str, Any]] = []
    for at, (context, question, answer) in enumerate(chosen):
        other = chosen[(at + 1) % n][0]
        found.append({"context": context, "question": question, "answers": [answer], "answerable": True})
        found.append({"context": other, "question": question, "answers": [], "answerable": False, "kind": "random"})
    return found


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
