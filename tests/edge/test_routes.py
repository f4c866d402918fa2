"""Rollouts over the admin listener: read by everyone here, moved with a key, never on an outdated view."""

import pytest
from tests.edge.controlled import ANN, closed, controlled


async def test_everyone_here_may_read(tmp_path):
    """The list, and one of it with its version as ETag; no key is needed on this machine."""
    async with controlled(tmp_path) as served:
        status, listed, _ = await served.ask("/admin/rollouts")
        assert (status, [one["id"] for one in listed["rollouts"]]) == (200, ["deep"])
        assert listed["store"] == listed["ledger"] == "ok"
        status, one, tag = await served.ask("/admin/rollouts/deep")
        assert (status, one["phase"], one["share"], tag) == (200, "draft", 0.0, '"1"')
        assert one["target"] == {"alias": "coder", "stable": "sim/old", "candidate": "sim/new"}
        assert one["exit_code"] is None


async def test_nobody_moves_a_rollout_without_the_key(tmp_path):
    """R33: any write needs it, on this machine too."""
    async with controlled(tmp_path) as served:
        for headers in ({}, {"x-admin-key": "wrong"}):
            status, told, _ = await served.ask("/admin/rollouts/deep/start", "POST", headers=headers)
            assert (status, told["error"]["type"]) == (401, "unauthorized")
        assert (await served.ask("/admin/rollouts/deep"))[1]["phase"] == "draft"


async def test_a_rollout_is_moved_by_hand(tmp_path):
    """Each move has a new version; the ledger says whose key it was and why."""
    async with controlled(tmp_path) as served:
        for action, phase, reason in (
            ("start", "baking", "monday"),
            ("pause", "paused", "lunch\nbreak"),
            ("resume", "baking", ""),
            ("promote", "promoted", "good enough"),
            ("abort", "rolling_back", "no, it is not"),
        ):
            status, one, _ = await served.do(action, reason)
            assert (status, one["phase"]) == (200, phase)
        assert await served.ledger.written()
        status, told, _ = await served.ask("/admin/rollouts/deep/history")
        hands = [event for event in told["events"] if event["actor"] == "ann"]
        assert [(event["event"], event["reason"]) for event in hands if event["event"] != "ready"] == [
            ("start", "monday"),
            ("pause", "lunch break"),
            ("resume", "resume by hand"),
            ("promote", "good enough"),
            ("abort", "no, it is not"),
        ]
        assert all(len(event["hash"]) == 64 for event in told["events"])


async def test_an_outdated_view_moves_nothing(tmp_path):
    """412 with the state there is now, so that one can look and decide again."""
    async with controlled(tmp_path) as served:
        _, _, tag = await served.do("start")
        assert (await served.do("pause", **{"if-match": tag}))[0] == 200
        status, told, now = await served.do("abort", **{"if-match": tag})
        assert (status, told["error"]["type"], told["rollout"]["phase"]) == (412, "conflict", "paused")
        assert (await served.do("abort", **{"if-match": now}))[0] == 200


async def test_saying_it_twice_does_no_harm(tmp_path):
    """The second abort finds it done."""
    async with controlled(tmp_path) as served:
        await served.do("start")
        assert [(await served.do("abort"))[0] for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("path", "method", "options", "status", "kind"),
    [
        ("/admin/rollouts/none", "GET", {}, 404, "not_found"),
        ("/admin/rollouts/none/history", "GET", {}, 404, "not_found"),
        ("/admin/drills", "POST", {"json": {"share": 7}}, 400, "bad_request"),
        ("/admin/rollouts/none/abort", "POST", {}, 404, "not_found"),
        ("/admin/rollouts/deep/explode", "POST", {}, 404, "not_found"),
        ("/admin/rollouts/deep/resume", "POST", {}, 409, "impossible"),
        ("/admin/rollouts/deep/promote", "POST", {}, 409, "impossible"),
        ("/admin/rollouts/deep/start", "GET", {}, 405, "method_not_allowed"),
        ("/admin/rollouts/deep/start", "POST", {"data": b"{"}, 400, "bad_request"),
        ("/admin/rollouts/deep/start", "POST", {"json": ["monday"]}, 400, "bad_request"),
        ("/admin/rollouts/deep/start", "POST", {"data": b'{"reason": "\\ud800"}'}, 400, "bad_request"),
        ("/admin/rollouts/deep/start", "POST", {"data": b"[" * 60_000}, 400, "bad_request"),
        ("/admin/drills", "POST", {"data": b'{"alias": "\\ud800"}'}, 400, "bad_request"),
        ("/admin/drills/failed", "POST", {"data": b'{"figures": {"a": "\\udfff"}}'}, 400, "bad_request"),
        ("/admin/rollouts/deep/start", "POST", {"json": {"reason": 5}}, 400, "bad_request"),
        ("/admin/rollouts/deep/start", "POST", {"headers": {**ANN, "if-match": "new"}}, 400, "bad_request"),
        ("/admin/events", "GET", {"headers": {"last-event-id": "-3"}}, 400, "bad_request"),
    ],
)
async def test_what_cannot_be_done_is_said(tmp_path, path, method, options, status, kind):
    """Always JSON with a type and a sentence; the rollout stays where it was."""
    async with controlled(tmp_path) as served:
        found, told, _ = await served.ask(path, method, **{"headers": ANN, **options})
        assert (found, told["error"]["type"]) == (status, kind)
        assert told["error"]["message"]
        assert served.rollouts.held["deep"].state.phase == "draft"


async def test_no_drill_opens_the_breaker_of_a_candidate_on_trial(tmp_path):
    """Its ordered faults would be found with the rollout under way; taken back by hand it harms nobody."""
    async with controlled(tmp_path) as served:
        await served.do("start")
        status, told, _ = await served.ask("/admin/drills", "POST", headers=ANN, json={"by": "regression"})
        assert (status, told["error"]["type"]) == (409, "impossible")
        assert "drill by abort" in told["error"]["message"]


async def test_a_gate_that_is_closed_is_said(tmp_path):
    """Of another type than an impossible signal, with the reason; the rollout is a refused draft."""
    async with controlled(tmp_path) as served:
        served.rollouts.people.preflight = closed("no rollback drill is known")
        status, told, _ = await served.do("start")
        assert (status, told["error"]["type"]) == (409, "gate_refused")
        assert told["error"]["message"] == "no rollback drill is known"
        assert (told["rollout"]["refused"], told["rollout"]["exit_code"]) == (True, 4)
