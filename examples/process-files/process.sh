#!/bin/bash
set -e

# Get array index
INDEX=$TASK_ARRAY_INDEX

# Pad index to 3 digits (000, 001, ..., 099)
PADDED_INDEX=$(printf "%03d" "$INDEX")

# The directory in which the array was launched is where each child starts
INPUT_FILE="inputs/file-${PADDED_INDEX}.csv"

echo "Processing file ${PADDED_INDEX}"

# Every child writes this same name, and none sees another's: each has a /tmp of its own
LC_ALL=C tr '[:lower:]' '[:upper:]' < "$INPUT_FILE" > /tmp/output.csv

# What stands in TASK_OUTPUT_DIR at the end is what `spawn collect` brings
python3 summarise.py /tmp/output.csv "$TASK_OUTPUT_DIR/summary.json"

echo "Completed file ${PADDED_INDEX}"

# Mark complete
spored complete --status success
