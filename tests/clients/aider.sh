#!/usr/bin/env bash
# aider: one message about a file, to its end.
. "$(dirname "$0")/setup.sh"
python_packages aider-chat==0.86.2
project
serve
aider --openai-api-base "$URL/v1" --openai-api-key any --model openai/auto --no-show-model-warnings --no-check-update \
    --no-analytics --yes-always --no-auto-commits --no-pretty --message "what does calc.py do?" calc.py >"$PLACE/out" 2>&1 || { cat "$PLACE/out"; failed "exit $?"; }
grep -q "Tokens:" "$PLACE/out" || { cat "$PLACE/out"; failed "no turn"; }
! grep -qi "litellm\.\|Retrying" "$PLACE/out" || { cat "$PLACE/out"; failed "errors"; }
seen chat --plain --turns 1
ok "$(grep Tokens: "$PLACE/out" | head -1)"
