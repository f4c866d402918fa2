"""Every instrument there is, in one table: what is counted, in which unit, by which labels.

The reference in the documents, the dashboard, `/metrics` and OTLP are all made from it. Names and units are those of
OTLP; Prometheus names follow from them as an OpenTelemetry collector would make them.

Source: OpenTelemetry, "Prometheus and OpenMetrics Compatibility"; GenAI metrics v1.41.0.
"""

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "info"]

BACKEND = ("tier", "provider", "model", "region")
OTHER = "other"  # the label of everything there is no room for
NONE = "none"  # the label of what does not apply, such as the provider of a request that reached none
TOKEN_TYPES = ("input", "output", "cached", "reasoning", "cache_write")

DURATION_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
FIRST_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 15.0, 60.0, 300.0)
OUTPUT_RATE_BOUNDS = (5.0, 10.0, 20.0, 40.0, 80.0, 150.0, 300.0, 600.0, 1000.0, 2000.0, 4000.0)
OPERATION_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BOUNDS = tuple(float(4**power) for power in range(14))

_UNITS = {"s": "seconds", "By": "bytes", "{token}/s": "per_second", "USD": "usd"}


class Instrument(NamedTuple):
    """One row of the table.

    `unit`: UCUM, in braces where it only says what is counted. `merge`: how the values of several workers become one.
    `wide`: on `/metrics` and OTLP alike; the others only go out over OTLP, where a convention asks for them.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    merge: Literal["sum", "max", "min"] = "sum"
    wide: bool = True

    @property
    def unit_word(self) -> str:
        """The unit as it ends a Prometheus name, "" for none."""
        return _UNITS.get(self.unit, "")

    @property
    def family(self) -> str:
        """The Prometheus name without the suffix of its kind.

        >>> REQUEST_DURATION.family
        'twospeed_request_duration_seconds'
        """
        name = self.name.replace(".", "_")
        return f"{name}_{self.unit_word}" if self.unit_word else name

    @property
    def sample(self) -> str:
        """The Prometheus name of a value; those of a histogram's parts begin with it."""
        return self.family + {"counter": "_total", "info": "_info"}.get(self.kind, "")

    @property
    def series(self) -> int:
        """Time series that one set of labels makes."""
        return len(self.bounds) + 3 if self.kind == "histogram" else 1


