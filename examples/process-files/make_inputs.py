#!/usr/bin/env python3
"""Make the 100 input files: a year of daily readings of each gauge in gauges.csv, and the faults that real files have.

The places are real, the readings are drawn: the same files every time, on every machine.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import random
from datetime import date, timedelta
from pathlib import Path

GAUGES = Path(__file__).parent / "gauges.csv"
COLUMNS = ["time", "station", "river", "country", "level_m", "flow_m3s", "water_c", "remark"]
FIRST_DAY = date(2024, 1, 1)
DAYS = 366

EMPTY = 13  # the logger made the file and died
HEADER_ONLY = 29  # the gauge was moved: no reading all year
MISSING_COLUMN = 37  # the export lost flow_m3s; --repair brings it back
CRLF = 41  # came from another system
QUOTED_COMMAS = 62  # an observer with much to say
LONG_ROW = 77  # someone pasted a whole logbook into one remark

REMARKS = ["", "ice at the banks", "read by hand", "Pegel gespült", "sensor cleaned, then checked", "débit estimé", "śryż, odczyt ręczny"]


def readings(gauge: dict[str, str], random_numbers: random.Random) -> list[dict[str, str]]:
    """One row a day: snow melt in spring, low water in late summer, rain that comes as a step and drains away over days."""
    mean_flow, mean_water = float(gauge["flow_m3s"]), float(gauge["water_c"])
    wet = 0.0
    rows = []
    for day in range(DAYS):
        season = 2 * math.pi * day / DAYS
        if random_numbers.random() < 0.09:
            wet += random_numbers.expovariate(1 / 0.7)
        wet *= 0.86
        flow = mean_flow * (0.75 + 0.25 * math.sin(season - 0.3) + wet + random_numbers.gauss(0, 0.02))
        flow = max(flow, mean_flow * 0.15)
        water = mean_water - 8.5 * math.cos(season - 0.45) + random_numbers.gauss(0, 0.6)
        # a rating curve: the level follows a power of the flow
        level = 1.2 + 1.9 * (flow / mean_flow) ** 0.45
        out_of_order = random_numbers.random() < 0.01
        rows.append(
            {
                "time": (FIRST_DAY + timedelta(days=day)).isoformat() + "T06:00:00Z",
                "station": gauge["station"],
                "river": gauge["river"],
                "country": gauge["country"],
                "level_m": "" if out_of_order else f"{level:.2f}",
                "flow_m3s": "" if out_of_order else f"{flow:.2f}",
                "water_c": f"{max(water, 0.1):.1f}",
                "remark": random_numbers.choice(REMARKS) if random_numbers.random() < 0.05 else "",
            }
        )
    return rows


def content(index: int, gauge: dict[str, str], *, whole: bool) -> bytes:
    """What stands in file `index`; `whole`: without the fault that makes its child fail."""
    if index == EMPTY:
        return b""
    rows = readings(gauge, random.Random(f"gauge {index}"))
    columns = COLUMNS
    if index == HEADER_ONLY:
        rows = []
    elif index == MISSING_COLUMN and not whole:
        columns = [name for name in COLUMNS if name != "flow_m3s"]
    elif index == QUOTED_COMMAS:
        for row in rows:
            row["remark"] = f'seen from the bridge, {row["water_c"]} °C, "as usual", wind from the west'
    elif index == LONG_ROW:
        rows[180]["remark"] = " ".join(f"entry {n}: nothing to report." for n in range(8000))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n" if index == CRLF else "\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=Path("inputs"), help="where to write file-000.csv to file-099.csv (default: inputs)")
    parser.add_argument("--repair", type=int, metavar="INDEX", help="write only this file, without its fault")
    arguments = parser.parse_args()

    with GAUGES.open(encoding="utf-8", newline="") as file:
        gauges = list(csv.DictReader(file))
    repair = arguments.repair
    if repair is not None and not 0 <= repair < len(gauges):
        parser.error(f"there is no file {repair}: expected 0 to {len(gauges) - 1}")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for index, gauge in enumerate(gauges):
        if repair in (None, index):
            (arguments.directory / f"file-{index:03}.csv").write_bytes(content(index, gauge, whole=repair == index))
    what = f"{len(gauges)} files" if repair is None else f"file-{repair:03}.csv again"
    print(f"wrote {what} in {arguments.directory}")


if __name__ == "__main__":
    main()
