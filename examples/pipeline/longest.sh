#!/bin/sh
# JobB: of a hundred numbers, the one that takes most steps to reach 1 (n/2 when even, 3n+1 when odd).
# Child i has the numbers 100 i + 1 to 100 i + 100 and writes `NUMBER STEPS`.
set -eu
index=$AWS_BATCH_JOB_ARRAY_INDEX
result=$1/longest/$((index / 1000))/$index
awk -v first=$((index * 100 + 1)) 'BEGIN {
    for (start = first; start < first + 100; start++) {
        steps = 0
        for (n = start; n != 1; steps++) n = n % 2 ? 3 * n + 1 : n / 2
        if (steps > most) { most = steps; longest = start }
    }
    print longest + 0, most + 0
}' >"$result.part"
mv "$result.part" "$result"
