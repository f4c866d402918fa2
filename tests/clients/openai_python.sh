#!/usr/bin/env bash
# openai (Python SDK): two turns with a tool call, streamed, in chat and in Responses; plain; completions, embeddings, models.
. "$(dirname "$0")/setup.sh"
python_packages openai==3.54.0
serve
python - <<'PY' || failed "see above"
import json
import openai

client = openai.OpenAI()
ask = [{"role": "user", "content": "reverse a string in python"}]
plain = client.chat.completions.create(model="auto", messages=ask)
assert plain.choices[0].finish_reason == "stop" and plain.usage.total_tokens > 0
text = "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(model="auto", messages=ask, stream=True))
assert text
tools = [{"type": "function", "function": {"name": "read_file", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}}]
with client.chat.completions.stream(model="auto", messages=ask, tools=tools) as stream:
    call = stream.get_final_completion().choices[0].message.tool_calls[0]
assert json.loads(call.function.arguments)["path"]
turn = [*ask, {"role": "assistant", "tool_calls": [call.model_dump()]}, {"role": "tool", "tool_call_id": call.id, "content": "def f(): ..."}]
assert client.chat.completions.create(model="auto", messages=turn, tools=tools).choices[0].message.content
said = []
flat = [{"type": "function", **tools[0]["function"]}]
for question in ("what is in README.md?", "and in calc.py?"):
    said.append({"role": "user", "content": question})
    with client.responses.stream(model="auto", input=said, tools=flat) as stream:
        asked = stream.until_done().get_final_response()
    said += [item.to_dict() for item in asked.output]
    done = next(item for item in asked.output if item.type == "function_call")
    said.append({"type": "function_call_output", "call_id": done.call_id, "output": "# calc"})
    with client.responses.stream(model="auto", input=said, tools=flat) as stream:
        answer = stream.until_done().get_final_response()
    assert answer.output_text and answer.usage.total_tokens, answer
    said += [item.to_dict() for item in answer.output]
assert len(client.embeddings.create(model="auto", input="def f(): ...").data[0].embedding) > 1
fill = dict(model="auto", prompt="def fib(a):", suffix="    return fib(a-1) + fib(a-2)", max_tokens=64)
assert client.completions.create(**fill).choices[0].text
assert "".join(c.choices[0].text for c in client.completions.create(**fill, stream=True))
assert "auto" in [model.id for model in client.models.list()]
raw = client.chat.completions.with_raw_response.create(model="auto", messages=ask)
assert raw.headers["x-twospeed-tier"] in ("fast", "deep")
try:
    client.with_options(max_retries=0).chat.completions.create(model="auto", messages=[])
except openai.BadRequestError as error:
    assert "messages" in str(error)
print("openai", openai.__version__)
PY
ok "two turns with tools in Responses, one in chat; plain, completions, embeddings, models, error"
