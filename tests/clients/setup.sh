# Sourced by each script: a place to install to, a server of one's own, what it saw, and how a script ends.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NAME=$(basename "$0" .sh)
TWOSPEED=${TWOSPEED:-$HERE/../../.venv/bin/twospeed}
GIVEN=${1:-}
RUNNING=()
if [ -n "${KEEP:-}" ]; then PLACE=$KEEP/$NAME; mkdir -p "$PLACE"; else PLACE=$(mktemp -d); fi
export HOME=$PLACE/home NO_COLOR=1 CI=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset "${!OPENAI_@}" "${!ANTHROPIC_@}" "${!CLAUDE@}" # whoever runs this may live in one of these clients
mkdir -p "$HOME" "$PLACE/work"
LOG=$PLACE/log

stop() {
    for process in "${RUNNING[@]}"; do kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true; done
    RUNNING=()
}
leave() { stop; [ -n "${KEEP:-}" ] || rm -rf "$PLACE"; }
trap leave EXIT
trap 'exit 1' INT TERM

python_packages() { # PACKAGE==VERSION...
    [ -x "$PLACE/venv/bin/python" ] || python3 -m venv "$PLACE/venv"
    "$PLACE/venv/bin/pip" install --quiet "$@"
    PATH=$PLACE/venv/bin:$PATH
}

node_packages() { # PACKAGE@VERSION...
    npm install --silent --no-fund --no-audit --prefix "$PLACE" "$@" >"$PLACE/npm.log" 2>&1 || { cat "$PLACE/npm.log"; failed "npm install"; }
    PATH=$PLACE/node_modules/.bin:$PATH
}

serve() { # [API[,API] [FAULTS]]: serve in front of a simulated provider that speaks these APIs (default: all) and fails so
    if [ -n "$GIVEN" ]; then URL=$GIVEN; point; return; fi
    local apis=${1:-chat,completions,responses,embeddings,messages,count_tokens} faults=${2:-}
    stop
    cat >"$PLACE/provider.yaml" <<Y
providers:
  behind: {kind: simulated, models: {small: {}}, simulate: {seed: ${SEED:-1}, tokens_per_second: 500, output_tokens: {median: 60}, faults: [$faults]}}
tiers: {fast: {models: [behind/small]}, deep: {models: [behind/small]}}
Y
    start simulate --config "$PLACE/provider.yaml" --port 0
    cat >"$PLACE/twospeed.yaml" <<Y
providers:
  behind: {kind: openai, base_url: "$STARTED", dialects: [$apis], models: {small: {context: 400k, images: true}, large: {context: 400k, images: true}}}
models: {"*": auto}
tiers: {fast: {models: [behind/small]}, deep: {models: [behind/large]}}
Y
    [ -z "$apis" ] || case ",$apis," in *,chat,* | *,responses,*) ;; *) sed -i 's/kind: openai/kind: anthropic/' "$PLACE/twospeed.yaml" ;; esac
    start serve --config "$PLACE/twospeed.yaml" --port 0 --admin-port 0 --log json
    URL=${STARTED%/v1}
    point
}

start() { # ARGUMENTS: run twospeed in the background until it says where; leaves that in STARTED
    local said=$PLACE/said-$1
    [ "$1" != serve ] || said=$LOG
    rm -f "$said" # what an earlier one said
    timeout 900 "$TWOSPEED" "$@" 2>>"$said" >/dev/null &
    RUNNING+=($!)
    for _ in $(seq 150); do
        STARTED=$(grep -so -m1 'http://[^ ]*/v1' "$said") && return
        sleep 0.1
    done
    cat "$said"
    failed "twospeed $1 did not start"
}

point() { export OPENAI_BASE_URL=$URL/v1 OPENAI_API_KEY=any; }

project() { # a small repository to work in
    cd "$PLACE/work"
    [ -d .git ] || { git init --quiet; git config user.email a@b.invalid; git config user.name a; }
    printf 'def add(a, b):\n    return a - b\n' >calc.py
    printf '# calc\n\nA tiny project.\n' >README.md
    git add -A; git commit --quiet -m start 2>/dev/null || true
}

turn() { # COMMAND...: one headless turn; its words are left in $PLACE/out
    timeout 180 "$@" </dev/null >"$PLACE/out" 2>"$PLACE/err" || { local code=$?; tail -c 3000 "$PLACE/out" "$PLACE/err"; failed "exit $code of: ${*:0:60}"; }
    [ -s "$PLACE/out" ] || { tail -c 3000 "$PLACE/err"; failed "no answer"; }
}

seen() { # MARK [OPTION...]: print what the server saw since the last call of this, and check it (see seen.py)
    [ -z "$GIVEN" ] || return 0
    sleep 1 # the log is written a few times a second
    "$HERE/seen.py" "$LOG" "$@" || failed "$1: not as it should be"
    truncate -s 0 "$LOG"
}

ok() { echo "ok: $NAME $*"; }
failed() { echo "FAILED: $NAME $*" >&2; exit 1; }
