"""The nouns that travel between rooms, one per arrow of the picture, each defined once.

    bytes -> Request -> Verdict -> Plan -> Permit -> Stream -> Chunk (bytes) -> Record

Nothing here decides or does anything. Instants are seconds on the runtime's clock unless a name ends in `_wall`
(seconds since the epoch); durations are seconds; sizes are bytes; tokens are tokens.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec
from pydantic import BaseModel, ConfigDict

from twospeed.errors import Fault, Kind

Tier = Literal["fast", "deep"]
TIERS: tuple[Tier, ...] = ("fast", "deep")

NULL = msgspec.Raw(b"null")


class Settings(BaseModel):
    """Base of every block of the config file: frozen, unknown keys refused, defaults trusted."""

    # Docstrings of keys are read by `shape` when somebody asks: pydantic would parse each class at each start.
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(msgspec.Struct, gc=False):
    """One message or item of a conversation, as far as routing reads it; every field may be absent on the wire.

    `content` and `tool_calls` stay JSON text (views into the body): a string, or a list of parts.
    """

    role: str = ""
    content: msgspec.Raw = NULL
    tool_calls: msgspec.Raw = NULL
    name: str | None = None
    tool_call_id: str | None = None


class Conversation(msgspec.Struct):
    """What classification may look at, the same for every dialect.

    `tools`: names of the offered tools. `effort`: requested reasoning effort, lower case, "" when not asked.
    `wants_schema`: a JSON answer format was asked for. `system`: text outside `messages` (JSON text, as in Messages).
    `prompt` / `suffix`: for completion endpoints, else "". `body_bytes`: size of the whole request body.
    """

    endpoint: str
    messages: Sequence[Message] = ()
    tools: Sequence[str] = ()
    system: msgspec.Raw = NULL
    prompt: str = ""
    suffix: str = ""
    effort: str = ""
    wants_schema: bool = False
    max_tokens: int | None = None
    stream: bool = False
    initiator: str = ""  # "user" or "agent", where the client says so in a header
    body_bytes: int = 0


class Declared(NamedTuple):
    """A session id found in a request body: where, and the id."""

    source: str
    id: str


class Wishes(msgspec.Struct, frozen=True):
    """Where a request's own body asks to go (`models`, `provider`); names that lead nowhere are passed over.

    `models`: tried in order after the requested one. `order`, `only`, `ignore`: names of providers. `spares`: others
    than the named ones may serve too. `sort`: latency, throughput, price or "".
    """

    models: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    spares: bool = True
    sort: str = ""


class Completion(msgspec.Struct, frozen=True):
    """What stands before and after the cursor, for the completion endpoints.

    `suffix`: None when none was sent. `infill`: the middle is asked for, apart from the prompt. `families`: the model
    families whose marks the prompt is written in, empty for plain text. `whole`: the prompt is one text.
    """

    prompt: str = ""
    suffix: str | None = None
    infill: bool = False
    families: frozenset[str] = frozenset()
    whole: bool = True


class Request(msgspec.Struct):
    """A decoded inbound request; the body itself is kept byte for byte.

    `model_at`: start and end offset in `body` of the JSON value of the top-level `model` key, quotes included.
    `wants_usage`: the client asked for usage on a stream itself. `stateful`: R3, must not be replayed elsewhere.
    `parsed`: the dialect's own partial view, read by that dialect only. `bound`: the field that only a provider of the
    same dialect understands, "" when any will do. `wishes`: where the body asks to go. `completion`: for completion
    endpoints only.
    """

    dialect: str
    endpoint: str
    body: bytes
    model: str
    model_at: tuple[int, int]
    parsed: object
    stream: bool = False
    wants_usage: bool = False
    max_tokens: int | None = None
    stateful: bool = False
    bound: str = ""
    wishes: Wishes | None = None
    completion: Completion | None = None


class Weighed(msgspec.Struct, frozen=True):
    """A change of tier in the middle of a session, weighed against the prompt cache it loses.

    `here`: the tier that served it last. `tokens`: of its prompt that are not in the other tier's cache. `lost`: US
    dollars for reading those anew. `worth`: US dollars that the change is expected to bring. `spent`: by the session on
    changes so far, this one included where it is made. `made`: whether it is. `trip`: US dollars, half of what going and
    coming back would lose, which is what `worth` is held against.
    """

    here: Tier
    tokens: int
    lost: float
    worth: float
    spent: float
    made: bool
    trip: float = 0.0


class Verdict(msgspec.Struct, frozen=True):
    """A tier with its reasons.

    `reasons`: short stable codes, most decisive first, for example ("tools:12", "agent:tool_result").
    `score`: probability in 0..1 that the request needs the deep tier; `gain`: expected quality gain of deep.
    `weighed`: where a session was about to change its tier. `observed`: what auto would have decided, where it was only
    watching.
    """

    tier: Tier
    reasons: tuple[str, ...]
    score: float | None = None
    gain: float | None = None
    weighed: Weighed | None = None
    observed: "Verdict | None" = None


class Price(msgspec.Struct, frozen=True):
    """What a backend charges, in US dollars per million tokens. `caches`: it charges less for what its cache holds.

    `as_of`: year and month, or a day; "" when nobody wrote it.
    """

    input: float
    output: float
    cached_input: float
    cache_write: float
    caches: bool = False
    as_of: str = ""


class Backend(msgspec.Struct, frozen=True):
    """Provider + model + region: what an attempt is made against. `name` is `provider/model@region`."""

    provider: str
    model: str
    region: str
    name: str
    family: str = ""  # the pool the provider meters together, "" means the model itself
    context: int = 0  # tokens the model can read, 0 means unknown
    images: bool = True
    dialects: frozenset[str] = frozenset()  # names of the dialects it speaks, none means any
    suffix: Literal["native", "template", "none"] = "native"  # how text behind a cursor reaches it
    fim: str = ""  # the family whose fill-in-the-middle marks it knows, "" means unknown
    price: Price | None = None  # None means unknown
    cache_window: float = 300.0  # seconds for which it keeps a prompt in its cache


class Timeouts(msgspec.Struct, frozen=True):
    """The deadlines of R6, in seconds. `total` spans all attempts of one request."""

    connect: float
    first_token: float
    idle: float
    total: float


class Offer(msgspec.Struct, eq=False):
    """A candidate version on offer to some sessions, by one rollout, until it is withdrawn.

    `withdrawn`: no attempt is made at it any more. `waiting`: what to call then, for each attempt at it that has not been
    answered and can be made elsewhere. `candidate`, `stable`: names of backends. `attempt`: of the rollout.
    """

    rollout: str
    attempt: int
    candidate: str
    stable: str
    withdrawn: bool = False
    waiting: set[Callable[[], None]] = msgspec.field(default_factory=set)

    def withdraw(self) -> None:
        """Take the candidate back; what waits for its answer goes elsewhere."""
        self.withdrawn = True
        for leave in list(self.waiting):
            leave()


class Candidate(msgspec.Struct, frozen=True):
    """One place a request may go, with the deadlines that hold there.

    `offer`: of the rollout that sends it there; whatever goes wrong then, the next candidate is tried.
    """

    backend: Backend
    timeouts: Timeouts
    probe: bool = False  # its breaker is half open or it is the last resort
    offer: Offer | None = None


class Switches(msgspec.Struct, frozen=True, gc=False):
    """What flags turned for one request; None: as configured.

    `model`: the name to be served as. `hedge`, `resume`: whether that may happen, where it is configured at all. `shadow`:
    chance in 0..1 of being copied. `flags`: ids of those that fit, first wins.
    """

    model: str | None = None
    tier: Tier | None = None
    hedge: bool | None = None
    resume: bool | None = None
    shadow: float | None = None
    flags: tuple[str, ...] = ()


class Hedging(msgspec.Struct, frozen=True):
    """How a second backend may be asked while the first is silent.

    `after`: seconds of silence, None for the 95th percentile of the backend's own first tokens. `extra`: requests it may
    add, as a share. `busy`: use of caps and limits from which on it rests.
    """

    after: float | None = None
    extra: float = 0.05
    busy: float = 0.8


class Plan(msgspec.Struct, frozen=True):
    """Ordered candidates for one request. `deadline`: instant at which the whole request has failed."""

    tier: Tier
    candidates: tuple[Candidate, ...]
    deadline: float
    stream: bool
    replayable: bool = True
    most: int = 3  # attempts that may reach a provider (R4)
    switches: Switches | None = None  # what flags turned, None for nothing
    hedge: Hedging | None = None  # None: one backend at a time
    limit_wait: float = 0.0  # seconds that it may wait for room in a limit
    resume: bool = False  # a stream of plain text that breaks may go on at the next candidate


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one answer. `input_tokens` includes those read from and written to a cache, `output_tokens` reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cache_write_tokens: int = 0


class Called(NamedTuple):
    """A tool call of an answer. `arguments`: JSON text, or plain text for a tool that takes that."""

    name: str
    arguments: str


class Heard(msgspec.Struct, frozen=True):
    """What an answer said, as far as it was listened to: the same for every dialect.

    `text`: its first characters, without reasoning. `refused`: marked as a refusal by the provider itself. `cut`: it
    ended at its token limit, so that its last call may not be whole. `deaf`: it could not be read to its end.
    """

    text: str = ""
    calls: tuple[Called, ...] = ()
    refused: bool = False
    cut: bool = False
    deaf: bool = False


class Trace(msgspec.Struct, frozen=True, gc=False):
    """Where a request stands in a distributed trace. Ids are lower-case hex, `id` 32 digits, spans 16.

    `span`: our own span of the whole request, "" when nothing is recorded here. `parent`: the caller's span, "" when the
    trace begins here. `sampled`: by the caller or by our ratio. `state`: the caller's tracestate, passed on as it came.
    """

    id: str
    span: str
    parent: str = ""
    sampled: bool = False
    state: str = ""


class Attempt(msgspec.Struct):
    """One try at one backend, as it will stand in the record. `kind` is None for a success or one under way.

    `span`: its span in the trace of the request, "" when nothing is recorded. `named`: id and model that the answer gives
    itself as the client gets it, "" where unknown; only with a span.
    """

    backend: Backend
    started_at: float
    connected_at: float | None = None
    first_token_at: float | None = None
    ended_at: float | None = None
    status: int | None = None
    kind: Kind | None = None
    detail: str = ""
    reused: bool = False
    request_id: str = ""
    span: str = ""
    usage: Usage | None = None  # None where nothing was used, as far as anyone knows
    hedge: bool = False  # begun beside another one
    resumed: bool = False  # went on with a stream that another one had begun
    named: tuple[str, str] = ("", "")


class Record(msgspec.Struct):
    """The one wide row a request leaves, whatever happens. Holds no prompt, no answer and no key.

    `cost`: US dollars for all attempts, None when a price is unknown. `observed`: what auto would have decided, where it
    was only watching. `weighed`: where the session was about to change its tier. `explained`: the decision in sentences,
    where somebody asked.
    """

    id: str
    started_at: float
    started_wall: float
    endpoint: str
    dialect: str = ""
    caller: str = ""
    session: str = ""
    session_source: str = ""
    client: str = ""
    requested_model: str = ""
    stream: bool = False
    tier: str = ""
    reasons: tuple[str, ...] = ()
    score: float | None = None
    gain: float | None = None
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    status: int = 0
    fault: Kind | None = None
    fault_detail: str = ""
    committed_at: float | None = None
    ended_at: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    events_out: int = 0
    finish: str = ""
    usage: Usage | None = None
    notes: list[str] = msgspec.field(default_factory=list)
    operation: str = ""  # GenAI operation name of the dialect, for example "chat"
    config: str = ""  # version of the configuration it was served by
    trace: Trace | None = None
    rollout: str = ""  # that decided between two versions, "" when none did
    arm: str = ""  # stable, candidate; shadow for a copy that no client hears of
    linked: Trace | None = None  # of a copy: the trace of the request it was made of
    step: int = -1  # of the rollout when the request came
    offer: Offer | None = None  # of the rollout
    language: str = ""  # where a rollout asks for it
    repo: str = ""
    tool_call_valid: bool | None = None  # None: no tool was called, or nobody looked
    refusal: bool | None = None
    cost: float | None = None
    observed: Verdict | None = None
    weighed: Weighed | None = None
    explained: tuple[str, ...] = ()
    told: bool = False  # the client asked for the explanation
    thread: str = ""  # one conversation of the session, where that matters

    @property
    def backend(self) -> str:
        """Name of the backend that served, or was tried last, "" when none was."""
        attempts = self.attempts
        if len(attempts) == 1:
            return attempts[0].backend.name
        served = self.served
        return served.backend.name if served else ""

    @property
    def served(self) -> Attempt | None:
        """The attempt that served, or was tried last; a hedge that lost came later and did neither."""
        if not self.attempts:
            return None
        last = self.attempts[-1]
        if last.kind is Kind.HEDGE_LOST and len(self.attempts) > 1:
            return self.attempts[-2]
        return last


class Sink(Protocol):
    """Who hears of finished requests: the request log, metrics, traces. Must not block or raise."""

    def __call__(self, record: Record) -> None:
        """Take one finished record."""


class Exchange(Protocol):
    """One request to one provider on one connection, driven by the attempt driver.

    Every waiting method takes `deadline`, an instant, and raises TimeoutError when it passes. Anything else that
    goes wrong is a Fault. `close` may be called at any time, any number of times, and never waits.
    """

    status: int
    headers: Sequence[tuple[bytes, bytes]]  # names in lower case
    reused: bool  # the connection had served a request before
    answered: bool  # at least one byte of the response has come

    async def send(self, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, deadline: float) -> None:
        """Write the request and wait for the response head; fills `status` and `headers`."""

    async def read(self, deadline: float) -> bytes:
        """Return the next body bytes, as many as have come; b"" is the whole and proper end of the body."""

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else abort it at once."""


class Transport(Protocol):
    """How one provider is reached."""

    async def connect(self, deadline: float, fresh: bool = False) -> Exchange:
        """Return an exchange on an idle or a new connection; `fresh` forbids a used one."""

    async def close(self) -> None:
        """Close idle connections and refuse new ones."""


__all__ = [
    "NULL",
    "TIERS",
    "Attempt",
    "Backend",
    "Called",
    "Candidate",
    "Completion",
    "Conversation",
    "Declared",
    "Exchange",
    "Fault",
    "Heard",
    "Kind",
    "Message",
    "Plan",
    "Price",
    "Record",
    "Request",
    "Settings",
    "Sink",
    "Switches",
    "Tier",
    "Timeouts",
    "Trace",
    "Transport",
    "Usage",
    "Verdict",
    "Weighed",
    "Wishes",
]
