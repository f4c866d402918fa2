"""Errors in OpenAI's shape, with headers that keep clients from repeating what cannot work."""

import json

import pytest
from msgspec import Raw

from twospeed.dialects.openai_errors import interrupt, provider_error, refuse
from twospeed.errors import MEANING, Fault, Kind


def headers(fault: Fault) -> dict[bytes, bytes]:
    """The headers of a refusal."""
    return dict(refuse(fault).headers)


@pytest.mark.parametrize("kind", Kind)
def test_every_fault_has_its_status_and_shape(kind: Kind):
    """Each kind of fault is an OpenAI error with its own status and code."""
    status, sent, body = refuse(Fault(kind, "Something happened.", param="model", detail="not for clients"))
    error = json.loads(body)["error"]
    assert status == MEANING[kind].status
    assert dict(sent)[b"content-type"] == b"application/json"
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["message"], error["param"]) == ("Something happened.", "model")


@pytest.mark.parametrize(
    ("kind", "type_", "code"),
    [
        (Kind.BAD_REQUEST, "invalid_request_error", "bad_request"),
        (Kind.UNAUTHORIZED, "authentication_error", "invalid_api_key"),
        (Kind.MODEL_NOT_FOUND, "invalid_request_error", "model_not_found"),
        (Kind.CONTEXT_TOO_LONG, "invalid_request_error", "context_length_exceeded"),
        (Kind.RATE_LIMITED, "rate_limit_error", "rate_limited"),
        (Kind.PROVIDER_RATE_LIMITED, "rate_limit_error", "provider_rate_limited"),
        (Kind.OVERLOADED, "server_error", "overloaded"),
        (Kind.FIRST_TOKEN_TIMEOUT, "server_error", "first_token_timeout"),
        (Kind.UPSTREAM_AUTH_ERROR, "server_error", "upstream_auth_error"),
    ],
)
def test_type_and_code_are_the_words_clients_know(kind: Kind, type_: str, code: str):
    """Clients branch on OpenAI's words; where it has none they see our kind."""
    error = json.loads(refuse(Fault(kind)).body)["error"]
    assert (error["type"], error["code"]) == (type_, code)


@pytest.mark.parametrize(
    ("wait", "seconds", "milliseconds"),
    [(None, b"1", b"1000"), (0.0, b"1", b"1"), (0.25, b"1", b"250"), (1.2, b"2", b"1200"), (60, b"60", b"60000")],
)
def test_a_wait_is_told_in_whole_seconds_and_exactly(wait: float | None, seconds: bytes, milliseconds: bytes):
    """Retry-After is a whole number of at least 1; retry-after-ms is the truth."""
    sent = headers(Fault(Kind.RATE_LIMITED, retry_after=wait))
    assert (sent[b"retry-after"], sent[b"retry-after-ms"]) == (seconds, milliseconds)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Kind.BAD_REQUEST, b"false"),
        (Kind.UNAUTHORIZED, b"false"),
        (Kind.PROVIDER_REFUSED, b"false"),
        (Kind.UPSTREAM_AUTH_ERROR, b"false"),
        (Kind.CLIENT_TIMEOUT, None),
        (Kind.RESET, None),
        (Kind.INTERNAL, None),
        (Kind.RATE_LIMITED, b"true"),
        (Kind.OVERLOADED, b"true"),
        (Kind.DRAINING, b"true"),
    ],
)
def test_clients_are_told_whether_to_repeat(kind: Kind, answer: bytes | None):
    """A request that must fail again is not repeated; one that only came too soon is."""
    assert headers(Fault(kind)).get(b"x-should-retry") == answer


def test_a_provider_refusal_is_relayed():
    """The provider's own words about a wrong request reach the client as they were."""
    body = b'{"error": {"message": "tool_choice needs tools", "code": null}}\n'
    refused = refuse(Fault(Kind.PROVIDER_REFUSED, status=422, body=body))
    assert (refused.status, refused.body) == (422, body)


@pytest.mark.parametrize("body", [b"", b"<html>nginx at host7</html>", b"[]", b'{"a": 1}', b"[" * 9_000])
def test_a_refusal_that_is_no_error_object_is_not_relayed(body: bytes):
    """No HTML and no foreign text gets to a client."""
    refused = refuse(Fault(Kind.PROVIDER_REFUSED, "The provider refused the request.", status=404, body=body))
    assert refused.status == 404
    assert json.loads(refused.body)["error"]["message"] == "The provider refused the request."


@pytest.mark.parametrize("status", [None, 200, 302, 500])
def test_a_refusal_is_always_a_client_error(status: int | None):
    """Whatever status came with it, a refused request is the client's to mend."""
    assert refuse(Fault(Kind.PROVIDER_REFUSED, status=status, body=b'{"error": {}}')).status == 400


def test_a_stream_is_interrupted_by_one_event():
    """A client that already has the head is told in the stream, and no [DONE] pretends a good end."""
    event = interrupt(Fault(Kind.RESET, "The connection to the provider broke."))
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:]) == {
        "error": {"message": "The connection to the provider broke.", "type": "server_error", "code": "reset"}
    }


@pytest.mark.parametrize(
    ("error", "detail", "status"),
    [
        (b'{"message": "boom", "type": "server_error", "code": "oops"}', "server_error oops boom", None),
        (b'{"message": "slow down", "code": 429}', "429 slow down", 429),
        (b'{"message": "no", "code": "503"}', "503 no", 503),
        (b'{"message": "no", "status": 529, "code": "x"}', "x no", 529),
        (b'{"code": 200}', "200", None),
        (b'"plain words"', "plain words", None),
        (b"7", "7", None),
        (b"{", "", None),
    ],
)
def test_provider_errors_are_for_operators(error: bytes, detail: str, status: int | None):
    """The record holds the provider's words; the client gets ours."""
    fault = provider_error(Raw(error))
    assert (fault.kind, fault.detail, fault.status) == (Kind.ERROR_EVENT, detail, status)
    assert fault.message == "The provider reported an error in its answer."


def test_long_provider_errors_are_cut():
    """A provider that echoes the prompt does not fill the record."""
    assert len(provider_error(Raw(json.dumps({"message": "x" * 9_000}).encode())).detail) == 200
