"""GenAI client metrics, kept for OTLP."""

from tests.telemetry.records import DEEP, FAST, attempt, record

from twospeed.errors import Kind
from twospeed.telemetry.instruments import OPERATION_DURATION, OPERATION_FIRST_CHUNK, TOKEN_USAGE
from twospeed.telemetry.operations import MOST, Operations
from twospeed.types import Backend, Usage

HERE = ("chat", "fast", "near", "spark", "eu")


def counted(*records):
    """Number of values by instrument and labels."""
    operations = Operations()
    for finished in records:
        operations.add(finished)
    return {(name, labels): sum(spread.counts) for name, labels, spread in operations.spreads()}


def test_every_attempt_is_an_operation():
    """The failed one carries its error, the good one none."""
    found = counted(record(attempts=[attempt(FAST, kind=Kind.RESET, first_token_at=None), attempt(DEEP, 100.4)]))
    assert found[OPERATION_DURATION.name, (*HERE, "reset")] == 1
    assert found[OPERATION_DURATION.name, ("chat", "fast", "far", "heavy/one", "us", "")] == 1
    assert (OPERATION_FIRST_CHUNK.name, HERE) not in found


def test_only_streams_have_a_first_chunk():
    """The convention wants no time to first chunk for answers in one piece."""
    assert counted(record())[OPERATION_FIRST_CHUNK.name, HERE] == 1
    assert (OPERATION_FIRST_CHUNK.name, HERE) not in counted(record(stream=False))


def test_only_counted_tokens_are_usage():
    """What the provider did not count must not be reported."""
    found = counted(record(), record(usage=Usage(5, 5, estimated=True)), record(usage=None))
    assert found[TOKEN_USAGE.name, (*HERE, "input")] == 1
    assert found[TOKEN_USAGE.name, (*HERE, "output")] == 1


def test_no_labels_twice():
    """Attempts that differ only in how they ended share what has no error label."""
    records = [record(), record(attempts=[attempt(kind=Kind.TRUNCATED)])]
    operations = Operations()
    for finished in records:
        operations.add(finished)
    names = [(name, labels) for name, labels, _ in operations.spreads()]
    assert len(set(names)) == len(names)
    assert counted(*records)[OPERATION_FIRST_CHUNK.name, HERE] == 2


def test_combinations_stay_bounded():
    """Beyond the last place everything shares one name."""
    names = [Backend("p", f"m{number}", "r", f"p/m{number}@r") for number in range(MOST + 50)]
    found = counted(*(record(attempts=[attempt(backend)]) for backend in names))
    durations = {labels: count for (name, labels), count in found.items() if name == OPERATION_DURATION.name}
    assert len(durations) == MOST + 1
    assert durations[("other",) * 6] == 50
