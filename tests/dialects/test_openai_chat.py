"""OpenAI chat completions: golden files per client and provider, and what is refused.

tests/golden/openai_chat: `request-*.json` and `stream-*.sse` are inputs, the `.txt` beside each is what comes of it.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.dialects.openai_chat import DIALECT
from twospeed.errors import Fault, Kind
from twospeed.types import NULL, Request

GOLDEN = Path(__file__).parent.parent / "golden/openai_chat"
REQUESTS = sorted(GOLDEN.glob("request-*.json"))
STREAMS = sorted(GOLDEN.glob("stream-*.sse"))
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def decoded(**members: object) -> Request:
    """A request with these members besides the needed ones."""
    return DIALECT.decode(json.dumps({**BODY, **members}).encode(), "/chat/completions")


def refused(body: bytes) -> Fault:
    """The fault of a request that is refused."""
    with pytest.raises(Fault) as caught:
        DIALECT.decode(body, "/chat/completions")
    assert caught.value.kind is Kind.BAD_REQUEST
    return caught.value


def shown_request(body: bytes) -> str:
    """All that is read of a request, and the body as a provider gets it."""
    try:
        request = DIALECT.decode(body, "/chat/completions")
    except Fault as fault:
        return f"{fault.kind}: {fault.message}\nparam: {fault.param}\n"
    seen = DIALECT.conversation(request)
    lines = {
        "model": f"{request.model} at {request.model_at}",
        "stream": f"{request.stream}, wants usage {request.wants_usage}",
        "max_tokens": request.max_tokens,
        "stateful": request.stateful,
        "session": DIALECT.declared(request),
        "opening": [part.decode() for part in DIALECT.opening(request)],
        "roles": [message.role for message in seen.messages],
        "tool calls": [message.tool_calls != NULL for message in seen.messages],
        "tools": seen.tools,
        "effort": seen.effort,
        "schema": seen.wants_schema,
    }
    facts = "".join(f"{name}: {value}\n" for name, value in lines.items())
    return facts + "\n" + DIALECT.encode(request, "other/model", account=True).decode()


def shown_stream(stream: bytes, size: int) -> str:
    """All that is read of a stream that comes in pieces of one size, and the bytes a client gets."""
    reader, out, told = DIALECT.reader(decoded(stream=True)), b"", ""
    try:
        for at in range(0, len(stream), size):
            out += reader.feed(stream[at : at + size])
        out += reader.end()
    except Fault as fault:
        out += reader.good + DIALECT.interrupt(fault)
        told = f"{fault.kind}: {fault.detail}\n"
    facts = f"committed: {reader.committed}\nended: {reader.ended}\nfinish: {reader.finish}\nusage: {reader.usage}\n"
    return facts + told + "\n" + out.decode()


@pytest.mark.parametrize("file", REQUESTS, ids=lambda file: file.stem)
def test_requests_of_real_clients(file: Path):
    """Each client's body is understood, and only its model and the request for usage change on the way."""
    assert shown_request(file.read_bytes()) == file.with_suffix(".txt").read_bytes().decode()


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_streams_of_real_providers(file: Path, size: int):
    """Each provider's stream reaches the client whole, however the network cuts it."""
    assert shown_stream(file.read_bytes(), size) == file.with_suffix(".txt").read_bytes().decode()


