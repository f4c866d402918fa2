#!/usr/bin/env bash
# openai (Node SDK): two turns with a tool call, streamed, in Responses, one in chat; plain.
. "$(dirname "$0")/setup.sh"
node_packages openai@6.49.0
serve
cat >"$PLACE/run.mjs" <<'JS'
import OpenAI from "openai";
const client = new OpenAI();
const ask = [{ role: "user", content: "reverse a string in python" }];
const plain = await client.chat.completions.create({ model: "auto", messages: ask });
if (plain.choices[0].finish_reason !== "stop") throw new Error("no stop");
let text = "";
for await (const chunk of await client.chat.completions.create({ model: "auto", messages: ask, stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
if (!text) throw new Error("no text");
const tools = [{ type: "function", function: { name: "read_file", parameters: { type: "object", properties: { path: { type: "string" } }, required: ["path"] } } }];
const message = await client.chat.completions.stream({ model: "auto", messages: ask, tools }).finalMessage();
const call = message.tool_calls[0];
JSON.parse(call.function.arguments);
const after = await client.chat.completions.create({ model: "auto", tools, messages: [...ask, message, { role: "tool", tool_call_id: call.id, content: "x" }] });
if (!after.choices[0].message.content) throw new Error("no answer after the tool");
const flat = [{ type: "function", ...tools[0].function, strict: false }];
const said = [];
for (const question of ["what is in README.md?", "and in calc.py?"]) {
  said.push({ role: "user", content: question });
  const asked = await client.responses.stream({ model: "auto", input: said, tools: flat }).finalResponse();
  const done = asked.output.find((item) => item.type === "function_call");
  said.push(...asked.output, { type: "function_call_output", call_id: done.call_id, output: "# calc" });
  const answer = await client.responses.stream({ model: "auto", input: said, tools: flat }).finalResponse();
  if (!answer.output_text && !answer.output.some((item) => item.type === "message")) throw new Error("no answer in Responses");
  said.push(...answer.output);
}
JS
node "$PLACE/run.mjs" || failed "see above"
ok "two turns with tools in Responses, one in chat; plain ($(node --version))"
