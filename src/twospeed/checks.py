"""Checks between sections: names that lead nowhere, cycles, globs never reached, doors left open.

They read the plain values of the file, whatever the shape of the rest, so that one run finds everything. Values of a
wrong type are passed over here; the settings classes complain about those.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from twospeed.policy.catalogue import RESERVED, is_glob
from twospeed.policy.down import OTHER
from twospeed.policy.listen import Admin, Listen, loopback
from twospeed.policy.plan import DEFAULT_TIMEOUTS
from twospeed.problems import Path, nearest
from twospeed.secrets import PRIVATE_HEADERS, is_reference, is_set
from twospeed.types import TIERS, Tier
from twospeed.units import duration, written_duration
from twospeed.upstream import AnthropicProvider, Common, OpenAiProvider, SimulatedProvider

DEFAULT_REGION = Common.model_fields["region"].default
FRAMING = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_ADDRESS = re.compile(r"[0-9a-fA-F:]*|\d{1,3}(\.\d{1,3}){3}")
_HOSTS = ("127.0.0.1", "localhost", "0.0.0.0")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
ALONE = f"{', '.join(RESERVED[:-1])} and {RESERVED[-1]} stand alone, not in a list"


class Finding(NamedTuple):
    """Something wrong at `path`; `at_key`: the key is at fault, not its value."""

    path: Path
    message: str
    at_key: bool = False
    severity: Literal["error", "warning"] = "error"


class Names:
    """Every name the file gives, and who does not take part.

    `backends`: provider/model -> provider. `aliases`, `globs`: name -> what it leads to, always a list.
    `left_out`: provider -> why it does not take part, in the order of the file. `vague`: providers whose models cannot
    be read, so that nothing can be said of names that begin so.
    """

    def __init__(self, value: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self.providers = {name: block for name, block in _block(value, "providers").items() if isinstance(block, dict)}
        self.backends = {
            f"{provider}/{model}": provider
            for provider, block in self.providers.items()
            for model in _block(block, "models")
        }
        self.vague = {name for name, block in _block(value, "providers").items() if not _block(block, "models")}
        models = {name: _texts(targets) for name, targets in _block(value, "models").items()}
        self.aliases = {name: targets for name, targets in models.items() if not is_glob(name)}
        self.globs = {name: targets for name, targets in models.items() if is_glob(name)}
        reasons = {name: absence(block, env) for name, block in self.providers.items()}
        self.left_out = {name: reason for name, reason in reasons.items() if reason}

    def known(self, name: str) -> bool:
        """Say whether a name may stand in a list."""
        return name in self.backends or name in self.aliases or name.partition("/")[0] in self.vague

    def flat(self, name: str, seen: set[str] | None = None) -> Iterator[str]:
        """Follow a name to all it ends in, each once: provider/model, reserved names, and names that lead nowhere."""
        seen = set() if seen is None else seen
        if name in seen:
            return
        seen.add(name)
        if name not in self.aliases:
            yield name
        for target in self.aliases.get(name, ()):
            yield from self.flat(target, seen)


def absence(provider: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Say why a provider does not take part, "" when it does."""
    when, unless = provider.get("when"), _texts(provider.get("unless"))
    if isinstance(when, str) and when.startswith("env:") and not is_set(when, env):
        return f"{when.removeprefix('env:')} is not set"
    present = [name for name in unless if name.startswith("env:") and is_set(name, env)]
    return f"{present[0].removeprefix('env:')} is set" if present else ""


