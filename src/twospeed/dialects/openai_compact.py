"""OpenAI's `POST /v1/responses/compact`: a history made shorter by the provider that wrote it; nobody else can."""

from twospeed.dialects import Answer, Dialect, openai_responses_stream
from twospeed.dialects.openai_responses import OpenAiResponses
from twospeed.errors import Fault, Kind
from twospeed.types import Request


class OpenAiCompact(OpenAiResponses):
    """Compaction; a request reads like one of Responses and is answered with items that only its provider can read."""

    name = "openai_compact"
    paths: tuple[str, ...] = ("/responses/compact",)
    upstream_path = "/responses/compact"
    operation = "compact"
    keep_alive = b": keep-alive\n\n"
    served_by: tuple[str, ...] = ("openai_compact",)

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST."""
        request = super().decode(body, endpoint)
        request.stream = False
        return request

    def answer(self, body: bytes) -> Answer:
        """Read a compacted history. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        answer = openai_responses_stream.answer(body)
        if b'"output"' not in body:
            raise Fault(Kind.BAD_ANSWER, detail="answer: no compacted output")
        return answer


DIALECT: Dialect = OpenAiCompact()
