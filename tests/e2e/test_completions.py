"""Completions and fill-in-the-middle through the real door: addresses, shapes, families, keystrokes."""

import asyncio
import json
from textwrap import dedent

import aiohttp
import pytest
from tests.serving import TWO_FAST, Serving, serving
from tests.wire import ASK, GONE, Wire, ok

PATHS = ["/completions", "/fim/completions", "/beta/completions"]
ASKED = {"model": "auto", "prompt": "def add(a, b):\n    return ", "suffix": "\n", "max_tokens": 8}
LIMITED = dedent("""
    listen: {port: 0}
    providers:
      one:
        kind: simulated
        models: {m: {}}
        simulate: {first_token: {median: 1ms}, tokens_per_second: 200, output_tokens: {median: 4000}}
        limits: {"*": {concurrency: 1, tpm: 1M}}
    tiers: {fast: {models: [one/m]CANCEL}, deep: {models: [one/m]}}
""")

FOREIGN = ", completions: {path: /completions}"  # for a client of another address


async def complete(server: Serving, path: str = "/v1/completions", **body: object) -> aiohttp.ClientResponse:
    """Ask for a completion; keyword `headers` are request headers, all else goes into the body."""
    headers = body.pop("headers", {})
    return await server.http.post(server.url + path, json={**ASKED, **body}, headers=headers)


def provider(port: int, more: str = "", model: str = "{}") -> str:
    """A configuration with one provider over a socket."""
    return dedent(f"""
        listen: {{port: 0}}
        providers:
          far: {{kind: openai, base_url: "http://127.0.0.1:{port}/v1", models: {{m: {model}}}{more}}}
        tiers: {{fast: {{models: [far/m]}}, deep: {{models: [far/m]}}}}
    """)


def events(text: str) -> list[dict[str, object]]:
    """The JSON events of a stream, without [DONE]."""
    return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]


def sent(wire: Wire) -> tuple[str, dict[str, object]]:
    """The path and body of the last request a provider got."""
    head, _, body = wire.requests[-1].partition(b"\r\n\r\n")
    return head.split(b" ")[1].decode(), json.loads(body)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("path", PATHS)
async def test_every_address_answers(path: str, prefix: str, stream: bool):
    """Each address completions are asked at, with and without the version, goes to the fast tier."""
    async with serving() as server:
        answer = await complete(server, prefix + path, stream=stream)
        text = await answer.text()
    assert answer.status == 200, text
    assert answer.headers["x-twospeed-tier"] == "fast"
    assert answer.headers["x-twospeed-reason"] == "completion"
    found = events(text) if stream else [json.loads(text)]
    assert "".join(choice["text"] for event in found for choice in event["choices"])
    assert not stream or text.endswith("data: [DONE]\n\n")
    (record,) = server.records
    assert (record.dialect, record.operation, record.fault) == ("openai_completions", "text_completion", None)
    assert record.usage is not None
    assert record.usage.output_tokens > 0


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_takes_the_shape_of_the_clients_address(stream: bool):
    """A provider that has /completions only serves a client of /fim/completions, in the shape it reads."""
    config = TWO_FAST.replace("one: {kind: simulated,", "one: {kind: simulated, completions: {path: /completions},")
    async with serving(config) as server:
        answer = await complete(server, "/v1/fim/completions", model="lone", stream=stream)
        text = await answer.text()
    found = events(text) if stream else [json.loads(text)]
    said = [choice["delta" if stream else "message"] for event in found for choice in event["choices"]]
    assert "".join(part["content"] for part in said)
    assert "text" not in found[0]["choices"][0]


async def test_a_suffix_is_folded_for_a_provider_without_it():
    """The provider gets one prompt in its model's own marks, at its own address."""
    answer = ok(b'{"choices":[{"index":0,"text":"a + b","finish_reason":"stop"}]}', b"content-type: application/json")
    async with Wire([ASK, answer]) as wire:
        config = provider(wire.port, ", completions: {path: /completions, suffix: template}", "{fim: starcoder}")
        async with serving(config) as server:
            body = await (await complete(server, "/v1/fim/completions")).json()
    path, asked = sent(wire)
    assert path == "/v1/completions"
    assert asked["prompt"] == "<fim_prefix>def add(a, b):\n    return <fim_suffix>\n<fim_middle>"
    assert "suffix" not in asked
    assert "<|endoftext|>" in asked["stop"]
    assert body["choices"][0]["message"]["content"] == "a + b"


async def test_a_provider_with_its_own_address_is_asked_there():
    """Mistral has /fim/completions only, and a client of /completions reads text all the same."""
    chat = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"a + b"},"finish_reason":"stop"}]}'
    reply = ok(chat, b"content-type: application/json")
    more = ", completions: {path: /fim/completions}"
    async with Wire([ASK, reply]) as wire, serving(provider(wire.port, more)) as server:
        body = await (await complete(server, "/v1/completions")).json()
    assert sent(wire) == ("/v1/fim/completions", {**ASKED, "model": "m"})
    assert body["choices"][0]["text"] == "a + b"


