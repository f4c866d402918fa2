#!/usr/bin/env bash
# openai (Node SDK): plain, streamed, streamed tool call and its answer.
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
JS
node "$PLACE/run.mjs" || failed "see above"
ok "plain, streamed, tool call and result ($(node --version))"
