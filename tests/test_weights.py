"""The adapter that is shipped: whole, small, named, and what its card says it is."""

from __future__ import annotations

import hashlib

from pipeline.llm.embedded import ADAPTER, MODEL_NAME

CARD = (ADAPTER.parent / "README.md").read_text("utf-8")


def test_the_adapter_is_the_one_of_its_card_and_small() -> None:
    content = ADAPTER.read_bytes()
    assert hashlib.sha256(content).hexdigest() in CARD
    assert len(content) <= 20_000_000


def test_another_adapter_has_another_name() -> None:
    """Replies in a ledger are those of a name: the file, the model's name and the card go together."""
    assert ADAPTER.name == f"{MODEL_NAME}.gguf"
    assert CARD.startswith(f"# {MODEL_NAME}:")


def test_the_adapter_writes_reads_declines_and_judges() -> None:
    """On a section of its kind that it was not trained on; bare, the model does none of these."""
    import asyncio
    import tempfile
    from pathlib import Path

    from pipeline.ledger import Ledger
    from pipeline.llm import answering, prompts
    from pipeline.llm.chat import ChatReply, ChatRequest
    from pipeline.llm.client import ChatClient
    from pipeline.llm.embedded import SLOTS, serve

    evidence = "The hall in the old harbour was opened on 4 May 1987 by the mayor, Ingrid Solberg."
    context = f"Northgate Ice Rink\nHistory\n\n{evidence} It has room for 3,200 spectators. The roof was renewed in 2009 after a storm."
    write = ChatRequest("m", tuple(prompts.small(context, prompts.turn_write(evidence, "4 May 1987"))), 40, stop=("\n",))
    read = answering.small_request("m", context, "Who opened Northgate Ice Rink in 1987?")
    strange = "Which element did Marie Curie discover in Paris?"

    async def said() -> list[ChatReply]:
        with tempfile.TemporaryDirectory() as place, Ledger(Path(place) / "ledger.sqlite") as ledger, serve() as endpoint:
            client = ChatClient(ledger, "m", endpoint.base_url, endpoint.api_key, SLOTS, 600.0, steady=True)
            async with client:
                asked = (write, read, answering.small_request("m", context, strange), answering.small_judgement("m", context, strange))
                return [await client.complete(request) for request in asked]

    question, answer, refusal, judged = asyncio.run(said())
    assert question.text.strip().startswith("When")
    assert "Ingrid Solberg" in answer.text
    assert answering.declines(refusal.text)
    assert answering.p_yes(judged) < 0.5
