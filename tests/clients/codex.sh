#!/usr/bin/env bash
# Codex CLI: three turns of one session with a tool call each, over a provider of each API; then answers that break midway.
. "$(dirname "$0")/setup.sh"
node_packages @openai/codex@0.169.0
project
export CODEX_HOME=$PLACE/codex
begin() { # API [FAULTS]
    serve "$@"
    rm -rf "$CODEX_HOME"; mkdir -p "$CODEX_HOME"
    cat >"$CODEX_HOME/config.toml" <<T
model = "auto"
model_provider = "twospeed"
[model_providers.twospeed]
name = "twospeed"
base_url = "$URL/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
T
}
three_turns() {
    turn codex exec --skip-git-repo-check --sandbox read-only "what is in README.md?"
    turn codex exec --skip-git-repo-check --sandbox read-only resume --last "and in calc.py?"
    turn codex exec --skip-git-repo-check --sandbox read-only resume --last "is add correct?"
}
for api in responses chat messages; do
    begin $api
    three_turns
    seen "over $api" --turns 3 --api /responses
done
for api in responses chat; do
    begin $api "{kind: reset, share: 40%, after_events: 6}"
    three_turns
    grep -i "error\|reconnect" "$PLACE/err" | sort | uniq -c || true
    seen "broken, over $api" --turns 3 --api /responses --broken
done
ok "$(codex --version): three turns with tools over each of responses, chat, messages; goes on after broken answers"
