"""W3C trace context: joined, begun, handed on."""

import pytest

from twospeed.errors import Kind
from twospeed.policy.tracing import begin, child, exported, outgoing
from twospeed.types import Attempt, Backend, Record, Trace

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{ID}-{SPAN}-01".encode()
BACKEND = Backend("p", "m", "r", "p/m@r")


def bits(value: int):
    """Return a source of chance that always gives `value`."""
    return lambda count: value


def test_a_callers_trace_is_joined():
    """The caller's trace id goes on, its span becomes our parent, and our span is new."""
    trace = begin({b"traceparent": PARENT, b"tracestate": b"a=1,b=2"}, 0.0, bits(7 << 128))
    assert trace == Trace(ID, "0000000000000007", SPAN, sampled=True, state="a=1,b=2")


def test_a_trace_begins_here_without_a_caller():
    """A request without context gets a trace of its own, sampled by the ratio."""
    trace = begin({}, 0.5, bits((5 << 128) | (9 << 64) | 3))
    assert trace == Trace(f"{9:016x}{3:016x}", f"{5:016x}", sampled=True)
    assert not begin({}, 0.5, bits((1 << 192) - 1)).sampled


def test_ids_are_never_zero():
    """An all-zero id is invalid, however unlucky the draw."""
    trace = begin({}, 0.0, bits(0))
    assert int(trace.id, 16)
    assert int(trace.span, 16)
    assert int(child(Trace(ID, "f" * 16), 1), 16)


def test_the_ratio_is_kept_for_callers_who_did_not_sample():
    """A caller's unsampled trace is sampled by its id, the same everywhere."""
    unsampled = PARENT[:-2] + b"00"
    assert not begin({b"traceparent": unsampled}, 0.1, bits(1)).sampled
    assert begin({b"traceparent": unsampled}, 0.9, bits(1)).sampled


def test_nothing_is_made_up_where_nothing_is_recorded():
    """Without an exporter only the caller's own context is passed on, as it came."""
    assert begin({}, None, bits(1)) is None
    trace = begin({b"traceparent": PARENT, b"tracestate": b"a=1"}, None, bits(1))
    assert outgoing(trace, child(trace, 1)) == ((b"traceparent", PARENT), (b"tracestate", b"a=1"))
    assert outgoing(None, "") == ()


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        b"garbage",
        PARENT.upper(),
        PARENT + b"-extra",
        b"ff" + PARENT[2:],
        b"00-" + b"0" * 32 + PARENT[35:],
        PARENT[:36] + b"0" * 16 + b"-01",
        PARENT[:-1],
        PARENT.replace(b"-", b"_"),
    ],
)
def test_a_broken_traceparent_counts_as_none(parent):
    """A context that breaks the rules is not joined, and its tracestate is not passed on."""
    trace = begin({b"traceparent": parent, b"tracestate": b"a=1"}, 0.0, bits(1 << 128 | 1))
    assert (trace.id, trace.parent, trace.state) == (f"{1:032x}", "", "")


def test_a_later_version_is_read_as_far_as_known():
    """Versions to come may say more; the four known fields still hold."""
    assert begin({b"traceparent": b"01" + PARENT[2:] + b"-more"}, 0.0, bits(1)).id == ID


@pytest.mark.parametrize("state", [b"a", b"A=1", b"a=1=2", b"a=\x7f", b"a=" + b"x" * 600, b",".join([b"a=1"] * 40)])
def test_a_broken_tracestate_is_left_out(state):
    """A bad tracestate never reaches a provider and never spoils the trace."""
    trace = begin({b"traceparent": PARENT, b"tracestate": state}, 0.0, bits(1))
    assert (trace.id, trace.state) == (ID, "")


def test_every_attempt_is_its_own_parent_for_the_provider():
    """Each provider sees the span of the attempt made against it."""
    trace = Trace(ID, SPAN, sampled=True)
    first, second = child(trace, 1), child(trace, 2)
    assert len({first, second, SPAN}) == 3
    assert outgoing(trace, second) == ((b"traceparent", f"00-{ID}-{second}-01".encode()),)


def record(**fields) -> Record:
    """Return a finished record with a trace that was not sampled."""
    return Record(id="r", started_at=0.0, started_wall=0.0, endpoint="/x", **({"trace": Trace(ID, SPAN)} | fields))


def test_trouble_always_leaves_a_trace():
    """Faults, fallbacks and what the caller sampled are exported; the rest only by ratio."""
    attempts = [Attempt(BACKEND, 0.0), Attempt(BACKEND, 0.0)]
    assert not exported(record())
    assert exported(record(fault=Kind.RESET))
    assert exported(record(attempts=attempts))
    assert exported(record(trace=Trace(ID, SPAN, sampled=True)))
    assert not exported(record(fault=Kind.RESET, trace=Trace(ID, "", SPAN, sampled=True)))
    assert not exported(record(trace=None))
