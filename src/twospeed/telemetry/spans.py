"""A record as spans: one SERVER span for the request, one CLIENT span for each attempt, nothing of what was said.

Imported only once traces have somewhere to go, and run off the request's path. Source: OpenTelemetry HTTP spans and
GenAI client spans, version SEMCONV; W3C ids come with the record.
"""

from collections.abc import Iterator, Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AttributeValue

from twospeed import __version__
from twospeed.errors import MEANING, Kind, Source
from twospeed.telemetry.conventions import SCHEMA_URL, SCOPE, Place
from twospeed.types import Attempt, Record, Trace, Weighed

SHADOW = "shadow"  # the arm of copies
LONGEST_DETAIL = 200  # characters of a fault's detail
# A client that leaves, reads no more or has typed on is no error of whom it leaves.
_LEFT = frozenset({Kind.CLIENT_GONE, Kind.CLIENT_STALLED, Kind.SUPERSEDED, Kind.HEDGE_LOST})
_API_TYPES = {"openai_chat": "chat_completions", "openai_responses": "responses"}
_ERROR = StatusCode.ERROR
_UNSET = Status(StatusCode.UNSET)

Attributes = dict[str, AttributeValue]


class Spans:
    """Makes spans.

    Args:
        resource: Who makes them.
        places: Where each provider is, by its name; replaced when the configuration is.
    """

    def __init__(self, resource: Resource, places: Mapping[str, Place]) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(SCOPE, __version__, SCHEMA_URL)
        self.places = places

    def of(self, record: Record) -> Iterator[ReadableSpan]:
        """Make the spans of one finished request, its own first. Nothing comes of one without a trace."""
        trace = record.trace
        if trace is None or not trace.span:
            return
        # What is exported was sampled, at the latest by its fault.
        state = TraceState.from_header([trace.state]) if trace.state else None
        flags = TraceFlags(TraceFlags.SAMPLED)
        own = SpanContext(int(trace.id, 16), int(trace.span, 16), False, flags, state)
        if record.arm == SHADOW:
            yield self._copy(record, own)
            return
        yield self._request(record, own, _parent(trace, state))
        for number, attempt in enumerate(record.attempts, 1):
            context = SpanContext(own.trace_id, int(attempt.span, 16), False, flags, state)
            yield self._attempt(record, attempt, number, context, own)

    def _copy(self, record: Record, context: SpanContext) -> ReadableSpan:
        """Tell of a copy: one CLIENT span in a trace of its own, linked to the request it was made of, which served."""
        attempt, linked = record.attempts[0], record.linked
        links = [Link(_context(linked), {"twospeed.request.id": record.id})] if linked and linked.span else []
        more: Attributes = {
            "twospeed.shadow": True,
            "twospeed.rollout": record.rollout,
            "twospeed.arm": SHADOW,
            "twospeed.request.id": record.id,
        }
        return self._attempt(record, attempt, 1, context, None, links, more)

    def _request(self, record: Record, context: SpanContext, parent: SpanContext | None) -> ReadableSpan:
        fault = record.fault
        attributes = {**_http(record), **_decision(record)}
        status = _UNSET
        if fault is not None:
            attributes["twospeed.fault"] = fault.value
            if MEANING[fault].source is not Source.CLIENT:
                attributes["error.type"] = fault.value
                status = Status(_ERROR, record.fault_detail[:LONGEST_DETAIL] or None)
        name = f"POST {record.endpoint}"
        return self._span(record, name, SpanKind.SERVER, context, parent, attributes, status, *_whole(record))

    def _attempt(
        self,
        record: Record,
        attempt: Attempt,
        number: int,
        context: SpanContext,
        parent: SpanContext | None,
        links: Sequence[Link] = (),
        more: Attributes | None = None,
    ) -> ReadableSpan:
        attributes = self._operation(record, attempt) | (more or {})
        attributes["twospeed.attempt"] = number
        if attempt.hedge:
            attributes["twospeed.hedge"] = True
        if attempt.resumed:
            attributes["twospeed.resumed"] = True
        if number > 1:
            attributes |= _fallback(record.attempts[number - 2], attempt)
        if attempt is record.served and record.committed_at is not None:
            attributes |= _answer(record)
        status = _UNSET
        if attempt.kind is not None and attempt.kind not in _LEFT:
            attributes["error.type"] = attempt.kind.value
            status = Status(_ERROR, attempt.detail[:LONGEST_DETAIL] or None)
        name = f"{record.operation} {attempt.backend.model}"
        ended = record.ended_at if attempt.ended_at is None else attempt.ended_at
        times = _instant(record, attempt.started_at), _instant(record, ended)
        return self._span(record, name, SpanKind.CLIENT, context, parent, attributes, status, *times, links)

    def _operation(self, record: Record, attempt: Attempt) -> Attributes:
        backend = attempt.backend
        place = self.places.get(backend.provider, Place(backend.provider))
        attributes: Attributes = {
            "gen_ai.operation.name": record.operation,
            "gen_ai.provider.name": place.system,
            "gen_ai.request.model": backend.model,
            "twospeed.backend": backend.name,
            "twospeed.region": backend.region,
            "twospeed.tier": record.tier,
            "twospeed.config.version": record.config,
            "twospeed.connection.reused": attempt.reused,
        }
        if place.address:
            attributes |= {"server.address": place.address, "server.port": place.port}
        if place.system == "openai" and record.dialect in _API_TYPES:
            attributes["openai.api.type"] = _API_TYPES[record.dialect]
        if record.session:
            attributes |= {"gen_ai.conversation.id": record.session, "session.id": record.session}
        if attempt.status is not None:
            attributes["http.response.status_code"] = attempt.status
        if attempt.request_id:
            attributes["twospeed.upstream.request_id"] = attempt.request_id
        if record.stream:
            attributes["gen_ai.request.stream"] = True
            if attempt.first_token_at is not None:
                attributes["gen_ai.response.time_to_first_chunk"] = attempt.first_token_at - attempt.started_at
        return attributes

    def _span(
        self,
        record: Record,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Attributes,
        status: Status,
        started: int,
        ended: int,
        links: Sequence[Link] = (),
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=status,
            start_time=started,
            end_time=max(started, ended),
            instrumentation_scope=self._scope,
            links=links,
        )