async def test_a_provider_says_what_it_does_not_like():
    """A refusal of the provider reaches the client as it came."""
    body = b'{"error":{"message":"no suffix"}}'
    refusal = ok(body, b"content-type: application/json").replace(b"200 OK", b"400 Bad Request")
    async with Wire([ASK, refusal]) as wire, serving(provider(wire.port, FOREIGN)) as server:
        answer = await complete(server, "/v1/fim/completions")
        assert (answer.status, await answer.read()) == (400, body)


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        (", dialects: [chat]", "model", "offers /v1/completions"),
        (", completions: {suffix: none}", "suffix", "fills in the middle"),
        (", completions: {suffix: template}", "suffix", "fills in the middle"),
    ],
)
async def test_nobody_who_could_is_said_clearly(more: str, param: str, words: str):
    """A chat-only model, or one that would not see the suffix, is never asked; the client learns why."""
    async with serving(provider(1, more)) as server:
        answer = await complete(server)
        error = (await answer.json())["error"]
    assert answer.status == 400
    assert error["param"] == param
    assert words in error["message"]


async def test_chat_only_models_are_left_out():
    """The next model that completes is asked instead."""
    config = TWO_FAST.replace("one: {kind: simulated,", "one: {kind: simulated, dialects: [chat],")
    async with serving(config) as server:
        assert (await complete(server)).headers["x-twospeed-backend"] == "two/m@default"
        assert (await server.chat()).headers["x-twospeed-backend"] == "one/m@default"


async def test_marks_stay_within_their_family():
    """A prompt marked for Qwen is never sent to a Code Llama, whatever comes first; the record says so."""
    config = TWO_FAST.replace(
        "one: {kind: simulated, models: {m: {}}", "one: {kind: simulated, models: {m: {fim: codellama}}"
    )
    config = config.replace("two: {kind: simulated, models: {m: {}}", "two: {kind: simulated, models: {m: {fim: qwen}}")
    marked = "<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>"
    async with serving(config) as server:
        answer = await complete(server, prompt=marked, suffix=None)
        assert answer.headers["x-twospeed-backend"] == "two/m@default"
        refused = await complete(server, prompt=marked, suffix=None, model="lone")
        assert (refused.status, (await refused.json())["error"]["param"]) == (400, "prompt")
    assert server.records[0].notes == ["fim:codegemma|granite|qwen"]


@pytest.mark.parametrize("fault", ["refuse", "reset:0", "http_500", "malformed:0", "hang"])
async def test_a_failing_backend_is_replaced(fault: str):
    """Completions fall back like everything else."""
    async with serving() as server:
        answer = await complete(server, stream=True, headers={"x-twospeed-simulate": f"{fault}@one"})
        assert (await answer.text()).endswith("data: [DONE]\n\n")
    assert answer.headers["x-twospeed-backend"] == "two/m@default"


async def test_a_broken_stream_ends_with_one_error():
    """After the first text the client hears of the failure, in either shape, and of nothing after it."""
    async with serving() as server:
        for path in PATHS:
            answer = await complete(server, path, stream=True, headers={"x-twospeed-simulate": "truncate:3@one"})
            text = await answer.text()
            assert [("error" in event) for event in events(text)].count(True) == 1
            assert "error" in events(text)[-1]
            assert "[DONE]" not in text


class Typist:
    """Types in one editor: each request is read up to its first bytes, and to its end when asked for."""

    def __init__(self, server: Serving, path: str = "/v1/fim/completions", **headers: str) -> None:
        self.server, self.path, self.headers = server, path, headers

    async def type(self, prompt: str, **body: object) -> aiohttp.ClientResponse:
        """Send the text typed so far and wait for the first bytes; the rest never comes, unless ordered otherwise."""
        order = {"x-twospeed-simulate": str(body.pop("order", "stall:1"))}
        asked = {"prompt": prompt, "stream": True, "max_tokens": 4000, **body}
        answer = await complete(self.server, self.path, headers={**self.headers, **order}, **asked)
        if answer.status == 200:
            await answer.content.readuntil(b"\n\n")
        return answer


def used(server: Serving, dimension: str) -> float:
    """How much of a limit is taken."""
    levels = server.server.api.runtime.memory.limits.usage()
    return {level.dimension: level.used for level in levels}[dimension]


