"""What is asked is told from what came along, whatever client wrote it down."""

import json

import msgspec
import pytest

from twospeed.policy.instruction import CODE_CHARS, TEXT_CHARS, separate
from twospeed.types import Conversation, Message

ASKED = "Make the parser accept trailing commas in argument lists and keep the old error for a leading one."
FILE = "\n".join(f"def step_{n}(value):\n    return value * {n}" for n in range(120))


def conversation(*contents: object) -> Conversation:
    messages = [Message("user", msgspec.Raw(json.dumps(c).encode())) for c in contents]
    return Conversation("/v1/chat/completions", messages)


CLIENTS = {
    "plain": ASKED,
    "file first": f"src/step.py\n```python\n{FILE}\n```\n\n{ASKED}",
    "file last": f"{ASKED}\n\nsrc/step.py\n```python\n{FILE}\n```",
    "tagged ask and environment": f"<task>\n{ASKED}\n</task>\n\n<environment_details>\n# Open Tabs\nsrc/step.py\nsrc/a.py\nsrc/b.py\n</environment_details>",
    "tagged file and ask": f'<file path="src/step.py">\n{FILE}\n</file>\n<query>\n{ASKED}\n</query>',
    "inline edit": f"File: src/step.py\n```\n{FILE}\n```\n\nInstruction: {ASKED}",
    "tagged after attachments": f"<attachments>\n<file>\nExcerpt:\n```js\n{FILE}\n```\n</file>\n</attachments>\n<context>\nThe current date is November 2.\n</context>\n<request>\n{ASKED}\n</request>",
    "terminal first": f"$ npm test\n\n> app test\n> jest\n\n$ git status\nOn branch main\n\n{ASKED}",
    "named file after": f"{ASKED}\n\nContents of lib/net/socket.c:\n```c\n{FILE}\n```",
    "named file before": f"Here is the file `src/x.ts`:\n\n```ts\n{FILE}\n```\n\n{ASKED}",
    "standing orders after": f"<issue>\n{ASKED}\n</issue>\n\n<rules>\nYou MUST run the tests. NEVER commit.\nYou SHOULD think step by step.\n</rules>",
    "reminder part": [
        {
            "type": "text",
            "text": "<reminder>\nThis is a note that the list of things to do is empty right now.\n</reminder>",
        },
        {"type": "text", "text": ASKED},
    ],
    "long file first": f"src/step.py\n```python\n{FILE * 12}\n```\n\n{ASKED}",
}


@pytest.mark.parametrize("content", CLIENTS.values(), ids=CLIENTS.keys())
def test_the_same_ask_is_read_in_every_client(content: object):
    """The instruction is found whatever a client puts around it."""
    assert separate(conversation(content)).text.strip() == ASKED


def test_code_under_discussion_is_kept():
    """A block that is no file counts as the code the question is about."""
    ask = separate(conversation("What does `f(3)` return?\n\n```python\ndef f(x):\n    return x + 1\n```"))
    assert ask.text.strip() == "What does `f(3)` return?"
    assert "return x + 1" in ask.code


def test_issue_between_tags_is_kept_with_its_lead_in():
    """A tagged block that the sentence before it speaks of belongs to the instruction."""
    ask = separate(
        conversation("Resolve the following issue.\n\n<issue>\nThe cache forgets entries after a fork.\n</issue>")
    )
    assert "forgets entries" in ask.text
    assert "Resolve" in ask.text


def test_continue_is_read_with_what_it_continues():
    """A message that says next to nothing is read together with the one before it."""
    assert ASKED in separate(conversation(ASKED, "go on")).text


def test_completions_ask_nothing_in_words():
    """An autocompletion has code around the cursor and no instruction."""
    ask = separate(Conversation("/v1/completions", prompt="def f(", suffix="):\n    pass"))
    assert ask.text == ""
    assert ask.code.startswith("def f(")


def test_reading_is_bounded():
    """Of a huge message only a bounded part is kept."""
    ask = separate(conversation("words and more words " * 40_000))
    assert len(ask.text) <= TEXT_CHARS + 1
    assert len(ask.code) <= CODE_CHARS


def test_a_line_that_names_a_file_may_be_all_that_is_asked():
    """With nothing else said, the line above a block is the instruction."""
    ask = separate(conversation("Fix the bug in src/a.py:\n```python\nx = (1\n```"))
    assert "Fix the bug" in ask.text
    assert ask.code == "x = (1"


def test_orders_that_the_system_text_ends_with_are_not_asked():
    """aider repeats its whole edit format behind each question; another's long last lines stay."""
    orders = "\n\nYou MUST return every file whole.\n" + "Every listing MUST name its file above.\n" * 9
    system = Message("system", msgspec.Raw(json.dumps("You edit code." + orders).encode()))
    for text, expected in ((ASKED + orders, ASKED), (ASKED + orders + "Well?", ASKED + orders + "Well?")):
        user = conversation(text).messages[0]
        assert separate(Conversation("/v1/chat/completions", [system, user])).text == expected
    short = Message("system", msgspec.Raw(b'"Be brief."'))
    asked = [short, conversation(f"{ASKED} Be brief.").messages[0]]
    assert separate(Conversation("/v1/chat/completions", asked)).text == f"{ASKED} Be brief."
