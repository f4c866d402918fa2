#!/usr/bin/env bash
# Cline CLI: two turns of one session with a tool call each, over a chat and a messages provider; plan mode. It takes up a session
# again (`--id`) in a terminal only, with a question typed there.
. "$(dirname "$0")/setup.sh"
node_packages cline@3.0.65
project
export CLINE_TELEMETRY_DISABLED=1
for api in chat messages; do
    serve $api
    rm -rf "$PLACE/cline"
    cline auth --data-dir "$PLACE/cline" -p openai-compatible -k any -m auto -b "$URL/v1" </dev/null >"$PLACE/out" 2>&1 || { cat "$PLACE/out"; failed "auth"; }
    turn cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --json "what is in README.md?"
    turn "$HERE/typed.py" "and in calc.py?" cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --id "$(ls "$PLACE/cline/sessions")"
    seen "over $api"
done
turn cline --data-dir "$PLACE/cline" -P openai-compatible -m auto --json --plan "how would you fix add in calc.py?"
seen "plan mode" --turns 1
ok "$(cline --version): two turns with tools over each of chat, messages"
