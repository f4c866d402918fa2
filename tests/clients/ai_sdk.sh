#!/usr/bin/env bash
# AI SDK: two turns with a tool call each, streamed, with its providers openai-compatible, openai (Responses) and anthropic.
. "$(dirname "$0")/setup.sh"
node_packages ai@6.0.322 @ai-sdk/openai@3.0.141 @ai-sdk/openai-compatible@2.0.87 @ai-sdk/anthropic@3.0.137 zod@4.6.7
cat >"$PLACE/run.mjs" <<'JS'
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
const [url, api] = process.argv.slice(2);
const model = {
  chat: () => createOpenAICompatible({ name: "twospeed", baseURL: url + "/v1", apiKey: "any", includeUsage: true })("auto"),
  responses: () => createOpenAI({ baseURL: url + "/v1", apiKey: "any" })("auto"),
  messages: () => createAnthropic({ baseURL: url + "/v1", apiKey: "any" })("auto"),
}[api]();
const read = [];
const read_file = tool({ description: "Read a file.", inputSchema: z.object({ path: z.string() }), execute: async ({ path }) => (read.push(path), "# calc") });
const messages = [];
for (const question of ["what is in README.md?", "and in calc.py?"]) {
  messages.push({ role: "user", content: question });
  // Without `store: false` its openai provider sends references to what the provider should have kept.
  const run = streamText({ model, messages, providerOptions: { openai: { store: false } }, tools: { read_file }, stopWhen: stepCountIs(4), onError: ({ error }) => { throw error; } });
  let text = "";
  for await (const piece of run.textStream) text += piece;
  if (!text || (await run.finishReason) !== "stop") throw new Error("no answer: " + (await run.finishReason));
  if (!(await run.totalUsage).outputTokens) throw new Error("no usage");
  messages.push(...(await run.response).messages);
}
if (read.length !== 2) throw new Error("read " + read);
JS
for api in chat responses messages; do
    for behind in $api $([ $api = chat ] && echo messages || echo chat); do
        serve $behind
        node "$PLACE/run.mjs" "$URL" $api || failed "see above"
        seen "$api over $behind"
    done
done
cd "$PLACE"
ok "$(node -p '["ai", "@ai-sdk/openai-compatible", "@ai-sdk/openai", "@ai-sdk/anthropic"].map((name) => name + " " + require(`./node_modules/${name}/package.json`).version).join(", ")'): two turns with tools with each"
