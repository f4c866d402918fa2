"""The config file: one class per top-level key, each beside the code that reads it, composed here and nowhere changed.

    YAML text -> locate (values with places) -> settings, checks, secrets -> Loaded, or every problem at once

The environment is read here and nowhere else.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from twospeed import certificates, checks, presets, secrets, shape, wording
from twospeed.locate import Document
from twospeed.policy.access import Key, digest
from twospeed.policy.breaker import Breaker
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.classify import Classify
from twospeed.policy.flags import Flag
from twospeed.policy.listen import Admin, Listen
from twospeed.policy.plan import Tiers
from twospeed.policy.proxying import Ways, way
from twospeed.policy.reloading import Reload
from twospeed.policy.rollout import Rollout
from twospeed.policy.rules import Rule, wrong
from twospeed.policy.shadow import Shadow
from twospeed.policy.switching import Sessions
from twospeed.problems import ConfigError, Path, Problem, ordered
from twospeed.stores import SCHEMES, RedisStore
from twospeed.telemetry import Collector, Push, Signal, Telemetry, Traces, collector
from twospeed.telemetry.conventions import OPT_IN_VARIABLE
from twospeed.types import Backend, Settings
from twospeed.upstream import Provider, SimulatedProvider, completions, dialects
from twospeed.upstream.dial import through

REDIS_URL: Path = ("stores", "redis", "url")
LEDGER = "ledger.db"
ADMIN = "admin"  # what admin.key is called
FREE_KEYS = "x-"  # top-level keys that begin so are the operator's own, a place for anchors


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return value
    raise ValueError(f"expected a name or a list of names, got {wording.shown(value)}")


ProviderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Targets = Annotated[
    list[str],
    BeforeValidator(_as_list),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
            "examples": ["auto", "fast", "openai/gpt-5.4", ["cerebras/gpt-oss-120b", "openai/gpt-5.4"]],
        }
    ),
]


class Stores(Settings):
    """`stores`: where limits, breakers and sessions are kept."""

    redis: RedisStore | None = None
    """Shared by all replicas. Left out: the workers of this host share theirs, and no other host does."""
    ledger: str | None = None
    """File of the audit ledger, an SQLite database; its folder is made. Left out: ledger.db where this program keeps its state:
    TWOSPEED_STATE_DIR, else STATE_DIRECTORY, else ~/.local/state/twospeed."""


class Config(Settings):
    """The whole file. Top-level keys that begin with `x-` are yours, a place for anchors."""

    listen: Listen = Listen()
    """Where model requests are taken."""
    admin: Admin = Admin()
    """Where metrics, status and changes are."""
    keys: list[Key] = []
    """Who may call. None: everyone on this machine may, and the server refuses to listen beyond it."""
    providers: Annotated[dict[ProviderName, Provider], Field(min_length=1)]
    """Who runs the models, by a name of your choice."""
    models: dict[str, Targets] = {}
    """Names and globs that clients may ask for: each leads to auto, fast, deep, another name here, provider/model, or a
    list of the latter two, tried in order. Exact names win over globs; of globs the first that fits wins."""
    rules: list[Rule] = []
    """What holds before names, pins and scores are looked at; the first that fits wins."""
    tiers: Tiers
    """The two tiers."""
    classify: Classify = Classify()
    """How `model: auto` chooses a tier."""
    sessions: Sessions = Sessions()
    """When a conversation under way may change its tier."""
    breaker: Breaker = Breaker()
    """When a backend that keeps failing is left alone, and for how long."""
    rollouts: list[Rollout] = []
    """New model versions on their way in, each watched and taken back when it is worse."""
    shadow: Shadow = Shadow()
    """What copies of requests for candidates may use."""
    flags: list[Flag] = []
    """Switches for everybody or for some requests; the admin API turns them while the server runs."""
    stores: Stores = Stores()
    """Where limits, breakers and sessions are kept."""
    reload: Reload = Reload()
    """How a change of this file comes into force."""
    telemetry: Telemetry = Telemetry()
    """Who is told of requests."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config file that can be served, with what it refers to. Prints no secret.

    `providers`: those that take part; `left_out`: the others, each with the reason. `callers`: name, SHA-256 digest of
    the key, names and globs allowed. `provider_headers`: with references replaced. `proxies`: the address that leads to a
    provider, where it is not reached directly. `collectors`: where traces and
    metrics go, if anywhere. `conventions`: what OTEL_SEMCONV_STABILITY_OPT_IN asks for. `version`: of the file's `text`.
    `warnings`: nothing that hinders.
    """

    path: str
    version: str
    config: Config
    catalogue: Catalogue
    providers: Mapping[str, Provider]
    left_out: Mapping[str, str]
    callers: tuple[tuple[str, bytes, list[str]], ...] = field(repr=False)
    provider_keys: Mapping[str, str] = field(repr=False)
    provider_headers: Mapping[str, Mapping[str, str]] = field(repr=False)
    admins: Mapping[str, bytes] = field(repr=False)  # SHA-256 digests of admin keys, by name
    redis_url: str | None = field(repr=False)  # with its reference replaced
    ledger: FilePath
    proxies: Mapping[str, str] = field(repr=False)
    collectors: Mapping[Signal, Collector] = field(repr=False)
    conventions: frozenset[str]
    text: bytes = field(repr=False)
    warnings: tuple[Problem, ...] = ()


def load(path: str | os.PathLike[str], env: Mapping[str, str] | None = None, text: bytes | None = None) -> Loaded:
    """Read, check and resolve a config file.

    Args:
        env: Instead of the process environment.
        text: Of the file, where somebody has read it already; the file is not looked at then.

    Raises: ConfigError, with everything that is wrong.
    """
    file = os.fspath(path)
    return read(_text(file) if text is None else text, file, os.environ if env is None else env)


def _text(file: str) -> bytes:
    try:
        return FilePath(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigError([Problem(file, 1, 1, (), f"cannot be read: {reason.lower()}")]) from None


def secret(reference: str) -> str:
    """Return what a reference on the command line stands for: env:NAME or file:PATH. Raises: secrets.Unresolved."""
    return secrets.resolve(reference, os.environ, FilePath())


def read(data: bytes, file: str, env: Mapping[str, str]) -> Loaded:
    """Check and resolve the text of a config file; `file` is its name in messages, and where relative paths begin."""
    document = Document(data, file)
    written = _top(document)
    config, value, problems = _settings(presets.filled(written), document)
    problems += [_placed(checks.Finding(*found), document) for found in presets.unknown(written)]
    names = checks.Names(value, env)
    resolved: dict[Path, str] = {}
    problems += [_placed(finding, document) for finding in checks.check(value, names)]
    problems += [_placed(finding, document) for finding in _resolve(value, names, env, file, resolved)]
    if config is not None:
        folder = FilePath(file).parent
        problems += [_placed(finding, document) for finding in _certified(config, names, folder)]
        problems += [_placed(finding, document) for finding in _led(config, names, env, resolved)]
        problems += [_placed(checks.Finding(("rules", *path), said), document) for path, said in wrong(config.rules)]
    problems = ordered([*document.problems, *problems])
    if config is None or any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    return _loaded(file, data, config, names, env, resolved, tuple(problems))


def state_folder(env: Mapping[str, str] | None = None) -> FilePath:
    """Return where this program may keep things between two starts; nothing needs to be there.

    >>> state_folder({"XDG_STATE_HOME": "/var/state"})
    PosixPath('/var/state/twospeed')
    """
    env = os.environ if env is None else env
    own = env.get("TWOSPEED_STATE_DIR") or env.get("STATE_DIRECTORY", "").partition(":")[0]
    if own:
        return FilePath(own)
    common = env.get("XDG_STATE_HOME")
    return (FilePath(common) if common else FilePath(env.get("HOME", "/"), ".local", "state")) / "twospeed"


def _top(document: Document) -> dict[str, Any]:
    """Return the top-level block without the operator's own keys."""
    if isinstance(document.value, dict):
        return {key: value for key, value in document.value.items() if not key.startswith(FREE_KEYS)}
    if document.problems:
        raise ConfigError(document.problems)
    message = "is empty" if document.value is None else "must be a block of keys, such as `listen:`"
    raise ConfigError([Problem(document.file, 1, 1, (), message)])


