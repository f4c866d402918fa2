"""A decision in sentences that an operator understands without reading code: the same for `twospeed explain`, for
`x-twospeed-explain: 1` and for the trace.

Says nothing that stands in the request: no prompt, no names of files, no keys.
"""

from collections.abc import Sequence

from twospeed.types import Candidate, Tier, Verdict, Weighed

HEADER_BYTES = 1_500  # of all sentences together in a response header
_SCORED = frozenset({"score", "low_confidence"})
_ALSO = frozenset({"score", "effort", "agent", "pinned", "side_call"})  # reasons worth a sentence behind the first
_TOLD = 3  # backends named in the final order
_OTHER: dict[Tier, Tier] = {"fast": "deep", "deep": "fast"}

_WHY: dict[str, str | dict[str, str]] = {  # by the first word of a reason; {0} is what stands behind the colon
    "rule": "the rule '{0}' of the configuration says so",
    "pinned": {
        "operator": "an operator has sent this session there",
        "header": "the client asked for it with x-twospeed-tier",
        "tier": "the client asked for this tier by name",
        "alias": "the model's name leads there in the configuration",
        "model": "the client asked for this model, which belongs to the tier",
        "backend": "the client asked for this backend, which belongs to the tier",
    },
    "context": "it is too large for the context window of the fast tier",
    "images": "it carries images, which the fast tier does not read",
    "completion": "it is a completion at the cursor, which must be quick",
    "cursor": "it asks for the code at a mark in the text",
    "side_call": "it is a side call of a client, such as a title or a summary",
    "effort": "the client asks for {0} reasoning effort",
    "plan_mode": "the agent is in plan mode",
    "sub_agent": "it comes from a sub-agent that only reads",
    "agent": {
        "failing": "the agent's last tool calls failed",
        "spinning": "the agent repeats itself",
        "start": "an agent run has just begun",
        "exploring": "the agent is looking around",
        "producing": "the agent is changing files",
        "finishing": "the agent is about to finish",
    },
    "score": {"high": "its score is at or above the line", "low": "its score is below the line"},
    "low_confidence": "its score is so close to the line that the configuration decides",
    "key": "the caller's key reaches the {1} tier only",
    "dialect": "only the {1} tier speaks this API",
    "down": "the {0} tier is down",
    "session": {
        "cache": "the conversation stays where its prompt is cached: to move costs more than it is worth",
        "spend": "the conversation has spent what changes of tier may cost it, so it stays",
    },
}


def sentences(
    verdict: Verdict, line: float | None, signals: Sequence[str], candidates: Sequence[Candidate]
) -> tuple[str, ...]:
    """Return the decision in sentences: tier and cause, score, signals, cache, what auto says, order.

    Args:
        line: Score from which requests go deep, None where nothing was scored.
    """
    told = [f"{verdict.tier}: {in_words(verdict.reasons[0])}" if verdict.reasons else verdict.tier]
    also = [reason for reason in dict.fromkeys(verdict.reasons[1:]) if reason.partition(":")[0] in _ALSO]
    told += [f"besides: {in_words(reason)}" for reason in also if reason != verdict.reasons[0]]
    if verdict.score is not None:
        told.append(f"score {verdict.score:.2f}" + (f", the line is at {line:.2f}" if line is not None else ""))
    if signals:
        told.append(f"strongest signals: {', '.join(signals)}")
    if verdict.weighed is not None:
        told.append(weighing(verdict.weighed))
    if verdict.observed is not None:
        auto = verdict.observed
        told.append(f"auto would have said {auto.tier}: {in_words(auto.reasons[0])}")
    if candidates:
        names = [candidate.backend.name for candidate in candidates[:_TOLD]]
        more = f" and {len(candidates) - _TOLD} more" if len(candidates) > _TOLD else ""
        told.append(f"order: {', then '.join(names)}{more}")
    return tuple(told)


def scored(verdict: Verdict) -> bool:
    """Say whether the score had a say: what a mark of the request decided has no signals to tell."""
    return any(reason.partition(":")[0] in _SCORED for reason in verdict.reasons)


def in_words(reason: str) -> str:
    """Say one reason; an unknown one as it is.

    >>> in_words("rule:ci"), in_words("effort:high")
    ("the rule 'ci' of the configuration says so", 'the client asks for high reasoning effort')
    """
    word, _, rest = reason.partition(":")
    known = _WHY.get(word)
    if isinstance(known, dict):
        known = known.get(rest)
    return known.format(rest, rest.partition("_")[0]) if known else reason


def weighing(weighed: Weighed) -> str:
    """Say what a change of tier was weighed against."""
    done = "changed the tier" if weighed.made else "did not change the tier"
    lost = f"the {_OTHER[weighed.here]} tier would read {weighed.tokens:,} tokens anew for ${weighed.lost:.3f} more"
    held = f"half of going and coming back costs ${weighed.trip:.3f} and is worth ${weighed.worth:.3f}"
    return f"{done}: {lost}, {held}; changes have cost ${weighed.spent:.3f} so far"


def header(told: Sequence[str]) -> bytes:
    """Return the sentences as the value of a response header."""
    return " ".join("; ".join(told).split()).encode("ascii", "replace")[:HEADER_BYTES]
