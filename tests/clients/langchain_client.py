"""What LangChain makes of a server: `python langchain_client.py URL` prints it as JSON, of chat
completions, and with `responses` behind it of those. It runs in an environment of its own, which
has what LangChain needs and not what we do."""

import asyncio
import json
import sys
from collections.abc import Iterable
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_openai import ChatOpenAI

ASKED: Any = [
    SystemMessage("Be brief."),
    HumanMessage("Add."),
    AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "call_1"}]),
    ToolMessage("2", tool_call_id="call_1"),
    HumanMessage([{"type": "text", "text": "Hello, LLM!"}]),
]


def put_together(chunks: Iterable[BaseMessageChunk]) -> dict[str, Any]:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return shown(first)


def shown(message: Any) -> dict[str, Any]:
    told = message.response_metadata
    return {
        "id": told.get("id"),
        "text": message.text,
        "usage": message.usage_metadata,
        "finish": told.get("finish_reason") or told.get("status"),
        "model": told.get("model_name"),
    }


async def main(url: str, *dialect: str) -> None:
    responses = dialect == ("responses",)
    model = ChatOpenAI(
        base_url=f"{url}/v1",
        api_key="unused",
        model="gpt-real",
        temperature=0.5,
        use_responses_api=responses,
    )
    # Responses are counted in any case.
    counting = {} if responses else {"stream_usage": True}
    said = {
        "invoked": shown(model.invoke(ASKED)),
        "streamed": put_together(model.stream(ASKED)),
        "streamed_apart": put_together([each async for each in model.astream(ASKED)]),
        "counted": put_together([each async for each in model.astream(ASKED, **counting)]),
    }
    try:
        model.invoke(ASKED, temperature=3)
    except Exception as error:
        said["refused"] = {"class": type(error).__name__, "said": str(error)}
    print(json.dumps(said))


asyncio.run(main(*sys.argv[1:]))