REQUESTS = Instrument(
    "twospeed.requests",
    "counter",
    "{request}",
    (*BACKEND, "code"),
    "Finished requests by the backend that was tried last and the status the client saw; 499 is a client that left.",
)
DECISIONS = Instrument(
    "twospeed.decisions",
    "counter",
    "{request}",
    ("tier", "rule"),
    "Requests by the tier they were given and the rule that gave it, the first word of x-twospeed-reason.",
)
REQUEST_DURATION = Instrument(
    "twospeed.request.duration",
    "histogram",
    "s",
    BACKEND,
    "From the end of a request's head to the end of its answer.",
    DURATION_BOUNDS,
)
FIRST_TOKEN = Instrument(
    "twospeed.request.first_token",
    "histogram",
    "s",
    BACKEND,
    "From the end of a streamed request's head to the first content for the client, fallbacks included.",
    FIRST_TOKEN_BOUNDS,
)
OUTPUT_RATE = Instrument(
    "twospeed.output.tokens",
    "histogram",
    "{token}/s",
    BACKEND,
    "Output tokens per second of a streamed answer, after its first token; only where the provider counted them.",
    OUTPUT_RATE_BOUNDS,
)
TOKENS = Instrument(
    "twospeed.tokens",
    "counter",
    "{token}",
    (*BACKEND, "type"),
    "Tokens by type; cached and cache_write are part of input, reasoning of output; estimated where nobody counted.",
)
COST = Instrument(
    "twospeed.cost",
    "counter",
    "USD",
    (*BACKEND, "arm", "basis"),
    "US dollars spent, by the prices in force; the basis is reported, or estimated where nobody counted the tokens.",
)
UNPRICED = Instrument(
    "twospeed.cost.unpriced",
    "counter",
    "{attempt}",
    (*BACKEND, "arm"),
    "Attempts that used tokens nobody has written a price for; they are in no sum of money.",
)
KEY_COST = Instrument(
    "twospeed.key.cost", "counter", "USD", ("key_name", "tier", "basis"), "US dollars spent by the caller's key."
)
KEY_TOKENS = Instrument(
    "twospeed.key.tokens",
    "counter",
    "{token}",
    ("key_name", "type"),
    "Tokens by the caller's key; cached are part of input.",
)
OBSERVED = Instrument(
    "twospeed.observed",
    "counter",
    "{request}",
    ("tier", "auto"),
    "Requests whose model was honoured while auto only watched, by the tier they had and the one auto would have chosen.",
)
LINE = Instrument(
    "twospeed.line",
    "gauge",
    "1",
    ("which",),
    "Score from which requests go deep: now, and first, where it began before it followed the traffic.",
    merge="max",
)
CACHE_KEPT = Instrument(
    "twospeed.session.switches",
    "counter",
    "{request}",
    ("outcome",),
    "Calls at which a session was about to change its tier: made, or kept because the lost prompt cache was worth more.",
)
FAULTS = Instrument(
    "twospeed.faults",
    "counter",
    "{request}",
    (*BACKEND, "kind"),
    "Requests that ended in a fault, by its kind.",
)
ATTEMPTS = Instrument(
    "twospeed.attempts",
    "counter",
    "{attempt}",
    (*BACKEND, "outcome"),
    "Tries at backends; the outcome is ok or the kind of fault, also where a later attempt saved the request.",
)
LIMIT = Instrument(
    "twospeed.limit",
    "gauge",
    "{permit}",
    ("pool", "dimension"),
    "The limit itself: requests or tokens in 60 s, or requests at once.",
    merge="max",
)
LIMIT_USED = Instrument(
    "twospeed.limit.used", "gauge", "{permit}", ("pool", "dimension"), "How much of a limit is used now.", merge="max"
)
LIMIT_LEFT = Instrument(
    "twospeed.limit.left", "gauge", "{permit}", ("pool", "dimension"), "How much of a limit is left now.", merge="min"
)
LIMIT_REFUSED = Instrument(
    "twospeed.limit.refused",
    "counter",
    "{attempt}",
    ("pool", "dimension"),
    "Candidates passed over because a limit was reached.",
)
ROLLOUT_REQUESTS = Instrument(
    "twospeed.rollout.requests",
    "counter",
    "{request}",
    ("rollout", "arm", "outcome"),
    "Requests counted by a rollout: ok, failed by the version that was to serve them, or unknown since the client left.",
)
ROLLOUT_SHARE = Instrument(
    "twospeed.rollout.share",
    "gauge",
    "1",
    ("rollout",),
    "Share of sessions that meet the candidate, in 0 to 1.",
    merge="max",
)
DRILL_AGE = Instrument(
    "twospeed.drill.age",
    "gauge",
    "s",
    (),
    "How long ago the last rollback drill was that passed; infinite where none is known or the last one failed.",
    merge="min",
)
LEDGER_UP = Instrument(
    "twospeed.ledger.up", "gauge", "1", (), "Whether the audit ledger can be written: 1 or 0.", merge="min"
)
ROLLOUT_LOST = Instrument(
    "twospeed.rollout.lost",
    "counter",
    "{request}",
    (),
    "Requests that a rollout was not told of, since there was no room.",
)
TIER_DOWN = Instrument(
    "twospeed.tier.down",
    "counter",
    "{request}",
    ("tier", "answer"),
    "Requests that no backend of their tier could serve, and what they got: refuse (an error), other_tier or empty.",
)
HEDGES = Instrument(
    "twospeed.hedges",
    "counter",
    "{attempt}",
    ("tier", "outcome"),
    "Attempts begun beside a silent one: won (it served) or lost.",
)
RESUMES = Instrument(
    "twospeed.resumes",
    "counter",
    "{request}",
    ("tier", "outcome"),
    "Broken streams that another backend was to go on with: ok, or failed, and then the client got an error event.",
)
BREAKER_STATE = Instrument(
    "twospeed.breaker.state",
    "gauge",
    "{backend}",
    ("provider", "model", "region", "state"),
    "1 for the state a backend's breaker is in: closed, open or half_open.",
    merge="max",
)
IN_FLIGHT = Instrument("twospeed.requests.in_flight", "gauge", "{request}", (), "Requests being served now.")
TIER_IN_FLIGHT = Instrument(
    "twospeed.tier.in_flight", "gauge", "{request}", ("tier",), "Model requests under way, which the caps bound."
)
TIER_WAITING = Instrument("twospeed.tier.waiting", "gauge", "{request}", ("tier",), "Requests that wait for room.")
TIER_REFUSED = Instrument(
    "twospeed.tier.refused", "counter", "{request}", ("tier",), "Requests turned away because there was no room."
)
CONNECTIONS = Instrument("twospeed.connections", "gauge", "{connection}", (), "Client connections open now.")
HANDSHAKES = Instrument(
    "twospeed.handshakes", "gauge", "{connection}", (), "Clients on their way to TLS; they count as connections too."
)
STORE_UP = Instrument(
    "twospeed.store.up",
    "gauge",
    "{store}",
    ("store",),
    "1 while the store of limits and breakers answers, 0 while each process counts by itself.",
    merge="min",
)
STORE_ALONE = Instrument(
    "twospeed.store.alone",
    "counter",
    "{attempt}",
    ("store",),
    "Admissions decided by one process alone, by its share of the limits, because the store did not answer in time.",
)
SHADOW_SENT = Instrument(
    "twospeed.shadow.sent", "counter", "{request}", ("rollout",), "Copies of requests sent to a candidate."
)
SHADOW_DROPPED = Instrument(
    "twospeed.shadow.dropped",
    "counter",
    "{request}",
    ("reason",),
    "Requests picked to be copied of which nothing came, by reason: over budget, not to be repeated, not comparable.",
)
SHADOW_COMPARED = Instrument(
    "twospeed.shadow.compared", "counter", "{request}", ("rollout",), "Pairs of answers that were compared."
)
SHADOW_DIFFERED = Instrument(
    "twospeed.shadow.differed",
    "counter",
    "{request}",
    ("rollout", "what"),
    "Pairs in which the versions differ, by what: fault, finish, tool, arguments, refusal or text.",
)
SHADOW_FAULTS = Instrument(
    "twospeed.shadow.faults", "counter", "{request}", ("rollout", "kind"), "Copies that a candidate failed, by kind."
)
SHADOW_TOKENS = Instrument("twospeed.shadow.tokens", "counter", "{token}", ("type",), "Tokens that copies used.")
SHADOW_UNDER_WAY = Instrument("twospeed.shadow.in_flight", "gauge", "{request}", (), "Copies under way now.")
SHADOW_HELD = Instrument("twospeed.shadow.held", "gauge", "By", (), "Bytes of memory set aside for copies now.")
BUILD = Instrument("twospeed.build", "info", "1", ("version", "python", "semconv"), "What is running.", merge="max")
CONFIG = Instrument("twospeed.config", "info", "1", ("version",), "The configuration in force.", merge="max")
RELOADS = Instrument(
    "twospeed.config.reloads", "counter", "{reload}", ("outcome",), "Reloads of the configuration: ok or refused."
)
WORKERS = Instrument("twospeed.workers", "gauge", "{process}", (), "Processes that serve requests.")
RESTARTS = Instrument(
    "twospeed.workers.restarts", "counter", "{process}", (), "Workers that died and were replaced by their supervisor."
)
TASKS = Instrument("twospeed.tasks", "gauge", "{task}", (), "Tasks of the event loop, some ten of them when idle.")
STARTED = Instrument(
    "twospeed.start.time", "gauge", "s", (), "When the oldest worker started, since the epoch.", merge="min"
)
CPU = Instrument("twospeed.cpu.time", "counter", "s", (), "CPU time spent.")
MEMORY = Instrument("twospeed.memory.resident", "gauge", "By", (), "Memory resident.")
EXPORTED = Instrument(
    "twospeed.telemetry.exported", "counter", "{item}", ("signal",), "Traces and metric reports taken by the collector."
)
DROPPED = Instrument(
    "twospeed.telemetry.dropped",
    "counter",
    "{item}",
    ("signal",),
    "Traces, metric reports and log lines given up: nobody took them in time.",
)
OPERATION_DURATION = Instrument(
    "gen_ai.client.operation.duration",
    "histogram",
    "s",
    ("operation", *BACKEND, "error"),
    "GenAI operation duration.",
    OPERATION_BOUNDS,
    wide=False,
)
OPERATION_FIRST_CHUNK = Instrument(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    "s",
    ("operation", *BACKEND),
    "Time to receive the first chunk of a streamed answer, from when the attempt began.",
    OPERATION_BOUNDS,
    wide=False,
)
TOKEN_USAGE = Instrument(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    ("operation", *BACKEND, "type"),
    "Number of input and output tokens used.",
    TOKEN_BOUNDS,
    wide=False,
)

