"""Conversations that come again: read as if they had never been seen, at a fraction of the work."""

import copy
import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twospeed.dialects import recall
from twospeed.dialects.anthropic_messages import DIALECT as MESSAGES
from twospeed.dialects.body import model_at, model_name, read
from twospeed.dialects.openai_chat import DIALECT as CHAT
from twospeed.dialects.openai_responses import DIALECT as RESPONSES
from twospeed.dialects.recall import Read, Recall
from twospeed.errors import Fault, Kind
from twospeed.types import NULL, Message

TEXT = 'what a conversation is about, é and \\ and " and {[ included; ' * 40  # 2.5 KB


class View(msgspec.Struct):
    """A view like a dialect's."""

    model: msgspec.Raw
    messages: list[Message]
    count: int = 0
    tools: msgspec.Raw = NULL
    system: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(View)


class Reader:
    """A recall whose full reads are counted in bytes."""

    def __init__(self, **bounds: int) -> None:
        self.looked_at: list[int] = []
        self.recall = Recall(self.parse, ("system", "tools"), **bounds)

    def parse(self, body: bytes) -> Read[View, Message]:
        """Read all of a body."""
        self.looked_at.append(len(body))
        view = read(_decoder, body)
        return view, view.messages, model_name(view.model), model_at(body, view.model, body)

    def told(self, body: bytes) -> list[int]:
        """Read a body, see that the outcome is that of a full read, and return how much was looked at for it."""
        self.looked_at = []
        found, looked_at = outcome(self.recall.read, body), self.looked_at
        assert found == outcome(Reader().parse, body)
        return looked_at


def outcome(call: Any, body: bytes) -> object:
    """What is read of a body, or what is wrong with it."""
    try:
        view, messages, model, at = call(body)
    except Fault as fault:
        return fault.kind, fault.message, fault.param
    assert json.loads(body[slice(*at)]) == model
    return (
        [msgspec.structs.astuple(item) for item in messages],
        model,
        at,
        view.count,
        bytes(view.tools),
        bytes(view.system),
    )


def turns(count: int, last: str = "") -> list[dict[str, object]]:
    """So many turns of a conversation."""
    said = [{"role": "assistant" if at % 2 else "user", "content": f"{at} {TEXT}"} for at in range(count)]
    return [*said, {"role": "user", "content": last}] if last else said


def body(messages: list[dict[str, object]], **members: object) -> bytes:
    """A body as clients write it."""
    return json.dumps({"count": 1, "messages": messages, "model": "m", **members}, ensure_ascii=False).encode()


def test_a_conversation_is_read_on_where_it_ended():
    """With each turn only what is new is read, wherever the model is named."""
    reader = Reader()
    assert reader.told(body(turns(9))) == [len(body(turns(9)))]
    (looked_at,) = reader.told(body(turns(10), temperature=1))
    assert looked_at < 2 * len(TEXT)
    front = json.dumps({"model": "m", "messages": turns(9)}).encode()
    reader.told(front)
    assert reader.told(front.replace(b'"m"', b'"m"', 1)) < [200]


def test_a_short_body_is_not_held():
    """What is read in no time is not worth a place."""
    reader = Reader()
    short = body(turns(1))
    assert reader.told(short) == reader.told(short) == [len(short)]


def test_a_last_message_that_changes_costs_only_itself():
    """Clients mark, extend or replace the newest message; those before it are known all the same."""
    reader = Reader()
    reader.told(body(turns(9, last="a" + TEXT)))
    (looked_at,) = reader.told(body(turns(9, last="b" + TEXT)))
    assert looked_at < 2 * len(TEXT)
    reader.told(body([*turns(4), *turns(6)]))


def test_two_conversations_that_begin_alike():
    """A long prompt that every conversation of a client begins with is read once, and each conversation is its own."""
    reader = Reader()
    common = [{"role": "system", "content": TEXT * 8}]
    ann, bob = ([*common, {"role": "user", "content": who + TEXT}] for who in ("ann", "bob"))
    assert reader.told(body(ann)) == [len(body(ann))]
    (looked_at,) = reader.told(body(bob))
    assert looked_at < 2 * len(TEXT)
    assert reader.told(body([*ann, *turns(1)]))[0] < 3 * len(TEXT)


def test_what_has_grown_is_held_anew():
    """Before the unknown part becomes large the body is read whole once more, and the older one is let go."""
    reader = Reader()
    sizes = [reader.told(body(turns(count)))[0] / len(body(turns(count))) for count in range(8, 40)]
    assert sum(size == 1 for size in sizes) < 12
    assert max(size for size in sizes if size < 1) < 0.3
    assert len(reader.recall._told) == 1


