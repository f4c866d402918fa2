"""Commands that look and answer without serving: validate, explain, classify, schema, version."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from twospeed import __version__
from twospeed.cli import FAILED, MISUSED, OK
from twospeed.config import load
from twospeed.dialects import Dialect, discover
from twospeed.errors import Fault
from twospeed.policy.classify import Classifier, Classify
from twospeed.problems import ConfigError, render
from twospeed.telemetry.conventions import SEMCONV
from twospeed.types import Verdict


def validate(options: argparse.Namespace) -> int:
    """Say everything that is wrong with a file; nothing is started."""
    try:
        loaded = load(options.file)
    except ConfigError as error:
        print(render(error.problems, options.format))
        return MISUSED
    if loaded.warnings or options.format == "json":
        print(render(loaded.warnings, options.format))
    if options.format == "text":
        print(f"{options.file}: ok")
    return OK


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of the config file."""
    from twospeed.reference import schema as built

    print(json.dumps(built(), indent=2))
    return OK


def version(options: argparse.Namespace) -> int:
    """Print the version and what it speaks."""
    print(f"twospeed {__version__} (Python {sys.version.split()[0]})")
    print(f"OpenTelemetry semantic conventions {SEMCONV}")
    return OK


def classify(options: argparse.Namespace) -> int:
    """Read `{"id", "endpoint", "body"}` lines, print a verdict for each, in the same order.

    A line that is no request gets a verdict line with an `error`, and the exit code is 1.
    """
    settings = Classify()
    if options.config:
        try:
            settings = load(options.config).config.classify
        except ConfigError as error:
            print(error, file=sys.stderr)
            return MISUSED
    classifier, dialects = Classifier(settings), by_path()
    failed = False
    for line in sys.stdin.buffer:
        if line.strip():
            row = _classified(line, classifier, dialects)
            failed = failed or "error" in row
            sys.stdout.write(json.dumps(row) + "\n")
    return FAILED if failed else OK


def explain(options: argparse.Namespace) -> int:
    """Say where a request would go, and why."""
    from twospeed.cli.explain import explanation, in_words

    try:
        loaded = load(options.file)
        body = _read(options.request)
        result = explanation(loaded, body, dict(headers(options.header)))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    except OSError as error:
        print(f"{options.request}: cannot be read: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return MISUSED
    except ValueError as error:
        print(error, file=sys.stderr)
        return MISUSED
    except Fault as fault:
        print(f"this request would be refused: {fault.message}", file=sys.stderr)
        return FAILED
    print(json.dumps(result, indent=2) if options.json else in_words(result))
    return OK


def by_path() -> dict[str, Dialect]:
    """Every path a dialect answers, with and without the version prefix."""
    found = discover().values()
    return {prefix + path: dialect for dialect in found for path in dialect.paths for prefix in ("", "/v1")}


def headers(given: list[str]) -> Iterator[tuple[bytes, bytes]]:
    """Take apart what `--header` was given. Raises: ValueError."""
    for header in given:
        name, colon, value = header.partition(":")
        if not colon:
            raise ValueError(f"--header wants NAME:VALUE, not {header!r}")
        yield name.strip().lower().encode(), value.strip().encode()


def _classified(line: bytes, classifier: Classifier, dialects: dict[str, Dialect]) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {"id": None, "error": "not JSON"}
    if not isinstance(row, dict) or not isinstance(row.get("endpoint"), str) or "body" not in row:
        known = row.get("id") if isinstance(row, dict) else None
        return {"id": known, "error": 'not a line {"id", "endpoint", "body"}'}
    dialect = dialects.get(row["endpoint"])
    if dialect is None:
        return {
            "id": row.get("id"),
            "error": f"no endpoint {row['endpoint'][:100]}; there are {', '.join(sorted(dialects))}",
        }
    try:
        request = dialect.decode(json.dumps(row["body"]).encode(), row["endpoint"])
    except Fault as fault:
        return {"id": row.get("id"), "error": fault.message}
    return {"id": row.get("id"), **as_row(classifier.classify(dialect.conversation(request)))}


def as_row(verdict: Verdict) -> dict[str, Any]:
    """Show a verdict as JSON values; `gain` only where there is one."""
    row: dict[str, Any] = {"tier": verdict.tier, "score": verdict.score, "reasons": list(verdict.reasons)}
    if verdict.gain is not None:
        row["gain"] = verdict.gain
    return row


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()
