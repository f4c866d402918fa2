"""Completions and fill-in-the-middle: golden files per client and provider, ways to ask, and what is refused.

tests/golden/openai_completions: `request-*.json` (`request-fim-*` and `request-beta-*` come in at those addresses) and
`stream-*.sse` are inputs, the `.txt` beside each is what comes of it.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.dialects.fim import families
from twospeed.dialects.openai_completions import AS_CAME, DIALECT, Way, ask
from twospeed.errors import Fault, Kind
from twospeed.types import Request, Usage

GOLDEN = Path(__file__).parent.parent / "golden/openai_completions"
REQUESTS = sorted(GOLDEN.glob("request-*.json"))
STREAMS = sorted(GOLDEN.glob("stream-*.sse"))
PLAIN, FIM, BETA = "/v1/completions", "/v1/fim/completions", "/v1/beta/completions"
BODY = {"model": "m", "prompt": "def f("}
FOLDED = Way("/completions", suffix=False, family=families()["qwen"])


def decoded(endpoint: str = PLAIN, **members: object) -> Request:
    """A request with these members besides the needed ones."""
    return DIALECT.decode(json.dumps({**BODY, **members}).encode(), endpoint)


def asked(request: Request, way: Way) -> dict[str, object]:
    """The body a backend gets that is asked in this way."""
    return json.loads(ask(request, way).encode(request, "m", account=False))


def refused(body: bytes) -> Fault:
    """The fault of a request that is refused."""
    with pytest.raises(Fault) as caught:
        DIALECT.decode(body, PLAIN)
    assert caught.value.kind is Kind.BAD_REQUEST
    return caught.value


def shown_request(file: Path) -> str:
    """All that is read of a request, and the body as two providers get it."""
    endpoint = FIM if "-fim-" in file.stem else BETA if "-beta-" in file.stem else PLAIN
    request = DIALECT.decode(file.read_bytes(), endpoint)
    seen = DIALECT.conversation(request)
    completion = request.completion
    assert completion is not None
    lines = {
        "endpoint": seen.endpoint,
        "model": f"{request.model} at {request.model_at}",
        "stream": f"{request.stream}, wants usage {request.wants_usage}",
        "max_tokens": seen.max_tokens,
        "session": DIALECT.declared(request),
        "prompt": repr(seen.prompt),
        "suffix": repr(completion.suffix),
        "infill": f"{completion.infill}, one text {completion.whole}",
        "families": sorted(completion.families),
        "wishes": request.wishes,
    }
    facts = "".join(f"{name}: {value}\n" for name, value in lines.items())
    native, folded = (ask(request, way).encode(request, "other/model", account=True) for way in (AS_CAME, FOLDED))
    return f"{facts}\nnative: {native.decode()}\n\nfolded: {folded.decode()}\n"


def shown_stream(stream: bytes, size: int, endpoint: str, path: str) -> str:
    """All that is read of a stream that comes in pieces of one size, and the bytes a client gets."""
    request = decoded(endpoint, stream=True)
    reader, out, told = ask(request, Way(path)).reader(request), b"", ""
    try:
        for at in range(0, len(stream), size):
            out += reader.feed(stream[at : at + size])
        out += reader.end()
    except Fault as fault:
        out += reader.good + reader.interrupt(fault)
        told = f"{fault.kind}: {fault.detail}\n"
    facts = f"committed: {reader.committed}\nended: {reader.ended}\nfinish: {reader.finish}\nusage: {reader.usage}\n"
    return f"{endpoint} from a backend asked at {path or 'the same'}:\n{facts}{told}\n{out.decode()}"


@pytest.mark.parametrize("file", REQUESTS, ids=lambda file: file.stem)
def test_requests_of_real_clients(file: Path):
    """Each client's body is understood; a backend that knows its fields gets it as it came, model and usage apart."""
    assert shown_request(file) == file.with_suffix(".txt").read_bytes().decode()


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_streams_of_real_providers(file: Path, size: int):
    """Each provider's stream reaches each client in the shape of the client's own endpoint, however it is cut."""
    ways = [(PLAIN, ""), (PLAIN, "/fim/completions"), (FIM, "/completions")]
    shown = "\n".join(shown_stream(file.read_bytes(), size, *way) for way in ways)
    assert shown == file.with_suffix(".txt").read_bytes().decode()


@pytest.mark.parametrize("endpoint", [PLAIN, FIM, BETA])
@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_the_same_address_passes_bytes_untouched(file: Path, endpoint: str):
    """Where the backend is asked at the client's own address, every whole event of its answer stays as it came."""
    stream = file.read_bytes()
    request = decoded(endpoint, stream=True, stream_options={"include_usage": True})
    reader = ask(request, AS_CAME).reader(request)
    try:
        out = reader.feed(stream)
    except Fault:
        out = reader.good
    assert stream.startswith(out)
    assert out == stream or "error" in file.stem


