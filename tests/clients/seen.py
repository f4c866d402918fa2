#!/usr/bin/env python3
"""Print what a server saw of a client, from its JSON request log, and check that it was a conversation with tools.

    seen.py LOG MARK [--turns N] [--sessions N] [--api PATH] [--refused N] [--broken] [--plain]

Exits 1 when there is no such conversation: a request failed (beyond the 400s that are looked for, `--refused`), no result of a tool came back, or the turns do not all
belong to `--sessions` sessions. `--broken`: answers broke on the way, and the client asked again. `--plain`: a client
without tools.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

BROKE = ("reset", "truncated", "error_event", "idle_timeout", "protocol_error")


def main() -> int:
    """Say what was seen, line by line, then what is wrong with it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("mark")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--api", default="")
    parser.add_argument("--refused", type=int, default=0)
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.log.read_text().splitlines() if line.startswith("{")]
    for row in rows:
        print(f"  {options.mark}: {shown(row)}")
    problems = list(wrong(rows, options))
    for problem in problems:
        print(f"  {options.mark}: {problem}", file=sys.stderr)
    return int(bool(problems))


def shown(row: dict[str, Any]) -> str:
    """One request in a line."""
    tries = "".join(f" [{attempt['kind']}]" for attempt in row["attempts"] if attempt["kind"])
    notes = f" notes={'; '.join(row['notes'])}" if row["notes"] else ""
    how = "stream" if row["stream"] else "plain"
    return (
        f"{row['status']} {row['endpoint']} {how} model={row['model']} {row['bytes_in'] / 1000:.1f}kB -> {row['tier'] or '-'}"
        f" ({', '.join(row['reasons'])}) finish={row['finish'] or '-'} session={row['session_source']}:{row['session'][:6]}"
        f"{tries}{notes}"
    )


def wrong(rows: list[dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """Say what is not as it should be."""
    problems = []
    bad = [row for row in rows if row["status"] != 200 or (row["fault"] and row["fault"] != "client_gone")]
    if options.broken:
        broken = [row for row in bad if row["fault"] in BROKE]
        if not broken:
            problems.append("nothing broke")
        bad = [row for row in bad if row not in broken]
    refused = [row for row in bad if row["status"] == 400]
    if len(refused) == options.refused:
        bad = [row for row in bad if row not in refused]
    problems += [f"{row['status']} {row['fault']} {row['fault_detail']} at {row['endpoint']}" for row in bad]
    served = [row for row in rows if row not in bad and options.api in row["endpoint"] and not row["fault"]]
    results = [row for row in served if any(reason.startswith("agent:") for reason in row["reasons"])]
    if not options.plain and len(results) < options.turns:
        problems.append(f"results of tools came back in {len(results)} requests, of {options.turns} turns")
    if len(served) < options.turns * (1 if options.plain else 2):
        problems.append(f"only {len(served)} requests were served")
    sessions = {row["session"] for row in (served if options.plain else results)}
    if len(sessions) != options.sessions:
        problems.append(f"the turns belong to {len(sessions)} sessions")
    return problems


if __name__ == "__main__":
    sys.exit(main())
