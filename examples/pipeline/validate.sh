#!/bin/sh
# JobD: step i checks that a thousand results are there and takes them together with the steps before it, so the steps go one after the other.
set -eu
work=$1
step=$AWS_BATCH_JOB_ARRAY_INDEX
found=$(ls "$work/peak/$step" | wc -l)
if [ "$found" -ne 1000 ]; then
    echo "step $step: $found results instead of 1000" >&2
    exit 1
fi
before=/dev/null
[ "$step" -eq 0 ] || before=$work/best-$((step - 1))
find "$work/peak/$step" -type f -exec cat {} + | cat "$before" - | sort -k2,2nr -k1,1n | head -n 1 >"$work/best-$step"
cat "$work/best-$step"
