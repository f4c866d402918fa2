"""`twospeed rollout` against a live server: start, status, pause, resume, promote, abort, retry, history, report.

Exit codes: 0 done or healthy, 3 rolled back, 4 a gate refused, 5 inconclusive; 1 the server did not do it, 2 wrong usage.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from twospeed.cli import FAILED, MISUSED, OK
from twospeed.cli.admin import Admin, Failed, complained, connected
from twospeed.cli.screen import drilled, happened, line, standing
from twospeed.policy.review import review

REFUSED, INCONCLUSIVE = 4, 5
LOOK_EVERY = 2.0  # seconds between two looks at what the judge says
SAY_EVERY = 20.0  # seconds between two lines that say the same with other counts
GONE = 30.0  # seconds a server may be away while it is watched


def act(options: argparse.Namespace) -> int:
    """Give a signal to a rollout."""
    try:
        admin = connected(options)
        name = _which(admin, options.id)
        body = {"reason": options.reason or ""}
        try:
            rollout = admin.send("POST", f"/admin/rollouts/{name}/{options.action}", body, options.if_version).value
        except Failed as failed:
            failed.code = REFUSED if failed.kind == "gate_refused" else failed.code
            raise
        if not options.watch:
            print(json.dumps(rollout, indent=2) if options.json else line(rollout))
            return OK
        return _watch(admin, name, options, rollout)
    except Failed as failed:
        return complained(failed, options.json)


def status(options: argparse.Namespace) -> int:
    """Say how rollouts stand; of one, its outcome is the exit code."""
    try:
        admin = connected(options)
        if options.watch:
            return _watch(admin, _which(admin, options.id), options)
        if options.id:
            rollout = admin.get(f"/admin/rollouts/{options.id}").value
            print(json.dumps(rollout, indent=2) if options.json else standing(rollout))
            return rollout["exit_code"] or OK
        listed = admin.get("/admin/rollouts").value
        print(json.dumps(listed, indent=2) if options.json else _table(listed))
        return OK
    except Failed as failed:
        return complained(failed, options.json)


def history(options: argparse.Namespace) -> int:
    """Print what the ledger has of a rollout."""
    try:
        admin = connected(options)
        told = admin.get(f"/admin/rollouts/{_which(admin, options.id)}/history").value
    except Failed as failed:
        return complained(failed, options.json)
    print(
        json.dumps(told, indent=2)
        if options.json
        else "\n".join(happened(event, date=True) for event in told["events"])
    )
    return OK


def report(options: argparse.Namespace) -> int:
    """Write a review of a rollout, in Markdown."""
    try:
        admin = connected(options)
        name = _which(admin, options.id)
        rollout = admin.get(f"/admin/rollouts/{name}").value
        events = admin.get(f"/admin/rollouts/{name}/history").value["events"]
    except Failed as failed:
        return complained(failed, options.json)
    if options.json:
        print(json.dumps({"rollout": rollout, "events": events}, indent=2))
        return OK
    text = review(rollout, events, time.time())
    if options.output is None:
        print(text, end="")
        return OK
    try:
        Path(options.output).write_text(text)
    except OSError as error:
        print(f"{options.output}: cannot be written: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return MISUSED
    print(f"written to {options.output}")
    return OK


def _which(admin: Admin, name: str | None) -> str:
    """Return the rollout that is meant; where there is one it need not be named. Raises: Failed."""
    if name:
        return name
    known = [rollout["id"] for rollout in admin.get("/admin/rollouts").value["rollouts"]]
    if len(known) == 1:
        return str(known[0])
    there = f"several rollouts, say which: {', '.join(known)}" if known else "no rollouts: add one to its config file"
    raise Failed(f"{admin.url}: the server has {there}", MISUSED)


def _table(listed: dict[str, Any]) -> str:
    rows = [line(rollout) for rollout in listed["rollouts"]] or ["no rollouts in the config file of this server"]
    odd = [f"{what}: {listed[what]}" for what in ("store", "ledger") if listed[what] != "ok"]
    return "\n".join([*rows, *odd, drilled(listed["drill"], time.time())])


def _watch(admin: Admin, name: str, options: argparse.Namespace, begun: dict[str, Any] | None = None) -> int:
    """Print every move until the rollout has come to an end, or the time is up."""
    return Watch(admin, name, options.json, options.timeout).run(begun)


class Watch:
    """One rollout, watched.

    Args:
        timeout: Seconds after which it is left undecided, None to wait for as long as it takes.
    """

    def __init__(self, admin: Admin, name: str, as_json: bool, timeout: float | None) -> None:
        self._admin = admin
        self._name = name
        self._json = as_json
        self._until = time.monotonic() + timeout if timeout else None
        self._last: int | None = None
        self._said: tuple[Any, ...] = ()
        self._said_at = 0.0

    def run(self, rollout: dict[str, Any] | None = None) -> int:
        """Watch, and return the exit code of the outcome. Raises: Failed."""
        away_since: float | None = None
        while True:
            try:
                if self._last is None and rollout is None:
                    rollout = self._look()
                feed = self._admin.follow(f"/admin/rollouts/{self._name}/events", self._last)
                rollout = self._look()  # after the feed is open: nothing falls between the two
                away_since = None
                while (code := rollout["exit_code"]) is None:
                    if self._until is not None and time.monotonic() > self._until:
                        return self._end(rollout, INCONCLUSIVE, "the time is up, it goes on")
                    self._hear(feed)
                    rollout = self._look()
                self._catch_up(feed)
                return self._end(rollout, int(code), rollout["reason"])
            except (Failed, EOFError) as gone:
                away_since = self._wait(gone, away_since)

    def _wait(self, gone: Exception, since: float | None) -> float:
        """Wait a second for a server that was there before. Raises: Failed, when it never was or stays away."""
        if isinstance(gone, Failed) and (not self._said or gone.kind):
            raise gone
        now = time.monotonic()
        if since is None:
            print(f"{self._admin.url}: the server has gone; waiting for it", file=sys.stderr)
            since = now
        if now - since > GONE:
            raise Failed(f"{self._admin.url}: the server is gone for {GONE:.0f} seconds", FAILED)
        time.sleep(1.0)
        return since

    def _hear(self, feed: Any) -> None:
        event = feed.next(LOOK_EVERY)
        if event is not None:
            self._tell(event)
            self._catch_up(feed)

    def _catch_up(self, feed: Any) -> None:
        while (event := feed.next(0.25)) is not None:
            self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        self._last = event["number"]
        print(json.dumps(event) if self._json else happened(event), flush=True)

    def _look(self) -> dict[str, Any]:
        rollout = self._admin.get(f"/admin/rollouts/{self._name}").value
        progress = rollout["progress"] or {}
        now = (rollout["phase"], rollout["share"], progress.get("outcome"), progress.get("reason"))
        late = time.monotonic() - self._said_at > SAY_EVERY
        if (now != self._said or late) and not self._json and rollout["exit_code"] is None:
            print(time.strftime("%H:%M:%S ") + line(rollout), flush=True)
            self._said_at = time.monotonic()
        self._said = now
        return rollout

    def _end(self, rollout: dict[str, Any], code: int, reason: str) -> int:
        if self._json:
            print(json.dumps({"outcome": rollout["phase"], "exit_code": code, "reason": reason}), flush=True)
        else:
            print(f"{self._name}: {rollout['phase']}: {reason} (exit code {code})", flush=True)
        return code
