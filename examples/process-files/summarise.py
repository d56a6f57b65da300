#!/usr/bin/env python3
"""Summarise one file of readings: for each column of numbers its count, mean, smallest and largest.

An empty file has no readings, which is no fault; a file without a column that it should have is one.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

NUMBERS = ["LEVEL_M", "FLOW_M3S", "WATER_C"]
NEEDED = ["STATION", "RIVER", "COUNTRY", *NUMBERS]


def summary(path: Path) -> dict[str, object]:
    """The summary of a file whose letters are capitals; a missing column ends the program."""
    # one remark may be longer than the 128 KiB that the module allows a field
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames
        rows = list(reader)
    if header is None:
        return {"rows": 0, "station": None, "river": None, "country": None, "columns": {}}
    missing = [name for name in NEEDED if name not in header]
    if missing:
        sys.exit(f"{path}: no column {', '.join(missing)}; its columns are {', '.join(header)}")

    columns = {}
    for name in NUMBERS:
        values = [float(row[name]) for row in rows if row[name]]
        if values:
            columns[name] = {"count": len(values), "mean": round(sum(values) / len(values), 3), "min": min(values), "max": max(values)}
    first = rows[0] if rows else dict.fromkeys(NEEDED)
    return {"rows": len(rows), "station": first["STATION"], "river": first["RIVER"], "country": first["COUNTRY"], "columns": columns}


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: summarise.py INPUT.csv SUMMARY.json")
    result = summary(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"{result['rows']} rows")


if __name__ == "__main__":
    main()