@pytest.mark.parametrize(
    ("member", "value", "message", "param"),
    [
        ("model", None, "Invalid 'model': expected a string.", "model"),
        ("model", "", "Invalid 'model': must not be empty.", "model"),
        ("messages", [], "Invalid 'messages': expected array of length >= 1.", "messages"),
        ("messages", "hi", "Invalid 'messages': expected array, got string.", "messages"),
        ("messages", None, "Invalid 'messages': expected array, got null.", "messages"),
        ("messages", ["hi"], "Invalid 'messages[0]': expected object, got string.", "messages"),
        ("messages", [{"role": 1}], "Invalid 'messages[0].role': expected string, got integer.", "messages"),
        ("stream", "yes", "Invalid 'stream': expected boolean | null, got string.", "stream"),
        ("stream", 1, "Invalid 'stream': expected boolean | null, got integer.", "stream"),
        ("max_tokens", -1, "Invalid 'max_tokens': expected integer >= 0.", "max_tokens"),
        ("max_tokens", 1.5, "Invalid 'max_tokens': expected integer | null, got float.", "max_tokens"),
        ("max_tokens", 1 << 60, "Invalid 'max_tokens': expected integer <= 9007199254740991.", "max_tokens"),
        ("max_completion_tokens", "9", "Invalid 'max_completion_tokens': expected integer | null, got string.", None),
        ("stream_options", [], "Invalid 'stream_options': expected object | null, got array.", "stream_options"),
        ("tools", {}, "Invalid 'tools': expected array.", "tools"),
        ("tools", "x", "Invalid 'tools': expected array.", "tools"),
    ],
)
def test_wrong_types_are_refused(member: str, value: object, message: str, param: str | None):
    """A field of a wrong type is named before any provider is asked."""
    fault = refused(json.dumps({**BODY, member: value}).encode())
    assert (fault.message, fault.param) == (message, param or member)


@pytest.mark.parametrize("member", ["model", "messages"])
def test_what_is_needed_is_asked_for(member: str):
    """A body without a model or messages is told so."""
    body = {key: value for key, value in BODY.items() if key != member}
    assert refused(json.dumps(body).encode()).message == f"Missing required field '{member}'."


@pytest.mark.parametrize(
    "body", [b"", b"null", b"hi", b"{", b'{"model": "m\xff", "messages": [{}]}', json.dumps(BODY).encode() + b"{}"]
)
def test_what_is_no_json_object_is_refused(body: bytes):
    """Broken text is the client's mistake, never ours."""
    assert refused(body).message.startswith("Invalid request body: ")


def test_broken_text_in_content_is_refused():
    """Bytes that are not UTF-8 are found in the strings that nobody reads, too."""
    for size in (0, 10_000):
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * size + "@"}]}).encode()
        assert refused(body.replace(b"@", b"\xe9")).message == "Invalid request body: not valid UTF-8."


@pytest.mark.parametrize(
    "members",
    [
        {"stream": None, "max_tokens": None, "tools": None, "stream_options": None, "max_completion_tokens": None},
        {"messages": [{"role": "critic", "content": None, "weight": 3, "deep": {"a": [1, {"b": []}]}}]},
        {"messages": [{"content": [{"type": "hologram", "data": {}}]}], "anything": {"else": [True]}},
        {"tools": [], "tool_choice": {"type": "allowed_tools"}, "modalities": ["text"]},
        {"tools": ["odd", 7], "functions": {}, "response_format": "odd", "reasoning_effort": 3, "reasoning": []},
    ],
)
def test_unknown_things_are_neither_read_nor_refused(members: dict[str, object]):
    """Roles, part types and fields that do not exist yet pass, and classification sees what it knows."""
    request = decoded(**members)
    assert DIALECT.conversation(request).tools == []
    assert json.loads(DIALECT.encode(request, "n", account=False)) == {**BODY, **members, "model": "n"}


