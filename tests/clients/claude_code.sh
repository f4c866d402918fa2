#!/usr/bin/env bash
# Claude Code: three turns of one session with a tool call each, over a provider of each API; plan mode; then answers that
# break midway.
. "$(dirname "$0")/setup.sh"
node_packages @anthropic-ai/claude-code@2.1.197
project
export DISABLE_AUTOUPDATER=1 DISABLE_TELEMETRY=1 DISABLE_ERROR_REPORTING=1 CLAUDE_CONFIG_DIR=$PLACE/claude
begin() { # API [FAULTS]
    serve "$@"
    rm -rf "$CLAUDE_CONFIG_DIR"
    export ANTHROPIC_BASE_URL=$URL ANTHROPIC_API_KEY=any ANTHROPIC_MODEL=auto ANTHROPIC_SMALL_FAST_MODEL=auto
}
three_turns() {
    turn claude -p "what is in README.md?"
    turn claude -p --continue "and in calc.py?"
    turn claude -p --continue "is add correct?"
}
for api in messages,count_tokens chat responses; do
    begin $api
    three_turns
    seen "over $api" --turns 3 --api /messages
done
turn claude -p --permission-mode plan "how would you fix add in calc.py?"
seen "plan mode" --turns 1 --api /messages
for api in messages chat; do
    begin $api "{kind: reset, share: 40%, after_events: 6}"
    three_turns
    grep -hi "error" "$PLACE/err" "$PLACE/out" | sort | uniq -c || true
    seen "broken, over $api" --turns 3 --api /messages --broken
done
ok "$(claude --version): three turns with tools over each of messages, chat, responses; goes on after broken answers"
