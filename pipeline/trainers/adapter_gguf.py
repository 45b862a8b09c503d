"""A LoRA of peft as GGUF, the form in which llama.cpp loads it beside its base.

What llama.cpp's own convert_lora_to_gguf.py does for models of the Llama family, which the embedded one is
(github.com/ggml-org/llama.cpp): names of tensors, and its order of the rows of q and k.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pipeline.errors import ExtraMissing, InputError
from pipeline.store import whole_file

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_TENSOR = re.compile(r"layers\.(\d+)\.(.+?)\.lora_([AB])\.weight")


def write_adapter(source: Path, base: Path, target: Path, *, half: bool = False) -> None:
    """Write the adapter in folder `source`, trained on the Llama in folder `base`, as GGUF; with `half` in float16, which is half as large.

    Raises InputError if the adapter is on layers that have no name there.
    """
    try:
        import gguf
    except ImportError as error:
        raise ExtraMissing("the adapter needs the package gguf", "gguf", "run `pip install -e '.[finetune]'`") from error
    from safetensors import safe_open

    alpha = json.loads((source / "adapter_config.json").read_text("utf-8"))["lora_alpha"]
    config = json.loads((base / "config.json").read_text("utf-8"))
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    with whole_file(target, "wb") as file:
        writer = gguf.GGUFWriter(file.name, "llama")
        writer.add_string("general.type", "adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", float(alpha))
        with safe_open(source / "adapter_model.safetensors", "np") as tensors:
            for key in tensors.keys():  # noqa: SIM118 (no dictionary)
                writer.add_tensor(*_tensor(key, tensors.get_tensor(key), heads, "float16" if half else "float32"))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _tensor(key: str, value: Any, heads: dict[str, int], kind: str) -> tuple[str, Any]:
    import numpy as np

    match = _TENSOR.search(key)
    if not match or match[2] not in _NAMES:
        raise InputError("the adapter is on a layer that llama.cpp has no name for", key, "report this")
    name, half = _NAMES[match[2]], match[3]
    tensor = value.astype(np.float32)
    if half == "B" and name in heads:
        tensor = _reordered(tensor, heads[name])
    return f"blk.{match[1]}.{name}.weight.lora_{half.lower()}", np.ascontiguousarray(tensor.astype(kind))


def _reordered(tensor: Any, heads: int) -> Any:
    """Return rows in llama.cpp's rotary order: the two halves of each head interleaved."""
    return tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)
