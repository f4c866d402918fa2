"""Where a request would go, and why."""

import json

import pytest

from twospeed.cli import FAILED, MISUSED, OK, main

BODY = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def request_file(tmp_path):
    """Write a request and give its path."""

    def write(body: object) -> str:
        path = tmp_path / "request.json"
        path.write_text(body if isinstance(body, str) else json.dumps(body))
        return str(path)

    return write


def test_explanation_in_words(request_file, capsys):
    """Tier, reasons, order and deadlines, for a person."""
    assert main(["explain", "config/quickstart.yaml", request_file(BODY)]) == OK
    out = capsys.readouterr().out
    assert "tier:     fast" in out
    assert "1. sim-fast/spark@default" in out


def test_explanation_for_machines_equals_what_is_served(request_file, capsys):
    """The same decision as live, as JSON; headers count."""
    path = request_file({"endpoint": "/v1/chat/completions", "body": BODY})
    assert main(["explain", "config/quickstart.yaml", path, "--json", "--header", "x-twospeed-tier: deep"]) == OK
    result = json.loads(capsys.readouterr().out)
    assert result["tier"] == "deep"
    assert result["reasons"] == ["pinned:header"]
    assert result["candidates"][0]["backend"] == "sim-deep/thinker@default"


def test_completions_are_explained_too(request_file, capsys, tmp_path):
    """A body with a prompt is a completion; only models that can fill in are in its order."""
    config = tmp_path / "config.yaml"
    config.write_text("""
providers:
  plain: {kind: simulated, models: {m: {}}, completions: {suffix: none}}
  filler: {kind: simulated, models: {m: {}}}
tiers: {fast: {models: [plain/m, filler/m]}, deep: {models: [plain/m]}}
""")
    path = request_file({"model": "auto", "prompt": "def f(", "suffix": ")"})
    assert main(["explain", str(config), path, "--json"]) == OK
    result = json.loads(capsys.readouterr().out)
    assert (result["endpoint"], result["reasons"]) == ("/v1/completions", ["completion"])
    assert [candidate["backend"] for candidate in result["candidates"]] == ["filler/m@default"]
    assert main(["explain", str(config), path, "--header", "x-twospeed-tier: deep"]) == FAILED
    assert "fills in the middle" in capsys.readouterr().err
    config.write_text(config.read_text().replace("simulated,", "simulated, dialects: [chat],"))
    assert main(["explain", str(config), path]) == FAILED
    assert "offers /v1/completions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{oops", MISUSED),
        ("[]", MISUSED),
        ({"model": 3, "messages": [{}]}, FAILED),
        ({"endpoint": "/nope", "body": {}}, MISUSED),
    ],
)
def test_what_is_no_request_is_said(request_file, capsys, body: object, code: int):
    """Bad input is named; nothing is made up."""
    assert main(["explain", "config/quickstart.yaml", request_file(body)]) == code
    assert capsys.readouterr().err.strip()


def test_missing_files_are_said(capsys):
    """No traceback for a path that is wrong."""
    assert main(["explain", "config/quickstart.yaml", "/nope.json"]) == MISUSED
    assert main(["explain", "/nope.yaml", "/nope.json"]) == MISUSED
    assert capsys.readouterr().err.splitlines() == [
        "/nope.json: cannot be read: no such file or directory",
        "/nope.yaml:1:1: cannot be read: no such file or directory",
    ]
