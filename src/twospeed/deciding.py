"""From a request to its plan: flags, tier, version, order of backends, and the same again where a tier is down.

Rules are policy's; here they are asked in turn, and what they said is written into the record.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from twospeed.dialects import Dialect
from twospeed.errors import Fault
from twospeed.policy.access import Caller
from twospeed.policy.arms import Arms, Asked, Assigned
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.choose import Case, Choice, Chooser, Policy, unserved
from twospeed.policy.classify import Classifier
from twospeed.policy.completing import completing, family_notes
from twospeed.policy.content import open_all
from twospeed.policy.down import down, note
from twospeed.policy.estimate import BYTES_PER_TOKEN
from twospeed.policy.explaining import scored, sentences
from twospeed.policy.flags import Asked as Wanted
from twospeed.policy.flags import Flags
from twospeed.policy.headers import Pair
from twospeed.policy.language import language
from twospeed.policy.marks import has_image
from twospeed.policy.patience import patience
from twospeed.policy.plan import Needs, Planner, Route, fitting
from twospeed.policy.race import MAX_ATTEMPTS
from twospeed.policy.scope import repo
from twospeed.policy.signals import signals
from twospeed.policy.switching import thread_of
from twospeed.types import Backend, Offer, Plan, Record, Request, Switches, Verdict


class Call(msgspec.Struct):
    """One inbound request, past the door: its path is known and its caller may call."""

    dialect: Dialect
    endpoint: str
    caller: Caller
    headers: Mapping[bytes, bytes]
    body: bytes
    started_at: float
    query: str = ""
    allowance: Sequence[Pair] = ()  # rate-limit headers of the caller's key, once it was asked


class Decision(msgspec.Struct):
    """What is to be done with a request. `assigned`: where a rollout sent it, None where none has a say."""

    verdict: Verdict
    plan: Plan
    assigned: Assigned | None = None


class Nothing(Exception):
    """No backend can serve, and the answer is an empty one. `fault`: why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kind.value)
        self.fault = fault


