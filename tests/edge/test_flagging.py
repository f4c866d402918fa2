"""Flags over the admin listener: turned by hand, seen by all, entered in the ledger."""

import pytest
from tests.edge.controlled import ANN, controlled

CALM = {
    "set": {"tier": "fast", "hedge": False},
    "scope": {"clients": ["*vscode*"]},
    "share": "20%",
    "reason": "too slow",
}


async def test_a_flag_is_set_and_removed_by_hand(tmp_path):
    """Those set by hand count before those of the file; each change has a version, and its line in the ledger."""
    async with controlled(tmp_path) as served:
        _, told, tag = await served.ask("/admin/flags")
        assert ([flag["id"] for flag in told["flags"]], tag) == (["file"], '"0"')
        status, told, tag = await served.ask("/admin/flags/calm", "PUT", json=CALM, headers={**ANN, "if-match": tag})
        assert (status, tag) == (200, '"1"')
        assert [(flag["id"], flag["by"]) for flag in told["flags"]] == [("calm", "hand"), ("file", "file")]
        assert told["flags"][0]["share"] == 0.2
        status, told, tag = await served.ask("/admin/flags/calm", "DELETE", json={"reason": "better"}, headers=ANN)
        assert ([flag["id"] for flag in told["flags"]], tag) == (["file"], '"2"')
        assert await served.ledger.written()
        lines = await served.ledger.lines(kind="flag")
        assert [(line.entry.subject, line.entry.event, line.entry.actor, line.entry.reason) for line in lines] == [
            ("calm", "set", "ann", "too slow"),
            ("calm", "removed", "ann", "better"),
        ]
        assert '"hedge":false' in lines[0].entry.after
        assert lines[1].entry.before == lines[0].entry.after


async def test_a_flag_of_the_file_is_replaced_until_it_is_removed(tmp_path):
    """Then the file counts again."""
    async with controlled(tmp_path) as served:
        _, told, _ = await served.ask("/admin/flags/file", "PUT", json={"set": {"tier": "fast"}}, headers=ANN)
        assert [(flag["by"], flag["set"]["tier"]) for flag in told["flags"]] == [("hand", "fast")]
        _, told, _ = await served.ask("/admin/flags/file", "DELETE", headers=ANN)
        assert [(flag["by"], flag["set"]["tier"]) for flag in told["flags"]] == [("file", "deep")]


@pytest.mark.parametrize(
    ("method", "name", "options", "status", "words"),
    [
        ("PUT", "calm", {"headers": {}}, 401, "admin key"),
        ("PUT", "calm", {"json": {"set": {}}}, 400, "a flag sets something"),
        ("PUT", "calm", {"json": {"set": {"tier": "slow"}}}, 400, "set.tier"),
        ("PUT", "calm", {"json": {"set": {"model": "nobody"}}}, 400, "'nobody' leads nowhere"),
        ("PUT", "calm", {"json": {"set": {"hedge": True}, "share": 20}}, 400, "share"),
        ("PUT", "calm", {"data": b'{"set": {"model": "\\ud800"}}'}, 400, "not JSON"),
        ("PUT", "calm", {"data": b'{"set": {"tier": "fast"}, "share": NaN}'}, 400, "not JSON"),
        ("PUT", "a flag", {"json": CALM}, 400, "id: "),
        (
            "PUT",
            "calm",
            {"json": CALM, "headers": {**ANN, "if-match": '"7"'}},
            412,
            "the flags are at version 0, not 7",
        ),
        ("DELETE", "file", {}, 404, "there is no flag 'file' set by hand"),
    ],
)
async def test_what_cannot_be_set_is_said(tmp_path, method, name, options, status, words):
    """And nothing changes."""
    async with controlled(tmp_path) as served:
        found, told, _ = await served.ask(f"/admin/flags/{name}", method, **{"headers": ANN, **options})
        assert (found, words in told["error"]["message"]) == (status, True), told
        assert served.rollouts.flags == ({}, 0)
