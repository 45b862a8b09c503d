"""QA models behind an endpoint: by llama.cpp with the adapter beside, or by transformers, they say what the model says."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import run

from pipeline.errors import InputError
from pipeline.llm.bases import open_causal
from pipeline.llm.embedded import Endpoint
from pipeline.llm.served import ADAPTER, serve_model
from pipeline.trainers.rows import messages

ASKED = [(question, context) for context, question, _ in tiny.ROWS[:5]]


def trained(model: str, folder: Path, *more: object) -> Path:
    rows = tiny.write_lines(folder / "rows.jsonl", tiny.questions(4))
    validation = tiny.write_lines(folder / "validation.jsonl", tiny.questions(2, begin=4))
    given = ("--target", "qa", "--model", model, "--file", rows, "--validation-file", validation, "--data", folder / "run", *more, "--json")
    result = run("train", *given, HF_HUB_OFFLINE="1")
    assert result.code == 0, result.err
    return Path(result.json["path"])


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model after two steps."""
    return trained("embedded", tmp_path_factory.mktemp("embedded"), "--n-epochs", 1, "--batch-size", 4, "--learning-rate-multiplier", 0.1)


def said(endpoint: Endpoint, question: str, context: str, **more: Any) -> dict[str, Any]:
    body = {"model": "any", "messages": messages(question, context), "max_tokens": 12, "temperature": 0, **more}
    request = urllib.request.Request(
        f"{endpoint.base_url}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {endpoint.api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        value: dict[str, Any] = json.load(reply)
    return value


def greedy(folder: Path, question: str, context: str) -> str:
    """What transformers says in float32."""
    import torch

    model, words = open_causal(folder)
    prompt = words.apply_chat_template(messages(question, context), tokenize=False, add_generation_prompt=True)
    ids = words(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        out = model.generate(**ids, max_new_tokens=12, do_sample=False, pad_token_id=words.pad_token_id)[0][ids["input_ids"].shape[1] :]
    return str(words.decode(out, skip_special_tokens=True)).strip()


def test_llama_cpp_with_the_adapter_says_what_transformers_says(embedded: Path) -> None:
    assert (embedded / ADAPTER).stat().st_size > 1_000_000
    with serve_model(embedded) as endpoint:
        served = [said(endpoint, *asked)["choices"][0]["message"]["content"].strip() for asked in ASKED]
    expected = [greedy(embedded, *asked) for asked in ASKED]
    assert sum(one == other for one, other in zip(served, expected, strict=True)) >= 4  # 8-bit activations may turn one word


def test_the_adapter_changes_what_is_said(embedded: Path, tmp_path: Path) -> None:
    """Without it the same server would answer as the bare model does: the test above would then prove nothing."""
    from pipeline.llm.embedded import serve

    with serve(None, chatting=True) as endpoint:
        bare = [said(endpoint, *asked)["choices"][0]["message"]["content"].strip() for asked in ASKED]
    with serve_model(embedded) as endpoint:
        tuned = [said(endpoint, *asked)["choices"][0]["message"]["content"].strip() for asked in ASKED]
    assert bare != tuned


def test_transformers_serves_where_llama_cpp_can_not(tmp_path: Path) -> None:
    folder = trained(str(tiny.causal(tmp_path / "llama")), tmp_path, "--n-epochs", 2)
    assert not (folder / ADAPTER).exists()
    with serve_model(folder) as endpoint:
        reply = said(endpoint, *ASKED[0])
        assert reply["choices"][0]["message"]["content"] == said(endpoint, *ASKED[0])["choices"][0]["message"]["content"]
        assert reply["usage"]["completion_tokens"] <= 12
        for wrong, status in ((Endpoint(endpoint.base_url, "guessed"), 401), (endpoint, 400)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                said(wrong, *ASKED[0], **({"messages": "none"} if status == 400 else {}))
            assert refused.value.code == status
            refused.value.close()


def test_what_is_no_qa_model_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder"), serve_model(tmp_path):
        pass
    (tmp_path / "settings.json").write_text('{"target": "discriminator"}', "utf-8")
    with pytest.raises(InputError, match="answers no questions"), serve_model(tmp_path):
        pass
