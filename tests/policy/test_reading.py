"""Instructions are read once, and an answer never depends on what was read before."""

import json

import msgspec

from twospeed.policy.content import open_all
from twospeed.policy.features import measure
from twospeed.policy.instruction import separate
from twospeed.policy.learned import load
from twospeed.policy.reading import REMEMBERED, Reader
from twospeed.policy.stage import Stage
from twospeed.types import Conversation, Message

LEARNED = load()
ASKED = "Make the parser accept trailing commas in argument lists and keep the old error for a leading one."


def asks(*contents: object) -> Conversation:
    messages = [Message("user", msgspec.Raw(json.dumps(content).encode())) for content in contents]
    return Conversation("/v1/chat/completions", messages)


def answer(reader: Reader, asked: Conversation, stage: Stage) -> tuple[float, float]:
    return reader.score(reader.known(asked, open_all(asked.messages)), stage)


def test_an_answer_is_the_same_with_and_without_memory():
    """Asked again, between other requests and at other stages of a run, a request is judged as if it were the first."""
    asked = [
        asks(ASKED),
        asks(ASKED, "go on"),
        asks([{"type": "text", "text": ASKED}, {"type": "text", "text": "<note>\nbe quick\n</note>"}]),
        asks(ASKED + " word" * 20_000),
        asks(""),
        asks(),
    ]
    reader = Reader(LEARNED)
    for stage in (Stage(), Stage(steps=4, edits=2, waiting=True), Stage(steps=5, failures=2, waiting=True), Stage()):
        for conversation in asked * 2:
            fresh = LEARNED.score(measure(separate(conversation), stage))
            assert answer(reader, conversation, stage) == answer(Reader(LEARNED), conversation, stage) == fresh


def test_two_messages_that_differ_are_never_taken_for_each_other():
    """The same texts in other parts are another message."""
    reader = Reader(LEARNED)
    first, second = asks([{"text": "Fix the "}, {"text": "parser."}]), asks([{"text": "Fix the parser."}])
    for conversation in (first, second, first):
        assert reader.ask(conversation, open_all(conversation.messages)) == separate(conversation)


def test_more_instructions_than_are_remembered():
    """Memory is bounded; what was forgotten is read again."""
    reader = Reader(LEARNED)
    before = answer(reader, asks(ASKED), Stage())
    for number in range(REMEMBERED + 8):
        reader.ask(asks(f"Rename step_{number} to stage_{number}."), [None])
    assert answer(reader, asks(ASKED), Stage()) == before


def test_the_same_words_about_other_code_are_another_ask():
    """What is remembered of an ask is found by its code as well: only one of these has a hole in it."""
    reader = Reader(LEARNED)
    for hole, small in (("<cursor>", "cursor"), ("1", ""), ("<cursor>", "cursor")):
        asked = asks(f"Complete the code.\n```python\nx = {hole}\n```")
        known = reader.known(asked, open_all(asked.messages))
        assert (known.small, known.ask.code) == (small, f"x = {hole}")