def check(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    """Run all checks."""
    yield from _doors(value)
    yield from _callers(value, names)
    yield from _limits(names)
    yield from _headers(value, names)
    yield from _forwarded(names)
    yield from _models(names)
    yield from _cycles(names)
    yield from _unreached(names)
    yield from _rollouts(value, names)
    yield from _shadow(value, names)
    yield from _rules(value, names)
    yield from _flags(value, names)
    yield from _equal_tiers(value, names)
    for tier in TIERS:
        settings = _block(_block(value, "tiers"), tier)
        yield from _tier(("tiers", tier), settings, names)
        yield from _others(("tiers", tier), settings, names)
        yield from _down(("tiers", tier, "when_down"), tier, value, names)
        yield from _timeouts(("tiers", tier, "timeouts"), tier, _block(settings, "timeouts"))
        yield from _weights(("tiers", tier, "rank", "weights"), settings, names)


def _doors(value: Mapping[str, Any]) -> Iterator[Finding]:
    """R33: without keys nobody beyond this machine may come in."""
    listen, admin = _block(value, "listen"), _block(value, "admin")
    host, admin_host = listen.get("host"), admin.get("host")
    if isinstance(host, str) and not loopback(host) and not value.get("keys"):
        yield Finding(
            ("listen", "host"), _open(host, " and no keys are configured: add `keys`, or listen on 127.0.0.1")
        )
    if isinstance(admin_host, str) and not loopback(admin_host) and not (admin.get("key") or admin.get("keys")):
        yield Finding(("admin", "host"), _open(admin_host, ": add `admin.key`, or listen on 127.0.0.1"))
    port, admin_port = listen.get("port", Listen().port), admin.get("port", Admin().port)
    if port == admin_port != 0:
        yield Finding(("admin" if "port" in admin else "listen", "port"), f"{port} is taken by both listen and admin")
    taken = {"admin": "admin.key"} if admin.get("key") else {}
    for place, key in enumerate(_list(admin, "keys")):
        name = key.get("name") if isinstance(key, dict) else None
        if isinstance(name, str):
            first = taken.setdefault(name, f"admin.keys[{place}]")
            if first != f"admin.keys[{place}]":
                yield Finding(("admin", "keys", place, "name"), f"the name '{name}' is taken by {first}")


def _open(host: str, way_out: str) -> str:
    """Say that others may come in; what looks like a slip of the pen is told as one."""
    meant = None if _ADDRESS.fullmatch(host) else nearest(host, _HOSTS, cutoff=0.75)
    return f"{host!r} is no address{_meant(meant)}" if meant else f"{host!r} is open to other machines{way_out}"


def _callers(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for place, key in enumerate(_list(value, "keys")):
        name = key.get("name") if isinstance(key, dict) else None
        if isinstance(name, str) and first.setdefault(name, place) != place:
            yield Finding(("keys", place, "name"), f"the name '{name}' is taken by keys[{first[name]}]")
        if isinstance(key, dict):
            yield from _allowed(("keys", place, "models"), _list(key, "models"), names)


def _allowed(path: Path, patterns: list[Any], names: Names) -> Iterator[Finding]:
    """Warn of an allow-list that allows less than it seems to (R32: it holds for the backend at the end, too)."""
    bare = {name.partition("/")[2] for name in names.backends}
    ends = (*RESERVED, *names.backends, *names.aliases, *bare, *(_with_region(name, names) for name in names.backends))
    asked = [pattern for pattern in patterns if isinstance(pattern, str)]
    reaching = [pattern for pattern in asked if any(fnmatchcase(end, pattern) for end in ends)]
    for place, pattern in enumerate(patterns):
        taken = pattern in reaching or any(fnmatchcase(str(pattern), glob) for glob in names.globs)
        if pattern in asked and not taken:
            yield Finding((*path, place), _unknown(pattern, names, RESERVED), severity="warning")
    if asked and not reaching:
        message = "allows to ask, but no backend to answer: add auto, a tier, an alias or the models behind them"
        yield Finding(path, message, severity="warning")


def _limits(names: Names) -> Iterator[Finding]:
    for provider, block in names.providers.items():
        models = _block(block, "models")
        families = {str(_block(models, model).get("family") or model) for model in models}
        for family in _block(block, "limits"):
            if family != "*" and family not in families:
                meant = _meant(nearest(family, families))
                message = f"no model of '{provider}' is of the family '{family}'{meant}"
                yield Finding(("providers", provider, "limits", family), message, at_key=True)


def headers(value: Mapping[str, Any], names: Names) -> Iterator[tuple[Path, str]]:
    """Find every header the file sets, for providers and for collectors; some hold secrets, in plain or by reference."""
    blocks = {("providers", provider): block for provider, block in names.providers.items()}
    telemetry = _block(value, "telemetry")
    blocks |= {("telemetry", signal): _block(telemetry, signal) for signal in ("traces", "metrics")}
    for path, block in blocks.items():
        for header, text in _block(block, "headers").items():
            if isinstance(text, str):
                yield (*path, "headers", header), text


def _headers(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    for path, text in headers(value, names):
        name = str(path[-1])
        if name.lower() in PRIVATE_HEADERS and not is_reference(text):
            yield Finding(path, "a secret in plain text is refused: write env:NAME or file:PATH")
        if not _HEADER.fullmatch(name):
            yield Finding(path, f"{name!r} is no name of a header", at_key=True)
        elif name.lower() in FRAMING:
            yield Finding(path, "this header belongs to the connection and cannot be set", at_key=True)
        if not (text.isascii() and text.isprintable()):
            yield Finding(path, "holds a line break or a character that no header may hold")


def _forwarded(names: Names) -> Iterator[Finding]:
    """R30: whatever is configured, these never go from a client to a provider."""
    for provider, block in names.providers.items():
        for place, name in enumerate(_list(block, "forward_headers")):
            plain = str(name).lower()
            if plain in PRIVATE_HEADERS | FRAMING or plain.startswith(("forwarded", "x-forwarded-")):
                path = ("providers", provider, "forward_headers", place)
                yield Finding(path, f"{plain!r} of a client is never passed on")


def _models(names: Names) -> Iterator[Finding]:
    for name, targets in (names.aliases | names.globs).items():
        path = ("models", name)
        if name in RESERVED:
            yield Finding(path, f"'{name}' has a meaning of its own: choose another name", at_key=True)
        elif name in names.backends:
            yield Finding(path, f"'{name}' is already the name of a backend: choose another name", at_key=True)
        for place, target in enumerate(targets):
            at = path if len(targets) == 1 else (*path, place)
            yield from _target(at, target, names, alone=len(targets) == 1)


def _target(path: Path, target: str, names: Names, alone: bool) -> Iterator[Finding]:
    if target in RESERVED:
        if not alone:
            yield Finding(path, ALONE)
    elif not names.known(target):
        yield Finding(path, _unknown(target, names, RESERVED if alone else ()))
    elif not alone:
        yield from _reserved_below(path, target, names)


def _reserved_below(path: Path, target: str, names: Names) -> Iterator[Finding]:
    inner = next((end for end in names.flat(target) if end in RESERVED), None)
    if inner:
        yield Finding(path, f"'{target}' leads to {inner}: {ALONE}")


def _cycles(names: Names) -> Iterator[Finding]:
    done: set[str] = set()
    for name in names.aliases:
        cycle = _cycle(name, names, (), done)
        if cycle:
            yield Finding(("models", cycle[0]), f"the aliases go round in a circle: {' -> '.join(cycle)}", at_key=True)


def _cycle(name: str, names: Names, above: tuple[str, ...], done: set[str]) -> tuple[str, ...]:
    if name in above:
        return (*above[above.index(name) :], name)
    if name in done:
        return ()
    cycles = (_cycle(target, names, (*above, name), done) for target in names.aliases.get(name, ()))
    found = next(filter(None, cycles), ())
    done.add(name)
    return found


def _unreached(names: Names) -> Iterator[Finding]:
    earlier: list[str] = []
    for glob in names.globs:
        cover = next((first for first in earlier if _covers(first, glob)), None)
        if cover:
            message = f"never reached: '{cover}' above takes every name that fits '{glob}'"
            yield Finding(("models", glob), message, at_key=True, severity="warning")
        earlier.append(glob)


def _covers(first: str, second: str) -> bool:
    """Say whether every name that fits `second` surely fits `first`, by two names that are odd enough to tell.

    >>> _covers("gpt-*", "gpt-*-mini"), _covers("gpt-?", "gpt-*")
    (True, False)
    """
    if "[" in second:
        return first == "*"
    samples = (second.replace("?", "\x00").replace("*", filler) for filler in ("", "\x00\x01\x02"))
    return all(fnmatchcase(sample, first) for sample in samples)


def _rules(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    """A rule may lead to whatever a client may ask for; a rule for a key nobody has never fits."""
    callers = _texts([key.get("name") for key in _list(value, "keys") if isinstance(key, dict)])
    for place, rule in enumerate(_list(value, "rules")):
        model = rule.get("model") if isinstance(rule, dict) else None
        if isinstance(model, str):
            taken = any(fnmatchcase(model, glob) for glob in names.globs)
            if model not in RESERVED and not names.known(model) and not taken:
                yield Finding(("rules", place, "model"), _unknown(model, names, RESERVED))
        for key in _texts(_block(rule, "when").get("key")) if callers else ():
            if not is_glob(key) and not key.startswith("~") and key not in callers:
                message = f"no caller's key is named '{key}'{_meant(nearest(key, callers))}"
                yield Finding(("rules", place, "when", "key"), message, severity="warning")


def _rollouts(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    first: dict[str, int] = {}
    targets: dict[str, int] = {}
    for place, rollout in enumerate(_list(value, "rollouts")):
        path, target = ("rollouts", place), _block(rollout, "target")
        name, alias = rollout.get("id") if isinstance(rollout, dict) else None, target.get("alias")
        if isinstance(name, str) and first.setdefault(name, place) != place:
            yield Finding((*path, "id"), f"the id '{name}' is taken by rollouts[{first[name]}]")
        if isinstance(alias, str) and targets.setdefault(alias, place) != place:
            message = f"'{alias}' is also the target of rollouts[{targets[alias]}]: one of them at a time"
            yield Finding((*path, "target", "alias"), message, severity="warning")
        yield from _rollout_target((*path, "target"), target, names)
        yield from _scoped(path, rollout, value)


def _scoped(path: Path, entry: Any, value: Mapping[str, Any]) -> Iterator[Finding]:
    """Find keys in the scope of a rollout or a flag that nobody has."""
    callers = _texts([key.get("name") for key in _list(value, "keys") if isinstance(key, dict)])
    for place, key in enumerate(_list(_block(entry, "scope"), "keys")):
        if isinstance(key, str) and key not in callers:
            message = f"no caller's key is named '{key}'{_meant(nearest(key, callers))}"
            yield Finding((*path, "scope", "keys", place), message)


def _flags(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for place, flag in enumerate(_list(value, "flags")):
        path, name = ("flags", place), flag.get("id") if isinstance(flag, dict) else None
        if isinstance(name, str) and first.setdefault(name, place) != place:
            yield Finding((*path, "id"), f"the id '{name}' is taken by flags[{first[name]}]")
        model = next(iter(_texts(_block(flag, "set").get("model"))), "")
        if model and model not in RESERVED and not names.known(model):
            yield Finding((*path, "set", "model"), _unknown(model, names, RESERVED))
        yield from _scoped(path, flag, value)


def _rollout_target(path: Path, target: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    """The alias is a tier or a name of `models` that leads to the stable version; providers have both versions."""
    alias, stable, candidate = (next(iter(_texts(target.get(key))), "") for key in ("alias", "stable", "candidate"))
    if alias and alias not in names.aliases and alias not in TIERS:
        meant = _meant(nearest(alias, (*names.aliases, *TIERS)))
        yield Finding((*path, "alias"), f"'{alias}' is neither a name of `models` nor a tier{meant}")
    for key, version in (("stable", stable), ("candidate", candidate)):
        if version and version not in names.backends and version.partition("/")[0] not in names.vague:
            yield Finding((*path, key), f"must be provider/model: {_unknown(version, names, ())}")
    if alias in names.aliases and stable in names.backends and stable not in names.flat(alias):
        message = f"'{alias}' does not lead to '{stable}' now, so the rollout begins by moving every session"
        yield Finding((*path, "stable"), message, severity="warning")


def _shadow(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    """Find candidates whose copies cannot be paid for in money, because nobody says what they cost."""
    if _block(value, "shadow").get("cost_per_day") is None:
        return
    for rollout in _list(value, "rollouts"):
        candidate = next(iter(_texts(_block(rollout, "target").get("candidate"))), "")
        provider, _, model = candidate.partition("/")
        settings = _block(_block(_block(names.providers, provider), "models"), model)
        if candidate in names.backends and settings.get("price") is None:
            message = f"needs the price of '{candidate}': write providers.{provider}.models.{model}.price"
            yield Finding(("shadow", "cost_per_day"), message)


def _tier(path: Path, settings: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    targets = _texts(_list(settings, "models"))
    dangling = False
    for place, target in enumerate(targets):
        at = (*path, "models", place)
        if target in RESERVED:
            yield Finding(at, f"'{target}' cannot be listed here: write provider/model or an alias")
        elif not names.known(target):
            dangling = True
            yield Finding(at, _unknown(target, names, ()))
        elif target in targets[:place]:
            yield Finding(at, f"'{target}' is in this list already", severity="warning")
        else:
            yield from _reserved_below(at, target, names)
    ends = [end for target in targets for end in names.flat(target)]
    if ends and not dangling and all(names.backends.get(end) in names.left_out for end in ends):
        yield Finding((*path, "models"), _nobody(ends, names))


def _equal_tiers(value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    fast, deep = ([end for name in _listed(_block(value, "tiers"), tier) for end in names.flat(name)] for tier in TIERS)
    if fast and fast == deep:
        message = (
            "the same backends in the same order as the other tier: which one a request goes to makes no difference"
        )
        yield Finding(("tiers", TIERS[1], "models"), message, severity="warning")


def _down(path: Path, tier: Tier, value: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    """Warn where what a tier is to do when it is down does nothing, or not for everybody."""
    tiers = _block(value, "tiers")
    wanted = _block(tiers, tier).get("when_down")
    own, other = ({end for name in _listed(tiers, one) for end in names.flat(name)} for one in (tier, OTHER[tier]))
    if wanted == "other_tier" and other <= own:
        message = f"the {OTHER[tier]} tier has no backend that this one lacks, so this refuses as before"
        yield Finding(path, message, severity="warning")
    if wanted == "empty":
        spoken = [_apis(names.providers.get(names.backends.get(end, ""), {})) for end in own if end in names.backends]
        chat = any("completions" not in apis or len(apis) > 1 for apis in spoken)
        if spoken and not any("completions" in apis for apis in spoken):
            message = "no provider of this tier offers completions, so nobody ever gets an empty answer"
            yield Finding(path, message, severity="warning")
        elif chat:
            message = "only completions get the empty answer; chat and everything else in this tier is still refused"
            yield Finding(path, message, severity="warning")


def _others(path: Path, settings: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    """Warn where a second backend is wanted and there is only one."""
    ends = {end for target in _texts(_list(settings, "models")) for end in names.flat(target)}
    for key in ("hedge", "resume"):
        if settings.get(key) and len(ends) < 2:
            message = "there is only one backend in this tier, so nobody else can be asked"
            yield Finding((*path, key), message, severity="warning")


def _apis(provider: Mapping[str, Any]) -> list[str]:
    kinds: dict[str, type[Common]] = {"anthropic": AnthropicProvider, "simulated": SimulatedProvider}
    default = kinds.get(provider.get("kind", ""), OpenAiProvider).model_fields["dialects"].default
    return _texts(_list(provider, "dialects")) or list(default)


def _listed(tiers: Mapping[str, Any], tier: str) -> list[str]:
    return _texts(_list(_block(tiers, tier), "models"))


def _nobody(ends: Iterable[str], names: Names) -> str:
    reasons = dict.fromkeys(names.left_out[names.backends[end]] for end in ends)
    unset = [reason.removesuffix(" is not set") for reason in reasons if reason.endswith(" is not set")]
    present = [reason.removesuffix(" is set") for reason in reasons if not reason.endswith(" is not set")]
    advice = [f"{verb} {' or '.join(which)}" for verb, which in (("set", unset), ("unset", present)) if which]
    return f"none of {', '.join(dict.fromkeys(ends))} takes part: {', '.join(advice)}, or add one that always does"


def _timeouts(path: Path, tier: Literal["fast", "deep"], settings: Mapping[str, Any]) -> Iterator[Finding]:
    seconds = {name: _seconds(value) for name, value in settings.items()}
    total = seconds.get("total") or DEFAULT_TIMEOUTS[tier].total
    for name, value in seconds.items():
        if name != "total" and value is not None and value > total:
            message = f"{written_duration(value)} is longer than the total of {written_duration(total)}"
            yield Finding((*path, name), f"{message}, which ends the request first")


def _weights(path: Path, settings: Mapping[str, Any], names: Names) -> Iterator[Finding]:
    full = {_with_region(name, names): name for name in names.backends}
    listed = {end for target in _texts(settings.get("models")) for end in names.flat(target)}
    for name in _block(_block(settings, "rank"), "weights"):
        if name not in full and name not in names.providers:
            meant = _with_region(name, names) if name in names.backends else nearest(name, (*full, *names.providers))
            message = f"no backend or provider is named '{name}'{_meant(meant)}"
            yield Finding((*path, name), message, at_key=True)
        elif not any(name in (names.backends.get(end), _with_region(end, names)) for end in listed):
            message = f"'{name}' is not among the models of this tier"
            yield Finding((*path, name), message, at_key=True, severity="warning")


def _unknown(name: str, names: Names, also: Iterable[str]) -> str:
    """Say that a name leads nowhere, and which one was probably meant."""
    provider, slash, model = name.partition("/")
    if slash and provider in names.providers:
        known = [full.partition("/")[2] for full, owner in names.backends.items() if owner == provider]
        meant = nearest(model, known)
        return f"'{provider}' has no model '{model}'{_meant(f'{provider}/{meant}' if meant else None)}"
    served = [full for full in names.backends if full.partition("/")[2] == name]
    meant = served[0] if served else nearest(name, (*names.aliases, *names.backends, *also))
    return f"nothing is named '{name}'{_meant(meant)}"


def _meant(name: str | None) -> str:
    return f", did you mean '{name}'?" if name else ""


def _with_region(name: str, names: Names) -> str:
    provider = names.providers.get(names.backends.get(name, ""), {})
    return f"{name}@{provider.get('region', DEFAULT_REGION)}"


def _seconds(value: Any) -> float | None:
    try:
        return duration(value)
    except ValueError:
        return None


def _block(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
