#!/usr/bin/env bash
# litellm as a client: two turns with a tool call with its openai and anthropic providers, streamed, and openai/responses.
. "$(dirname "$0")/setup.sh"
python_packages litellm==1.106.2 mcp # which it forgets to ask for
cat >"$PLACE/run.py" <<'PY'
import json
import sys
from importlib.metadata import version

import litellm

url, api = sys.argv[1:]
where = {
    "chat": {"model": "openai/auto", "api_base": url + "/v1"},
    "responses": {"model": "openai/responses/auto", "api_base": url + "/v1"},
    "messages": {"model": "anthropic/auto", "api_base": url},
}[api]
tools = [{"type": "function", "function": {"name": "read_file", "description": "read", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}}]


def ask(said):
    if api == "responses":  # for models it does not know it makes a stream of its own of a whole answer, and says calls twice in it
        return litellm.completion(**where, api_key="any", messages=said, tools=tools).choices[0]
    chunks = list(litellm.completion(**where, api_key="any", messages=said, tools=tools, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks, messages=said)
    assert whole.usage.completion_tokens, whole
    return whole.choices[0]


said: list = []
for question in ("what is in README.md?", "and in calc.py?"):
    said.append({"role": "user", "content": question})
    asked = ask(said)
    call = asked.message.tool_calls[0]
    assert json.loads(call.function.arguments)["path"] and asked.finish_reason == "tool_calls", asked
    said += [asked.message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "# calc"}]
    answer = ask(said)
    assert answer.message.content and answer.finish_reason == "stop", answer
    said.append(answer.message.model_dump())
print(api, "litellm", version("litellm"))
PY
for api in chat responses messages; do
    for behind in $api $([ $api = chat ] && echo messages || echo chat); do
        serve $behind
        LITELLM_LOCAL_MODEL_COST_MAP=True python "$PLACE/run.py" "$URL" $api || failed "see above"
        seen "$api over $behind"
    done
done
ok "two turns with tools in chat, responses, messages"
