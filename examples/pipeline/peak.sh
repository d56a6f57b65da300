#!/bin/sh
# JobC: how high the number climbs that the same child of JobB has found. Writes `NUMBER STEPS PEAK`.
set -eu
index=$AWS_BATCH_JOB_ARRAY_INDEX
place=$((index / 1000))/$index
awk '{
    peak = n = $1
    for (steps = 0; n != 1; steps++) { n = n % 2 ? 3 * n + 1 : n / 2; if (n > peak) peak = n }
    if (steps != $2) { print "JobB says " $2 " steps, and it is " steps >"/dev/stderr"; exit 1 }
    printf "%d %d %.0f\n", $1, steps, peak
}' "$1/longest/$place" >"$1/peak/$place.part"
mv "$1/peak/$place.part" "$1/peak/$place"