@pytest.mark.parametrize("place", ["field", "content", "tool_calls", "unknown", "part", "tools", "schema"])
@pytest.mark.parametrize(("levels", "fits"), [(128, True), (129, False), (200, False), (930, False), (9_000, False)])
def test_depth_is_limited_everywhere(place: str, levels: int, fits: bool):
    """A body nests 128 levels and no more, wherever it nests; how much text lies around does not matter."""
    shapes = {
        "field": (2, '{"model": "m", "x": [@], "messages": [{"content": "hi"}]}'),
        "content": (4, '{"model": "m", "messages": [{"content": "hi"}, {"content": [@, "%"]}, {"content": "hi"}]}'),
        "tool_calls": (5, '{"model": "m", "messages": [{}, {"tool_calls": [{"a": @, "b": "%"}]}, {"content": "hi"}]}'),
        "unknown": (4, '{"model": "m", "messages": [{"content": "%"}, {"odd": [@]}, {"content": "hi"}]}'),
        "part": (5, '{"model": "m", "messages": [{"content": [{"type": "text", "text": "%", "odd": @}]}]}'),
        "tools": (3, '{"messages": [{"content": "hi"}], "tools": [{"a": "%", "b": @}], "model": "m"}'),
        "schema": (4, '{"messages": [{"content": "hi"}], "tools": [{"b": {"%": @}}], "model": "m"}'),
    }
    above, shape = shapes[place]
    for text in ("", "[{]}" * 200, '\\"' * 200):
        deep = "[" * (levels - above) + "]" * (levels - above)
        body = shape.replace("%", text).replace("@", deep).encode()
        if fits:
            DIALECT.decode(body, "/chat/completions")
        else:
            assert refused(body).message == "Invalid request body: nested more than 128 levels deep."


@given(st.integers(0, 3), st.sampled_from(["a", "é😀", 'q"\\', "x" * 3_000]), st.booleans(), st.booleans())
def test_a_body_survives_whatever_its_order(place: int, text: str, compact: bool, listed: bool):
    """The model may be anywhere; everything else stays byte for byte."""
    content: object = [{"type": "text", "text": text, "model": "no"}] if listed else text
    members = {"messages": [{"role": "user", "content": content}] * 3, "temperature": 1.0e5, "tools": [{"model": "no"}]}
    items = [*members.items()]
    items.insert(place, ("model", "m"))
    separators = (",", ":") if compact else (", ", ": ")
    body = json.dumps(dict(items), ensure_ascii=False, separators=separators).encode()
    request = DIALECT.decode(body, "/chat/completions")
    start, end = request.model_at
    new = DIALECT.encode(request, 'n"é', account=True)
    assert new == body[:start] + b'"n\\"\xc3\xa9"' + body[end:]
    assert json.loads(new) == {**members, "model": 'n"é'}


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False, "odd": {"a": 1.0}}}, {"include_usage": True, "odd": {"a": 1.0}}),
        ({"stream_options": {"include_usage": True, "odd": 1}}, {"include_usage": True, "odd": 1}),
    ],
)
def test_usage_is_asked_for_on_accounted_streams(members: dict[str, object], options: dict[str, object]):
    """What tokens cost must be known; other stream options stay, and unaccounted bodies are left alone."""
    for order in (1, -1):
        body = json.dumps(dict(list({**BODY, "stream": True, **members}.items())[::order])).encode()
        request = DIALECT.decode(body, "/chat/completions")
        asked = json.loads(DIALECT.encode(request, "n", account=True))
        assert asked == {**BODY, "stream": True, "model": "n", "stream_options": options}
        assert DIALECT.encode(request, "n", account=False) == body.replace(b'"model": "m"', b'"model": "n"')


def test_usage_is_not_asked_for_without_a_stream():
    """An unstreamed answer brings its usage anyway."""
    request = decoded(stream=False)
    assert b"stream_options" not in DIALECT.encode(request, "n", account=True)


def test_the_smaller_limit_field_is_the_newer_one():
    """max_completion_tokens replaces max_tokens where both are sent."""
    assert decoded(max_tokens=5).max_tokens == 5
    assert decoded(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert decoded(max_tokens=5, max_completion_tokens=0).max_tokens == 0


def test_a_stored_completion_is_stateful():
    """A request that leaves something at the provider is not replayed elsewhere (R3)."""
    assert decoded(store=True).stateful
    assert not decoded(store=False).stateful


def test_answers_and_faults_are_openai_s():
    """The dialect reads and writes OpenAI's shapes."""
    answer = DIALECT.answer(b'{"choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": 2}}')
    assert (answer.finish, answer.usage.input_tokens if answer.usage else None) == ("stop", 2)
    assert DIALECT.refuse(Fault(Kind.MODEL_NOT_FOUND)).status == 404
    assert DIALECT.interrupt(Fault(Kind.RESET)).startswith(b'data: {"error":')
