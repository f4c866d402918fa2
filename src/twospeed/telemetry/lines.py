"""The request log: one line per finished request, made from its record, in words or as JSON.

Lines are made of some records at a time, and written in batches by `flush`, off the request's path; the runtime calls it a
few times a second and once at the end. Values that come from clients are escaped, so that nobody can forge a line (R34).
"""

import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from twospeed.telemetry import TOGETHER
from twospeed.types import Attempt, Record, Verdict

WAITING = 10_000  # lines kept at most between flushes; beyond, the oldest are dropped and counted
_encode = msgspec.json.Encoder().encode


class RequestLog:
    """A Sink. `write` takes finished text, ending in a newline."""

    def __init__(self, render: Callable[[Record], str], write: Callable[[str], object]) -> None:
        self._render = render
        self._write = write
        self._records: list[Record] = []
        self._waiting: deque[str] = deque(maxlen=WAITING)
        self.dropped = 0

    def __call__(self, record: Record) -> None:
        """Keep a finished record for the next flush, at the latest with TOGETHER - 1 others as a line."""
        self._records.append(record)
        if len(self._records) >= TOGETHER:
            self._make_lines()

    def flush(self) -> None:
        """Write what is waiting."""
        self._make_lines()
        if self._waiting:
            lines, self._waiting = self._waiting, deque(maxlen=WAITING)
            self._write("".join(lines))

    def _make_lines(self) -> None:
        records, self._records = self._records, []
        self.dropped += max(0, len(self._waiting) + len(records) - WAITING)
        self._waiting.extend([self._render(record) for record in records])


def text_line(record: Record) -> str:
    """Render a record for people.

    The columns: time, status, endpoint, tier, backend, total and first-token milliseconds, tokens in/out, dollars, why,
    what auto would have chosen where it only watches, and for each attempt that failed what happened to it.
    """
    took = (record.ended_at - record.started_at) * 1_000
    first = f" first={(record.committed_at - record.started_at) * 1_000:.0f}ms" if record.committed_at else ""
    usage = record.usage
    tokens = f" tokens={usage.input_tokens}/{usage.output_tokens}{'~' if usage.estimated else ''}" if usage else ""
    tries = "".join([f" {_short(attempt)}" for attempt in record.attempts if attempt.kind])
    money = f" ${record.cost:.6f}" if record.cost is not None else ""
    watched = f" auto={record.observed.tier}" if record.observed else ""
    fault = f" fault={record.fault.value}" if record.fault else ""
    why = ",".join(record.reasons[:3])
    return _plain(
        f"{record.id} {record.status or '-'} {record.endpoint} {record.tier or '-'} {record.backend or '-'}"
        f" {took:.1f}ms{first}{tokens}{money} caller={record.caller} model={record.requested_model} why={why}{watched}{tries}{fault}"
    )


def json_line(record: Record) -> str:
    """Render a record for machines: one JSON object per line, seconds and tokens as numbers."""
    row: dict[str, Any] = {
        "ts": round(record.started_wall, 6),
        "id": record.id,
        "endpoint": record.endpoint,
        "dialect": record.dialect,
        "caller": record.caller,
        "session": record.session,
        "session_source": record.session_source,
        "client": record.client,
        "model": record.requested_model,
        "stream": record.stream,
        "tier": record.tier,
        "reasons": record.reasons,
        "score": record.score,
        "backend": record.backend,
        "status": record.status,
        "fault": record.fault,
        "fault_detail": record.fault_detail,
        "finish": record.finish,
        "duration": round(record.ended_at - record.started_at, 6),
        "first_token": round(record.committed_at - record.started_at, 6) if record.committed_at else None,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "usage": record.usage,
        "cost": None if record.cost is None else round(record.cost, 9),
        "gain": record.gain,
        "observed": _observed(record.observed),
        "weighed": record.weighed,
        "explained": record.explained,
        "notes": record.notes,
        "attempts": [_attempt(record, attempt) for attempt in record.attempts],
    }
    return _ascii(row) + "\n"


def _ascii(row: dict[str, Any]) -> str:
    """Encode a row; msgspec is much faster, but writes no \\u escapes, and half a surrogate pair not at all."""
    with suppress(UnicodeEncodeError):
        encoded = _encode(row)
        if encoded.isascii():
            return encoded.decode()
    return json.dumps(msgspec.to_builtins(row), ensure_ascii=True, separators=(",", ":"))


def _observed(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {"tier": verdict.tier, "score": verdict.score, "reasons": verdict.reasons}


def _attempt(record: Record, attempt: Attempt) -> dict[str, Any]:
    def since_start(at: float | None) -> float | None:
        return None if at is None else round(at - record.started_at, 6)

    return {
        "backend": attempt.backend.name,
        "status": attempt.status,
        "kind": attempt.kind,
        "detail": attempt.detail,
        "started": since_start(attempt.started_at),
        "connected": since_start(attempt.connected_at),
        "first_token": since_start(attempt.first_token_at),
        "ended": since_start(attempt.ended_at),
        "reused": attempt.reused,
        "request_id": attempt.request_id,
        "hedge": attempt.hedge,
        "resumed": attempt.resumed,
    }


def _short(attempt: Attempt) -> str:
    return f"[{attempt.backend.name} {attempt.kind.value if attempt.kind else 'ok'}]"


def _plain(line: str) -> str:
    """Escape what could start a new line or colour a terminal."""
    if line.isprintable():
        return line + "\n"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line) + "\n"
