"""Short answers: titles, commit messages, middles of code."""

from random import Random

import pytest

from twospeed.upstream.script import Ask
from twospeed.upstream.script.shortform import COMMIT, TITLE, command_block, commit_message, marker, middle, title

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
    assert TITLE.search(instructions)
    assert not TITLE.search("Add a title attribute to the <img> tag in page.html")


def test_commit_message_names_the_files():
    """A commit message is one line that names what changed."""
    assert "app.py" in commit_message(DIFF, Random(1))
    assert "\n" not in commit_message("", Random(1))
    assert COMMIT.search("You are an expert that generates concise, one-line Git commit messages based on diffs.")


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
