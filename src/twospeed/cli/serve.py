"""`twospeed serve` and `twospeed simulate`."""

import argparse
import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from twospeed.cli import FAILED, MISUSED, OK
from twospeed.config import Loaded, load, state_folder
from twospeed.lastgood import keep, kept
from twospeed.problems import ConfigError
from twospeed.upstream import SimulatedProvider

Address = tuple[str, int]
Started = Callable[[Address, Address | None], None]
Reload = Callable[[], str | Awaitable[str]]


def serve(options: argparse.Namespace) -> int:
    """Serve a config file until told to stop."""
    if options.crew:
        return _work(options)
    try:
        loaded = _loaded(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        last = _last_good(options)
        if last is None:
            return MISUSED
        loaded = last
    _log("")
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    workers = options.workers or loaded.config.listen.workers

    def started(address: Address, admin: Address | None) -> None:
        print(screen(loaded, address, admin, workers), file=sys.stderr, flush=True)
        _keep(loaded)

    return _supervise(options, loaded, workers, started) if workers > 1 else _serve(options, loaded, started)


def _serve(options: argparse.Namespace, loaded: Loaded, started: Started) -> int:
    """Serve in this process."""
    from twospeed.edge.serve import Server

    async def run() -> bool:
        server = Server(lambda: _loaded(options), loaded, _log_format(options, loaded))
        server.reloads.keep = _keep
        async with _watched(loaded, lambda: server.api.runtime.loaded.text, server.reload):
            await server.run(started)
        return True

    return _run(run(), _addresses(loaded))


def _supervise(options: argparse.Namespace, loaded: Loaded, workers: int, started: Started) -> int:
    """Serve in several processes and look after them."""
    from twospeed.edge.crew import Crew
    from twospeed.edge.supervise import Supervisor

    def command(crew: Crew, port: int, number: int, channel: int) -> list[str]:
        given = {"--config": loaded.path, "--port": port, "--log": _log_format(options, loaded)}
        own = {"--crew": crew.folder, "--workers": workers, "--worker": number, "--channel": channel}
        return [*_this_program(), "serve", *(str(word) for pair in (given | own).items() for word in pair)]

    async def run() -> bool:
        supervisor = Supervisor(lambda: _loaded(options), loaded, workers, command)
        supervisor.reloads.keep = _keep
        async with _watched(loaded, lambda: supervisor.loaded.text, supervisor.reload):
            return await supervisor.run(started)

    return _run(run(), _addresses(loaded))


def _last_good(options: argparse.Namespace) -> Loaded | None:
    """Return the configuration that served last, where there is one and it says that it may be used so (R25)."""
    text = kept(state_folder(), options.config)
    if text is None:
        return None
    try:
        loaded = _loaded(options, text)
    except ConfigError:
        return None  # what it refers to is gone
    print(
        f"WARNING: {loaded.path} IS NOT VALID. Serving the configuration that served last ({loaded.version}) instead.\n"
        "Mend the file: it is taken over as soon as it is valid.",
        file=sys.stderr,
    )
    return loaded


def _keep(loaded: Loaded) -> None:
    try:
        keep(state_folder(), loaded.path, loaded.text if loaded.config.reload.last_good else None)
    except OSError as error:
        logging.getLogger("twospeed").warning("this configuration is not kept for the next start: %s", error)


def _watched(loaded: Loaded, in_force: Callable[[], bytes], reload: Reload) -> AbstractAsyncContextManager[None]:
    from twospeed.edge.watch import watching

    return watching(loaded.path, in_force, reload) if loaded.config.reload.watch else nullcontext()


def _work(options: argparse.Namespace) -> int:
    """Be one of several processes."""
    from twospeed.edge.crew import Crew
    from twospeed.edge.reloads import LIVE
    from twospeed.edge.serve import Server
    from twospeed.edge.worker import Worker

    _log(f"worker {options.worker}: ")
    crew = Crew(Path(options.crew))

    def load_text(text: bytes) -> Loaded:
        return _loaded(options, text)

    async def run() -> bool:
        first, loaded = load_text(crew.first()), load_text(crew.text())
        # What only a start reads is as it was when all the others started.
        live = {name: getattr(loaded.config.listen, name) for name in LIVE}
        same = {"listen": first.config.listen.model_copy(update=live), "stores": first.config.stores}
        loaded = replace(loaded, config=loaded.config.model_copy(update=same), redis_url=first.redis_url)
        server = Server(lambda: loaded, loaded, options.log, crew.host(options.worker, options.workers))
        await Worker(server, load_text, crew.scatter, crew.held()).run(socket.socket(fileno=options.channel))
        return True

    return _run(run(), "the port of all workers")


def _log(who: str) -> None:
    """Write what happens to standard error: of our own also what is good news, of libraries only trouble."""
    logging.basicConfig(format=f"%(levelname)s {who}%(message)s", level=logging.WARNING)
    logging.getLogger("twospeed").setLevel(logging.INFO)


def _this_program() -> list[str]:
    """Return the command line of this very program; its folder comes before the working directory, unless it is that."""
    here = Path(__file__).resolve().parents[2] == Path.cwd()
    return [sys.executable, *([] if here else ["-P"]), "-m", "twospeed"]


def _log_format(options: argparse.Namespace, loaded: Loaded) -> str:
    return str(options.log or loaded.config.telemetry.log.format)


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

    async def run() -> bool:
        server = HttpServer(Simulator(name, settings), Listen(host=options.host, port=options.port))
        await server.start()
        host, port = server.address
        print(f"simulated provider '{name}' on http://{host}:{port}/v1", file=sys.stderr, flush=True)
        await _until_stopped()
        await server.close()
        return True

    return _run(run(), f"{options.host} port {options.port}")


def screen(loaded: Loaded, address: Address, admin: Address | None, workers: int = 1) -> str:
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
        *([f"  {workers} workers"] if workers > 1 else []),
        f"  admin: {_url(admin)}/metrics and /admin/status" if admin else "  admin: off, its port is taken",
        "",
        f"  OpenAI clients:  OPENAI_BASE_URL={url}/v1  OPENAI_API_KEY={'<key>' if loaded.callers else 'any'}  model: auto",
        f"  try:             curl {url}/v1/chat/completions -H 'content-type: application/json' \\",
        """                     -d '{"model":"auto","messages":[{"role":"user","content":"reverse a string in python"}]}'""",
    ]
    return "\n".join(lines)


def _url(address: Address) -> str:
    host, port = address
    return f"http://{'[' + host + ']' if ':' in host else host}:{port}"


def _mark(loaded: Loaded, provider: str) -> str:
    return " (simulated)" if isinstance(loaded.providers[provider], SimulatedProvider) else ""


def _loaded(options: argparse.Namespace, text: bytes | None = None) -> Loaded:
    """Load the file and let the ports of the command line win. `text`: of the file, where it is known."""
    loaded = load(options.config, text=text)
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


def _addresses(loaded: Loaded) -> str:
    config = loaded.config
    return f"{config.listen.host} port {config.listen.port}, or {config.admin.host} port {config.admin.port} for admin"


def _run(work: Coroutine[Any, Any, bool], where: str) -> int:
    import uvloop

    try:
        return OK if uvloop.run(work) else FAILED
    except OSError as error:
        print(f"cannot listen on {where}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    except ConfigError as error:  # what only shows when it is used
        print(error, file=sys.stderr)
        return MISUSED


async def _until_stopped() -> None:
    import signal

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
