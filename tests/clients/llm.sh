#!/usr/bin/env bash
# llm: a streamed and an unstreamed prompt, and a second turn of the same conversation.
. "$(dirname "$0")/setup.sh"
python_packages llm==0.36
serve
dir=$(python -c 'import llm; print(llm.user_dir())')
cat >"$dir/extra-openai-models.yaml" <<Y
- {model_id: twospeed, model_name: auto, api_base: "$URL/v1", api_key_name: openai}
Y
[ -n "$(llm -m twospeed 'reverse a string in python' </dev/null)" ] || failed "no streamed text"
[ -n "$(llm -m twospeed --no-stream 'and in rust' </dev/null)" ] || failed "no text"
[ -n "$(llm -c 'and in go' </dev/null)" ] || failed "no second turn"
seen chat --plain --turns 2 --sessions 2
ok "streamed, plain, second turn"
