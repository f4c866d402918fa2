#!/usr/bin/env bash
# Qwen Code: two turns of one session with a tool call each, over a chat and a messages provider.
. "$(dirname "$0")/setup.sh"
node_packages @qwen-code/qwen-code@0.15.10
project
for api in chat messages; do
    serve $api
    rm -rf "$HOME/.qwen"
    export OPENAI_MODEL=auto
    turn qwen --auth-type openai --yolo -p "what is in README.md?"
    turn qwen --auth-type openai --yolo --continue -p "and in calc.py?"
    seen "over $api"
done
ok "$(qwen --version): two turns with tools over each of chat, messages"
