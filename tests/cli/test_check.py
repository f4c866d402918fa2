"""Commands that look and answer."""

import io
import json
import sys

import pytest

from twospeed.cli import FAILED, MISUSED, OK, main


def test_validate_says_ok_or_everything_that_is_wrong(tmp_path, capsys):
    """A good file is ok; a bad one names line, column and fix, and the exit code is 2."""
    assert main(["validate", "config/twospeed.yaml"]) in (OK, MISUSED)
    capsys.readouterr()
    assert main(["validate", "config/quickstart.yaml"]) == OK
    assert "ok" in capsys.readouterr().out
    bad = tmp_path / "bad.yaml"
    bad.write_text("listen: {prt: 1}\n")
    assert main(["validate", str(bad)]) == MISUSED
    assert "bad.yaml:1:10: listen: unknown key 'prt', did you mean 'port'?" in capsys.readouterr().out


def test_validate_for_machines(tmp_path, capsys):
    """CI reads JSON."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("listen: {prt: 1}\n")
    assert main(["validate", str(bad), "--format", "json"]) == MISUSED
    assert json.loads(capsys.readouterr().out)


def test_schema_and_version(capsys):
    """Both print and are ok."""
    assert main(["schema"]) == OK
    assert json.loads(capsys.readouterr().out)["properties"]["providers"]
    assert main(["version"]) == OK
    assert "twospeed 0." in capsys.readouterr().out


def classified(monkeypatch: pytest.MonkeyPatch, capsys, *lines: object) -> tuple[int, list[dict[str, object]]]:
    """Run `classify` over these lines; strings go as they are."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    code = main(["classify"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


CHAT = {"model": "auto", "messages": [{"role": "user", "content": "rename this variable"}]}


def test_classify_answers_line_by_line(monkeypatch, capsys):
    """A verdict a line, in the same order, with tier, score and reasons."""
    code, rows = classified(
        monkeypatch,
        capsys,
        {"id": "a", "endpoint": "/v1/chat/completions", "body": CHAT},
        {"id": "b", "endpoint": "/chat/completions", "body": CHAT | {"reasoning_effort": "high"}},
    )
    assert code == OK
    assert [row["id"] for row in rows] == ["a", "b"]
    assert rows[1]["tier"] == "deep"
    assert all(0 <= row["score"] <= 1 and row["reasons"] for row in rows)


def test_classify_goes_on_after_a_bad_line(monkeypatch, capsys):
    """One broken line costs one error line and the exit code, not the rest."""
    good = {"id": "z", "endpoint": "/v1/chat/completions", "body": CHAT}
    code, rows = classified(
        monkeypatch, capsys, "{oops", {"id": 1}, "[]", {**good, "body": {}}, {**good, "endpoint": "/x"}, good
    )
    assert code == FAILED
    assert ["error" in row for row in rows] == [True, True, True, True, True, False]
