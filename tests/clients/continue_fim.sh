#!/usr/bin/env bash
# Continue's completion transport: fill-in-the-middle over its openai, mistral, deepseek and inception providers; typing on.
. "$(dirname "$0")/setup.sh"
node_packages @continuedev/openai-adapters@1.37.0
serve
cat >"$PLACE/drive.mjs" <<'JS'
import { constructLlmApi } from "@continuedev/openai-adapters";
const quiet = new AbortController().signal;
const ask = { model: "auto", prompt: "def add(a, b):\n    return ", suffix: "\n\nprint(add(1, 2))\n", max_tokens: 64, stop: ["```"] };
async function read(api, body) {
  let text = "", chunks = 0;
  for await (const chunk of api.fimStream(body, quiet)) { text += chunk.choices[0].delta.content; chunks++; }
  return { text, chunks };
}
for (const provider of ["openai", "mistral", "deepseek", "inception"]) {
  const api = constructLlmApi({ provider, apiBase: process.argv[2] + "/v1/", apiKey: "any" });
  const { text } = await read(api, ask);
  if (!text) throw new Error(provider + " got no text");
  const older = read(api, { ...ask, prompt: "def add(a" });
  await new Promise((resume) => setTimeout(resume, 40));
  const newer = read(api, { ...ask, prompt: "def add(a, b" });
  await older; // ends without an error, answered or not
  if (!(await newer).text) throw new Error(provider + " got nothing after typing on");
  console.log(provider, JSON.stringify(text));
}
JS
node "$PLACE/drive.mjs" "$URL" || failed "see above"
ok "four providers, typing on"
