"""Who is told of requests, end to end: a server, a provider and a collector over real sockets."""

from types import SimpleNamespace

from tests.serving import TWO_FAST, serving
from tests.telemetry.collector import Receiver, plain

from twospeed.config import read
from twospeed.edge.reporting import Reporting, places, whole_lines
from twospeed.telemetry.conventions import Place

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def told(receiver: Receiver) -> str:
    """The configuration with that collector for traces, nothing sampled by itself."""
    return f"telemetry: {{traces: {{endpoint: '{receiver.url}', ratio: 0%}}}}\n{TWO_FAST}"


async def test_a_callers_trace_goes_through_with_its_fallback():
    """One trace under the caller's span: the request, the attempt that failed, the one that saved it."""
    with Receiver() as receiver:
        async with serving(told(receiver)) as server:
            headers = {"traceparent": PARENT, "tracestate": "a=1", "x-twospeed-simulate": "http_500@one"}
            assert (await server.chat(model="pair", headers=headers)).status == 200
            await server.server.reporting.close(10)
        request, first, second = receiver.spans()
    assert {span.trace_id.hex() for span in (request, first, second)} == {PARENT[3:35]}
    assert request.parent_span_id.hex() == PARENT[36:52]
    assert {first.parent_span_id, second.parent_span_id} == {request.span_id}
    assert request.trace_state == "a=1"
    assert plain(request.attributes)["twospeed.tier"] == "fast"
    assert plain(first.attributes)["error.type"] == "provider_error"
    assert plain(second.attributes)["twospeed.fallback.from"] == "one/m@default"
    assert plain(second.attributes)["twospeed.fallback.reason"] == "provider_error"
    assert plain(second.attributes)["gen_ai.response.id"].startswith("chatcmpl")


async def test_a_streams_trace_says_what_the_answer_calls_itself():
    """Id and model as the client got them."""
    with Receiver() as receiver:
        async with serving(told(receiver)) as server:
            answer = await server.chat(headers={"traceparent": PARENT}, stream=True)
            text = await answer.text()
            await server.server.reporting.close(10)
        _, attempt = receiver.spans()
    assert f'"id":"{plain(attempt.attributes)["gen_ai.response.id"]}"' in text.replace(" ", "")


async def test_requests_nobody_sampled_leave_nothing():
    """At a ratio of zero only trouble is told."""
    with Receiver() as receiver:
        async with serving(told(receiver)) as server:
            await server.chat()
            await server.chat(model="made-up")
            await server.server.reporting.close(10)
        (request,) = receiver.spans()
    assert plain(request.attributes)["twospeed.fault"] == "model_not_found"


async def test_nothing_said_is_in_a_trace():
    """Neither prompts nor answers nor keys reach the collector."""
    with Receiver() as receiver:
        async with serving(told(receiver)) as server:
            headers = {"traceparent": PARENT, "authorization": "Bearer sk-s3cret"}
            answer = await server.chat("a s3cret plan", headers=headers)
            text = (await answer.json())["choices"][0]["message"]["content"]
            await server.server.reporting.close(10)
    sent = b"".join(body for _, _, body in receiver.requests)
    assert b"s3cret" not in sent
    assert text.encode() not in sent


async def test_a_collector_that_hangs_delays_no_request():
    """It has the first trace and answers nothing: requests are served all the same, before it ever does."""
    with Receiver() as receiver:
        async with serving(told(receiver)) as server:
            receiver.open.clear()
            await server.chat(headers={"traceparent": PARENT})
            receiver.wait_for(1)
            for _ in range(20):
                assert (await server.chat(headers={"traceparent": PARENT})).status == 200
            assert receiver.answered == 0
            receiver.open.set()
            await server.server.reporting.close(10)
        assert len(receiver.spans()) == 2 * 21


async def test_metrics_are_pushed_when_the_server_ends():
    """What was counted last is not lost."""
    with Receiver() as receiver:
        text = f"telemetry: {{metrics: {{endpoint: '{receiver.url}', interval: 1h}}}}\n{TWO_FAST}"
        async with serving(text) as server:
            await server.chat(model="lone", stream=True)
            await server.server.reporting.close(10)
        metrics = receiver.metrics()
    (duration,) = metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert plain(duration.attributes)["gen_ai.request.model"] == "m"
    assert {"twospeed.requests", "twospeed.breaker.state", "twospeed.build"} <= metrics.keys()


def test_providers_are_placed_by_their_address():
    """One in this process is nowhere, the others are where their base_url is."""
    far = "  far: {kind: openai, base_url: 'https://api.groq.com/openai/v1', models: {x: {}}}\n"
    loaded = read(TWO_FAST.replace("providers:\n", "providers:\n" + far).encode(), "f", {})
    found = places(loaded)
    assert found["far"] == Place("groq", "api.groq.com", 443)
    assert found["one"] == Place("one")


def test_without_a_collector_nothing_is_started():
    """No thread, no import, only the counters."""
    reporting = Reporting(read(TWO_FAST.encode(), "f", {}), "off")
    reporting.start()
    assert reporting.signals() == {}
    assert reporting.sinks == [reporting.metrics]


def test_lines_leave_in_pieces_that_do_not_mix(monkeypatch):
    """Each write holds whole lines and fits a pipe's buffer, however many requests have ended since the last."""
    written: list[str] = []
    monkeypatch.setattr("sys.stderr", SimpleNamespace(write=written.append))
    lines = [f"{number} {'x' * 700}\n" for number in range(20)]
    whole_lines("".join(lines))
    assert "".join(written) == "".join(lines)
    assert all(piece.endswith("\n") and len(piece.encode()) < 4_096 for piece in written)
    assert len(written) < len(lines)
