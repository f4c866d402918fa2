#!/usr/bin/env bash
# GitHub Copilot CLI with an endpoint of one's own: two turns of one session with a tool call each, in each API that it speaks,
# over providers of its own and of another API.
. "$(dirname "$0")/setup.sh"
node_packages @github/copilot@1.0.102
project
export COPILOT_OFFLINE=true COPILOT_MODEL=auto COPILOT_PROVIDER_API_KEY=any COPILOT_AUTO_UPDATE=false COPILOT_HOME=$PLACE/copilot
two_turns() { # TYPE WIRE_API BASE_URL
    rm -rf "$COPILOT_HOME"
    export COPILOT_PROVIDER_TYPE=$1 COPILOT_PROVIDER_WIRE_API=$2 COPILOT_PROVIDER_BASE_URL=$3
    turn copilot --allow-all-tools -p "what is in README.md?"
    turn copilot --allow-all-tools --continue -p "and in calc.py?"
}
for api in chat messages; do
    serve $api
    two_turns openai completions "$URL/v1"
    seen "chat over $api"
done
for api in responses chat; do
    serve $api
    two_turns openai responses "$URL/v1"
    seen "responses over $api" --api /responses
done
for api in messages chat; do
    serve $api
    two_turns anthropic completions "$URL"
    seen "messages over $api" --api /messages
done
ok "$(copilot --version | head -1): two turns with tools in chat, responses and messages"
