"""Models of transformers, opened from a folder: the embedded one (dequantised once), a folder of one's own, or one of the hub.

Everything here imports torch late: who does not fine-tune does not need it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ExtraMissing, InputError, StorageError
from pipeline.settings import EMBEDDED_MODEL
from pipeline.store import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator

CAUSAL, ENCODER = "causal", "encoder"
EMBEDDED_SHORT = "smollm2-135m"
_INSTALL = (
    "run `pip install -e '.[finetune]'` (on Linux without a GPU first `pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu`)"
)
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}"
    "\n\n{% endif %}{% endfor %}{% if add_generation_prompt %}Answer: {% endif %}"
)
"""For models that come without a chat template; it is saved beside the adapter, so training and serving say the same."""


@dataclass(frozen=True, slots=True)
class Base:
    """A model to begin from: its name as given, the folder it lies in, what it is, and a short name for its children."""

    name: str
    folder: Path
    kind: str
    """causal or encoder"""
    short: str
    digest: str
    """of its configuration and the sizes of its files: what tells one base from another"""


@contextmanager
def quietly() -> Iterator[None]:
    """Keep the libraries' own warnings and bars from the terminal while the block runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def damage_told(folder: Path) -> Iterator[None]:
    """Turn what the libraries say of a model folder's missing, cut or foreign files into a StorageError while the block runs."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise StorageError("the model's files are damaged", f"{folder}: {said}", "train it again") from error


def with_adapter(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """Return a base model with the LoRA of a folder on it.

    Raises StorageError if its files are damaged or not there (peft would ask the hub for them).
    """
    from peft import PeftModel

    with damage_told(folder):
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{name} is not there")
        return PeftModel.from_pretrained(model, folder, is_trainable=trainable)


def require_torch() -> None:
    """Load torch and transformers, set as we need them.

    Raises ExtraMissing, naming the command that installs them.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when OpenMP is loaded: threads that spin are slow beside other work
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        with quietly():
            import accelerate  # noqa: F401
            import peft  # noqa: F401
            import torch  # noqa: F401
            import transformers
    except ImportError as error:
        raise ExtraMissing("fine-tuning needs the extra 'finetune'", error.name or str(error), _INSTALL) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def open_base(name: str) -> Base:
    """Return the model called `name`: 'embedded', a folder, or one of the hub (fetched into the hub's own cache).

    Raises ExtraMissing without torch or without the embedded model's weights, InputError if there is no such model.
    """
    require_torch()
    if name == EMBEDDED_MODEL:
        return _described(name, dequantised(), EMBEDDED_SHORT)
    folder = Path(name)
    if folder.is_dir():
        return _described(name, folder, _short(folder.resolve().name))
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError("there is no model in that place", name, "name a folder with config.json and weights, a model of the hub, or 'embedded'")
    return _described(name, _from_hub(name), _short(name.rpartition("/")[2]))


def _short(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in name.lower())
    return kept.strip(".-") or "model"


def _from_hub(name: str) -> Path:
    import httpx
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED, etag_timeout=5))
    except (errors.HFValidationError, errors.RepositoryNotFoundError) as error:
        raise InputError("the hub has no such model", name, "check the name (owner/model), or name a folder or 'embedded'") from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        said = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError("the model is neither a folder nor to be had from the hub", f"{name}: {said}", "check the name and the network") from error


def _described(name: str, folder: Path, short: str) -> Base:
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        raise InputError("the folder holds no model", folder / "config.json", "name a folder that transformers' save_pretrained wrote")
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "the model's configuration is not understood", f"{folder}: {str(error).splitlines()[0][:160]}", "name another model"
        ) from error
    if not list(folder.glob("*.safetensors")):
        raise InputError("the folder has no weights", f"{folder}: no *.safetensors", "save the model as safetensors")
    return Base(name, folder, _kind(config), short, _digest(folder))


