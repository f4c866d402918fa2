"""Short answers: titles, commit messages, middles of code."""

import re
from random import Random

import pytest

from twospeed.upstream.script import Ask
from twospeed.upstream.script.shortform import (
    command_block,
    commit_message,
    edits_from_text,
    marker,
    middle,
    near,
    title,
    wants_commit_message,
    wants_title,
)

DIFF = "diff --git a/src/app.py b/src/app.py\n--- a/src/app.py\n+++ b/src/app.py\n@@ -1 +1 @@\n-a\n+b\n"


def test_titles_are_one_short_line():
    """A title names what was asked, in a few words on one line."""
    assert (
        title("Could you please fix the broken retry logic in http_client.py?\nThanks")
        == "Could fix broken retry logic http_client.py"
    )
    assert title("") == "Question about code"
    assert len(title("word " * 500)) <= 60


@pytest.mark.parametrize(
    "instructions",
    [
        "You are a title generator. You output ONLY a thread title.",
        "Generate a short title for the following conversation",
        "Provide a concise session title",
    ],
)
def test_title_requests_are_recognised(instructions: str):
    """Title calls of agents are told from real questions."""
    assert wants_title(Ask("/chat/completions", instructions="Be brief. " * 500 + instructions))
    assert not wants_title(Ask("/chat/completions", instructions="Add a title attribute to the <img> tag in page.html"))


def test_commit_message_names_the_files():
    """A commit message is one line that names what changed."""
    assert "app.py" in commit_message(DIFF, Random(1))
    assert "\n" not in commit_message("", Random(1))
    told = "You are an expert that generates concise, one-line Git commit messages based on diffs."
    assert wants_commit_message(Ask("/chat/completions", instructions=told))


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("def add(a, b):", "\n    "),
        ("    def add(a, b):", "\n        "),
        ("total = sum(values[", "])"),
    ],
)
def test_middle_continues_the_line(prefix: str, expected: str):
    """A completion indents a new block and closes the brackets it finds open."""
    said = middle(prefix, "\n", Random(2))
    assert said.startswith(expected) or said.endswith(expected)
    assert 0 < len(said) < 60


def test_middle_is_in_the_language_of_the_file():
    """A completion in a Go file is Go."""
    assert middle("func main() {\n\t", "\n}\n", Random(0)) in {
        "return nil",
        "return result, nil",
        "items = append(items, item)",
        "c.count++",
    }


def test_agents_that_read_fenced_commands_are_ended():
    """An agent that runs what stands in a fence gets the command that ends its task."""
    told = "Answer with ```mswea_bash_command\n...\n``` and finish with `echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT`."
    ask = Ask("/chat/completions", instructions=told)
    assert marker(ask) == "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
    assert command_block(ask).endswith("```mswea_bash_command\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\n```")
    assert command_block(Ask("/chat/completions", instructions="use ```bash fences")) == ""


def test_clients_that_edit_from_text_are_recognised():
    """A client that writes code from the answer into files is told from one that only shows it."""
    assert edits_from_text(Ask("/chat/completions", instructions="Every *SEARCH/REPLACE block* must use this format"))
    assert not edits_from_text(Ask("/chat/completions", instructions="Be helpful"))


def test_long_prompts_are_searched_in_few_places_only():
    """Signs are found in the first places of their word, in any case; the rest of a long prompt is left alone."""
    sign = re.compile("Echo [A-Z]+")
    assert near("x" * 500 + " Echo DONE", "echo", sign)
    assert not near("echo " * 100 + "Echo DONE", "echo", sign)
