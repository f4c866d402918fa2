#!/usr/bin/env bash
# Continue CLI (cn): a headless turn with a tool call, over its openai provider.
. "$(dirname "$0")/setup.sh"
node_packages @continuedev/cli@1.5.47
project
cat >"$PLACE/config.yaml" <<Y
name: twospeed
version: 1.0.0
schema: v1
models:
  - {name: auto, provider: openai, model: auto, apiBase: "$URL/v1", apiKey: any, roles: [chat, edit, apply]}
Y
export CONTINUE_TELEMETRY_ENABLED=0
timeout 120 cn --config "$PLACE/config.yaml" --auto -p "what is in README.md?" </dev/null >"$PLACE/out" 2>"$PLACE/err" || { cat "$PLACE/out" "$PLACE/err"; failed "exit"; }
[ -s "$PLACE/out" ] || { cat "$PLACE/err"; failed "no answer"; }
ok "$(wc -w <"$PLACE/out") words"
