"""What reaches a provider and comes back from it, to the byte."""

import json
from pathlib import Path

import pytest
from tests.serving import serving
from tests.wire import ASK, Wire, ok

GOLDEN = Path(__file__).parents[1] / "golden/translation/answer"
SHORT = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages"}
KIND = {"chat": "openai", "responses": "openai", "messages": "anthropic"}
SAID = {"chat": b"messages", "responses": b"input", "messages": b"messages"}
# Nothing of this is how a JSON library would write it, and some of it no API knows.
ODD = (
    b'{ "odd" : {"model" : "inner", "n":-0.0, "model":"twice"},\r\n\t"model" :"auto" ,"max_tokens": 900 , "stream":%b,'
    b' "temperature":1.50E+0, "%b":  [ {"role":"user","model":"x","content":"h\\u00ef\\/ \xc3\xbc" } ],'
    b'"metadata":{ "big":123456789012345678901234567890,"small":1E-5, "model":null } ,"tools" : [ ] }\n'
)


def behind(**providers: Wire) -> str:
    """A configuration with these providers, named by the API that each speaks."""
    blocks = [
        f'  {api}: {{kind: {KIND[api]}, base_url: "{wire.url}/v1", dialects: [{api}], models: {{m: {{}}}}}}'
        for api, wire in providers.items()
    ]
    models = ", ".join(f"{api}/m" for api in providers)
    tiers = f"tiers: {{fast: {{models: [{models}]}}, deep: {{models: [{models}]}}}}"
    return "\n".join(["listen: {port: 0}", "providers:", *blocks, tiers])


def body_of(request: bytes) -> bytes:
    """What came behind the head."""
    return request.partition(b"\r\n\r\n")[2]


def unasked(stream: bytes) -> bytes:
    """The same without the usage that only this server asked for."""
    return b"".join(event + b"\n\n" for event in stream.split(b"\n\n") if event and b'"choices": []' not in event)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SHORT)
async def test_a_provider_of_the_same_api_gets_the_callers_bytes(path: str, stream: bool):
    """Unknown fields, inner models, odd numbers and spaces arrive as sent; the answer comes back as the provider wrote it."""
    api = SHORT[path]
    sent = ODD % (b"true" if stream else b"false", SAID[api])
    answer = (GOLDEN / f"{api}-text.{'sse' if stream else 'json'}").read_bytes()
    asked = b',"stream_options":{"include_usage":true}' if stream and api == "chat" else b""
    kind = b"content-type: text/event-stream" if stream else b"content-type: application/json"
    async with Wire([ASK, ok(answer, kind)]) as wire, serving(behind(**{api: wire})) as server:
        headers = {"content-type": "application/json"}
        async with server.http.post(server.url + path, data=sent, headers=headers) as reply:
            assert (reply.status, await reply.read()) == (200, unasked(answer) if asked else answer)
        assert body_of(wire.requests[0]) == sent.replace(b'"auto"', b'"m"' + asked)


async def test_signed_thoughts_come_home_as_they_left():
    """Another provider never sees them and is told so in the record; their own gets them back to the byte, and no other's."""
    signed = (GOLDEN / "messages-reasoning.json").read_bytes()
    plain = (GOLDEN / "chat-reasoning.json").read_bytes()
    json_kind = b"content-type: application/json"
    async with (
        Wire([ASK, ok(signed, json_kind), ASK, ok(signed, json_kind)]) as own,
        Wire([ASK, ok(plain, json_kind)]) as other,
        serving(behind(messages=own, chat=other)) as server,
    ):
        turns = ['{"role":"user","content":"go"}']
        for provider in ("messages", "chat", "messages"):
            ask = f'{{"model":"{provider}/m","max_tokens":9,"messages":[{",".join(turns)}]}}'
            headers = {"content-type": "application/json", "x-twospeed-explain": "1"}
            async with server.http.post(f"{server.url}/v1/messages", data=ask.encode(), headers=headers) as reply:
                assert reply.status == 200
                content = json.loads(await reply.read())["content"]
                assert (reply.headers.get("x-twospeed-dropped") == "reasoning") is (provider == "chat")
            turns += [json.dumps({"role": "assistant", "content": content}), '{"role":"user","content":"on"}']
        assert b"c2lnbmVk" not in other.requests[0]
        assert b"cmVkYWN0ZWQ=" not in other.requests[0]
        back = body_of(own.requests[1])
        assert turns[1].encode() in back
        assert b"sealed" not in back
        assert [bool(record.notes) for record in server.records[:2]] == [False, True]