@pytest.mark.parametrize(
    "tail",
    [
        b'{"role":"user"}],"model":"m"}',  # no comma
        b',{"role":5}],"model":"m"}',
        b',{"role":"user","content":"\xff"',
        b'],"messages":[{"role":"user","content":"another"}],"model":"m"}',
        b'],"model":"m","model":"n"}',
        b'],"model":"m","mod\\u0065l":"n"}',
        b'],"x":{"model":"n"},"model":"m"}',
        b'],"model":"m","count":"1"}',
        b'],"model":"m"}}',
        b"]",
        b"",
        b",",
        b'],"model":5}',
        b',"content":1}],"model":"m"}',
    ],
)
def test_what_follows_is_refused_or_read_as_ever(tail: bytes):
    """Knowing how a body begins changes nothing about what else may be wrong with it, nor how that is said."""
    reader = Reader()
    known = body(turns(9))
    reader.told(known)
    reader.told(known[: known.index(b'], "model"')] + tail)


def test_text_that_only_looks_like_a_conversation():
    """The same bytes below another key, or as a text, are no messages."""
    reader = Reader()
    known = json.dumps({"messages": turns(9), "model": "m"}).encode()
    begin = known.index(b"[")
    for before in (b'{"messages": ', b'{"unknown": ', b'{"messages": [], "x": '):
        for after in (b', "messages": [], "model": "m"}', b', "model": "m", "messages": [{"content": 7}]}'):
            text = before + known[begin : known.rindex(b"]") + 1] + after
            reader.told(text)
            reader.told(text)


@pytest.mark.parametrize("order", [("system", "messages", "tools"), ("tools", "model", "messages", "system")])
def test_long_values_beside_the_messages_are_known_too(order: tuple[str, ...]):
    """An agent's tools and its prompt come with each turn and are not read again either, wherever they stand."""
    long = {"system": TEXT, "tools": [{"name": "model", "text": TEXT}], "model": "m"}
    bodies = [
        json.dumps(
            {**{name: long.get(name) for name in order}, "messages": turns(count), "model": "m", **more}
        ).encode()
        for count, more in ((9, {}), (10, {}), (10, {"tools": [TEXT]}), (9, {"system": "x"}), (9, {}))
    ]
    reader = Reader()
    sizes = [reader.told(sent)[0] for sent in bodies]
    assert sizes[0] == len(bodies[0])
    assert sizes[1] < 2 * len(TEXT)
    assert sizes[4] < 300
    reader.told(bodies[4].replace(b'"tools": [', b'"tools": [1, ', 1))
    reader.told(bodies[4][:-1] + b', "tools": [1]}')
    reader.told(bodies[4][:-1] + b', "tools": {')


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 1), st.binary(max_size=6), st.booleans())
def test_any_change_anywhere(where: int, taken: int, put: bytes, first: bool):
    """A byte more, less or other, wherever it is: the outcome is that of a full read."""
    reader = Reader()
    said = [{"content": TEXT * 2, "role": "system", "name": "n"}, *turns(6), {"role": "tool", "content": None}]
    known = body(said, tools=[TEXT], x=1)
    reader.told(known)
    at = where if first else len(known) - 60 + 2 * where
    reader.told(known[:at] + put + known[at + taken :])


@pytest.mark.parametrize("whole", [True, False])
def test_ends_that_are_not_seen_at_once(whole: bool):
    """A message whose text is followed by nested members ends somewhere else; the one before it will do."""
    reader = Reader()
    odd: list[dict[str, object]] = [{"role": "user", "content": TEXT, "x": {"content": 1} if whole else "y"}]
    reader.told(body([*turns(8), *odd]))
    (looked_at,) = reader.told(body([*turns(8), *odd, {"role": "user", "content": "on"}]))
    assert looked_at < (2 * len(TEXT) if whole else 300)


def test_no_end_is_looked_for_at_length(monkeypatch: pytest.MonkeyPatch):
    """A body of very many odd messages costs no more than any of its size."""
    tried: list[object] = []
    monkeypatch.setattr(recall, "_end", lambda _, message: tried.append(message) or -1)
    odd = body([{"content": 1, "odd": {}}] * 3_000)
    reader = Reader()
    assert reader.told(odd) == reader.told(odd) == [len(odd)]
    assert len(tried) <= 2 * recall._TRIED


