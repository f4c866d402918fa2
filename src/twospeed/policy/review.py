"""A review of a rollout, written from its history: what happened, on what evidence, whom it met, what to ask now.

Blameless: it names decisions and what was known when they were made. People are named by the admin key they used, as the
ledger has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from twospeed.units import written_share

Event = Mapping[str, Any]  # a line of the ledger with its figures
MOST = 50  # traces and sessions listed
OUTCOMES = {
    "promoted": "promoted: the candidate serves every session",
    "rolled_back": "rolled back: every session is served by the stable version again",
    "rolling_back": "being rolled back",
    "inconclusive": "inconclusive: no verdict within the longest bake",
    "draft": "not begun",
}
QUESTIONS = (
    "Did users notice before the rollout was taken back? Compare the tickets of the time with the sessions above.",
    "Was it found at the first step it could be found at? If not: would a lower tolerance or a longer bake have?",
    "Could the shadow have found it, before any client met it? If there was no shadow gate, add one.",
    "Open two of the traces: is it the provider, the model version, or our settings for it (timeouts, limits)?",
    "Did the rollback itself go as the last drill did? `twospeed drill rollback` measures it.",
    "Does the candidate's provider know? Quote the request ids of the traces.",
    "What has to be different before `twospeed rollout retry`? Write it down as its reason.",
)


def review(rollout: Mapping[str, Any], events: Sequence[Event], now: float) -> str:
    """Write the document.

    Args:
        rollout: As `/admin/rollouts/<id>` shows it.
        events: Its history, oldest first, of all attempts.
        now: Seconds since the epoch.
    """
    latest = [event for event in events if event["attempt"] == rollout["attempt"]]
    parts = [
        _summary(rollout, latest, now),
        ["## Timeline", "", *_timeline(events)],
        ["## Evidence", "", *_evidence(latest)],
        ["## Traces", "", *_traces(latest)],
        ["## Sessions that met the candidate", "", *_sessions(latest)],
        ["## Checklist", "", *(f"- [ ] {question}" for question in QUESTIONS)],
    ]
    return "\n".join(row for part in parts for row in [*part, ""])


def _summary(rollout: Mapping[str, Any], events: Sequence[Event], now: float) -> list[str]:
    target = rollout["target"]
    outcome = OUTCOMES.get(rollout["phase"], f"under way: {rollout['phase']}")
    largest = max((event["share"] for event in events), default=0.0)
    return [
        f"# Review of rollout {rollout['id']}",
        "",
        f"Written {instant(now)} from the audit ledger. Times are UTC.",
        "",
        f"- **Outcome**: {outcome}",
        f"- **Why**: {_why(rollout, events)}",
        f"- **What**: `{target['candidate']}` in the place of `{target['stable']}` for `{target['alias']}`",
        f"- **Attempt**: {rollout['attempt']}; largest share of sessions: {written_share(largest)}",
        *_times(events),
    ]


def _why(rollout: Mapping[str, Any], events: Sequence[Event]) -> str:
    decided = [event["reason"] for event in events if event["after"] == "rolling_back"]
    return str(decided[-1] if decided else rollout["reason"]) or "nothing was said"


def _times(events: Sequence[Event]) -> Iterator[str]:
    met = next((event["at"] for event in events if event["share"] > 0), None)
    decided = next((event["at"] for event in events if event["after"] == "rolling_back"), None)
    done = next((event["at"] for event in events if event["after"] == "rolled_back"), None)
    if met is not None and decided is not None:
        yield f"- **First met by clients until the decision**: {_span(decided - met)}"
    if decided is not None and done is not None:
        yield f"- **Decision until every worker served the stable version**: {_span(done - decided)}"


def _timeline(events: Sequence[Event]) -> Iterator[str]:
    yield "| time | attempt | what | from | to | share | by | why | evidence |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for event in events:
        cells = (
            instant(event["at"]),
            str(event["attempt"]),
            event["event"],
            event["before"],
            event["after"],
            written_share(event["share"]),
            event["actor"],
            event["reason"],
            f"`{event['evidence'][:12]}`" if event["evidence"] else "",
        )
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _evidence(events: Sequence[Event]) -> Iterator[str]:
    judged = [event for event in events if (event.get("figures") or {}).get("readings")]
    if not judged:
        yield "No decision of this attempt rests on figures of the judge."
    for event in judged:
        figures = event["figures"]
        calls, sessions = figures["calls"], figures["sessions"]
        yield f"**{event['event']}** at {instant(event['at'])}: {event['reason']}"
        yield ""
        yield f"{calls[0]} stable and {calls[1]} candidate requests of {sessions[0]} and {sessions[1]} sessions;"
        yield f"{figures.get('lost', 0)} observations lost. Evidence `{event['evidence']}`."
        yield ""
        yield "| metric | stable | candidate | evidence (natural log) | power | calls | loudest |"
        yield "|---|---|---|---|---|---|---|"
        for reading in figures["readings"]:
            yield f"| {' | '.join(_cell(cell) for cell in _reading(reading))} |"
        yield ""


def _reading(reading: Mapping[str, Any]) -> tuple[str, ...]:
    """Rates are shown as they are for both; of durations only their ratio is known."""
    rate = reading["metric"].endswith("_rate")
    stable = _figure(reading.get("usual"), 100, "%") if rate else "1"
    candidate = _figure(reading.get("estimate"), 100, "%") if rate else _figure(reading.get("estimate"), 1, " times")
    return (
        reading["metric"],
        stable,
        candidate,
        _figure(reading.get("log_e")),
        _figure(reading.get("power"), 100, "%"),
        _figure(reading.get("calls")),
        _part(reading.get("worst")),
    )


def _part(worst: Any) -> str:
    """Name the part of a metric that speaks loudest, with the language it is about."""
    named = worst[:2] if isinstance(worst, Sequence) and not isinstance(worst, str) else ()
    return ", ".join(str(name) for name in named if name)


def _traces(events: Sequence[Event]) -> Iterator[str]:
    found = [witness for event in events for witness in (event.get("figures") or {}).get("witnesses", ())]
    if not found:
        yield "None were kept: traces go nowhere, or no candidate request had ended when this was decided."
        return
    yield "Requests of the candidate that speak loudest; look the trace ids up where traces are collected."
    yield ""
    yield "| trace | session | latency | ok |"
    yield "|---|---|---|---|"
    for witness in found[:MOST]:
        latency = _figure(witness.get("latency_ms"), 1, " ms")
        trace = f"`{witness['trace']}`" if witness.get("trace") else "not traced"
        yield f"| {trace} | `{witness.get('session', '')}` | {latency} | {'yes' if witness.get('ok') else 'no'} |"


def _sessions(events: Sequence[Event]) -> Iterator[str]:
    kept = [figures["met"] for event in events if (figures := event.get("figures") or {}).get("met")]
    names = list(dict.fromkeys(name for met in kept for name in met))
    counts = [event["figures"]["sessions"][1] for event in events if (event.get("figures") or {}).get("sessions")]
    count = max([len(names), *counts])
    if not count:
        yield "None."
        return
    yield f"{count} sessions in all. Names are digests, as in traces and logs."
    yield ""
    yield ", ".join(f"`{name}`" for name in names[:MOST]) + (f" and {count - MOST} more" if count > MOST else "")


def instant(at: float) -> str:
    """Write an instant in UTC.

    >>> instant(0.0)
    '1970-01-01 00:00:00'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 7_200 else f"{seconds / 3_600:.1f} hours"


def _figure(value: Any, times: float = 1, unit: str = "") -> str:
    return f"{value * times:.3g}{unit}" if isinstance(value, int | float) else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
