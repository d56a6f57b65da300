#!/usr/bin/env python3
"""Read every summary.json below a directory and print one table: the year of each country's rivers."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

HEADER = ["country", "gauges", "readings", "water °C", "lowest m³/s", "highest m³/s", "highest at"]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def country_row(country: str, summaries: list[dict]) -> list[str]:
    """One line of the table: the mean of the water's temperature, and the least and the greatest flow."""
    flows = [(summary["columns"]["FLOW_M3S"], summary) for summary in summaries]
    lowest = min(flow["min"] for flow, _ in flows)
    highest, where = max(((flow["max"], summary) for flow, summary in flows), key=lambda pair: pair[0])
    return [
        country.title(),
        str(len(summaries)),
        str(sum(summary["rows"] for summary in summaries)),
        f"{mean([summary['columns']['WATER_C']['mean'] for summary in summaries]):.1f}",
        f"{lowest:,.1f}",
        f"{highest:,.1f}",
        f"{where['river'].title()}, {where['station'].title()}",
    ]


def table(rows: list[list[str]]) -> str:
    """The rows below the header; numbers to the right."""
    widths = [max(len(row[column]) for row in [HEADER, *rows]) for column in range(len(HEADER))]
    texts = (0, len(HEADER) - 1)
    lines = []
    for row in [HEADER, ["─" * width for width in widths], *rows]:
        cells = [cell.ljust(width) if column in texts else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def print_absent(manifest: Path) -> None:
    """Say which indexes are not in the table, if `spawn collect` wrote down that some are not."""
    if manifest.is_file():
        collected = json.loads(manifest.read_text(encoding="utf-8"))
        for what in ("failed", "missing"):
            if collected[what]:
                print(f"not among them, because {what}: {collected[what]}")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: aggregate.py DIRECTORY")
    found = sorted(Path(sys.argv[1]).rglob("summary.json"))
    if not found:
        sys.exit(f"{sys.argv[1]}: no summary.json below it")
    by_country: dict[str, list[dict]] = defaultdict(list)
    without = 0
    for path in found:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if summary["rows"]:
            by_country[summary["country"]].append(summary)
        else:
            without += 1
    print(table([country_row(country, by_country[country]) for country in sorted(by_country)]))
    print(f"\n{len(found)} files, {without} of them without a reading")
    print_absent(Path(sys.argv[1]) / "manifest.json")


if __name__ == "__main__":
    main()
