"""What a provider's refusal means."""

from twospeed.errors import Kind
from twospeed.upstream.faults import fault_of_status, retold

TOO_LONG = (
    b'{"error":{"message":"this model\'s maximum context length is 8192 tokens","code":"context_length_exceeded"}}'
)


def test_a_429_carries_the_providers_wait():
    """Whatever form the wait has, the fault knows it in seconds."""
    fault = fault_of_status(429, ((b"retry-after-ms", b"250"),), b"", 0.0)
    assert (fault.kind, fault.retry_after) == (Kind.PROVIDER_RATE_LIMITED, 0.25)


def test_a_refusal_in_another_dialect_is_retold():
    """A caller of another API hears what was said, in its own shape; a prompt too long keeps its meaning."""
    assert retold(fault_of_status(400, (), TOO_LONG, 0.0)).kind is Kind.CONTEXT_TOO_LONG
    told = retold(fault_of_status(422, (), b'{"error":{"message":"no such tool"}}', 0.0))
    assert (told.kind, told.message, told.body) == (Kind.PROVIDER_REFUSED, "no such tool", b"")
    assert retold(fault_of_status(400, (), b"<html>", 0.0)).body == b""
