"""Parse every golden answer of the translation matrix with the official SDKs; not part of `make test`.

    python -m venv /tmp/sdks && /tmp/sdks/bin/pip install openai anthropic && /tmp/sdks/bin/python tests/clients/golden_sdks.py

Prints one line for each answer that an SDK does not read as it should, and how many it read.
"""

import json
import sys
from pathlib import Path

import anthropic
import httpx2 as httpx  # what both SDKs bring
import openai

GOLDEN = Path(__file__).parents[1] / "golden/translation"
ASK = [{"role": "user", "content": "hi"}]


def answered(file: Path) -> tuple[int, bytes]:
    """Status and body that the client gets."""
    text = file.read_text().partition("\n\ndropped: ")[2].partition("\n")[2]
    if file.stem.endswith("-stream"):
        return 200, text.partition("\nfault: ")[2].partition("\n\n")[2][:-1].encode()
    body = text.strip()
    return (int(body[:3]), body[4:].encode()) if body[:3].isdigit() else (200, body.encode())


def transport(status: int, body: bytes, stream: bool) -> httpx.Client:
    """A client that gets this answer whatever it asks."""
    kind = "text/event-stream" if stream else "application/json"

    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body, headers={"content-type": kind})

    return httpx.Client(transport=httpx.MockTransport(reply))


def chat(http: httpx.Client, stream: bool) -> object:
    """Read with openai's chat completions."""
    client = openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0)
    if not stream:
        answer = client.chat.completions.create(model="m", messages=ASK)
        return answer.choices[0].message.content or answer.choices[0].message.tool_calls
    said = list(client.chat.completions.create(model="m", messages=ASK, stream=True))
    assert said[-1].usage or said[-1].choices[0].finish_reason
    return said


def responses(http: httpx.Client, stream: bool) -> object:
    """Read with openai's Responses."""
    client = openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0)
    if not stream:
        answer = client.responses.create(model="m", input="hi")
        assert answer.usage
        return answer.output
    with client.responses.stream(model="m", input="hi") as events:
        last = list(events)[-1]
    if last.type == "response.failed":
        raise openai.APIError(last.response.error.message, None, body=None)
    assert last.type in ("response.completed", "response.incomplete"), last.type
    return last.response.output


def messages(http: httpx.Client, stream: bool) -> object:
    """Read with anthropic's Messages."""
    client = anthropic.Anthropic(api_key="k", base_url="http://x", http_client=http, max_retries=0)
    if not stream:
        answer = client.messages.create(model="m", max_tokens=9, messages=ASK)
        assert answer.usage.output_tokens
        return answer.content
    with client.messages.stream(model="m", max_tokens=9, messages=ASK) as events:
        final = events.get_final_message()
    assert final.stop_reason
    return final.content


def main() -> int:
    """Read all of them."""
    read = wrong = 0
    for file in sorted(GOLDEN.glob("*-over-*/*.txt")):
        client, stream = file.parent.name.partition("-")[0], file.stem.endswith("-stream")
        status, body = answered(file)
        if not body.strip():
            continue  # nothing reached the client but a refusal, which the plain case shows
        fails = "error" in file.stem
        try:
            content = {"chat": chat, "responses": responses, "messages": messages}[client](
                transport(status, body, stream), stream
            )
            problem = "no error raised" if fails else "" if content else "nothing in it"
        except (openai.APIError, anthropic.APIError) as error:
            problem = "" if fails else repr(error)
        except Exception as error:  # noqa: BLE001 - whatever an SDK trips over is what we want to see
            problem = repr(error)
        read += 1
        if problem:
            wrong += 1
            print(f"{file.parent.name}/{file.name}: {problem[:300]}", file=sys.stderr)
    print(json.dumps({"openai": openai.__version__, "anthropic": anthropic.__version__, "read": read, "wrong": wrong}))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
