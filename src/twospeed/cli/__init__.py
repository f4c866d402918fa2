"""The `twospeed` command: one function per command, imported only when it is called, so that each starts fast.

Exit codes: 0 ok, 1 failed, 2 wrong usage or invalid configuration; more where a command says so.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from twospeed.cli.amounts import at_least_one, more_than_zero, seconds, share, sizes

OK, FAILED, MISUSED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser().parse_args(arguments)
    run = getattr(import_module(f"twospeed.cli.{options.module}"), options.run)
    try:
        code: int = run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone, as `| head` does; nothing to tell it
        return OK
    except KeyboardInterrupt:
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    top = argparse.ArgumentParser(prog="twospeed", description="A two-tier model router for coding traffic.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _serve(commands)
    _simulate(commands)
    _validate(commands)
    _explain(commands)
    _rollout(commands)
    _drill(commands)
    _ledger(commands)
    _bench(commands)
    command(
        commands, "classify", "check", "classify", "read requests as JSON lines, print a verdict for each"
    ).add_argument("--config", metavar="F", help="take the classify block of this file; default: as shipped")
    command(commands, "schema", "check", "schema", "print the JSON Schema of the config file")
    command(commands, "version", "check", "version", "print the version and what it speaks")
    return top


def command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, module: str, run: str, text: str
) -> argparse.ArgumentParser:
    """Add one command that is run by `twospeed.cli.<module>.<run>`."""
    added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    added.set_defaults(module=module, run=run)
    return added


def _serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = command(commands, "serve", "serve", "serve", "serve the config file")
    serve.add_argument(
        "--config", metavar="F", default="config/quickstart.yaml", help="default: config/quickstart.yaml"
    )
    serve.add_argument("--port", type=_port, metavar="N", help="instead of listen.port; 0 takes a free one")
    serve.add_argument("--admin-port", type=_port, metavar="N", help="instead of admin.port; 0 takes a free one")
    serve.add_argument("--workers", type=_workers, metavar="N", help="processes; instead of listen.workers")
    serve.add_argument("--log", choices=("text", "json", "off"), help="instead of telemetry.log.format")
    # Between a supervisor and its workers: their folder, which of them this is, its end of the channel.
    serve.add_argument("--crew", help=argparse.SUPPRESS)
    serve.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--channel", type=int, help=argparse.SUPPRESS)


def _simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    simulate = command(commands, "simulate", "serve", "simulate", "serve a simulated provider over a real socket")
    simulate.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    simulate.add_argument("--port", type=_port, metavar="N", default=8090, help="default: 8090; 0 takes a free one")
    simulate.add_argument("--config", metavar="F", help="take the settings of a simulated provider from this file")
    simulate.add_argument("--provider", metavar="NAME", help="which one; default: the first simulated one of F")


def _validate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    validate = command(commands, "validate", "check", "validate", "say everything that is wrong with a config file")
    validate.add_argument("file", metavar="F")
    validate.add_argument("--format", choices=("text", "json", "github"), default="text")


def _explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = command(commands, "explain", "check", "explain", "say where a request would go, and why")
    explain.add_argument("file", metavar="F")
    explain.add_argument("request", metavar="REQUEST.json", help="a request body; - reads standard input")
    explain.add_argument("--header", metavar="NAME:VALUE", action="append", default=[], help="a request header")
    explain.add_argument("--json", action="store_true", help="for machines")


def _bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bench = command(commands, "bench", "bench", "bench", "put a live server under load and say how it bore it")
    option = bench.add_argument
    option("--url", metavar="U", default="http://127.0.0.1:8080", help="base URL; default: http://127.0.0.1:8080")
    option("--path", metavar="P", default="/chat/completions", help="the endpoint; default: /chat/completions")
    option("--rate", metavar="N", type=more_than_zero, default=10.0, help="requests a second; default: 10")
    option("--duration", metavar="D", type=seconds, default=10.0, help="such as 30s or 5m; default: 10s")
    option("--streams", metavar="SHARE", type=share, default=0.5, help="share that is streamed; default: 50%%")
    option("--model", metavar="M", help="the model to ask for; default: auto")
    option("--key", metavar="env:NAME", help="the caller's key, or file:PATH")
    option("--header", metavar="NAME:VALUE", action="append", default=[], help="a request header")
    option("--body", metavar="FILE", help="a request body, or one on each line, instead of made ones")
    option(
        "--sizes", metavar="S,S", type=sizes, default=[2_000, 30_000, 90_000], help="of bodies; default: 2KB,30KB,90KB"
    )
    option(
        "--sessions", metavar="N", type=at_least_one, default=0, help="different ones, by name; default: as bodies show"
    )
    option("--concurrency", metavar="N", type=at_least_one, default=1_000, help="under way at most; default: 1000")
    option("--timeout", metavar="D", type=seconds, default=120.0, help="of one request; default: 120s")
    option("--seed", metavar="N", type=int, default=1, help="the same seed sends the same; default: 1")
    option("--max-errors", metavar="N", type=int, default=0, help="failed requests to put up with; default: 0")
    option("--json", action="store_true", help="for machines")


def _rollout(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "new model versions, step by step"
    actions = commands.add_parser("rollout", help=text, description=text.capitalize() + ".").add_subparsers(
        required=True, metavar="ACTION"
    )
    lint = command(actions, "lint", "rollout", "lint", "say what is wrong with the rollouts of a config file")
    lint.add_argument("file", metavar="F")
    plan = command(actions, "plan", "rollout", "plan", "say how many requests and hours a regression takes to be found")
    plan.add_argument("--rate", metavar="R/s", type=_rate, default=1.0, help="requests of both versions; default: 1/s")
    replay = command(actions, "replay", "rollout", "replay", "judge recorded observations, print each decision")
    replay.add_argument("--observations", metavar="FILE", required=True, help="JSON lines; - reads standard input")
    replay.add_argument(
        "--share", metavar="P", type=share, help="of sessions that met the candidate; default: the steps"
    )
    _live(actions)
    lint.add_argument("--json", action="store_true", help="for machines")
    plan.add_argument("--json", action="store_true", help="for machines")
    replay.add_argument("--json", action="store_true", help="changes nothing: each decision is a line of JSON")
    for action in (plan, replay):
        action.add_argument("--config", metavar="F", required=True, help="the config file")
        action.add_argument("--rollout", metavar="ID", help="which one; not needed where there is only one")


def _live(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What talks to a running server."""
    for action, text in {
        "start": "begin a rollout: gates, then shadow, then the first step",
        "pause": "keep the share as it is until resumed",
        "resume": "go on with what was paused or inconclusive",
        "promote": "let the candidate serve everybody, whatever the judge says; give a reason",
        "abort": "take the candidate back at once",
        "retry": "make a draft of the next attempt after a rollback",
    }.items():
        added = command(actions, action, "delivery", "act", text)
        added.set_defaults(action=action)
        added.add_argument("id", metavar="ID", nargs="?", help="of the rollout; not needed where there is only one")
        added.add_argument("--reason", metavar="TEXT", help="stands in the audit ledger")
        added.add_argument("--if-version", metavar="N", default="", help="only if the rollout is still at this version")
        _watched(added)
    status = command(
        actions, "status", "delivery", "status", "say how rollouts stand; of one, its outcome is the exit code"
    )
    status.add_argument("id", metavar="ID", nargs="?", help="of one rollout")
    _watched(status)
    for action, text in {"history": "print what the audit ledger has", "report": "write a review in Markdown"}.items():
        added = command(actions, action, "delivery", action, text)
        added.add_argument("id", metavar="ID", nargs="?", help="of the rollout; not needed where there is only one")
        if action == "report":
            added.add_argument("--output", metavar="FILE", help="instead of standard output")
        server(added)


