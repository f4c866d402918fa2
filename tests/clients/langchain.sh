#!/usr/bin/env bash
# LangChain: an agent's two turns with a tool call, streamed, with ChatOpenAI (chat and Responses) and ChatAnthropic.
. "$(dirname "$0")/setup.sh"
python_packages langchain==1.4.7 langchain-openai==1.7.3 langchain-anthropic==1.7.7
cat >"$PLACE/run.py" <<'PY'
import sys
from importlib.metadata import version

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

url, api = sys.argv[1:]
model = {
    "chat": lambda: ChatOpenAI(model="auto", base_url=url + "/v1", api_key="any"),
    "responses": lambda: ChatOpenAI(model="auto", base_url=url + "/v1", api_key="any", use_responses_api=True),
    "messages": lambda: ChatAnthropic(model="auto", base_url=url, api_key="any"),
}[api]()
read: list[str] = []


@tool
def read_file(path: str) -> str:
    """Read a file."""
    read.append(path)
    return "# calc"


agent = create_agent(model, [read_file])
said: list = []
for question in ("what is in README.md?", "and in calc.py?"):
    said.append({"role": "user", "content": question})
    pieces = 0
    for kind, part in agent.stream({"messages": said}, stream_mode=["messages", "values"]):
        pieces += kind == "messages"
        said = part["messages"] if kind == "values" else said
    assert said[-1].text and pieces > 3, said[-1]
assert len(read) == 2, read
assert api == "chat" or said[-1].usage_metadata["output_tokens"], said[-1]  # with an address of its own it asks for none in chat
print(api, "langchain-openai", version("langchain-openai"), "langchain-anthropic", version("langchain-anthropic"))
PY
for api in chat responses messages; do
    for behind in $api $([ $api = chat ] && echo messages || echo chat); do
        serve $behind
        python "$PLACE/run.py" "$URL" $api || failed "see above"
        seen "$api over $behind"
    done
done
ok "two turns with tools in chat, responses, messages"