@given(st.lists(st.integers(1, 90), min_size=1, max_size=6), st.sampled_from(STREAMS), st.sampled_from([PLAIN, FIM]))
def test_cuts_change_nothing(sizes: list[int], file: Path, endpoint: str):
    """Half an event is never turned into anything, and the facts are the same however the network cuts."""
    stream = file.read_bytes()
    path = "/fim/completions" if endpoint == PLAIN else "/completions"
    whole = shown_stream(stream, len(stream), endpoint, path)
    request = decoded(endpoint, stream=True)
    reader, out, at, turn = ask(request, Way(path)).reader(request), b"", 0, 0
    try:
        while at < len(stream):
            size = sizes[turn % len(sizes)]
            piece = reader.feed(stream[at : at + size])
            assert piece.endswith((b"", b"\n\n", b"\r\n\r\n"))
            out, at, turn = out + piece, at + size, turn + 1
        out += reader.end()
    except Fault as fault:
        out += reader.good + reader.interrupt(fault)
    assert whole.endswith(out.decode())


@pytest.mark.parametrize(
    ("endpoint", "path", "upstream"),
    [
        (PLAIN, "", "/completions"),
        (FIM, "", "/fim/completions"),
        ("/beta/completions", "", "/beta/completions"),
        (FIM, "/completions", "/completions"),
        (PLAIN, "/beta/completions", "/beta/completions"),
    ],
)
def test_a_backend_is_asked_where_it_listens(endpoint: str, path: str, upstream: str):
    """The address is the client's own, unless the provider has another one."""
    assert ask(decoded(endpoint), Way(path)).upstream_path == upstream


def test_a_suffix_is_folded_into_the_prompt():
    """A backend without the field gets the family's marks around both texts, and the family's stops."""
    body = asked(decoded(suffix=")", temperature=0.5), FOLDED)
    assert body == {
        "model": "m",
        "prompt": "<|fim_prefix|>def f(<|fim_suffix|>)<|fim_middle|>",
        "temperature": 0.5,
        "stop": list(families()["qwen"].stop),
    }


@pytest.mark.parametrize("stop", ["\n", ["\n", ")"]])
def test_stops_of_the_client_are_kept(stop: object):
    """A client that says where to stop is not overruled."""
    assert asked(decoded(suffix=")", stop=stop), FOLDED)["stop"] == stop


@pytest.mark.parametrize("stop", [None, "", []])
def test_no_stop_is_no_stop(stop: object):
    """Empty stops leave the family's own in place."""
    assert asked(decoded(suffix=")", stop=stop), FOLDED)["stop"] == list(families()["qwen"].stop)


@pytest.mark.parametrize("suffix", ["", None])
def test_an_empty_suffix_asks_for_no_middle(suffix: str | None):
    """At the end of a file a plain prompt is continued; a backend without the field does not get to see it."""
    request = decoded(suffix=suffix)
    assert request.completion is not None
    assert not request.completion.infill
    assert asked(request, FOLDED).get("suffix") is None
    assert asked(request, FOLDED)["prompt"] == "def f("
    assert asked(request, AS_CAME)["suffix"] == suffix


def test_the_fim_address_asks_for_the_middle_even_at_the_end_of_a_file():
    """A model that fills in is asked to fill in, with nothing behind the cursor."""
    assert asked(decoded(FIM), FOLDED)["prompt"] == "<|fim_prefix|>def f(<|fim_suffix|><|fim_middle|>"


def test_a_marked_prompt_is_not_marked_again():
    """A client that has put the marks in itself gets what it asked for."""
    prompt = families()["qwen"].fold("def f(", ")")
    request = decoded(FIM, prompt=prompt)
    assert request.completion is not None
    assert "qwen" in request.completion.families
    assert asked(request, FOLDED)["prompt"] == prompt


def test_marks_are_text_where_a_suffix_is_sent():
    """Whoever edits a file about such marks sends them as any other text."""
    request = decoded(prompt=families()["qwen"].fold("a", "b"), suffix="c")
    assert request.completion is not None
    assert request.completion.families == frozenset()


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("model", None, "Invalid 'model': expected a string."),
        ("model", "", "Invalid 'model': must not be empty."),
        ("prompt", {}, "Invalid 'prompt': expected a string or an array of strings or tokens."),
        ("prompt", 1, "Invalid 'prompt': expected a string or an array of strings or tokens."),
        ("prompt", [True], "Invalid 'prompt': expected a string or an array of strings or tokens."),
        ("prompt", [[["a"]]], "Invalid 'prompt': expected a string or an array of strings or tokens."),
        ("prompt", [1.5], "Invalid 'prompt': expected a string or an array of strings or tokens."),
        ("suffix", 1, "Invalid 'suffix': expected a string."),
        ("suffix", ["a"], "Invalid 'suffix': expected a string."),
        ("stream", "yes", "Invalid 'stream': expected boolean | null, got string."),
        ("max_tokens", -1, "Invalid 'max_tokens': expected integer >= 0."),
        ("max_tokens", "9", "Invalid 'max_tokens': expected integer | null, got string."),
        ("stream_options", [], "Invalid 'stream_options': expected object | null, got array."),
    ],
)
def test_wrong_types_are_refused(member: str, value: object, message: str):
    """A field of a wrong type is named before any provider is asked."""
    fault = refused(json.dumps({**BODY, member: value}).encode())
    assert (fault.message, fault.param) == (message, member)


