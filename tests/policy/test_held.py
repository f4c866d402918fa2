"""What is kept of a rollout: versions, rounds, and what the config file may change under way."""

import msgspec

from twospeed.policy.held import JUDGE, Held, Move, Progress, afresh, begun, changed, current, moved, opened, settled
from twospeed.policy.rollout import Phase, Rollout, Signal

TARGET = {"alias": "coder", "stable": "sim/old", "candidate": "sim/new"}


def rollout(**settings):
    return Rollout(id="r", target=settings.pop("target", TARGET), **settings)


def held(*signals, **settings):
    """A rollout to which this happened, a second apart."""
    one = opened(rollout(**settings), 0.0).held
    for number, signal in enumerate(signals, 1):
        actor = JUDGE if signal in (Signal.ADVANCE, Signal.FAIL, Signal.UNDECIDED) else "ann"
        one = moved(one, signal, actor, "because", float(number), one.state.step).held
    return one


LIVE = (Signal.START, Signal.READY)


def test_each_move_counts_once():
    """The version says how often it was moved; a signal that changes nothing is no move."""
    one = held(*LIVE)
    assert (one.version, one.state.phase, one.actor, one.reason) == (3, Phase.BAKING, "ann", "because")
    assert moved(one, Signal.START, "ann", "", 9.0) is None
    assert moved(one, Signal.ADVANCE, JUDGE, "", 9.0, at=3) is None


def test_a_step_is_judged_afresh_and_a_pause_is_not():
    """Evidence is of one step; who pauses and resumes goes on with it."""
    one = held(*LIVE)
    paused = moved(one, Signal.PAUSE, "ann", "", 9.0).held
    resumed = moved(paused, Signal.RESUME, "ann", "", 10.0).held
    assert (resumed.round, resumed.since) == (one.round, one.since)
    following = moved(one, Signal.ADVANCE, JUDGE, "", 11.0, at=0).held
    assert (following.round, following.since) == (one.round + 1, 11.0)


def test_going_on_after_no_verdict_begins_the_step_anew():
    """An inconclusive step that somebody resumes has a whole bake before it."""
    undecided = held(*LIVE, Signal.UNDECIDED)
    assert afresh(undecided, Signal.RESUME, "ann")
    resumed = moved(undecided, Signal.RESUME, "ann", "", 9.0).held
    assert (resumed.round, resumed.since) == (undecided.round + 1, 9.0)


def test_going_on_against_the_judge_begins_the_step_anew():
    """Who resumes what the judge paused is not paused again by the same evidence; what recovers goes on with it."""
    paused = moved(held(*LIVE), Signal.PAUSE, JUDGE, "", 9.0).held
    assert moved(paused, Signal.RESUME, "ann", "", 10.0).held.round == paused.round + 1
    assert moved(paused, Signal.RESUME, JUDGE, "", 10.0).held.round == paused.round


def test_who_paused_is_kept():
    """What the judge paused it may resume; what a person paused it may not."""
    one = held(*LIVE)
    assert moved(one, Signal.PAUSE, JUDGE, "", 9.0).held.paused == JUDGE
    assert moved(one, Signal.PAUSE, "ann", "", 9.0).held.paused == ""


def test_the_evidence_of_a_move_is_named_by_its_hash():
    """What a move rests on can be checked later."""
    move = moved(held(*LIVE), Signal.FAIL, JUDGE, "slow", 9.0, at=0, evidence={"calls": [10, 5]})
    assert len(move.held.evidence) == 64
    assert move.evidence == {"calls": [10, 5]}


def test_settings_come_back_as_they_were_written():
    """Another host runs a rollout by the very settings it began with."""
    settings = rollout(
        scope={"languages": ["python"]},
        gates=[{"shadow": {}}, {"drill_age": "90d"}],
        guard=[{"metric": "error_rate", "slack": "2pp", "by": "language"}],
        bake={"min": "1m", "max": "1h"},
    )
    move = opened(settings, 0.0)
    over_the_wire = msgspec.msgpack.decode(msgspec.msgpack.encode(move), type=Move)
    assert over_the_wire == move
    assert settled(over_the_wire.held) == settings
    assert isinstance(over_the_wire.held, Held)


def test_a_changed_file_keeps_what_has_passed():
    """New steps: the one under way is the largest that is no larger; evidence of another share is not taken over."""
    one = held(*LIVE, Signal.ADVANCE)
    assert one.state.share == 0.25
    same = changed(one, rollout(steps=["10%", "25%", "100%"]), 9.0).held
    assert (same.state.step, same.state.share, same.round) == (1, 0.25, one.round)
    other = changed(one, rollout(steps=["10%", "100%"]), 9.0).held
    assert (other.state.step, other.state.share, other.round) == (0, 0.1, one.round + 1)
    assert changed(one, rollout(), 9.0) is None


def test_guards_that_change_are_judged_anew():
    """Evidence for one guard is none for another."""
    one = held(*LIVE)
    assert changed(one, rollout(guard=[{"metric": "error_rate"}]), 9.0).held.round == one.round + 1
    assert changed(one, rollout(scope={"repos": ["web"]}), 9.0).held.round == one.round


def test_what_has_begun_keeps_its_target():
    """A rollout under way is never turned to another version; a draft is."""
    other = rollout(target=TARGET | {"candidate": "sim/newer"})
    assert changed(held(*LIVE), other, 9.0) is None
    assert settled(changed(held(), other, 9.0).held).target.candidate == "sim/newer"


def test_what_was_said_of_another_step_is_not_of_this_one():
    """A new attempt begins without the figures of the one before; an end keeps them, and so does a refusal of the shadow."""
    live, ended = held(*LIVE), held(*LIVE, Signal.ABORT, Signal.DONE)
    said = Progress("fail", "slow", 1.0, round=live.round)
    assert current(said, live)
    assert current(said, ended)
    again = moved(ended, Signal.RETRY, "ann", "", 2.0).held
    assert not current(said, again)
    for signal in (Signal.START, Signal.READY):
        again = moved(again, signal, "ann", "", 3.0).held
        assert not current(said, again)
    assert current(said, msgspec.structs.replace(held(), state=msgspec.structs.replace(held().state, refused=True)))


def test_begun_is_what_a_removal_would_end():
    """Drafts and ends are not under way."""
    assert [begun(held(*signals)) for signals in ((), LIVE, (*LIVE, Signal.PROMOTE), (*LIVE, Signal.ABORT))] == [
        False,
        True,
        False,
        True,
    ]
