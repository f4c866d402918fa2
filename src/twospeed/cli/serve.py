"""`twospeed serve` and `twospeed simulate`."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from twospeed.cli import FAILED, MISUSED, OK
from twospeed.config import Loaded, load
from twospeed.problems import ConfigError
from twospeed.upstream import SimulatedProvider


def serve(options: argparse.Namespace) -> int:
    """Serve a config file until told to stop."""
    try:
        loaded = _loaded(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    from twospeed.edge.serve import Server

    async def run() -> None:
        form = options.log or loaded.config.telemetry.log.format
        server = Server(lambda: _loaded(options), loaded, form)
        await server.run(lambda *where: print(screen(loaded, *where), file=sys.stderr, flush=True))

    return _run(run())


def simulate(options: argparse.Namespace) -> int:
    """Serve a simulated provider until told to stop."""
    from twospeed.edge.http import HttpServer
    from twospeed.edge.simulator import Simulator
    from twospeed.policy.listen import Listen
    from twospeed.upstream.simulated import Simulation

    name, settings = "simulated", Simulation()
    if options.config:
        try:
            name, settings = _simulation(load(options.config), options.provider)
        except (ConfigError, LookupError) as error:
            print(error.args[0] if isinstance(error, LookupError) else error, file=sys.stderr)
            return MISUSED

    async def run() -> None:
        server = HttpServer(Simulator(name, settings), Listen(host=options.host, port=options.port))
        await server.start()
        host, port = server.address
        print(f"simulated provider '{name}' on http://{host}:{port}/v1", file=sys.stderr, flush=True)
        await _until_stopped()
        await server.close()

    return _run(run())


def screen(loaded: Loaded, address: tuple[str, int], admin: tuple[str, int] | None) -> str:
    """Say on one screen what is served and how a client is pointed at it."""
    url = _url(address)
    lines = [f"twospeed serves {url}/v1   ({loaded.path})", ""]
    for tier, lane in loaded.catalogue.lanes.items():
        names = [backend.name + _mark(loaded, backend.provider) for backend in lane.backends]
        lines.append(f"  {tier:5} {', '.join(names)}")
    lines += [f"  left out: {name} ({why})" for name, why in loaded.left_out.items()]
    keys = f"{len(loaded.callers)} caller keys" if loaded.callers else "no keys: loopback only, any key is accepted"
    lines += [
        f"  {keys}",
        f"  admin: {_url(admin)}/metrics and /admin/status" if admin else "  admin: off, its port is taken",
        "",
        f"  OpenAI clients:  OPENAI_BASE_URL={url}/v1  OPENAI_API_KEY={'<key>' if loaded.callers else 'any'}  model: auto",
        f"  try:             curl {url}/v1/chat/completions -H 'content-type: application/json' \\",
        """                     -d '{"model":"auto","messages":[{"role":"user","content":"reverse a string in python"}]}'""",
    ]
    return "\n".join(lines)


def _url(address: tuple[str, int]) -> str:
    host, port = address
    return f"http://{'[' + host + ']' if ':' in host else host}:{port}"


def _mark(loaded: Loaded, provider: str) -> str:
    return " (simulated)" if isinstance(loaded.providers[provider], SimulatedProvider) else ""


def _loaded(options: argparse.Namespace) -> Loaded:
    """Load the file and let the ports of the command line win."""
    loaded = load(options.config)
    config = loaded.config
    if options.port is not None:
        listen = config.listen.model_copy(update={"port": options.port})
        config = config.model_copy(update={"listen": listen})
    if options.admin_port is not None:
        admin = config.admin.model_copy(update={"port": options.admin_port})
        config = config.model_copy(update={"admin": admin})
    return replace(loaded, config=config)


def _simulation(loaded: Loaded, name: str | None) -> tuple[str, Any]:
    found = {key: it.simulate for key, it in loaded.providers.items() if isinstance(it, SimulatedProvider)}
    if not found or (name is not None and name not in found):
        raise LookupError(f"no simulated provider {name or ''} takes part in {loaded.path}; it has: {', '.join(found)}")
    chosen = name or next(iter(found))
    return chosen, found[chosen]


def _run(work: Coroutine[Any, Any, None]) -> int:
    import uvloop

    try:
        uvloop.run(work)
    except OSError as error:
        print(f"cannot listen: {error.strerror or error}", file=sys.stderr)
        return FAILED
    return OK


async def _until_stopped() -> None:
    import signal

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
