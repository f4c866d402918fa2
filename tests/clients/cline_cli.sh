#!/usr/bin/env bash
# Cline CLI: two turns of one session with a tool call each, over a chat and a messages provider; plan mode.
. "$(dirname "$0")/setup.sh"
node_packages cline@3.0.65
project
export CLINE_TELEMETRY_DISABLED=1
for api in chat messages; do
    serve $api
    rm -rf "$PLACE/cline"
    cline auth --data-dir "$PLACE/cline" -p openai-compatible -k any -m auto -b "$URL/v1" </dev/null >"$PLACE/out" 2>&1 || { cat "$PLACE/out"; failed "auth"; }
    turn cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --json "what is in README.md?"
    session=$(cline history --data-dir "$PLACE/cline" --json 2>/dev/null | grep -o -m1 '"sessionId": *"[^"]*"' | head -1 | cut -d'"' -f4)
    turn cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --json --id "$session" "and in calc.py?"
    seen "over $api"
done
turn cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --json --plan "how would you fix add in calc.py?"
seen "plan mode" --turns 1
ok "$(cline --version): two turns with tools over each of chat, messages"
