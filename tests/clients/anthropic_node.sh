#!/usr/bin/env bash
# @anthropic-ai/sdk (Node): two turns with a tool call, streamed; plain; counted tokens, models.
. "$(dirname "$0")/setup.sh"
node_packages @anthropic-ai/sdk@1.12.0
cat >"$PLACE/run.mjs" <<'JS'
import Anthropic from "@anthropic-ai/sdk";
const client = new Anthropic({ baseURL: process.argv[2], apiKey: "any" });
const tools = [{ name: "read_file", input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] } }];
const ask = { model: "auto", max_tokens: 999, tools };
const messages = [];
for (const question of ["what is in README.md?", "and in calc.py?"]) {
  messages.push({ role: "user", content: question });
  const asked = await client.messages.stream({ ...ask, messages }).finalMessage();
  const call = asked.content.find((block) => block.type === "tool_use");
  if (asked.stop_reason !== "tool_use" || !call.input.path) throw new Error("no call: " + JSON.stringify(asked));
  messages.push({ role: "assistant", content: asked.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "# calc" }] });
  const answer = await client.messages.stream({ ...ask, messages }).finalMessage();
  if (answer.stop_reason !== "end_turn" || !answer.content[0].text || !answer.usage.output_tokens) throw new Error("no answer: " + JSON.stringify(answer));
  messages.push({ role: "assistant", content: answer.content });
}
const plain = await client.messages.create({ ...ask, tools: undefined, messages: [{ role: "user", content: "hi" }] });
if (!plain.content[0].text) throw new Error("no text");
const counted = await client.messages.countTokens({ model: "auto", messages });
if (!(counted.input_tokens > 10)) throw new Error("not counted");
const models = [];
for await (const model of client.models.list()) models.push(model.id);
if (!models.includes("auto")) throw new Error("models: " + models);
JS
for api in messages chat; do
    serve $api
    node "$PLACE/run.mjs" "$URL" || failed "see above"
    seen "over $api" --api /messages
done
ok "two turns with tools, plain, counted tokens, models ($(node --version))"
