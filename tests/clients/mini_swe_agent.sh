#!/usr/bin/env bash
# mini-swe-agent: one task from its first command to its submission; it asks unstreamed and knows no second turn.
. "$(dirname "$0")/setup.sh"
python_packages mini-swe-agent==2.4.6 mcp # which litellm forgets to ask for
project
serve
export MSWEA_GLOBAL_CONFIG_DIR=$PLACE/mswea MSWEA_CONFIGURED=true MSWEA_COST_TRACKING=ignore_errors MSWEA_SILENT_STARTUP=1
turn mini --yolo --exit-immediately --model openai/auto --task "what does calc.py do?" --output "$PLACE/trajectory.json"
seen chat --plain --turns 1
grep -q '"exit_status": *"Submitted"' "$PLACE/trajectory.json" || { tail -c 1500 "$PLACE/trajectory.json"; failed "not submitted"; }
ok "$(pip show mini-swe-agent | sed -n 's/Version: //p'): submitted"
