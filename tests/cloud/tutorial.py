"""The three real-world examples of the tutorial: its scripts and commands as they are printed there, and the worlds that they expect."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

PROCESS = r"""#!/bin/bash
set -e

# Get array index
INDEX=$TASK_ARRAY_INDEX

# Pad index to 3 digits (000, 001, ..., 099)
PADDED_INDEX=$(printf "%03d" $INDEX)

# File paths
INPUT_FILE="s3://my-data/input/file-${PADDED_INDEX}.csv"
OUTPUT_FILE="s3://my-data/output/file-${PADDED_INDEX}.csv"

echo "Processing file ${PADDED_INDEX}"

# Download input
aws s3 cp "$INPUT_FILE" /tmp/input.csv

# Process (replace with your logic)
# Example: Convert to uppercase
tr '[:lower:]' '[:upper:]' < /tmp/input.csv > /tmp/output.csv

# Upload output
aws s3 cp /tmp/output.csv "$OUTPUT_FILE"

echo "Completed file ${PADDED_INDEX}"

# Mark complete
spored complete --status success
"""

RENDER = r"""#!/bin/bash
set -e

# Get frame number from array index
FRAME=$TASK_ARRAY_INDEX

echo "Rendering frame $FRAME"

# Download scene file
aws s3 cp s3://my-renders/scene.blend /tmp/scene.blend

# Render frame using Blender
blender -b /tmp/scene.blend -f $FRAME -o /tmp/frame-####

# Upload rendered frame
aws s3 cp /tmp/frame-$(printf "%04d" $FRAME).png \
  s3://my-renders/output/frame-$(printf "%04d" $FRAME).png

echo "Completed frame $FRAME"
spored complete --status success
"""

SIMULATE = r"""#!/usr/bin/env python3
import os
import random
import json

# Get simulation number
sim_id = int(os.environ['TASK_ARRAY_INDEX'])

# Set seed for reproducibility
random.seed(sim_id)

# Run simulation (simplified example)
results = []
for _ in range(10000):
    value = random.gauss(100, 15)
    results.append(value)

mean = sum(results) / len(results)
variance = sum((x - mean) ** 2 for x in results) / len(results)

# Save results
output = {
    'simulation_id': sim_id,
    'mean': mean,
    'variance': variance
}

with open(f'/tmp/simulation-{sim_id:04d}.json', 'w') as f:
    json.dump(output, f, indent=2)

# Upload to S3
import subprocess
subprocess.run([
    'aws', 's3', 'cp',
    f'/tmp/simulation-{sim_id:04d}.json',
    f's3://my-simulations/results/simulation-{sim_id:04d}.json'
])

print(f"Simulation {sim_id} complete: mean={mean:.2f}, var={variance:.2f}")
"""

MONTE_CARLO = r"""#!/bin/bash
yum install -y python3
python3 /home/ec2-user/simulate.py
spored complete --status success
"""

BLENDER = r"""#!/bin/sh
# stands in for Blender: -b SCENE -f FRAME -o PATTERN, where #### is the frame's number in four digits
while [ $# -gt 0 ]; do
    case "$1" in
        -b) scene=$2 ;;
        -f) frame=$2 ;;
        -o) pattern=$2 ;;
    esac
    shift 2
done
printf 'frame %s of %s' "$frame" "$(cat "$scene")" > "$(dirname "$pattern")/frame-$(printf '%04d' "$frame").png"
"""

MONITOR = r"""#!/bin/bash
ARRAY_ID=$1

while true; do
  clear
  echo "Job Array: $ARRAY_ID"
  echo "================================"

  TOTAL=$(spawn list --tag array:id=$ARRAY_ID | wc -l)
  RUNNING=$(spawn list --tag array:id=$ARRAY_ID --state running | wc -l)
  STOPPED=$(spawn list --tag array:id=$ARRAY_ID --state stopped | wc -l)
  TERMINATED=$(spawn list --tag array:id=$ARRAY_ID --state terminated | wc -l)

  echo "Total:      $TOTAL"
  echo "Running:    $RUNNING"
  echo "Stopped:    $STOPPED"
  echo "Terminated: $TERMINATED"
  echo ""
  echo "Progress: $TERMINATED / $TOTAL ($(( TERMINATED * 100 / TOTAL ))%)"

  sleep 10
done
"""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One of them: what is typed, with the size left open, and what has to be there before and after."""

    command: str  #: as printed, but for the array's size
    size: int  #: as printed
    scripts: Mapping[str, str] = field(default_factory=dict)  #: files of the working directory
    bucket: str
    inputs: Mapping[str, str] = field(default_factory=dict)  #: objects by key; `{index}` stands for every index in three digits
    outputs: str  #: the keys of what is made, as a format of the index

    def words(self, size: int) -> list[str]:
        """The command as the shell splits it."""
        return shlex.split(self.command.replace("\\\n", " ").replace(f"--array {self.size}", f"--array {size}"))[1:]


FILES = Example(
    command=r"""spawn launch \
  --instance-type c7i.large \
  --array 100 \
  --ttl 2h \
  --name file-processor \
  --iam-policy s3:FullAccess \
  --on-complete terminate \
  --user-data @process.sh""",
    size=100,
    scripts={"process.sh": PROCESS},
    bucket="my-data",
    inputs={"input/file-{index:03d}.csv": "name,value\nalpha,{index}\n"},
    outputs="output/file-{index:03d}.csv",
)

FRAMES = Example(
    command=r"""spawn launch \
  --instance-type c7i.2xlarge \
  --array 500 \
  --ttl 1h \
  --name video-render \
  --ami ami-blender \
  --iam-policy s3:FullAccess \
  --spot \
  --spot-max-price 0.15 \
  --on-complete terminate \
  --user-data @render.sh""",
    size=500,
    scripts={"render.sh": RENDER},
    bucket="my-renders",
    inputs={"scene.blend": "a scene"},
    outputs="output/frame-{index:04d}.png",
)

SIMULATIONS = Example(
    command=r"""spawn launch \
  --instance-type t3.medium \
  --array 1000 \
  --ttl 30m \
  --name monte-carlo \
  --iam-policy s3:FullAccess \
  --spot \
  --on-complete terminate \
  --user-data '"""
    + MONTE_CARLO
    + "'",
    size=1000,
    bucket="my-simulations",
    outputs="results/simulation-{index:04d}.json",
)