@pytest.mark.parametrize("member", ["model", "prompt"])
def test_what_is_needed_is_asked_for(member: str):
    """A body without a model or a prompt is told so."""
    body = {key: value for key, value in BODY.items() if key != member}
    assert refused(json.dumps(body).encode()).message == f"Missing required field '{member}'."


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b'{"model": "m", "prompt": "\xff"}',
        json.dumps(BODY).encode() + b"{}",
        b'{"model": "m", "model": "n", "prompt": ""}',
        b'{"model": "m", "prompt": ' + b"[" * 9_000 + b"]" * 9_000 + b"}",
        b'{"model": "m", "prompt": "", "x": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"model": "m", "prompt": "", "x": NaN}',
        b'{"model": "m", "prompt": [' + b"9" * 5_000 + b"]}",
    ],
)
def test_what_is_no_request_is_refused(body: bytes):
    """Broken, repeated or endless text is the client's mistake, never ours."""
    refused(body)


@given(
    st.integers(0, 3), st.sampled_from(["a", "é😀", 'q"\\', "x" * 3_000, '"model": "no"']), st.booleans(), st.booleans()
)
def test_a_body_survives_whatever_its_order(place: int, text: str, compact: bool, listed: bool):
    """The model may be anywhere; everything else stays byte for byte."""
    members = {"prompt": [text] if listed else text, "suffix": text, "logit_bias": {"model": 1.0e5}}
    items = [*members.items()]
    items.insert(place, ("model", "m"))
    separators = (",", ":") if compact else (", ", ": ")
    body = json.dumps(dict(items), ensure_ascii=False, separators=separators).encode()
    request = DIALECT.decode(body, PLAIN)
    start, end = request.model_at
    new = DIALECT.encode(request, 'n"é', account=True)
    assert new == body[:start] + b'"n\\"\xc3\xa9"' + body[end:]


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False, "odd": {"a": 1.0}}}, {"include_usage": True, "odd": {"a": 1.0}}),
        ({"stream_options": {"include_usage": True, "odd": 1}}, {"include_usage": True, "odd": 1}),
    ],
)
@pytest.mark.parametrize("way", [AS_CAME, FOLDED])
def test_usage_is_asked_for_on_accounted_streams(members: dict[str, object], options: dict[str, object], way: Way):
    """What tokens cost must be known, in whatever way a backend is asked; other stream options stay."""
    request = decoded(stream=True, suffix=")", stop="x", **members)
    assert json.loads(ask(request, way).encode(request, "m", account=True))["stream_options"] == options
    assert json.loads(ask(request, way).encode(request, "m", account=False)).get("stream_options") == members.get(
        "stream_options"
    )


def test_keystrokes_in_a_file_open_alike():
    """What tells sessions apart stays the same while somebody types, and differs from file to file."""
    head = "# calc.py\n" * 40
    one, two = (tuple(DIALECT.opening(decoded(prompt=head + typed))) for typed in ("def a", "def add(a, b):"))
    other = tuple(DIALECT.opening(decoded(prompt="# main.py\n" * 40)))
    short = {tuple(DIALECT.opening(decoded(prompt=typed))) for typed in ("d", "def add(")}
    assert one == two != other
    assert len(short) == 1


def test_an_answer_in_one_piece_takes_the_shape_of_the_clients_endpoint():
    """Text for /completions, a message for /fim/completions; usage is read from either."""
    text = b'{"object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":"stop"}],"usage":{"prompt_tokens":2}}'
    chat = ask(decoded(FIM), Way("/completions")).answer(text)
    assert chat.body is not None
    assert json.loads(chat.body)["choices"][0]["message"] == {"role": "assistant", "content": "a"}
    back = ask(decoded(PLAIN), Way("/fim/completions")).answer(chat.body)
    assert json.loads(back.body or b"") == json.loads(text)
    assert (back.usage, back.finish) == (Usage(2), "stop")
    assert ask(decoded(FIM), AS_CAME).answer(text).body is None


def test_faults_are_openais():
    """The dialect writes OpenAI's shapes."""
    assert DIALECT.refuse(Fault(Kind.MODEL_NOT_FOUND)).status == 404
    assert DIALECT.interrupt(Fault(Kind.RESET)).startswith(b'data: {"error":')
    assert DIALECT.answer(b'{"choices": [{"finish_reason": "stop"}]}').finish == "stop"
    assert DIALECT.reader(decoded(stream=True)).interrupt(Fault(Kind.RESET)).startswith(b'data: {"error":')
