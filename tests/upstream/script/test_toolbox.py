"""Which tool is called, and with which arguments."""

import json
from random import Random
from typing import Any

import jsonschema
import msgspec
import pytest

from twospeed.upstream.script import Ask, Tool
from twospeed.upstream.script.toolbox import calls, choose, harm

STRING = {"type": "string"}


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


READ = ("read_file", schema("path", path=STRING, offset={"type": "integer", "minimum": 1}))
LIST = ("list_files", schema("path", "recursive", path=STRING, recursive={"type": "boolean"}))
GREP = ("Grep", schema("pattern", pattern=STRING, output_mode={"enum": ["content", "count"]}))
WRITE = ("write_to_file", schema("path", "content", path=STRING, content=STRING))
BASH = ("bash", schema("command", command=STRING))
FINISH = ("attempt_completion", schema("result", result={"type": "string", "minLength": 10}))
TODO = (
    "TodoWrite",
    schema(
        "todos",
        todos={
            "type": "array",
            "minItems": 1,
            "items": schema(
                "content",
                "status",
                content={"type": "string", "minLength": 1},
                status={"enum": ["pending", "completed"]},
            ),
        },
    ),
)
MULTI = (
    "search_files",
    schema(
        "queries",
        queries={
            "type": "array",
            "minItems": 2,
            "items": {"anyOf": [schema("regex", regex={"type": "string", "pattern": "^[a-z]+$"}), STRING]},
        },
    ),
)


def ask(*tools: tuple[str, dict[str, Any]], **fields: Any) -> Ask:
    offered = [Tool(name, msgspec.Raw(json.dumps(parameters).encode())) for name, parameters in tools]
    return Ask("/chat/completions", tools=offered, **fields)


def called(request: Ask) -> tuple[str, dict[str, Any]] | None:
    made = calls(request, Random(1))
    return (made[0].name, json.loads("".join(made[0].arguments))) if made else None


def name_of(request: Ask) -> str:
    tool = choose(request)
    return tool.name if tool else ""


@pytest.mark.parametrize("tool", [READ, LIST, GREP, WRITE, BASH, FINISH, TODO, MULTI], ids=lambda tool: tool[0])
def test_arguments_are_valid(tool: tuple[str, dict[str, Any]]):
    """Any tool that is demanded by name is called with arguments that fit its schema."""
    made = called(ask(tool, choice=tool[0]))
    assert made is not None
    jsonschema.validate(made[1], tool[1])


def test_prefers_tools_that_only_look():
    """Among the tools of an agent, one that lists, searches or reads is called."""
    assert name_of(ask(BASH, WRITE, READ, GREP, LIST)) == "list_files"
    assert name_of(ask(WRITE, TODO)) == "TodoWrite"


@pytest.mark.parametrize(
    "name",
    [
        "write_file",
        "Edit",
        "MultiEdit",
        "execute_command",
        "run_in_terminal",
        "web_fetch",
        "websearch",
        "apply_patch",
        "task",
        "delete_file",
        "str_replace",
        "send_message",
        "deploy",
        "ask_followup_question",
        "skill",
        "exit_plan_mode",
        "kill_shell",
    ],
)
def test_tools_that_change_something_are_not_called(name: str):
    """An agent that offers only tools with effects gets an answer in text."""
    assert harm(name) == 2
    assert called(ask((name, schema()))) is None


def test_answers_in_text_after_a_round_of_tools():
    """After one tool result the answer is text, so that no agent loops."""
    assert called(ask(READ, LIST, rounds=1)) is None


def test_ends_the_task_where_a_tool_does_that():
    """An agent that waits for its finishing tool gets it after the first round, or when it complains."""
    assert name_of(ask(READ, FINISH, rounds=1)) == "attempt_completion"
    assert name_of(ask(READ, FINISH)) == "read_file"
    assert (
        name_of(ask(READ, FINISH, prompt="[ERROR] You did not use a tool in your previous response!"))
        == "attempt_completion"
    )
    assert name_of(ask(("final_result", schema("n", n={"type": "integer"})), BASH, choice="required")) == "final_result"


def test_none_means_none():
    """tool_choice "none" is obeyed even where a tool would end the task."""
    assert called(ask(READ, FINISH, choice="none", rounds=1)) is None


def test_demanded_calls_do_no_harm():
    """Where a call is demanded and all tools have effects, the shell lists files and a writer writes a scratch file."""
    assert called(ask(WRITE, BASH, choice="required")) == ("bash", {"command": "ls"})
    made = called(ask(WRITE, choice="required"))
    assert made is not None
    assert made[1]["path"] == "simulated-scratch.txt"


def test_a_word_printed_by_the_shell_ends_the_task():
    """An agent that ends on a printed word and has only a shell gets exactly that."""
    told = "finish your work by issuing the following command: `echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT`"
    assert called(ask(BASH, instructions=told)) == ("bash", {"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"})
    assert called(ask(BASH)) is None


def test_paths_are_where_the_client_works():
    """Paths are plain names, and absolute where the client says in which directory it works."""
    assert called(ask(READ)) == ("read_file", {"path": "README.md"})
    assert called(ask(LIST)) == ("list_files", {"path": ".", "recursive": False})
    there = "<env>\nWorking directory: /home/me/app\n</env>"
    assert called(ask(READ, instructions=there)) == ("read_file", {"path": "/home/me/app/README.md"})
    assert called(ask(LIST, instructions=there)) == ("list_files", {"path": "/home/me/app", "recursive": False})


def test_patterns_fit_the_tool():
    """A search looks for a word, a listing for any file."""
    wanted = schema("pattern", pattern=STRING)
    assert called(ask(("grep", wanted))) == ("grep", {"pattern": "TODO"})
    assert called(ask(("glob", wanted))) == ("glob", {"pattern": "*"})


def test_words_fit_the_property():
    """A description is a sentence, a city is one word."""
    made = called(ask(("get_weather", schema("city", "reason", city=STRING, reason=STRING))))
    assert made is not None
    assert made[1]["city"] == "example"
    assert made[1]["reason"].endswith(".")


def test_tools_without_parameters_are_called_with_none():
    """A tool that takes nothing gets an empty object."""
    bare = Ask("/chat/completions", tools=[Tool("list_models", msgspec.Raw(b"null"))])
    assert called(bare) == ("list_models", {})
