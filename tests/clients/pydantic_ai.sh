#!/usr/bin/env bash
# pydantic-ai: two turns with a tool call each, streamed, with its chat, Responses and Anthropic models.
. "$(dirname "$0")/setup.sh"
python_packages "pydantic-ai-slim[openai,anthropic]==2.68.0"
cat >"$PLACE/run.py" <<'PY'
import asyncio
import sys
from importlib.metadata import version

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

url, api = sys.argv[1:]
model = {
    "chat": lambda: OpenAIChatModel("auto", provider=OpenAIProvider(base_url=url + "/v1", api_key="any")),
    "responses": lambda: OpenAIResponsesModel("auto", provider=OpenAIProvider(base_url=url + "/v1", api_key="any")),
    "messages": lambda: AnthropicModel("auto", provider=AnthropicProvider(base_url=url, api_key="any")),
}[api]()
agent = Agent(model, instructions="Read files.")
read: list[str] = []


@agent.tool_plain
def read_file(path: str) -> str:
    """Read a file."""
    read.append(path)
    return "# calc"


async def main() -> None:
    history: list = []
    for question in ("what is in README.md?", "and in calc.py?"):
        async with agent.run_stream(question, message_history=history) as run:
            text = "".join([piece async for piece in run.stream_text(delta=True)])
        assert text
        history = run.all_messages()
    assert len(read) == 2, read


asyncio.run(main())
print(api, "pydantic-ai-slim", version("pydantic-ai-slim"))
PY
for api in chat responses messages; do
    for behind in $api $([ $api = chat ] && echo messages || echo chat); do
        serve $behind
        python "$PLACE/run.py" "$URL" $api || failed "see above"
        seen "$api over $behind"
    done
done
ok "two turns with tools in chat, responses, messages"
