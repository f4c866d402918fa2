"""What is said about a process: everything an operator asks for, and no secret."""

import asyncio
import json
from textwrap import dedent

from twospeed.config import read
from twospeed.edge.status import backends, limits, shown, status
from twospeed.errors import Kind
from twospeed.policy.limit import Ask
from twospeed.runtime import remember

TEXT = dedent("""
    admin: {key: env:ADMIN}
    keys: [{name: ann, key: env:CALLER}, {name: bob, key: "sha256:%s"}]
    providers:
      near: {kind: simulated, models: {m: {}}, limits: {m: {rpm: 10}}}
      far:
        kind: openai
        base_url: https://api.example/v1
        key: env:FAR
        headers: {authorization: env:FAR, x-team: plain-but-private}
        models: {big: {}}
      gone: {kind: simulated, models: {m: {}}, when: env:NEVER}
    tiers:
      fast: {models: [near/m]}
      deep: {models: [far/big, near/m]}
    telemetry: {traces: {headers: {authorization: env:OTLP}}}
""") % ("ab" * 32)
ENV = {"ADMIN": "s3cret-admin", "CALLER": "s3cret-caller", "FAR": "s3cret-far", "OTLP": "s3cret-otlp"}


def loaded():
    """That configuration."""
    return read(TEXT.encode(), "f.yaml", ENV)


def test_status_says_what_is_served():
    """Tiers, backends, who was left out and why, and which configuration."""
    said = status(loaded(), remember(loaded()))
    assert said["tiers"] == {"fast": ["near/m@default"], "deep": ["far/big@default", "near/m@default"]}
    assert said["left_out"] == {"gone": "NEVER is not set"}
    assert said["config"] == {"path": "f.yaml", "version": loaded().version, "warnings": []}
    assert said["store"] == {"name": "memory", "ok": True}
    assert json.loads(json.dumps(said)) == said


def test_backends_tell_their_health():
    """A broken one says so; one that answered says how fast."""
    memory = remember(read(f"breaker: {{consecutive: 1}}\n{TEXT}".encode(), "f.yaml", ENV))
    memory.health.succeeded("near/m@default", 0.25)
    memory.health.failed("far/big@default", Kind.RESET)
    near, far = backends(loaded(), memory)
    assert (near["breaker"], near["first_token"], near["tiers"]) == ("closed", 0.25, ["fast", "deep"])
    assert (far["breaker"], far["first_token"], far["tiers"]) == ("open", None, ["deep"])


def test_limits_tell_what_is_left():
    """One of ten requests a minute is used."""
    memory = remember(loaded())
    limit = loaded().providers["near"].limits["m"]
    asyncio.run(memory.limits.take(Ask("near/m", limit, 1, 1)))
    assert limits(memory) == [{"pool": "near/m", "dimension": "rpm", "limit": 10, "used": 1, "left": 9}]


def test_no_secret_is_shown():
    """The configuration shows references; values, digests and headers in plain text are masked."""
    text = json.dumps(shown(loaded().config))
    assert "s3cret" not in text
    assert "ab" * 32 not in text
    assert "plain-but-private" not in text
    assert "env:FAR" in text
    assert json.loads(text)["providers"]["far"]["headers"] == {"authorization": "env:FAR", "x-team": "***"}
    assert json.loads(text)["tiers"]["fast"]["models"] == ["near/m"]


def test_another_text_is_another_version():
    """The version follows what the file says."""
    other = read(TEXT.encode() + b"\n# changed\n", "f.yaml", ENV)
    assert len(other.version) == 12
    assert other.version != loaded().version
