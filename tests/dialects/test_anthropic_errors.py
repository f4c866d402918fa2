"""Errors in Anthropic's shape."""

import json

import pytest

from twospeed.dialects.anthropic_errors import interrupt, refuse
from twospeed.errors import MEANING, Fault, Kind


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        (Kind.BAD_REQUEST, 400, "invalid_request_error"),
        (Kind.UNAUTHORIZED, 401, "authentication_error"),
        (Kind.MODEL_NOT_FOUND, 404, "not_found_error"),
        (Kind.BODY_TOO_LARGE, 413, "request_too_large"),
        (Kind.RATE_LIMITED, 429, "rate_limit_error"),
        (Kind.OVERLOADED, 503, "overloaded_error"),
        (Kind.PROVIDER_ERROR, 502, "api_error"),
    ],
)
def test_each_kind_has_its_type(kind: Kind, status: int, name: str):
    """Clients act on status and type; a busy answer says when to come back."""
    refusal = refuse(Fault(kind, "words"))
    told = json.loads(refusal.body)
    assert (refusal.status, told["type"], told["error"]) == (status, "error", {"type": name, "message": "words"})
    assert (b"retry-after" in dict(refusal.headers)) is (status in (429, 503))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_can_be_said(kind: Kind):
    """No fault is without a shape, before or in the middle of a stream."""
    assert refuse(Fault(kind)).status == MEANING[kind].status
    event = interrupt(Fault(kind))
    assert event.startswith(b"event: error\ndata: ")
    assert json.loads(event.partition(b"data: ")[2])["error"]["type"] in ("api_error", "overloaded_error")


def test_a_refusal_names_the_request():
    """Whoever reports a failure can say which request it was: Anthropic's SDKs look into the body and the header."""
    refusal = refuse(Fault(Kind.BAD_REQUEST, "words"), "req_1")
    assert json.loads(refusal.body)["request_id"] == "req_1"
    assert dict(refusal.headers)[b"request-id"] == b"req_1"
    told = json.loads(interrupt(Fault(Kind.RESET, "words"), "req_1").partition(b"data: ")[2])
    assert told["request_id"] == "req_1"


def test_the_providers_own_refusal_is_passed_on():
    """An Anthropic error stays as it is; another shape is said anew."""
    own = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'
    assert refuse(Fault(Kind.PROVIDER_REFUSED, status=422, body=own))[::2] == (422, own)
    other = json.loads(refuse(Fault(Kind.PROVIDER_REFUSED, "no", status=422, body=b'{"error":{"message":"no"}}')).body)
    assert other["error"]["message"] == "no"


def test_too_long_is_said_as_anthropic_does():
    """Claude Code compacts its history when it reads these words."""
    assert b"prompt is too long" in refuse(Fault(Kind.CONTEXT_TOO_LONG, "300 of 200 tokens")).body
