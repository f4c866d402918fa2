"""Each call of an agent run is placed by its history."""

import json

import msgspec
import pytest

from twospeed.policy.stage import Stage, stage
from twospeed.types import Conversation, Message

FAILED = "exit_code: 1\nTraceback (most recent call last):\n  ...\nTypeError: no"


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def call(name: str, arguments: dict[str, str], said: str = "") -> Message:
    calls = [{"id": "c", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}]
    return Message("assistant", raw(said), raw(calls))


def result(text: str) -> Message:
    return Message("tool", raw(text), tool_call_id="c")


def run(*messages: Message) -> Stage:
    return stage(Conversation("/v1/chat/completions", [Message("user", raw("Fix the bug.")), *messages]))


def test_a_first_request_has_no_stage():
    """Nothing was called yet."""
    assert run().phase == "none"


def test_reading_files_without_a_word_is_no_step():
    """Files a client loads on its own do not count as work done."""
    facts = run(call("read_file", {"path": "a.py"}), result("x = 1"))
    assert (facts.steps, facts.reads, facts.phase) == (0, 1, "start")


def test_looking_around_is_exploring():
    """Searches by shell are reads, not runs."""
    facts = run(
        call("bash", {"command": "grep -rn parse ."}, "Let me look."), result("a.py:1"),
        call("bash", {"command": "cd /src && cat a.py"}, "Now the file."), result("def parse(): ..."),
    )  # fmt: skip
    assert (facts.reads, facts.phase) == (2, "exploring")


def test_edits_are_producing():
    """A run that writes files produces."""
    assert run(call("edit_file", {"path": "a.py"}, "Editing."), result("ok")).phase == "producing"


def test_repeated_failures_escalate_and_success_comes_down():
    """Two failed results in the last three are trouble; when they are behind it, the run is fine again."""
    broken = [m for n in range(2) for m in (call("bash", {"command": f"pytest -k {n}"}, "Test."), result(FAILED))]
    assert run(*broken).phase == "failing"
    fixed = [m for n in range(3) for m in (call("bash", {"command": f"pytest -x {n}"}, "Again."), result("3 passed"))]
    assert run(*broken, *fixed).phase != "failing"


def test_the_same_call_again_and_again_is_spinning():
    """A run that repeats itself needs a better model."""
    same = [m for _ in range(3) for m in (call("bash", {"command": "make all"}, "Build."), result("nothing to do"))]
    assert run(*same).phase == "spinning"


def test_what_was_done_for_another_request_is_no_repetition():
    """A user who asks three things about one file does not make the agent spin."""
    turn = (call("read_file", {"path": "a.py"}), result("x = 1"), Message("assistant", raw("It says x = 1.")))
    asked = [message for _ in range(3) for message in (*turn, Message("user", raw("And now?")))]
    assert run(*asked, *turn[:2]).phase == "exploring"


def test_an_error_word_in_a_file_is_no_failure():
    """Reading source that mentions errors does not count as failing."""
    assert run(call("read_file", {"path": "a.py"}, "Look."), result("raise ValueError: failed")).failures == 0


def test_parts_are_read_like_messages():
    """tool_use and tool_result parts mean the same as tool calls and tool messages."""
    use = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "cargo test"}}
    back = {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": [{"type": "text", "text": "boom"}]}
    facts = run(
        Message("assistant", raw([{"type": "text", "text": "Run."}, use])), Message("user", raw([back])),
        Message("assistant", raw([{"type": "text", "text": "Again."}, use | {"input": {"command": "cargo test -v"}}])),
        Message("user", raw([back])),
    )  # fmt: skip
    assert (facts.runs, facts.failures, facts.phase) == (2, 2, "failing")


def test_results_without_a_run_are_no_run():
    """A user who only pastes results has had nothing done."""
    back = {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": "boom"}
    assert run(Message("user", raw([back])), Message("user", raw([back]))) == Stage()


def test_calls_that_begin_alike_are_told_apart():
    """What is remembered of a call is all that is read of it: another argument, or tool, is another call."""
    long = "x" * 3_000
    calls = [("bash", {"command": "make a"}), ("bash", {"command": "make b"}), ("edit", {"command": "make a"})]
    calls += [("bash", {"command": f"make {n} {long}"}) for n in range(2)]
    for _ in range(2):
        facts = run(*(m for one in calls for m in (call(*one, said="Now."), result("ok"))))
        assert (facts.steps, facts.runs, facts.edits, facts.repeats) == (5, 4, 1, 0)


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("Process exited with code 2", True), ("exit status: 0", False), ("returncode=1", True), ("return value", False),
        ("2 FAILED, 3 passed", True), ("unfailed, failedly", False), ("thread panicked at main.rs", True),
        ("a panicky cat", False), ("is_error=true", True), ("SyntaxError", True), ("No such file: a.py", True),
        ("3 passed", False),
    ],
)  # fmt: skip
def test_failures_are_seen_by_what_results_say(text: str, failed: bool):
    """Words of shells, compilers and test runners tell a failure; the same letters in other words do not."""
    assert run(call("bash", {"command": "make"}, "Build."), result(text)).failures == failed


def test_results_are_told_apart_by_either_end():
    """A long result that fails at its end only is not taken for one that went well."""
    for text, failures in (("ok " * 400, 0), ("ok " * 400 + FAILED, 1), (FAILED + "ok " * 400, 1), ("ok " * 400, 0)):
        assert run(call("bash", {"command": "make"}, "Build."), result(text)).failures == failures
