# Sourced by each script: a place to install to, and how a script ends. No client runs here.
set -euo pipefail
URL=${1:-http://127.0.0.1:8080}
NAME=$(basename "$0" .sh)
if [ -n "${KEEP:-}" ]; then PLACE=$KEEP/$NAME; mkdir -p "$PLACE"; else PLACE=$(mktemp -d); trap 'rm -rf "$PLACE"' EXIT; fi
export HOME=$PLACE/home OPENAI_BASE_URL=$URL/v1 OPENAI_API_KEY=any NO_COLOR=1 CI=1
mkdir -p "$HOME" "$PLACE/work"

python_packages() { # PACKAGE==VERSION...
    [ -x "$PLACE/venv/bin/python" ] || python3 -m venv "$PLACE/venv"
    "$PLACE/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    PATH=$PLACE/venv/bin:$PATH
}

node_packages() { # PACKAGE@VERSION...
    npm install --silent --no-fund --no-audit --prefix "$PLACE" "$@" >"$PLACE/npm.log" 2>&1 || { cat "$PLACE/npm.log"; failed "npm install"; }
    PATH=$PLACE/node_modules/.bin:$PATH
}

project() { # a small repository to work in
    cd "$PLACE/work"
    [ -d .git ] || { git init --quiet; git config user.email a@b.invalid; git config user.name a; }
    printf 'def add(a, b):\n    return a - b\n' >calc.py
    printf '# calc\n\nA tiny project.\n' >README.md
    git add -A; git commit --quiet -m start 2>/dev/null || true
}

ok() { echo "ok: $NAME $*"; }
failed() { echo "FAILED: $NAME $*" >&2; exit 1; }
