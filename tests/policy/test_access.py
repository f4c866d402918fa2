"""Caller keys."""

import hashlib

from twospeed.policy.access import Caller, Callers, digest

ANN = Caller("ann", digest("sk-ann"), ["auto", "fast", "gpt-*"])
BOB = Caller("bob", digest("sha256:" + hashlib.sha256(b"sk-bob").hexdigest()), ["*"])


def test_bearer_and_api_key_both_identify():
    """OpenAI clients send a bearer token, Anthropic clients x-api-key, some send both."""
    callers = Callers([ANN, BOB])
    assert callers.identify({b"authorization": b"Bearer sk-ann"}) is ANN
    assert callers.identify({b"x-api-key": b"sk-bob"}) is BOB
    assert callers.identify({b"authorization": b"bearer wrong", b"x-api-key": b"sk-ann"}) is ANN


def test_unknown_key_is_nobody():
    """A wrong key, no key and a non-ASCII key are all refused the same way."""
    callers = Callers([ANN])
    assert callers.identify({}) is None
    assert callers.identify({b"authorization": b"Bearer nope"}) is None
    assert callers.identify({b"authorization": "Bearer sk-änn".encode()}) is None
    assert callers.identify({b"authorization": b"Basic sk-ann"}) is None


def test_without_keys_everyone_is_anonymous():
    """No keys configured: the server is open, on loopback only."""
    callers = Callers([])
    assert callers.open
    assert callers.identify({}) is not None


def test_allowed_models_are_globs():
    """A caller may use what any of its globs names."""
    assert ANN.may_use("gpt-5.4")
    assert not ANN.may_use("deep", "openai/o9")
    assert BOB.may_use("anything")
