#!/usr/bin/env bash
# opencode: a headless turn with tools, and a second one in the same session.
. "$(dirname "$0")/setup.sh"
node_packages opencode-ai@1.18.33
project
cat >opencode.json <<J
{"\$schema": "https://opencode.ai/config.json",
 "provider": {"twospeed": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "$URL/v1", "apiKey": "any"},
   "models": {"auto": {}, "fast": {}, "deep": {}}}},
 "model": "twospeed/auto", "small_model": "twospeed/fast", "autoupdate": false, "share": "disabled"}
J
export XDG_DATA_HOME=$PLACE/data XDG_CONFIG_HOME=$PLACE/config XDG_CACHE_HOME=$PLACE/cache
timeout 180 opencode run "what is in README.md?" </dev/null >"$PLACE/out" 2>"$PLACE/err" || { cat "$PLACE/out" "$PLACE/err"; failed "first turn"; }
[ -s "$PLACE/out" ] || { cat "$PLACE/err"; failed "no answer"; }
timeout 180 opencode run --continue "and in calc.py?" </dev/null >"$PLACE/out2" 2>"$PLACE/err" || { cat "$PLACE/out2" "$PLACE/err"; failed "second turn"; }
[ -s "$PLACE/out2" ] || { cat "$PLACE/err"; failed "no second answer"; }
ok "two turns, $(wc -w <"$PLACE/out") and $(wc -w <"$PLACE/out2") words"