def _settings(value: dict[str, Any], document: Document) -> tuple[Config | None, dict[str, Any], list[Problem]]:
    """Read the blocks with their classes; also returns the values as the other checks should see them."""
    config, errors = _validated(value)
    unknown = [details for details in errors if details["type"] in wording.UNKNOWN_KIND]
    problems = list(wording.problems(unknown, Config, value, document))
    if unknown:  # pydantic looks no further into a block of unknown kind
        value = wording.with_kinds(unknown, Config, value)
        errors = _validated(value)[1]
    return config, value, [*problems, *wording.problems(errors, Config, value, document)]


def _validated(value: dict[str, Any]) -> tuple[Config | None, list[ErrorDetails]]:
    try:
        return Config.model_validate(value), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _placed(finding: checks.Finding, document: Document) -> Problem:
    where = document.where(finding.path, finding.at_key)
    return Problem(document.file, where.line, where.column, finding.path, finding.message, finding.severity)


def _resolve(
    value: Mapping[str, Any], names: checks.Names, env: Mapping[str, str], file: str, resolved: dict[Path, str]
) -> Iterator[checks.Finding]:
    """Fill `resolved` with every secret of those who take part, and say which cannot be had."""
    equal: dict[bytes, Path] = {}
    for path in [*shape.secrets(Config, value), *_references(value, names)]:
        reference = shape.at(Config, value, path)[1]
        absent = path[0] == "providers" and path[1] in names.left_out
        if not isinstance(reference, str) or (absent and secrets.is_reference(reference)):
            continue
        try:
            resolved[path] = secrets.resolve(
                reference, env, FilePath(file).parent, digests=path[0] in ("keys", "admin")
            )
        except secrets.Unresolved as error:
            yield checks.Finding(path, f"{error}{_way_out(path, reference)}")
            continue
        if path == REDIS_URL and not resolved[path].startswith(SCHEMES):
            yield checks.Finding(
                path, f"{reference} holds no address: expected one that begins with {', '.join(SCHEMES)}"
            )
        if path[0] == "keys":
            first = equal.setdefault(digest(resolved[path]), path)
            if first is not path:
                yield checks.Finding(path, f"is the same key as that of keys[{first[1]}]")


