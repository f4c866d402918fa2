#!/usr/bin/env bash
# aider: two turns about a file, streamed; ask and architect mode; a commit message.
. "$(dirname "$0")/setup.sh"
python_packages aider-chat==0.86.2
project
serve

ask() { # OPTION...: one run of it
    aider --openai-api-base "$URL/v1" --openai-api-key any --model openai/auto --no-show-model-warnings --no-check-update \
        --no-analytics --yes-always --no-auto-commits --no-pretty "$@" calc.py >"$PLACE/out" 2>&1 || { cat "$PLACE/out"; failed "exit $?"; }
    ! grep -qi "litellm\.\|Retrying" "$PLACE/out" || { cat "$PLACE/out"; failed "errors"; }
}
answered() { grep -q "Tokens:" "$PLACE/out" || { cat "$PLACE/out"; failed "no turn"; }; }

rm -rf .aider*
ask --message "what does calc.py do?"; answered
ask --restore-chat-history --message "and what is wrong with add?"; answered
seen "two turns" --plain
ask --chat-mode ask --message "what does calc.py do?"; answered
seen "ask" --plain --turns 1
ask --architect --message "fix add in calc.py"; answered
seen "architect" --plain --sessions 2
echo '# more' >>calc.py
ask --commit
seen "commit message" --plain --turns 1
ok "two turns, ask, architect, commit message"