@pytest.mark.parametrize("headers", [{}, {"x-twospeed-session": "editor"}], ids=["guessed", "named"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_newer_keystroke_ends_the_older_request(path: str, headers: dict[str, str]):
    """The older upstream request ends, its slot is free for the newer one, its editor hears no error."""
    async with serving(LIMITED.replace("CANCEL", "")) as server, asyncio.timeout(10):
        typist = Typist(server, "/v1" + path, **headers)
        older = await typist.type("def add(a")
        newer = await typist.type("def add(a, b")
        rest = (await older.text()).strip()
        assert rest.endswith("data: [DONE]")
        last = events(rest)[-1]["choices"][0]
        assert last["finish_reason"] == "superseded"
        assert last.get("text", last.get("delta", {}).get("content")) == ""
        assert server.transport("one").cancelled == 1
        assert server.transport("one").open_exchanges == 1
        assert used(server, "concurrency") == 1
        (record,) = server.records
        assert (record.fault, record.attempts[0].kind, record.status) == ("superseded", "superseded", 200)
        assert record.usage is not None
        assert record.usage.estimated
        newer.close()


async def test_a_keystroke_ends_a_request_that_has_not_answered_yet():
    """Waiting for a first token, the older request ends as a stream without text, not as an error."""
    async with serving(LIMITED.replace("CANCEL", "")) as server, asyncio.timeout(10):
        typist = Typist(server)
        waiting = asyncio.create_task(typist.type("def add(a", order="slow:30s"))
        while not server.transport("one").open_exchanges:
            await asyncio.sleep(0)
        newer = await typist.type("def add(a, b")
        older = await waiting
        assert older.status == 200
        assert older.headers["content-type"] == "text/event-stream"
        assert (await older.text()).strip() == "data: [DONE]"
        assert server.records[0].attempts[0].kind == "superseded"
        newer.close()


async def test_a_keystroke_ends_a_request_that_was_only_kept_alive():
    """Where the head went out early, the same stream ends without text and without an error."""
    text = LIMITED.replace("CANCEL", ", keepalive_after: 5ms, timeouts: {first_token: 30s}")
    async with serving(text) as server, asyncio.timeout(10):
        typist = Typist(server)
        older = await typist.type("def add(a", order="slow:20s")
        newer = await typist.type("def add(a, b")
        assert events(await older.text())[-1]["choices"][0]["finish_reason"] == "superseded"
        assert (server.records[0].fault, server.records[0].status) == ("superseded", 200)
        newer.close()


@pytest.mark.parametrize(
    ("rule", "first", "second", "headers"),
    [
        ("", "def add(a", "import os", {}),
        ("", "def add(a", "def add(a", {}),
        (", cancel_older: never", "def add(a", "def add(a, b", {"x-twospeed-session": "editor"}),
        (", cancel_older: session", "def add(a", "def add(a, b", {}),
    ],
    ids=["another place", "a second sample", "switched off", "only named sessions"],
)
async def test_others_are_not_ended(rule: str, first: str, second: str, headers: dict[str, str]):
    """Two editors or two jobs of one user stream side by side."""
    text = LIMITED.replace("concurrency: 1, ", "").replace("CANCEL", rule)
    async with serving(text) as server, asyncio.timeout(10):
        typist = Typist(server, **headers)
        answers = [await typist.type(first), await typist.type(second)]
        assert server.transport("one").open_exchanges == 2
        assert server.records == []
        for answer in answers:
            answer.close()


async def test_a_keystroke_after_the_last_word_changes_nothing():
    """The editor has its whole answer while the provider's last bytes are still awaited: that is no fault."""
    text = b'data: {"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    script = [ASK, head + b"%x\r\n%b\r\n" % (len(text), text), GONE]
    async with Wire(script) as wire, serving(provider(wire.port)) as server, asyncio.timeout(10):
        for prompt in ("def add(a", "def add(a, b"):
            answer = await complete(server, prompt=prompt, stream=True, headers={"x-twospeed-session": "editor"})
            assert await answer.read() == text
        while len(server.records) < 2:
            await asyncio.sleep(0)
    assert [record.fault for record in server.records] == [None, None]
    assert [record.attempts[0].kind for record in server.records] == [None, None]


async def test_an_answer_that_was_whole_stays_whole():
    """A keystroke after the last word changes nothing about it."""
    async with serving() as server:
        typist = Typist(server, **{"x-twospeed-session": "editor"})
        older = await typist.type("def add(a", order="")
        text = await older.text()
        newer = await typist.type("def add(a, b", order="")
        await newer.text()
    assert text.strip().endswith("data: [DONE]")
    assert "superseded" not in text
    assert [record.fault for record in server.records] == [None, None]


async def test_a_file_is_one_session():
    """Every keystroke in a file goes where the prompt before it is cached; another file is another session."""
    head = "# calc.py\n" * 40
    async with serving() as server:
        for prompt in (head + "def a", head + "def add(a, b):", "# main.py\n" * 40):
            await complete(server, prompt=prompt)
    one, two, other = (record.session for record in server.records)
    assert one == two != other
