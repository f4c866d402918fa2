#!/usr/bin/env bash
# openai-agents: two turns of one session with a tool call each, streamed, in Responses and in chat.
. "$(dirname "$0")/setup.sh"
python_packages openai-agents==0.24.0
cat >"$PLACE/run.py" <<'PY'
import asyncio
import sys
from importlib.metadata import version

from agents import Agent, Runner, SQLiteSession, function_tool, set_default_openai_api, set_tracing_disabled

set_tracing_disabled(True)
set_default_openai_api({"chat": "chat_completions", "responses": "responses"}[sys.argv[1]])
read: list[str] = []


@function_tool
def read_file(path: str) -> str:
    """Read a file."""
    read.append(path)
    return "# calc"


async def main() -> None:
    agent, session = Agent(name="reader", instructions="Read files.", model="auto", tools=[read_file]), SQLiteSession("one")
    for question in ("what is in README.md?", "and in calc.py?"):
        run = Runner.run_streamed(agent, question, session=session)
        events = [event.type async for event in run.stream_events()]
        assert "raw_response_event" in events and run.final_output, events
    assert len(read) == 2, read


asyncio.run(main())
print(sys.argv[1], "openai-agents", version("openai-agents"))
PY
for api in responses chat; do
    for behind in $api messages; do
        serve $behind
        python "$PLACE/run.py" $api || failed "see above"
        seen "$api over $behind"
    done
done
ok "two turns with tools in responses, chat"
