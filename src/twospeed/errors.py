"""Faults: the only exception that crosses a room's wall, and the one table that says what each kind means.

Statuses here are the ones a client sees before the commit point (R10). `fallback` says whether the next candidate
may be tried (R2), `trips` whether the breaker of the backend counts it (R8). A retry on the same provider is
allowed only for kinds in RETRY_SAME (R4).
"""

from enum import StrEnum
from typing import NamedTuple


class Source(StrEnum):
    """Who is to blame."""

    CLIENT = "client"
    PROXY = "proxy"
    BACKEND = "backend"
    OPERATOR = "operator"


class Kind(StrEnum):
    """What went wrong; the value is what clients, logs and metric labels carry."""

    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    DENIED = "denied"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CLIENT_TIMEOUT = "client_timeout"
    BODY_TOO_LARGE = "body_too_large"
    HEAD_TOO_LARGE = "head_too_large"
    URL_TOO_LONG = "url_too_long"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    UPGRADE_REFUSED = "upgrade_refused"
    CLIENT_GONE = "client_gone"
    CLIENT_STALLED = "client_stalled"
    SUPERSEDED = "superseded"
    NO_BACKEND = "no_backend"
    CONTEXT_TOO_LONG = "context_too_long"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    DRAINING = "draining"
    BREAKER_OPEN = "breaker_open"
    WITHDRAWN = "withdrawn"
    HEDGE_LOST = "hedge_lost"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    RESET = "reset"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    TRUNCATED = "truncated"
    PROTOCOL_ERROR = "protocol_error"
    BAD_ANSWER = "bad_answer"
    ERROR_EVENT = "error_event"
    ANSWER_TOO_LARGE = "answer_too_large"
    PROVIDER_RATE_LIMITED = "provider_rate_limited"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_CONFLICT = "provider_conflict"
    PROVIDER_REFUSED = "provider_refused"
    UPSTREAM_AUTH_ERROR = "upstream_auth_error"
    INTERNAL = "internal"


class Meaning(NamedTuple):
    """What a kind of fault means: whose fault, which status, may another candidate be tried, does the breaker count it."""

    source: Source
    status: int
    fallback: bool = False
    trips: bool = False


MEANING: dict[Kind, Meaning] = {
    Kind.BAD_REQUEST: Meaning(Source.CLIENT, 400),
    Kind.UNAUTHORIZED: Meaning(Source.CLIENT, 401),
    Kind.DENIED: Meaning(Source.CLIENT, 403),
    Kind.MODEL_NOT_FOUND: Meaning(Source.CLIENT, 404),
    Kind.NOT_FOUND: Meaning(Source.CLIENT, 404),
    Kind.METHOD_NOT_ALLOWED: Meaning(Source.CLIENT, 405),
    Kind.CLIENT_TIMEOUT: Meaning(Source.CLIENT, 408),
    Kind.BODY_TOO_LARGE: Meaning(Source.CLIENT, 413),
    Kind.HEAD_TOO_LARGE: Meaning(Source.CLIENT, 431),
    Kind.URL_TOO_LONG: Meaning(Source.CLIENT, 414),
    Kind.UNSUPPORTED_ENCODING: Meaning(Source.CLIENT, 415),
    Kind.UPGRADE_REFUSED: Meaning(Source.PROXY, 426),
    Kind.CLIENT_GONE: Meaning(Source.CLIENT, 499),
    Kind.CLIENT_STALLED: Meaning(Source.CLIENT, 499),
    Kind.SUPERSEDED: Meaning(Source.CLIENT, 499),
    Kind.NO_BACKEND: Meaning(Source.PROXY, 503),
    Kind.CONTEXT_TOO_LONG: Meaning(Source.CLIENT, 400),
    Kind.RATE_LIMITED: Meaning(Source.PROXY, 429, fallback=True),
    Kind.OVERLOADED: Meaning(Source.PROXY, 503, fallback=True),
    Kind.DRAINING: Meaning(Source.PROXY, 503),
    Kind.BREAKER_OPEN: Meaning(Source.PROXY, 503, fallback=True),
    Kind.HEDGE_LOST: Meaning(Source.PROXY, 499),
    Kind.WITHDRAWN: Meaning(Source.PROXY, 503, fallback=True),
    Kind.CONNECT_FAILED: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.CONNECT_TIMEOUT: Meaning(Source.BACKEND, 504, fallback=True, trips=True),
    Kind.TLS_FAILED: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.RESET: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.FIRST_TOKEN_TIMEOUT: Meaning(Source.BACKEND, 504, fallback=True, trips=True),
    Kind.IDLE_TIMEOUT: Meaning(Source.BACKEND, 504, fallback=True, trips=True),
    Kind.TOTAL_TIMEOUT: Meaning(Source.BACKEND, 504),
    Kind.TRUNCATED: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.PROTOCOL_ERROR: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.BAD_ANSWER: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.ERROR_EVENT: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.ANSWER_TOO_LARGE: Meaning(Source.BACKEND, 502),
    Kind.PROVIDER_RATE_LIMITED: Meaning(Source.BACKEND, 429, fallback=True),
    Kind.PROVIDER_ERROR: Meaning(Source.BACKEND, 502, fallback=True, trips=True),
    Kind.PROVIDER_CONFLICT: Meaning(Source.BACKEND, 502, fallback=True),
    Kind.PROVIDER_REFUSED: Meaning(Source.CLIENT, 400),
    Kind.UPSTREAM_AUTH_ERROR: Meaning(Source.OPERATOR, 502),
    Kind.INTERNAL: Meaning(Source.PROXY, 500),
}

