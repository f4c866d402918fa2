"""Where a request would go, and why: the same decisions as live, with every breaker closed and no session known."""

import json
from collections.abc import Mapping
from typing import Any

from twospeed.config import Loaded
from twospeed.dialects import Dialect, discover
from twospeed.policy.access import Caller
from twospeed.policy.breaker import Breaker
from twospeed.policy.choose import Case, Chooser, Policy, unserved
from twospeed.policy.classify import Classifier
from twospeed.policy.completing import completing
from twospeed.policy.estimate import BYTES_PER_TOKEN
from twospeed.policy.explaining import scored, sentences
from twospeed.policy.plan import Needs, Planner
from twospeed.policy.rules import Rules
from twospeed.policy.session import identify
from twospeed.policy.signals import signals
from twospeed.stores.memory import MemoryAffinity, MemoryHealth
from twospeed.types import Candidate


def explanation(loaded: Loaded, body: bytes, headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Decide as the server would. Raises: Fault, as the client would see it; ValueError for what is no request."""
    endpoint, body, dialect = _request(body)
    request = dialect.decode(body, endpoint)
    planner, anyone = _planner(loaded), Caller("explain", b"", ["*"])
    classifier = Classifier(loaded.config.classify)
    policy = Policy(Rules(loaded.config.rules), loaded.config.classify.mode == "observe")
    case = Case(
        request,
        headers,
        anyone,
        dialect.served_by,
        lambda: classifier.classify(dialect.conversation(request)),
        lambda: dialect.conversation(request),
    )
    verdict, backends = Chooser(loaded.catalogue, planner, policy).choose(case)
    if not backends and not hasattr(dialect, "estimate"):
        raise unserved(request)
    if request.completion is not None:
        backends = completing(backends, request.completion)
    session = identify("explain", headers, dialect.declared(request), dialect.opening(request))
    needs = Needs(tokens=int(len(body) / BYTES_PER_TOKEN))
    plan = planner.plan(verdict.tier, backends, session.key, needs, request, 0.0)
    weighed = scored(verdict)
    told = signals(classifier.learned, classifier.reader, dialect.conversation(request)) if weighed else ()
    return {
        "endpoint": endpoint,
        "model": request.model,
        "tier": verdict.tier,
        "score": verdict.score,
        "gain": verdict.gain,
        "reasons": list(verdict.reasons),
        "explained": list(sentences(verdict, classifier.line if weighed else None, told, plan.candidates)),
        "observed": verdict.observed.tier if verdict.observed else None,
        "session": session.source,
        "tokens": needs.tokens,
        "candidates": [_candidate(candidate) for candidate in plan.candidates],
        "total_timeout": plan.deadline,
    }


def in_words(result: Mapping[str, Any]) -> str:
    """Say an explanation to a person."""
    score = f", score {result['score']:.2f} (probability that it needs deep)" if result["score"] is not None else ""
    lines = [
        f"{result['endpoint']} with model '{result['model']}', about {result['tokens']} tokens",
        f"  tier:     {result['tier']}{score}",
        f"  because:  {', '.join(result['reasons'])}",
        *(f"            {sentence}" for sentence in result["explained"]),
        f"  session:  from {result['session']}",
        "  order:",
    ]
    for number, candidate in enumerate(result["candidates"], 1):
        waits = ", ".join(f"{name} {seconds:g}s" for name, seconds in candidate["timeouts"].items())
        lines.append(f"    {number}. {candidate['backend']}  ({waits})")
    return "\n".join([*lines, f"  whole request: {result['total_timeout']:g}s"])


def _request(text: bytes) -> tuple[str, bytes, Dialect]:
    """Accept a bare body, or `{"endpoint", "body"}` as `classify` reads it."""
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise ValueError("the request is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"the request is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError("the request is not a JSON object")
    dialects = discover().values()
    by_path = {prefix + path: dialect for dialect in dialects for path in dialect.paths for prefix in ("", "/v1")}
    endpoint = parsed.get("endpoint")
    if isinstance(endpoint, str) and isinstance(parsed.get("body"), dict):
        text = json.dumps(parsed["body"]).encode()
    else:
        endpoint = "/v1/completions" if "prompt" in parsed else "/v1/chat/completions"
    if endpoint not in by_path:
        raise ValueError(f"no such endpoint: {endpoint}; there are {', '.join(sorted(by_path))}")
    return endpoint, text, by_path[endpoint]


def _planner(loaded: Loaded) -> Planner:
    catalogue = loaded.catalogue
    names = {name: catalogue.names_of(backend) for name, backend in catalogue.backends.items()}
    health = MemoryHealth(Breaker(), lambda: 0.0, lambda: 0.0)
    return Planner(catalogue.lanes, names, health, MemoryAffinity(lambda: 0.0, 0.0, 0))


def _candidate(candidate: Candidate) -> dict[str, Any]:
    timeouts = candidate.timeouts
    return {
        "backend": candidate.backend.name,
        "timeouts": {name: getattr(timeouts, name) for name in timeouts.__struct_fields__},
    }
