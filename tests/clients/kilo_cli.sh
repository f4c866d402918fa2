#!/usr/bin/env bash
# Kilo CLI: two turns of one session with a tool call each, its title beside them, over a chat and a messages provider.
. "$(dirname "$0")/setup.sh"
node_packages @kilocode/cli@7.7.7
project
export XDG_DATA_HOME=$PLACE/data XDG_CONFIG_HOME=$PLACE/config XDG_CACHE_HOME=$PLACE/cache XDG_STATE_HOME=$PLACE/state
for api in chat messages; do
    serve $api
    rm -rf "$XDG_DATA_HOME" "$XDG_STATE_HOME"
    cat >kilo.json <<J
{"provider": {"twospeed": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "$URL/v1", "apiKey": "any"},
   "models": {"auto": {}, "fast": {}, "deep": {}}}},
 "model": "twospeed/auto", "small_model": "twospeed/auto", "autoupdate": false, "share": "disabled"}
J
    turn kilo run --auto "what is in README.md?"
    turn kilo run --auto --continue "and in calc.py?"
    seen "over $api"
done
ok "$(kilo --version): two turns with tools over each of chat, messages"
