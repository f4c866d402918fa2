#!/usr/bin/env bash
# anthropic (Python SDK): two turns with a tool call, streamed; plain; counted tokens, models, an error; over each API.
. "$(dirname "$0")/setup.sh"
python_packages anthropic==2.12.0
for api in messages,count_tokens chat responses; do
    serve $api
    python - "$URL" <<'PY' || failed "see above"
import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="any")
tools = [{"name": "read_file", "description": "read", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}]
said = []
for question in ("what is in README.md?", "and in calc.py?"):
    said.append({"role": "user", "content": question})
    with client.messages.stream(model="auto", max_tokens=999, messages=said, tools=tools) as stream:
        asked = stream.get_final_message()
    assert asked.stop_reason == "tool_use", asked
    call = next(block for block in asked.content if block.type == "tool_use")
    assert call.input["path"] and asked.usage.output_tokens
    said += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "# calc"}]}]
    with client.messages.stream(model="auto", max_tokens=999, messages=said, tools=tools) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text and answer.stop_reason == "end_turn", answer
    said.append({"role": "assistant", "content": answer.content})
plain = client.messages.create(model="auto", max_tokens=99, messages=[{"role": "user", "content": "hi"}])
assert plain.content[0].text
beta = client.beta.messages.create(model="auto", max_tokens=99, messages=[{"role": "user", "content": "hi"}], betas=["context-management-2025-06-27"])
assert beta.content[0].text
assert client.messages.count_tokens(model="auto", messages=said).input_tokens > 10
assert "auto" in [model.id for model in client.models.list()]
try:
    client.messages.create(model="auto", max_tokens=99, messages=1)
    raise AssertionError("no error")
except anthropic.BadRequestError as error:
    assert error.body["request_id"] and error.request_id and error.body["type"] == "error", error.body
print("anthropic", anthropic.__version__)
PY
    seen "over $api" --api /messages --refused 1
done
ok "two turns with tools, plain, counted tokens, models, error"
