#!/usr/bin/env bash
# pi: two turns of one session with a tool call each, over chat, Responses and Messages.
. "$(dirname "$0")/setup.sh"
node_packages @mariozechner/pi-coding-agent@0.73.1
project
export PI_CODING_AGENT_DIR=$PLACE/pi PI_OFFLINE=1
for api in openai-completions:chat:/v1 openai-completions:messages:/v1 openai-responses:responses:/v1 openai-responses:chat:/v1 anthropic-messages:messages: anthropic-messages:chat:; do
    IFS=: read -r speaks behind path <<<"$api"
    serve $behind
    rm -rf "$PI_CODING_AGENT_DIR"; mkdir -p "$PI_CODING_AGENT_DIR"
    cat >"$PI_CODING_AGENT_DIR/models.json" <<J
{"providers": {"twospeed": {"baseUrl": "$URL$path", "api": "$speaks", "apiKey": "any",
  "models": [{"id": "auto", "name": "auto", "input": ["text"], "contextWindow": 128000, "maxTokens": 8000}]}}}
J
    turn pi --provider twospeed --model auto -p "what is in README.md?"
    turn pi --provider twospeed --model auto --continue -p "and in calc.py?"
    seen "$speaks over $behind"
done
ok "$(pi --version 2>&1 | tail -1): two turns with tools over chat, Responses, Messages"