def _http(record: Record) -> Attributes:
    attributes: Attributes = {
        "http.request.method": "POST",
        "http.route": record.endpoint,
        "url.path": record.endpoint,
        "url.scheme": "http",
        "http.request.body.size": record.bytes_in,
        "http.response.body.size": record.bytes_out,
    }
    if record.status:
        attributes["http.response.status_code"] = record.status
    if record.client:
        attributes["user_agent.original"] = record.client
    return attributes


def _decision(record: Record) -> Attributes:
    """Say why the request went where it went."""
    attributes: Attributes = {"twospeed.request.id": record.id, "twospeed.config.version": record.config}
    if record.tier:
        attributes["twospeed.tier"] = record.tier
    if record.reasons:
        attributes["twospeed.reason"] = ",".join(record.reasons)
        attributes["twospeed.rule"] = record.reasons[0].partition(":")[0]
    if record.score is not None:
        attributes["twospeed.score"] = record.score
    if record.gain is not None:
        attributes["twospeed.gain"] = record.gain
    if record.observed is not None:
        attributes["twospeed.observed.tier"] = record.observed.tier
        attributes["twospeed.observed.reason"] = ",".join(record.observed.reasons)
    if record.weighed is not None:
        attributes |= _weighed(record.weighed)
    if record.explained:
        attributes["twospeed.explained"] = record.explained
    if record.cost is not None:
        attributes["twospeed.cost"] = record.cost
    if record.session:
        attributes |= {
            "session.id": record.session,
            "twospeed.session": record.session,
            "twospeed.session.source": record.session_source,
        }
    if record.caller:
        attributes["twospeed.caller"] = record.caller
    if record.rollout:
        attributes["twospeed.rollout"] = record.rollout
    if record.arm:
        attributes["twospeed.arm"] = record.arm
    if record.requested_model:
        attributes["twospeed.requested_model"] = record.requested_model
    if record.attempts:
        attributes |= {
            "twospeed.backend": record.backend,
            "twospeed.region": record.served.backend.region if record.served else "",
            "twospeed.attempts": len(record.attempts),
        }
    if record.notes:
        attributes["twospeed.notes"] = tuple(record.notes)
    return attributes


def _weighed(weighed: Weighed) -> Attributes:
    """Say what a change of tier in the middle of the session would lose and bring."""
    return {
        "twospeed.session.switched": weighed.made,
        "twospeed.session.cache_tokens": weighed.tokens,
        "twospeed.session.cache_lost": weighed.lost,
        "twospeed.session.switch_trip": weighed.trip,
        "twospeed.session.switch_worth": weighed.worth,
        "twospeed.session.switch_spent": weighed.spent,
    }


def _fallback(before: Attempt, attempt: Attempt) -> Attributes:
    """Say what an attempt follows; one at the same backend is no fallback but tries it again."""
    reason = "hedge" if attempt.hedge or before.kind is None else before.kind.value
    if before.backend == attempt.backend:
        return {"twospeed.again.reason": reason}
    return {"twospeed.fallback.from": before.backend.name, "twospeed.fallback.reason": reason}


def _answer(record: Record) -> Attributes:
    """Say what came of the attempt that served the request."""
    attributes: Attributes = {}
    if record.finish:
        attributes["gen_ai.response.finish_reasons"] = (record.finish,)
    for key, name in zip(("gen_ai.response.id", "gen_ai.response.model"), record.attempts[-1].named, strict=True):
        if name:
            attributes[key] = name
    usage = record.usage
    if usage is None:
        return attributes
    attributes |= {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }
    if usage.cached_tokens:
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
    if usage.cache_write_tokens:
        attributes["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    if usage.estimated:
        attributes["twospeed.usage.estimated"] = True
    return attributes


def _parent(trace: Trace, state: TraceState | None) -> SpanContext | None:
    if not trace.parent:
        return None
    return SpanContext(int(trace.id, 16), int(trace.parent, 16), True, TraceFlags(int(trace.sampled)), state)


def _context(trace: Trace) -> SpanContext:
    """Return where our own span of a request stands."""
    return SpanContext(int(trace.id, 16), int(trace.span, 16), False, TraceFlags(int(trace.sampled)))


def _whole(record: Record) -> tuple[int, int]:
    return _instant(record, record.started_at), _instant(record, record.ended_at)


def _instant(record: Record, at: float) -> int:
    """Return nanoseconds since the epoch of an instant on the runtime's clock."""
    return int((record.started_wall + (at - record.started_at)) * 1e9)