def test_what_is_held_is_bounded():
    """However many conversations come by, the oldest are let go, and none takes all the room."""
    size = len(body(turns(7, last="0")))
    reader = Reader(held=10 * size)
    for number in range(30):
        reader.told(body([{"role": "user", "content": f"{number} {TEXT}"}, *turns(6)]))
    held = reader.recall._told
    assert 0 < sum(told.weight for told in held.values()) <= 10 * size
    assert reader.recall._room == 10 * size - sum(told.weight for told in held.values())
    before = dict(held)
    large = body(turns(20))
    assert reader.told(large) == reader.told(large) == [len(large)]
    assert reader.recall._told == before
    many = body([{"content": 1}] * 3_000)
    assert reader.told(many) == reader.told(many) == [len(many)]


def held(value: Any) -> int:
    """Bytes that an object takes with all in it; of a view into the body, those of the view."""
    if value is None or isinstance(value, msgspec.Raw):
        return 0 if value is None or value is NULL else 64
    inside = msgspec.structs.astuple(value) if isinstance(value, msgspec.Struct) else value
    if isinstance(inside, dict):
        inside = [*inside, *inside.values()]
    own = sys.getsizeof(value)
    return own + sum(map(held, inside)) if isinstance(inside, (tuple, list)) else own


DECODED = [
    ("annotations", [{"": 1}] * 9_000),
    ("audio", {f"{number:x}": 1 for number in range(9_000)}),
    ("reasoning_details", [{"type": "text", "text": "é"}] * 3_000),
    ("reasoning_content", "😀" + "a" * 90_000),
    ("id", "😀" + "a" * 90_000),
    ("name", "😀" + "a" * 90_000),
]


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES, RESPONSES], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("member", "value"), DECODED, ids=[f"{name}-{type(value).__name__}" for name, value in DECODED]
)
def test_what_messages_are_decoded_to_is_held_within_bounds(
    dialect: Any, member: str, value: object, monkeypatch: pytest.MonkeyPatch
):
    """A text or a list that takes many times its JSON in memory is counted or not held, and is still recalled."""
    module = sys.modules[type(dialect).__module__]
    monkeypatch.setattr(module, "_recall", copy.copy(module._recall))
    monkeypatch.setattr(module._recall, "_told", {})
    key = "input" if dialect is RESPONSES else "messages"
    said = [*turns(3), {"role": "assistant", "content": "x", member: value}, *turns(4)]
    for count in (7, 8):
        sent = json.dumps({"model": "m", key: said[:count]}, ensure_ascii=False).encode()
        with monkeypatch.context() as patched:
            patched.setattr(recall, "LONG", len(sent) + 1)
            plain = dialect.decode(sent, "/x")
        request = dialect.decode(sent, "/x")
        known, anew = (dialect.conversation(taken).messages for taken in (request, plain))
        assert [(item.role, item.content) for item in known] == [(item.role, item.content) for item in anew]
    (told,) = module._recall._told.values()
    assert told.weight >= len(told.body) + sum(map(held, told.messages))


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES, RESPONSES], ids=lambda dialect: dialect.name)
def test_each_dialect_recalls_its_own(dialect: Any, monkeypatch: pytest.MonkeyPatch):
    """Requests come out the same with and without a memory, turn by turn; the body stays the client's."""
    key = "input" if dialect is RESPONSES else "messages"
    for count in (9, 10, 11, 11):
        sent = json.dumps({"model": "m", key: turns(count), "stream": True}).encode()
        request = dialect.decode(sent, "/x")
        with monkeypatch.context() as patched:
            patched.setattr(recall, "LONG", len(sent) + 1)
            plain = dialect.decode(sent, "/x")
        assert (request.body, request.model, request.model_at) == (sent, plain.model, plain.model_at)
        assert dialect.conversation(request) == dialect.conversation(plain)
        assert list(dialect.opening(request)) == list(dialect.opening(plain))
        assert dialect.encode(request, "n", True) == dialect.encode(plain, "n", True)


def test_a_reference_in_what_is_known_still_binds():
    """Items read before are looked into like new ones: a request that refers to one provider's state stays with it."""
    said = [*turns(9), {"type": "item_reference", "id": "msg_1"}, *turns(1)]
    for count in (len(said), len(said), len(said) - 1):
        request = RESPONSES.decode(json.dumps({"model": "m", "input": said[:count]}).encode(), "/responses")
        assert (request.bound, request.stateful) == ("item_reference", True)


def test_the_same_bytes_in_another_dialect():
    """A body that was a chat is refused by Messages for its own reasons."""
    sent = json.dumps({"model": "m", "messages": [{"role": "user", "content": TEXT * 9}], "tools": None}).encode()
    assert CHAT.decode(sent, "/x").parsed is not MESSAGES.decode(sent, "/x").parsed
    with pytest.raises(Fault) as caught:
        RESPONSES.decode(sent, "/x")
    assert caught.value.kind is Kind.BAD_REQUEST