RETRY_SAME = frozenset({Kind.CONNECT_FAILED, Kind.CONNECT_TIMEOUT, Kind.RESET, Kind.PROVIDER_RATE_LIMITED})


_SAID = {  # what a client hears where nothing more exact is known
    Kind.CONNECT_FAILED: "The model provider could not be reached.",
    Kind.CONNECT_TIMEOUT: "The model provider did not accept a connection in time.",
    Kind.TLS_FAILED: "The model provider could not be reached securely.",
    Kind.RESET: "The model provider broke the connection off.",
    Kind.FIRST_TOKEN_TIMEOUT: "The model did not begin to answer in time.",
    Kind.IDLE_TIMEOUT: "The model stopped sending.",
    Kind.TOTAL_TIMEOUT: "The answer was not complete in time.",
    Kind.TRUNCATED: "The provider's answer ended before it was complete.",
    Kind.PROTOCOL_ERROR: "The model provider's answer was not valid HTTP.",
    Kind.BAD_ANSWER: "The model provider's answer could not be understood.",
    Kind.ERROR_EVENT: "The model provider reported an error.",
    Kind.ANSWER_TOO_LARGE: "The model provider's answer was too large.",
    Kind.PROVIDER_ERROR: "The model provider failed.",
    Kind.PROVIDER_CONFLICT: "The model provider could not take the request now.",
    Kind.NO_BACKEND: "No backend can serve this now.",
}


class Fault(Exception):
    """A failure with an owner.

    Args:
        kind: What happened; MEANING[kind] says what follows.
        message: A sentence for the client. Never a secret, a prompt, a host name or foreign text.
        detail: A sentence for operators; goes into the record, not to the client. Never a secret or a prompt.
        status: The provider's own status where it answered one.
        retry_after: Seconds until the same request may succeed, where known.
        body: The provider's error body, relayed to the client for kinds that say so (PROVIDER_REFUSED).
        param: The request field at fault, for dialects that name it.
    """

    def __init__(
        self,
        kind: Kind,
        message: str = "",
        *,
        detail: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        body: bytes = b"",
        param: str | None = None,
    ) -> None:
        super().__init__(message or kind.value)
        self.kind = kind
        self.message = message or _SAID.get(kind) or kind.value.replace("_", " ")
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.body = body
        self.param = param

    def bare(self) -> "Fault":
        """Return it without its traceback, which leads to all that a request had, this fault included."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self

    @property
    def meaning(self) -> Meaning:
        """The row of MEANING for this kind."""
        return MEANING[self.kind]
