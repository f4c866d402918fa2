#!/usr/bin/env bash
# Continue CLI (cn): a headless turn with a tool call, over its openai provider, and a second one in the same session.
. "$(dirname "$0")/setup.sh"
node_packages @continuedev/cli@1.5.47
project
serve
cat >"$PLACE/config.yaml" <<Y
name: twospeed
version: 1.0.0
schema: v1
models:
  - {name: auto, provider: openai, model: auto, apiBase: "$URL/v1", apiKey: any, roles: [chat, edit, apply]}
Y
export CONTINUE_TELEMETRY_ENABLED=0
turn cn --config "$PLACE/config.yaml" --auto -p "what is in README.md?"
turn cn --config "$PLACE/config.yaml" --auto --resume -p "and in calc.py?"
seen chat
ok "$(cn --version): two turns with tools"
