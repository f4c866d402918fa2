"""The request log."""

import json

from twospeed.errors import Kind
from twospeed.telemetry.lines import WAITING, RequestLog, json_line, text_line
from twospeed.types import Attempt, Backend, Record, Usage

ONE, TWO = (Backend(name, "m", "r", f"{name}/m@r") for name in ("one", "two"))


def finished(**changes: object) -> Record:
    """A record of a request that fell back once."""
    record = Record(
        id="req_0123456789",
        started_at=10.0,
        started_wall=1_700_000_000.0,
        endpoint="/v1/chat/completions",
        tier="fast",
        reasons=("score:low",),
        attempts=[
            Attempt(ONE, 10.0, ended_at=10.1, kind=Kind.RESET, detail="cut"),
            Attempt(TWO, 10.1, first_token_at=10.3),
        ],
        status=200,
        committed_at=10.3,
        ended_at=11.0,
        caller="ann",
        requested_model="auto",
        usage=Usage(7, 5, estimated=True),
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def test_one_line_says_what_happened():
    """Status, tier, who served, how long, how much, why, and every attempt that failed."""
    line = text_line(finished())
    assert line.count("\n") == 1
    for part in ("200", "fast two/m@r", "1000.0ms", "first=300ms", "7/5~", "why=score:low", "[one/m@r reset]"):
        assert part in line


def test_nobody_forges_a_line():
    """Line breaks and terminal codes from a client are escaped."""
    line = text_line(finished(requested_model="x\nreq_9 200 \x1b[31m"))
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert json.loads(json_line(finished(requested_model="x\ny")))["model"] == "x\ny"


def test_json_names_every_attempt():
    """Machines get each attempt with its times since the start."""
    row = json.loads(json_line(finished(fault=Kind.IDLE_TIMEOUT)))
    assert row["fault"] == "idle_timeout"
    assert [attempt["kind"] for attempt in row["attempts"]] == ["reset", None]
    assert row["attempts"][1]["first_token"] == 0.3
    assert row["usage"]["estimated"] is True


def test_json_is_plain_ascii_whatever_it_tells():
    """A name in any alphabet, and half a character, come back as they were; the line itself has neither."""
    for model in ("modèle-漢-😀", "\ud83d", "plain", "\x7f\x00"):
        line = json_line(finished(requested_model=model))
        assert line.isascii()
        assert json.loads(line)["model"] == model


def test_a_refused_request_has_a_line_too():
    """A request that reached no backend still says why."""
    assert "fault=model_not_found" in text_line(finished(attempts=[], usage=None, fault=Kind.MODEL_NOT_FOUND, tier=""))


def test_lines_are_written_in_batches_and_bounded():
    """Nothing is written on the request's path; what nobody flushes is dropped from the old end and counted."""
    written: list[str] = []
    log = RequestLog(text_line, written.append)
    for number in range(WAITING + 3):
        log(finished(id=f"req_{number}"))
    assert written == []
    log.flush()
    assert (len(written), written[0].count("\n"), log.dropped) == (1, WAITING, 3)
    log.flush()
    assert len(written) == 1
