"""Finished requests for the tests of what is told about them."""

from twospeed.types import Attempt, Backend, Record, Trace, Usage

FAST = Backend("near", "spark", "eu", "near/spark@eu")
DEEP = Backend("far", "heavy/one", "us", "far/heavy/one@us")
TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
SAMPLED = Trace(TRACE.id, TRACE.span, "b7ad6b7169203331", sampled=True)


def attempt(backend: Backend = FAST, began: float = 100.0, **fields) -> Attempt:
    """An attempt that went well within a second."""
    good = {"connected_at": began + 0.01, "first_token_at": began + 0.2, "ended_at": began + 1.0, "status": 200}
    return Attempt(backend, began, **good | fields)


def record(**fields) -> Record:
    """A streamed request, answered with 11 tokens: first after 0.2 s, all after 1.2 s."""
    usual = {
        "id": "req_1",
        "started_at": 100.0,
        "started_wall": 1_700_000_000.0,
        "endpoint": "/v1/chat/completions",
        "dialect": "openai_chat",
        "operation": "chat",
        "caller": "ann",
        "session": "5e55104a5e55104a",
        "client": "editor/1.0",
        "requested_model": "auto",
        "stream": True,
        "tier": "fast",
        "reasons": ("score:low", "tools:2"),
        "score": 0.25,
        "attempts": [attempt()],
        "status": 200,
        "committed_at": 100.2,
        "ended_at": 101.2,
        "bytes_in": 300,
        "bytes_out": 400,
        "finish": "stop",
        "usage": Usage(1_000, 11, 600, 4),
        "config": "c0ffee",
    }
    return Record(**usual | fields)
