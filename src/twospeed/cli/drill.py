"""`twospeed drill rollback`: take a version back on a live server, on purpose, and time it.

Exit codes: 0 passed, 1 failed or not held, 2 wrong usage.
"""

import argparse
import asyncio
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from twospeed.cli import FAILED, MISUSED, OK
from twospeed.cli.admin import Admin, Failed, complained, connected
from twospeed.config import secret
from twospeed.drill.bench import address
from twospeed.drill.rollback import Unfinished, figures, hold
from twospeed.drill.rollback_traffic import JUDGED_RATE, RATE, Traffic
from twospeed.policy.drilling import written
from twospeed.secrets import Unresolved

FAULT = "http_500@{provider}"


class Remote:
    """The server, as the drill tells it."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def abort(self) -> None:
        """Take the candidate back. Raises: Failed."""
        body = {"reason": "rollback drill"}
        await asyncio.to_thread(self._admin.send, "POST", "/admin/rollouts/drill/abort", body)

    async def phase(self) -> str:
        """Say how far it is. Raises: Failed."""
        try:
            return str((await asyncio.to_thread(self._admin.get, "/admin/rollouts/drill")).value["phase"])
        except Failed as failed:
            if failed.kind == "not_found":
                return "gone"
            raise


def rollback(options: argparse.Namespace) -> int:
    """Hold a rollback drill on a live server and write its report."""
    try:
        admins = [_connected(options, url) for url in options.url or ["http://127.0.0.1:8081"]]
        headers = [(b"authorization", b"Bearer " + secret(options.caller_key).encode())] if options.caller_key else []
        servers = [address(server) for server in options.serve or ["http://127.0.0.1:8080"]]
        begun = _begin(admins[0], options)
    except Failed as failed:
        return complained(failed, options.json)
    except Unresolved as error:
        print(f"--caller-key {options.caller_key}: {error}", file=sys.stderr)
        return MISUSED
    headers += [(name.encode(), value.encode()) for name, value in begun["headers"].items()]
    about = {
        **begun["target"],
        "by": options.by,
        "share": begun["share"],
        "servers": servers,
        "began": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
    }
    if not options.json:
        where = f"{begun['share']:.0%} of {'all' if options.everybody else 'its own'} sessions"
        print(f"drill: {about['candidate']} for {about['alias']}, {where}, at {', '.join(servers)}", flush=True)
    try:
        report, text = asyncio.run(_held(admins[0], servers, headers, about, options.by))
    except (Failed, Unfinished) as error:
        return _unheld(admins, str(error), options)
    return _told(admins, report, text, options)


def _connected(options: argparse.Namespace, url: str) -> Admin:
    return connected(argparse.Namespace(**{**vars(options), "url": url}))


def _begin(admin: Admin, options: argparse.Namespace) -> dict[str, Any]:
    """Let the candidate in. Raises: Failed."""
    asked = {
        name: getattr(options, name) for name in ("alias", "stable", "candidate", "share", "everybody", "by", "reason")
    }
    begun = admin.send("POST", "/admin/drills", {name: value for name, value in asked.items() if value}).value
    if options.by == "regression":
        candidate = begun["target"]["candidate"]
        providers = admin.get("/admin/config").value["config"]["providers"]
        if providers.get(candidate.partition("/")[0], {}).get("kind") != "simulated":
            admin.send("POST", "/admin/rollouts/drill/abort", {"reason": "the candidate is not simulated"})
            raise Failed(f"--by regression: {candidate} is not simulated, so no fault can be ordered from it", MISUSED)
    return begun


async def _held(
    admin: Admin, servers: list[str], headers: list[tuple[bytes, bytes]], about: dict[str, Any], by: str
) -> tuple[dict[str, Any], str]:
    began = time.monotonic()
    rate = JUDGED_RATE if by == "regression" else RATE
    traffic = Traffic(servers, about["alias"], headers, f"drill-{secrets.token_hex(4)}", rate)
    fault = FAULT.format(provider=about["candidate"].partition("/")[0]).encode() if by == "regression" else b""
    finding = await hold(traffic, Remote(admin), fault)
    about["took"] = round(time.monotonic() - began, 3)
    return figures(finding, about), written(finding, about)


def _unheld(admins: list[Admin], why: str, options: argparse.Namespace) -> int:
    """The drill came to no end: take the candidate back and enter that it failed."""
    try:
        admins[0].send("POST", "/admin/rollouts/drill/abort", {"reason": "the drill could not be held"})
    except Failed as failed:
        if failed.kind != "not_found":
            print(failed, file=sys.stderr)
    _entered(admins, "failed", why, {})
    return complained(Failed(f"the drill could not be held: {why}", FAILED), options.json)


def _told(admins: list[Admin], report: dict[str, Any], text: str, options: argparse.Namespace) -> int:
    base = Path(options.output) / f"drill-rollback-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        base.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
        base.with_suffix(".txt").write_text(text)
        place = f"written to {base}.txt and .json"
    except OSError as error:
        place = f"{base}: cannot be written: {(error.strerror or str(error)).lower()}"
    print(json.dumps(report, indent=2) if options.json else text, flush=True)
    print(place, file=sys.stderr)
    entered = _entered(admins, "passed" if report["passed"] else "failed", report["reason"], report)
    return OK if report["passed"] and entered else FAILED


def _entered(admins: list[Admin], outcome: str, why: str, report: dict[str, Any]) -> bool:
    """Let every host know, whose gates ask for it."""
    good = True
    for admin in admins:
        try:
            admin.send("POST", f"/admin/drills/{outcome}", {"reason": why, "figures": report})
        except Failed as failed:
            print(f"the result was not entered: {failed}", file=sys.stderr)
            good = False
    return good