class Deciding:
    """Decides for one configuration snapshot.

    Args:
        policy: What the operator has written about routing.
        clock: Instants in seconds, on the event loop's clock.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        planner: Planner,
        classifier: Classifier,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._planner = planner
        self._chooser = Chooser(catalogue, planner, policy)
        self._switching = policy.switching
        self._classifier = classifier
        self._clock = clock

    def decide(
        self, call: Call, record: Record, request: Request, arms: Arms | None, flags: Flags | None
    ) -> Decision | None:
        """Find where a request goes, and in which order; None where the answer can be estimated here instead.

        Raises: Fault, where it can go nowhere.
        """
        switches = self._turned(flags, call, record, request) if flags is not None else None
        verdict, backends = self._choose(call, record, request, switches)
        if not backends:
            return None
        assigned = self._assign(arms, call, record, request, verdict, switches) if arms else None
        plan = self._plan(call, record, request, verdict, backends, assigned)
        if switches is not None:
            plan = replace(plan, switches=switches, hedge=None if switches.hedge is False else plan.hedge)
        record.told = call.headers.get(b"x-twospeed-explain") == b"1"
        if record.told or (record.trace is not None and record.trace.sampled):
            self._explain(call, record, request, verdict, plan)
        return Decision(verdict, plan, assigned)

    def elsewhere(
        self, call: Call, request: Request, record: Record, verdict: Verdict, plan: Plan, fault: Fault
    ) -> Plan:
        """Plan anew in the other tier, where this one is down and the operator wants that.

        Raises: the fault, or Nothing for a completion that gets an empty answer.
        """
        if not down(fault, plan, record.attempts):
            raise fault
        wanted = self._catalogue.lanes[plan.tier].when_down
        if wanted == "empty" and _may_be_empty(call, request):
            record.notes.append(note(plan.tier, wanted))
            record.reasons = (f"down:{plan.tier}", *record.reasons)
            raise Nothing(fault)
        moved = self._moved(call, record, request, verdict, plan) if wanted == "other_tier" else None
        record.notes.append(note(plan.tier, "other_tier" if moved else "refuse"))
        if moved is None:
            raise fault
        return moved

    def _moved(self, call: Call, record: Record, request: Request, verdict: Verdict, plan: Plan) -> Plan | None:
        tried = [candidate.backend for candidate in plan.candidates]
        decided = record.tier, record.reasons
        try:
            verdict, backends = self._chooser.elsewhere(
                request, call.headers, call.caller, call.dialect.served_by, verdict, tried
            )
            if not backends:
                return None
            moved = self._plan(call, record, request, verdict, backends)
        except Fault:
            record.tier, record.reasons = decided
            return None  # nobody there can serve it either; what the client hears is why its own tier could not
        deadline = min(moved.deadline, record.started_at + patience(call.headers).total)
        return replace(moved, most=max(1, MAX_ATTEMPTS - len(record.attempts)), deadline=deadline)

    def _turned(self, flags: Flags, call: Call, record: Record, request: Request) -> Switches | None:
        """Ask the flags, and write down which there were."""
        headers, body = call.headers, request.body
        asked = Wanted(
            call.caller.name, record.client, record.session, lambda: language(headers, body), lambda: repo(headers)
        )
        switches = flags.turned(asked)
        if switches is not None:
            record.notes += [f"flag:{name}" for name in switches.flags]
        return switches

    def _choose(
        self, call: Call, record: Record, request: Request, switches: Switches | None
    ) -> tuple[Verdict, Sequence[Backend]]:
        """Find tier and backends; none where the answer can be estimated here instead."""
        dialect = call.dialect
        if self._switching is None:
            settled = self._chooser.settled(
                request, call.headers, call.caller, dialect.served_by, record.session, switches
            )
            if isinstance(settled, Route):
                settled = self._classified(call, request, settled)
            if settled is not None:
                return settled
        case = Case(
            request,
            call.headers,
            call.caller,
            dialect.served_by,
            lambda: self._classifier.classify(dialect.conversation(request)),
            lambda: dialect.conversation(request),
            record.session,
            switches=switches,
        )
        if self._switching is not None:
            case.thread = record.thread = thread_of(record.session, dialect.opening(request))
            case.now, case.line = self._clock(), self._classifier.line
        verdict, backends = self._chooser.choose(case)
        record.observed, record.weighed = verdict.observed, verdict.weighed
        auto = verdict.observed or verdict
        if auto.score is not None:
            self._classifier.adapt(auto.tier)
        if not backends and not hasattr(dialect, "estimate"):
            raise unserved(request)
        return verdict, backends

    def _classified(self, call: Call, request: Request, route: Route) -> Choice | None:
        """Find tier and backends where classification alone decides; None where those cannot serve."""
        dialect = call.dialect
        verdict = self._classifier.classify(dialect.conversation(request))
        choice = self._planner.within_reach(verdict, route, call.caller, dialect.served_by)
        if not choice[1]:
            return None
        if verdict.score is not None:
            self._classifier.adapt(verdict.tier)
        return choice

    def _explain(self, call: Call, record: Record, request: Request, verdict: Verdict, plan: Plan) -> None:
        """Put the decision into words, where the client or the trace wants them."""
        classifier = self._classifier
        if not scored(verdict):
            record.explained = sentences(verdict, None, (), plan.candidates)
            return
        told = signals(classifier.learned, classifier.reader, call.dialect.conversation(request))
        record.explained = sentences(verdict, classifier.line, told, plan.candidates)

    def _assign(
        self, arms: Arms, call: Call, record: Record, request: Request, verdict: Verdict, switches: Switches | None
    ) -> Assigned | None:
        """Ask the rollouts where this goes."""
        dialect = call.dialect
        served_by = (request.dialect,) if request.bound else dialect.served_by
        return arms.assign(
            self._catalogue.route((switches and switches.model) or request.model),
            verdict,
            Asked(
                call.caller.name,
                record.session,
                call.headers,
                lambda: dialect.opening(request),
                bool(request.bound),
                request.wishes is not None,
            ),
            lambda route: self._planner.within_reach(verdict, route, call.caller, served_by)[1],
        )

    def _plan(
        self,
        call: Call,
        record: Record,
        request: Request,
        verdict: Verdict,
        backends: Sequence[Backend],
        assigned: Assigned | None = None,
    ) -> Plan:
        record.tier, record.reasons = verdict.tier, verdict.reasons
        record.score, record.gain = verdict.score, verdict.gain
        total, idle = patience(call.headers)
        needs = Needs(int(len(request.body) / BYTES_PER_TOKEN), _shows(call, request, backends), total, idle)
        offer: Offer | None = None
        if assigned is not None:
            backends, offer = self._armed(assigned, record, request, needs)
        if request.completion is not None:
            backends = completing(backends, request.completion)
            record.notes += family_notes(request.completion)
        plan = self._planner.plan(
            verdict.tier,
            backends,
            record.session,
            needs,
            request,
            self._clock(),
            assigned is not None,
            offer,
        )
        # Two versions are compared by themselves: what a second backend made faster says nothing of either.
        return replace(plan, hedge=None) if record.arm and plan.hedge is not None else plan

    def _armed(
        self, assigned: Assigned, record: Record, request: Request, needs: Needs
    ) -> tuple[Sequence[Backend], Offer | None]:
        """Write down which version a request meets; one that only one of the two can serve is not counted."""
        split, backends = assigned.split, assigned.backends
        able: Sequence[Backend] = (split.candidate, *backends)
        if request.completion is not None:
            able = completing(able, request.completion)
        able = fitting(able, needs)
        if split.candidate not in able or split.stable not in able:
            return [backend for backend in backends if backend is not split.candidate], None
        if assigned.arm or assigned.offer is not None:
            record.rollout = split.rollout
        record.arm, record.step, record.offer = assigned.arm, split.step, split.offer
        record.language, record.repo = assigned.language, assigned.repo
        return backends, assigned.offer


def _may_be_empty(call: Call, request: Request) -> bool:
    return request.completion is not None and request.completion.whole and hasattr(call.dialect, "nothing")


def _shows(call: Call, request: Request, backends: Sequence[Backend]) -> bool:
    """Say whether images are in a request, as far as that makes a difference to where it may go."""
    if len(backends) < 2 or len({backend.images for backend in backends}) < 2 or b"image" not in request.body:
        return False
    return has_image(open_all(call.dialect.conversation(request).messages))
