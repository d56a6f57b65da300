#!/usr/bin/env bash
# Types the commands of README.md, one after the other, in a copy of this directory: build/demo, which keeps the results.
# The engine it starts keeps its state in a temporary directory; both are gone when it ends, however it ends.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=${1:-$HERE/../../build/demo}

command -v spawn >/dev/null || { echo "demo.sh: no 'spawn' on the PATH; 'make demo' in the project's top directory puts it there" >&2; exit 1; }

SPAWN_STATE_DIR=$(mktemp -d "${TMPDIR:-/tmp}/spawn-demo.XXXXXX")
export SPAWN_STATE_DIR
ONE_AT_A_TIME=()
clean_up() {
    spawn engine stop --terminate --yes >/dev/null 2>&1 || true
    rm -rf "$SPAWN_STATE_DIR"
    # without a private /tmp, process.sh has used this one
    [ ${#ONE_AT_A_TIME[@]} -eq 0 ] || rm -f /tmp/output.csv
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then BOLD=$'\e[1m' PLAIN=$'\e[0m'; else BOLD='' PLAIN=''; fi
say() { printf '\n%s# %s%s\n' "$BOLD" "$1" "$PLAIN"; }
# run [-x STATUS] COMMAND...: show a command and run it; any other exit status than STATUS (0) ends the demo
run() {
    local expected=0 status=0
    if [ "$1" = -x ]; then expected=$2; shift 2; fi
    printf '%s$ %s%s\n' "$BOLD" "$*" "$PLAIN"
    "$@" || status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "demo.sh: exit status $status, expected $expected: $*" >&2
        exit 1
    fi
}

rm -rf "$WORK"
mkdir -p "$WORK"
cp "$HERE"/*.py "$HERE"/gauges.csv "$HERE"/process.sh "$WORK"
cd "$WORK"

spawn engine start >/dev/null
if ! spawn engine status -o json | grep '"private_tmp": *null' >/dev/null; then
    echo "This machine gives no child a /tmp of its own, and process.sh needs one: the children run one at a time." >&2
    ONE_AT_A_TIME=(--max-concurrent 1)
fi

say "A hundred files: a year of readings of a hundred river gauges, with the faults that real files have"
run python3 make_inputs.py

say "One child for each file. One file is bad, so this ends with exit status 7: finished, but some indexes failed"
run -x 7 spawn launch --array 100 --name process-files --user-data @process.sh --on-complete terminate ${ONE_AT_A_TIME[@]+"${ONE_AT_A_TIME[@]}"} --wait

say "Which one failed, and why?"
run spawn status process-files

say "Repair that file and run only what failed, under the same array id"
run python3 make_inputs.py --repair 37
run spawn retry process-files @failed
run spawn wait process-files

say "All outputs in one directory, and one table out of them"
run spawn collect process-files results
run python3 aggregate.py results

say "Nothing stays behind but $(pwd)/results"
run spawn engine stop --terminate --yes