INSTRUMENTS = (
    REQUESTS,
    DECISIONS,
    REQUEST_DURATION,
    FIRST_TOKEN,
    OUTPUT_RATE,
    TOKENS,
    COST,
    UNPRICED,
    KEY_COST,
    KEY_TOKENS,
    OBSERVED,
    LINE,
    CACHE_KEPT,
    FAULTS,
    ATTEMPTS,
    LIMIT,
    LIMIT_USED,
    LIMIT_LEFT,
    LIMIT_REFUSED,
    ROLLOUT_REQUESTS,
    ROLLOUT_SHARE,
    ROLLOUT_LOST,
    DRILL_AGE,
    LEDGER_UP,
    TIER_DOWN,
    HEDGES,
    RESUMES,
    BREAKER_STATE,
    IN_FLIGHT,
    TIER_IN_FLIGHT,
    TIER_WAITING,
    TIER_REFUSED,
    CONNECTIONS,
    HANDSHAKES,
    STORE_UP,
    STORE_ALONE,
    SHADOW_SENT,
    SHADOW_DROPPED,
    SHADOW_COMPARED,
    SHADOW_DIFFERED,
    SHADOW_FAULTS,
    SHADOW_TOKENS,
    SHADOW_UNDER_WAY,
    SHADOW_HELD,
    BUILD,
    CONFIG,
    RELOADS,
    WORKERS,
    RESTARTS,
    TASKS,
    STARTED,
    CPU,
    MEMORY,
    EXPORTED,
    DROPPED,
    OPERATION_DURATION,
    OPERATION_FIRST_CHUNK,
    TOKEN_USAGE,
)
BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}
