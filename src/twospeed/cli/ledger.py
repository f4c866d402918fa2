"""`twospeed ledger verify`: whether anybody was at the audit ledger. Exit codes: 0 whole, 1 broken, 2 cannot be read."""

import argparse
import json
import sqlite3
import sys
from pathlib import Path

from twospeed.cli import FAILED, MISUSED, OK
from twospeed.config import LEDGER, load, state_folder
from twospeed.problems import ConfigError
from twospeed.stores.ledger.file import Book


def verify(options: argparse.Namespace) -> int:
    """Read the whole ledger and find the first line that is not what was written."""
    try:
        path = Path(options.file) if options.file else load(options.config).ledger if options.config else None
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    path = path or state_folder() / LEDGER
    if not path.exists():
        print(f"{path}: there is no ledger; name its file, or the config file with --config", file=sys.stderr)
        return MISUSED
    book = Book(path)
    try:
        found, lines = book.verify(), book.newest()
        head = book.lines(after=lines - 1, limit=1)
    except (sqlite3.Error, OSError) as error:
        print(f"{path}: cannot be read: {error}", file=sys.stderr)
        return MISUSED
    finally:
        book.close()
    last = head[0].hash if head else ""
    told: dict[str, str | int | bool | None] = {
        "path": str(path),
        "lines": lines,
        "whole": found is None,
        "head": last,
        "broken_at": found.number if found else None,
        "reason": found.reason if found else "",
    }
    said = f"BROKEN at line {found.number}: {found.reason}" if found else f"whole, {lines} lines, head {last[:16]}"
    print(json.dumps(told) if options.json else f"{path}: {said}")
    return FAILED if found else OK
