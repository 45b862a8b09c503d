"""A QA model that was fine-tuned here, behind the same kind of endpoint as every other model.

Where its base is the embedded model, llama.cpp serves it with the adapter beside (`embedded.serve`). Any other base is
served by transformers through a small server on loopback: chat completions, a key, one request at a time.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError, PipelineError
from pipeline.llm.bases import bf16_here, device_here, open_causal, quietly, read_model_settings
from pipeline.llm.embedded import Endpoint, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiohttp import web

ADAPTER = "adapter.gguf"
_STOPS_WITHIN = 60.0
_MOST_TOKENS = 1024
_LARGEST_BODY = 4 << 20


@contextmanager
def serve_model(folder: Path) -> Iterator[Endpoint]:
    """Serve the QA model in a folder on loopback while the block runs.

    Raises InputError if the folder holds no QA model or its base is gone, ExtraMissing if what serves it is not installed.
    """
    settings = read_model_settings(folder)
    if settings.get("target") != "qa":
        raise InputError("that model answers no questions", f"{folder}: {settings.get('target', 'no target')}", "train one with --target qa")
    if (folder / ADAPTER).is_file():
        with serve(folder / ADAPTER, chatting=True) as endpoint:
            yield endpoint
        return
    model, tokenizer = open_causal(folder)
    with _listening(_Answerer(model, tokenizer)) as endpoint:
        yield endpoint


@dataclass(slots=True)
class _Answerer:
    """A causal model that answers chats, one at a time."""

    model: Any
    tokenizer: Any
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, messages: list[dict[str, str]], most: int, temperature: float, seed: int) -> tuple[str, int, int, bool]:
        """Return the text, tokens in, tokens out, and whether it was cut off; greedy at temperature 0."""
        import torch

        prompt = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        shown = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=False).to(self.model.device)
        how: dict[str, Any] = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
        with self._alone, quietly(), torch.inference_mode(), torch.autocast(device_here(), dtype=torch.bfloat16, enabled=bf16_here()):
            torch.manual_seed(seed)
            ids = self.model.generate(
                **shown, **how, max_new_tokens=most, pad_token_id=self.tokenizer.pad_token_id, eos_token_id=self._stops()
            )[0][shown["input_ids"].shape[1] :]  # fmt: skip
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip(), shown["input_ids"].shape[1], len(ids), len(ids) >= most

    def _stops(self) -> list[int]:
        """Return the tokens after which an answer is over: the tokenizer's own, and those of the model."""
        own = self.model.generation_config.eos_token_id
        listed = own if isinstance(own, list) else [own]
        return sorted({token for token in [*listed, self.tokenizer.eos_token_id] if token is not None})


@contextmanager
def _listening(answerer: _Answerer) -> Iterator[Endpoint]:
    """Run the server in a thread of its own, on a free port of 127.0.0.1."""
    key = secrets.token_urlsafe(16)
    ready: Any = threading.Event()
    loop = asyncio.new_event_loop()
    found: dict[str, Any] = {}
    thread = threading.Thread(target=_run, args=(loop, _application(answerer, key), ready, found), daemon=True)
    thread.start()
    ready.wait(_STOPS_WITHIN)
    if "port" not in found:
        raise PipelineError("the model's server did not start", found.get("error", "no answer"), "try again")
    try:
        yield Endpoint(f"http://127.0.0.1:{found['port']}/v1", key)
    finally:
        loop.call_soon_threadsafe(found["over"].set)
        thread.join(_STOPS_WITHIN)


def _run(loop: asyncio.AbstractEventLoop, application: web.Application, ready: threading.Event, found: dict[str, Any]) -> None:
    async def until_over() -> None:
        from aiohttp import web

        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            found["over"] = asyncio.Event()
            found["port"] = runner.addresses[0][1]
            ready.set()
            await found["over"].wait()
        finally:
            await runner.cleanup()

    try:
        loop.run_until_complete(until_over())
    except OSError as error:
        found["error"] = str(error)
        ready.set()
    finally:
        loop.close()


def _application(answerer: _Answerer, key: str) -> web.Application:
    from aiohttp import web

    async def completions(request: web.Request) -> web.Response:
        if not secrets.compare_digest(request.headers.get("Authorization", ""), f"Bearer {key}"):
            return _refusal(401, "wrong key")
        try:
            body = await request.json()
            messages = [{"role": str(m["role"]), "content": str(m["content"])} for m in body["messages"]]
            most = max(1, min(_MOST_TOKENS, int(body.get("max_tokens") or body.get("max_completion_tokens") or _MOST_TOKENS)))
            temperature, seed = float(body.get("temperature") or 0.0), int(body.get("seed") or 0)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _refusal(400, f"not a chat completion: {type(error).__name__} {error}")
        if body.get("response_format") or body.get("stream"):
            return _refusal(400, "response_format and stream are not supported")
        text, tokens_in, tokens_out, cut = await asyncio.to_thread(answerer.answer, messages, most, temperature, seed)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length" if cut else "stop"}
        usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        reply = {
            "id": "chat",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body.get("model", ""),
            "choices": [choice],
            "usage": usage,
        }
        return web.json_response(reply)

    application = web.Application(client_max_size=_LARGEST_BODY)
    application.router.add_post("/v1/chat/completions", completions)
    return application


def _refusal(status: int, message: str) -> web.Response:
    from aiohttp import web

    return web.Response(status=status, text=json.dumps({"error": {"message": message}}), content_type="application/json")