def _references(value: Mapping[str, Any], names: checks.Names) -> Iterator[Path]:
    """Find what may be a reference and need not be a secret."""
    for path, text in [*checks.headers(value, names), (REDIS_URL, shape.at(Config, value, REDIS_URL)[1])]:
        if isinstance(text, str) and secrets.is_reference(text):
            yield path
    for name, block in names.providers.items():
        if isinstance(block.get("proxy"), str) and secrets.is_reference(block["proxy"]):
            yield "providers", name, "proxy"


def _certified(config: Config, names: checks.Names, folder: FilePath) -> Iterator[checks.Finding]:
    """Find files of certificates that cannot be used."""
    for error in certificates.wrong(config.listen.tls, folder) if config.listen.tls is not None else ():
        yield checks.Finding(("listen", "tls", error.key), str(error))
    for name, provider in config.providers.items():
        if isinstance(provider, SimulatedProvider) or name in names.left_out:
            continue
        for error in certificates.wrong(provider.tls, folder):
            yield checks.Finding(("providers", name, "tls", error.key), str(error))


def _led(
    config: Config, names: checks.Names, env: Mapping[str, str], resolved: dict[Path, str]
) -> Iterator[checks.Finding]:
    """Fill `resolved` with the proxy that leads to each provider, and say which cannot be used. Quotes none: it may hold a
    password."""
    ways = Ways(*(env.get(name.lower()) or env.get(name, "") for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")))
    for name, provider in config.providers.items():
        if isinstance(provider, SimulatedProvider) or name in names.left_out:
            continue
        path = ("providers", name, "proxy")
        own = resolved.get(path) or provider.proxy
        proxy = way(provider.base_url, ways) if own is None else own
        try:
            if proxy and proxy != "none":
                through(proxy)
                resolved[path] = proxy
        except ValueError as error:
            where = "the environment variable that names it: " if own is None else ""
            yield checks.Finding(path if own else path[:2], f"{where}{error}")


def _way_out(path: Path, reference: str) -> str:
    """Say what else helps where a provider's variable is not set."""
    if path[0] == "providers" and reference.startswith("env:"):
        return f": set it, or add `when: {reference}` to leave '{path[1]}' out without it"
    return ""


def _loaded(
    file: str,
    text: bytes,
    config: Config,
    names: checks.Names,
    env: Mapping[str, str],
    resolved: Mapping[Path, str],
    warnings: tuple[Problem, ...],
) -> Loaded:
    providers = {name: provider for name, provider in config.providers.items() if name not in names.left_out}
    backends = [backend for name, provider in providers.items() for backend in _backends(name, provider)]
    keys = {name: resolved[("providers", name, "key")] for name in providers if ("providers", name, "key") in resolved}
    callers = [
        (key.name, digest(resolved[("keys", place, "key")]), key.models) for place, key in enumerate(config.keys)
    ]
    return Loaded(
        path=file,
        version=hashlib.sha256(text).hexdigest()[:12],
        config=config,
        catalogue=Catalogue(backends, config.models, config.tiers),
        providers=providers,
        left_out=names.left_out,
        callers=tuple(callers),
        provider_keys=keys,
        provider_headers={
            name: _headers(("providers", name), provider, resolved) for name, provider in providers.items()
        },
        admins=dict(_admins(config.admin, resolved)),
        redis_url=resolved.get(REDIS_URL) or (config.stores.redis.url if config.stores.redis else None),
        ledger=FilePath(file).parent / config.stores.ledger if config.stores.ledger else state_folder(env) / LEDGER,
        proxies={name: proxy for name in providers if (proxy := resolved.get(("providers", name, "proxy")))},
        collectors=dict(_collectors(config.telemetry, resolved, env)),
        conventions=frozenset(filter(None, env.get(OPT_IN_VARIABLE, "").replace(" ", "").split(","))),
        text=text,
        warnings=warnings,
    )


def _admins(admin: Admin, resolved: Mapping[Path, str]) -> Iterator[tuple[str, bytes]]:
    if admin.key is not None:
        yield ADMIN, digest(resolved[("admin", "key")])
    for place, key in enumerate(admin.keys):
        yield key.name, digest(resolved[("admin", "keys", place, "key")])


def _backends(name: str, provider: Provider) -> Iterator[Backend]:
    for model, settings in provider.models.items():
        full = f"{name}/{model}@{provider.region}"
        family = settings.family or ""
        spoken = dialects(provider, model)
        asked, fim = completions(provider, model)
        yield Backend(
            name,
            model,
            provider.region,
            full,
            family,
            settings.context,
            settings.images,
            spoken,
            asked.suffix,
            fim,
            settings.price.resolved() if settings.price else None,
            settings.cache_window or provider.cache_window,
        )


def _collectors(
    telemetry: Telemetry, resolved: Mapping[Path, str], env: Mapping[str, str]
) -> Iterator[tuple[Signal, Collector]]:
    signals: dict[Signal, Traces | Push] = {"traces": telemetry.traces, "metrics": telemetry.metrics}
    for signal, settings in signals.items():
        found = collector(signal, settings, _headers(("telemetry", signal), settings, resolved), env)
        if found:
            yield signal, found


def _headers(path: Path, settings: Provider | Traces | Push, resolved: Mapping[Path, str]) -> dict[str, str]:
    headers = {} if isinstance(settings, SimulatedProvider) else settings.headers
    return {header: resolved.get((*path, "headers", header), value) for header, value in headers.items()}
