#!/bin/sh
# JobA: make the places where the children of JobB and JobC write, a thousand files in each.
set -eu
work=$1
rm -rf "$work"
for step in 0 1 2 3 4 5 6 7 8 9; do
    mkdir -p "$work/longest/$step" "$work/peak/$step"
done
echo "1000000 numbers in 10000 pieces below $work"
