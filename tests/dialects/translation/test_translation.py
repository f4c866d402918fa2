"""Every dialect over every provider: golden files of the whole matrix, plain and streamed.

tests/golden/translation: `ask/<client>-<case>.json` is what a client sends, `answer/<provider>-<case>.json|sse` what a
provider answers, `<client>-over-<provider>/<case>-plain|stream.txt` what each of them gets to see of the other.
"""

import json
import random
from pathlib import Path

import pytest

from twospeed.dialects import discover
from twospeed.dialects.quirks import NONE
from twospeed.dialects.translation import translate
from twospeed.errors import Fault, Kind
from twospeed.types import Request
from twospeed.upstream.faults import retold

GOLDEN = Path(__file__).parents[2] / "golden/translation"
NAMES = {"chat": "openai_chat", "responses": "openai_responses", "messages": "anthropic_messages"}
DIALECTS = {short: discover()[name] for short, name in NAMES.items()}
CASES = ["text", "tool", "parallel", "image", "reasoning", "error-before", "error-midway"]
PAIRS = [(client, provider) for client in NAMES for provider in NAMES]


def asked(client: str, case: str, stream: bool) -> Request:
    """A request as the client sends it."""
    body = json.loads((GOLDEN / f"ask/{client}-{case}.json").read_text())
    if stream:
        body["stream"] = True
        if client == "chat":
            body["stream_options"] = {"include_usage": True}
    return DIALECTS[client].decode(json.dumps(body).encode(), "/")


def spoken(client: str, provider: str, request: Request):
    """How it is put to the provider, and the list of what is dropped."""
    if client == provider:
        return DIALECTS[client], []
    target = frozenset({NAMES[provider]})
    translation = translate(DIALECTS[client], request, target, "prov", NONE, "req_seed", 1_700_000_001.0)
    return translation, translation.dropped


def played(reader, answer: bytes, sizes) -> tuple[bytes, str]:
    """The client's bytes when the provider's come in pieces of these sizes, and the fault if there was one."""
    out, at = b"", 0
    try:
        while at < len(answer):
            size = next(sizes)
            out += reader.feed(answer[at : at + size])
            at += size
        return out + reader.end(), ""
    except Fault as fault:
        told = f"{fault.kind}: {fault.detail}"
        return (out + reader.good + reader.interrupt(fault, "req_seed") if reader.committed else b""), told


def whole(way, client: str, provider: str, case: str) -> bytes:
    """The client's whole answer."""
    answer = (GOLDEN / f"answer/{provider}-{case}.json").read_bytes()
    try:
        if case == "error-before":
            fault = Fault(Kind.PROVIDER_REFUSED, status=400, body=answer)
            raise fault if client == provider else retold(fault)
        return way.answer(answer).body or answer
    except Fault as fault:
        refusal = DIALECTS[client].refuse(fault)
        return b"%d " % refusal.status + refusal.body


def shown(client: str, provider: str, case: str, stream: bool) -> str:
    """Both sides of one exchange."""
    request = asked(client, case, stream)
    way, dropped = spoken(client, provider, request)
    sent = json.loads(way.encode(request, "their-model", True))
    if stream:
        answer = (GOLDEN / f"answer/{provider}-{case}.sse").read_bytes()
        reader = way.reader(request)
        out, told = played(reader, answer, iter(lambda: 1 << 20, 0))
        facts = f"finish: {reader.finish}\nusage: {reader.usage}\nfault: {told}\n"
    else:
        out, facts = whole(way, client, provider, case), ""
    return f"{json.dumps(sent, indent=1, ensure_ascii=False)}\n\ndropped: {dropped}\n{facts}\n{out.decode()}\n"


@pytest.mark.parametrize("form", ["plain", "stream"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("client", "provider"), PAIRS)
def test_the_matrix(client: str, provider: str, case: str, form: str):
    """What a client says reaches any provider, and what that answers reaches the client, each in its own words."""
    golden = GOLDEN / f"{client}-over-{provider}/{case}-{form}.txt"
    assert shown(client, provider, case, form == "stream") == golden.read_text()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("client", "provider"), PAIRS)
def test_cuts_change_nothing(client: str, provider: str, case: str):
    """However the network cuts a provider's stream, the client gets the same bytes."""
    answer = (GOLDEN / f"answer/{provider}-{case}.sse").read_bytes()

    def heard(sizes) -> tuple[bytes, str]:
        request = asked(client, case, stream=True)
        return played(spoken(client, provider, request)[0].reader(request), answer, sizes)

    expected = heard(iter(lambda: 1 << 20, 0))
    assert heard(iter(lambda: 1, 0)) == expected
    chance = random.Random(7)
    for _ in range(5):
        assert heard(iter(lambda: chance.randint(1, 200), 0)) == expected


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", NAMES)
def test_one_cut_anywhere_changes_nothing(dialect: str, case: str):
    """Whichever byte of a stream is the last to come in time, the rest goes on from there."""
    answer = (GOLDEN / f"answer/{dialect}-{case}.sse").read_bytes()
    request = asked(dialect, case, stream=True)
    expected = played(DIALECTS[dialect].reader(request), answer, iter([len(answer)]))
    for cut in range(1, len(answer)):
        heard = played(DIALECTS[dialect].reader(request), answer, iter([cut, len(answer)]))
        assert heard == expected, cut


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", NAMES)
def test_the_same_dialect_passes_bytes(dialect: str, case: str):
    """Spoken to a provider of its own dialect, a body changes in its model only, a stream and an answer not at all."""
    body = (GOLDEN / f"ask/{dialect}-{case}.json").read_bytes()
    request = DIALECTS[dialect].decode(body, "/")
    assert DIALECTS[dialect].encode(request, "x", True) == body.replace(b'"auto"', b'"x"', 1)
    answer = (GOLDEN / f"answer/{dialect}-{case}.sse").read_bytes()
    if not case.startswith("error"):
        streamed = asked(dialect, case, stream=True)
        assert played(DIALECTS[dialect].reader(streamed), answer, iter(lambda: 50, 0)) == (answer, "")


def test_shapes_nobody_expects_are_refused_or_survived():
    """A client's odd JSON is its own mistake, a provider's odd JSON a bad answer: never a crash."""
    chance = random.Random(3)
    met = set()
    for client, provider in PAIRS:
        for case in CASES[:5]:
            ask = _mutated(json.loads((GOLDEN / f"ask/{client}-{case}.json").read_text()), chance)
            answer = _mutated(json.loads((GOLDEN / f"answer/{provider}-{case}.json").read_text()), chance)
            met.add(_status(client, provider, json.dumps(ask).encode(), None))
            met.add(_status(client, provider, (GOLDEN / f"ask/{client}-{case}.json").read_bytes(), answer))
    assert met <= {0, 400, 502}


def _status(client: str, provider: str, body: bytes, answer: object) -> int:
    """The status of the fault that comes of this, 0 for none."""
    try:
        request = DIALECTS[client].decode(body, "/")
        way, _ = spoken(client, provider, request)
        way.encode(request, "m", True)
        if answer is not None:
            way.answer(json.dumps(answer).encode())
    except Fault as fault:
        return fault.meaning.status
    return 0


def _mutated(value, chance):
    """The value with something inside it replaced by something else."""
    path, key = chance.choice(list(_places(value)))
    holder = value
    for step in path:
        holder = holder[step]
    holder[key] = chance.choice([None, 0, -1, 1.5, "", "x", [], [1], {}, {"a": 1}, True])
    return value


def _places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield path, key
        yield from _places(child, (*path, key))