def _drill(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "emergencies on purpose, on a live server"
    drills = commands.add_parser("drill", help=text, description=text.capitalize() + ".").add_subparsers(
        required=True, metavar="DRILL"
    )
    rollback = command(drills, "rollback", "drill", "rollback", "let a version in, take it back, and time it")
    option = rollback.add_argument
    option(
        "--url",
        metavar="U",
        action="append",
        help="admin listener; default: http://127.0.0.1:8081; each further one is told, too",
    )
    option(
        "--serve",
        metavar="U",
        action="append",
        help="where models are served; default: http://127.0.0.1:8080; one per replica",
    )
    option("--alias", metavar="NAME", help="what to ask for; default: that of the first rollout")
    option("--stable", metavar="P/M", help="who serves it now; default: as the first rollout says")
    option("--candidate", metavar="P/M", help="who is let in and taken back; default: as the first rollout says")
    option("--share", metavar="P", type=share, help="of sessions; default: 50%% of the drill's own, 5%% of everybody's")
    option("--everybody", action="store_true", help="let clients take part, not only the drill's own requests")
    option("--by", choices=("abort", "regression"), default="abort", help="taken back by a signal, or by the judge")
    option("--caller-key", metavar="env:NAME", help="key of the caller whose requests these are, or file:PATH")
    option("--reason", metavar="TEXT", help="stands in the audit ledger")
    option("--output", metavar="FOLDER", default=".", help="of the two report files; default: this one")
    option("--key", metavar="env:NAME", help="the admin key, or file:PATH; default: env:TWOSPEED_ADMIN_KEY")
    option("--json", action="store_true", help="for machines")


def _ledger(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "who changed which rollout and flag, and why"
    actions = commands.add_parser("ledger", help=text, description=text.capitalize() + ".").add_subparsers(
        required=True, metavar="ACTION"
    )
    verify = command(actions, "verify", "ledger", "verify", "find the first line that is not what was written")
    verify.add_argument("file", metavar="FILE", nargs="?", help="default: that of --config, else in the state folder")
    verify.add_argument("--config", metavar="F", help="the config file that names it")
    verify.add_argument("--json", action="store_true", help="for machines")


def _watched(added: argparse.ArgumentParser) -> None:
    added.add_argument("--watch", action="store_true", help="print every move until its end, which is the exit code")
    added.add_argument("--timeout", metavar="D", type=seconds, help="of the watch; then exit code 5")
    server(added)


def server(added: argparse.ArgumentParser) -> None:
    """Add the options of commands that talk to a running server."""
    added.add_argument(
        "--url", metavar="U", default="http://127.0.0.1:8081", help="its admin listener; default: http://127.0.0.1:8081"
    )
    added.add_argument("--key", metavar="env:NAME", help="the admin key, or file:PATH; default: env:TWOSPEED_ADMIN_KEY")
    added.add_argument("--json", action="store_true", help="for machines")


def _rate(text: str) -> float:
    amount, _, unit = text.partition("/")
    try:
        rate = float(amount) / {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[unit]
    except (ValueError, KeyError):
        rate = 0.0
    if not 0.0 < rate < 1e6:
        raise argparse.ArgumentTypeError(f"expected requests a second such as 1/s, 0.2/s or 30/m, not {text!r}")
    return rate


def _workers(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError(f"workers are a number from 1 to 64, not {text!r}")
    return number


def _port(text: str) -> int:
    number = int(text) if text.isdigit() else -1
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return number