def _kind(config: Any) -> str:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    named = config.architectures or []
    if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in named):
        return CAUSAL
    return ENCODER if named or config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES else CAUSAL


def _digest(folder: Path) -> str:
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        with path.open("rb") as file:
            file.seek(-min(path.stat().st_size, 1 << 16), os.SEEK_END)
            digest.update(file.read())
    return digest.hexdigest()


def dequantised() -> Path:
    """Return the folder of the embedded model for transformers, made from its GGUF on first use.

    Reading the GGUF takes 10 to 20 s each time, the folder 0.3 s; it weighs 540 MB (float32, the very weights that llama.cpp
    computes with) and lies in the cache beside the GGUF.

    Raises ExtraMissing if the weights have not been fetched, StorageError if the cache cannot be written.
    """
    from pipeline.llm.embedded import WEIGHTS_SHA256, require_weights

    weights = require_weights()
    folder = weights.parent / f"{EMBEDDED_SHORT}-{WEIGHTS_SHA256[:12]}"
    if (folder / "config.json").is_file():
        return folder
    try:
        with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".dequantising-") as place, quietly():
            made = Path(place) / "model"
            _dequantise(weights, made)
            try:
                made.rename(folder)
            except OSError:
                if not (folder / "config.json").is_file():  # else another process was first
                    shutil.rmtree(folder, ignore_errors=True)
                    made.rename(folder)
    except OSError as error:
        raise storage_error(error, folder) from error
    return folder


def _dequantise(weights: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
        model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    except ImportError as error:
        raise ExtraMissing("reading the embedded model needs the package gguf", str(error).splitlines()[0][:120], _INSTALL) from error
    del model.config.quantization_config  # it is no longer quantised, and saving would be refused
    model.hf_quantizer, model.is_quantized = None, False
    model.config.architectures = [type(model).__name__]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def bf16_here() -> bool:
    """Return whether this machine multiplies bfloat16 in hardware (there it is four times faster on a CPU than float32)."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def device_here() -> str:
    """Return where models run: a CUDA GPU if there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def tokenizer_of(folder: Path) -> Any:
    """Return a folder's tokenizer, able to pad and to render a chat.

    Raises InputError if there is none.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "the model has no tokenizer that can be read", f"{folder}: {str(error).splitlines()[0][:160]}", "save one beside it"
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _PLAIN_TEMPLATE
    return tokenizer


def read_model_settings(folder: Path) -> dict[str, Any]:
    """Return settings.json of a model folder.

    Raises InputError if there is none or it is damaged.
    """
    path = folder / "settings.json"
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError("that is no model folder", f"{path}: {error.strerror}", "name one that `python -m pipeline.train` wrote") from error
    except ValueError as error:
        raise InputError("the model's settings are damaged", f"{path}: {error}", "train it again") from error
    if not isinstance(value, dict):
        raise InputError("the model's settings are damaged", path, "train it again")
    return value


def base_folder(settings: dict[str, Any], folder: Path) -> Path:
    """Return the folder of the base that an adapter in `folder` was trained on.

    Raises InputError if the base is gone or is another one now.
    """
    made_of = settings.get("base", {})
    base = open_base(str(made_of.get("name", "")))
    if base.digest != made_of.get("digest"):
        raise InputError("the adapter's base is another model now", f"{folder}: {base.name}", "put the old one back, or train again")
    return base.folder


def open_causal(folder: Path, *, merged: bool = True) -> tuple[Any, Any]:
    """Return (model, tokenizer) of a fine-tuned causal model folder, ready to be asked.

    Raises InputError if the folder or its base is not there, StorageError if its files are damaged.
    """
    require_torch()
    import torch
    from transformers import AutoModelForCausalLM

    base = base_folder(read_model_settings(folder), folder)
    with quietly():
        model = with_adapter(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder)
        model = model.merge_and_unload() if merged else model
    return model.to(device_here()).eval(), tokenizer_of(folder)
