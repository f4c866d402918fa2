#!/usr/bin/env bash
# opencode: two turns of one session with a tool call each, its title beside them; plan mode; then answers that break midway.
. "$(dirname "$0")/setup.sh"
node_packages opencode-ai@1.18.33
project
export XDG_DATA_HOME=$PLACE/data XDG_CONFIG_HOME=$PLACE/config XDG_CACHE_HOME=$PLACE/cache XDG_STATE_HOME=$PLACE/state
begin() { # API [FAULTS]
    serve "$@"
    rm -rf "$XDG_DATA_HOME" "$XDG_STATE_HOME"
    cat >opencode.json <<J
{"\$schema": "https://opencode.ai/config.json",
 "provider": {"twospeed": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "$URL/v1", "apiKey": "any"},
   "models": {"auto": {}, "fast": {}, "deep": {}}}},
 "model": "twospeed/auto", "small_model": "twospeed/auto", "autoupdate": false, "share": "disabled"}
J
}
for api in chat responses messages; do
    begin $api
    turn opencode run "what is in README.md?"
    turn opencode run --continue "and in calc.py?"
    seen "over $api"
done
turn opencode run --agent plan "how would you fix add in calc.py?"
seen "plan mode" --turns 1
for api in chat messages; do
    begin $api "{kind: reset, share: 40%, after_events: 6}"
    turn opencode run "what is in README.md?"
    turn opencode run --continue "and in calc.py?"
    grep -hi "error\|retry" "$PLACE/err" "$PLACE/out" | sort | uniq -c || true
    seen "broken, over $api" --broken
done
ok "$(opencode --version): two turns with tools over each of chat, responses, messages; goes on after broken answers"
