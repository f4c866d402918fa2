"""One simulated provider: order, chance and what goes wrong."""

import json
from typing import Any

import pytest

from twospeed.upstream.script.answer import Answer, Ending
from twospeed.upstream.script.performer import Performer
from twospeed.upstream.script.settings import FaultKind, Simulation

CHAT = "/v1/chat/completions"


def performer(name: str = "sim", **settings: Any) -> Performer:
    return Performer(name, Simulation.model_validate(settings), wall=lambda: 1_700_000_000.0)


def body(**fields: Any) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "stream": True, **fields}
    ).encode()


def ask(one: Performer, orders: str = "", path: str = CHAT, data: bytes | None = None) -> Answer:
    return one.answer(one.turn(), path, orders, body() if data is None else data)


def played(answer: Answer) -> list[tuple[float, bytes]]:
    return list(answer.body)


def test_same_seed_same_answers():
    """The n-th request of two runs gets the same bytes at the same instants; another seed or name gets others."""
    runs = [[played(ask(one)) for _ in range(5)] for one in (performer(seed=3), performer(seed=3))]
    assert runs[0] == runs[1]
    assert len({str(answer) for answer in runs[0]}) == 5
    assert played(ask(performer(seed=4))) != runs[0][0]
    assert played(ask(performer("other", seed=3))) != runs[0][0]


def test_faults_take_their_share():
    """Configured faults strike their share of requests, each its own, and always the same ones for a seed."""
    faults = [{"kind": "http_503", "share": "10%"}, {"kind": "stall", "share": "5%"}]
    one, two = performer(faults=faults), performer(faults=faults)
    drawn = [one.turn().rule for _ in range(4000)]
    kinds = [rule.kind if rule else None for rule in drawn]
    assert 320 < kinds.count(FaultKind.HTTP_503) < 480
    assert 140 < kinds.count(FaultKind.STALL) < 260
    assert kinds == [rule.kind if rule else None for rule in (two.turn().rule for _ in range(4000))]


def test_always_means_always():
    """A share of 100% leaves no request whole."""
    one = performer(faults=[{"kind": "http_500"}])
    assert {ask(one).status for _ in range(50)} == {500}


def test_orders_win_over_shares():
    """A header can order another fault than the configured one, or for this provider only."""
    one = performer(faults=[{"kind": "http_500"}])
    assert ask(one, "http_429:2").status == 429
    assert ask(one, "http_429:2@else").status == 500
    assert ask(one, "hang").ending is Ending.SILENT


def test_speed_and_length_follow_orders():
    """Length, first token and speed can be ordered for one request."""
    events = played(ask(performer(jitter=0), "tokens:10, first:2s, speed:4"))
    assert len(events) == 1 + 10 + 2
    assert (events[1][0], events[-1][0]) == (2.0, 4.25)


def test_slow_delays_the_first_token_only():
    """A slow answer is late and then as fast as ever."""
    settings = {"first_token": {"median": "1s", "spread": 0}, "tokens_per_second": 10, "jitter": 0}
    usual, late = played(ask(performer(**settings))), played(ask(performer(**settings), "slow:3s"))
    assert [at for at, _ in late] == pytest.approx([0.0] + [at + 3 for at, _ in usual[1:]])


@pytest.mark.parametrize(
    ("path", "data", "orders", "status"),
    [
        (CHAT, b"{", "", 400),
        (CHAT, b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "", 400),
        (CHAT, b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "", 400),
        (CHAT, b"{", "http_503", 503),
        (CHAT, b"{}", "explode", 400),
        ("/v1/nowhere", b"{}", "", 404),
        ("/models", b"", "", 200),
        ("/openai/v1/chat/completions", body(), "", 200),
        ("/v1/fim/completions", b'{"model":"m","prompt":"a"}', "", 200),
        ("/beta/completions", b'{"model":"m","prompt":"a"}', "", 200),
    ],
)
def test_paths_and_bad_requests(path: str, data: bytes, orders: str, status: int):
    """Every path of a provider answers, with any prefix; what cannot be read is refused as a provider would."""
    assert ask(performer(), orders, path, data).status == status


def test_tools_can_be_switched_off():
    """With `tools: never` offered tools are not called."""
    tools = [{"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}]
    assert b"tool_calls" in b"".join(data for _, data in played(ask(performer(), data=body(tools=tools))))
    assert b"tool_calls" not in b"".join(
        data for _, data in played(ask(performer(tools="never"), data=body(tools=tools)))
    )


def test_length_is_drawn_from_the_distribution():
    """Answers are as long as configured."""
    one = performer(output_tokens={"median": 40, "spread": 0})
    assert {len(played(ask(one))) for _ in range(5)} == {1 + 40 + 2}
