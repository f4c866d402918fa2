#!/usr/bin/env bash
# Cline CLI: a turn with a tool call, over a chat and a messages provider; plan mode. It takes up a session again (`--id`) in a
# terminal only.
. "$(dirname "$0")/setup.sh"
node_packages cline@3.0.65
project
export CLINE_TELEMETRY_DISABLED=1
for api in chat messages; do
    serve $api
    rm -rf "$PLACE/cline"
    cline auth --data-dir "$PLACE/cline" -p openai-compatible -k any -m auto -b "$URL/v1" </dev/null >"$PLACE/out" 2>&1 || { cat "$PLACE/out"; failed "auth"; }
    turn cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --json "what is in README.md?"
    seen "over $api" --turns 1
done
turn cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --json --plan "how would you fix add in calc.py?"
seen "plan mode" --turns 1
ok "$(cline --version): a turn with tools over each of chat, messages"
