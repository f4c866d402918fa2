"""A collector on loopback: real HTTP, decoded with the official protobuf classes, as good or as bad as a test wants."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

WAIT = 10  # seconds; against hangs only


class Receiver:
    """Takes OTLP over HTTP on a port of its own; `with` starts and stops it.

    Args:
        statuses: What it answers, in turn; the last one for ever.

    `open`: clear it and answers are held back until it is set again.
    """

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses or (200,))
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Condition()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answered = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver.arrived:
                    receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                    receiver.arrived.notify_all()
                receiver.open.wait(WAIT)
                statuses = receiver._statuses
                self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
                self.send_header("content-length", "0")
                self.end_headers()
                receiver.answered += 1

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT)

    def wait_for(self, count: int) -> None:
        """Wait until that many requests have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, WAIT)

    def spans(self) -> list[Any]:
        """All spans that came, as protobuf messages."""
        return [span for scope in self.scopes() for span in scope.spans]

    def scopes(self) -> list[Any]:
        """All groups of spans that came."""
        decoded = [
            ExportTraceServiceRequest.FromString(body) for path, _, body in self.requests if path == "/v1/traces"
        ]
        return [scope for request in decoded for resource in request.resource_spans for scope in resource.scope_spans]

    def metrics(self) -> dict[str, Any]:
        """The metrics that came last, by name."""
        body = [body for path, _, body in self.requests if path == "/v1/metrics"][-1]
        decoded = ExportMetricsServiceRequest.FromString(body)
        return {
            metric.name: metric
            for resource in decoded.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def resource(self) -> dict[str, Any]:
        """Who sent the first request."""
        path, _, body = self.requests[0]
        kind = ExportTraceServiceRequest if path == "/v1/traces" else ExportMetricsServiceRequest
        (sent,) = kind.FromString(body).ListFields()[0][1]
        return plain(sent.resource.attributes)


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict of Python values."""
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
