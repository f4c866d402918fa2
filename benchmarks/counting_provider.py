"""A provider that answers as each request orders and writes down what reached it, for benchmarks of limits.

    python benchmarks/counting_provider.py FILE

Says its port on standard output. The request header `x-bench: IN,OUT,SECONDS` orders the usage to report and how long
the answer takes; with `,quiet` behind it a stream says one word and then nothing for so long. FILE gets one line per request when it arrives, `+ id instant model IN OUT`, and one when it is over,
`- id instant`; instants are those of the machine's monotonic clock.
"""

import asyncio
import json
import signal
import sys
import time
from itertools import count

import uvloop

from twospeed.dialects import Refusal
from twospeed.edge.http import Call, Head, HttpServer, Reply
from twospeed.errors import Fault
from twospeed.policy.listen import Listen

JSON = ((b"content-type", b"application/json"),)
SSE = ((b"content-type", b"text/event-stream"),)
EVERY = 0.02  # seconds between two events of a stream


class CountingProvider:
    """The `App` behind its listener."""

    def __init__(self, path: str) -> None:
        self._log = open(path, "w", buffering=1)  # noqa: SIM115 - for as long as the process lives
        self._numbers = count()

    def admit(self, head: Head) -> Refusal | None:
        """Let every request pass."""
        return None

    def refuse(self, head: Head | None, fault: Fault) -> Refusal:
        """Say a fault of the engine."""
        return Refusal(fault.meaning.status, JSON, b"{}")

    async def serve(self, call: Call, reply: Reply) -> None:
        """Answer one request as ordered."""
        number, asked = next(self._numbers), json.loads(call.body)
        order = call.head.headers.get(b"x-bench", b"10,10,0").decode()
        *numbers, last = order.split(",")
        quiet = last == "quiet"
        read, written, seconds = map(float, numbers if quiet else (*numbers, last))
        usage = {"prompt_tokens": int(read), "completion_tokens": int(written), "total_tokens": int(read + written)}
        self._log.write(f"+ {number} {time.monotonic():.6f} {asked['model']} {int(read)} {int(written)}\n")
        try:
            if asked.get("stream"):
                await self._stream(reply, usage, seconds, seconds if quiet else EVERY)
            else:
                await self._whole(reply, usage, seconds)
        finally:
            self._log.write(f"- {number} {time.monotonic():.6f}\n")

    async def _whole(self, reply: Reply, usage: dict[str, int], seconds: float) -> None:
        await asyncio.sleep(seconds)
        message = {"role": "assistant", "content": "x"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        reply.send(200, JSON, json.dumps({"id": "c", "choices": [choice], "usage": usage}).encode())

    async def _stream(self, reply: Reply, usage: dict[str, int], seconds: float, every: float) -> None:
        reply.start(200, SSE)
        for _ in range(max(1, int(seconds / every))):
            await reply.write(_event({"index": 0, "delta": {"content": "x "}, "finish_reason": None}))
            await asyncio.sleep(every)
        last = _event({"index": 0, "delta": {}, "finish_reason": "stop"})
        reply.finish(last + b"data: %b\n\ndata: [DONE]\n\n" % json.dumps({"choices": [], "usage": usage}).encode())


def _event(choice: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % json.dumps({"id": "c", "choices": [choice]}).encode()


async def main(path: str) -> None:
    """Serve until told to stop."""
    server = HttpServer(CountingProvider(path), Listen(port=0, max_connections=100_000))
    await server.start()
    print(server.address[1], flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
