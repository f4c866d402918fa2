"""Providers: who runs an endpoint and how it is reached. Data, from YAML; no code per provider.

`Provider` is a union over `kind`; each kind brings its own settings. What a backend can do (context, images) is
said per model, because the same model behaves differently at different providers.
"""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeFloat, SecretStr

from twospeed import types
from twospeed.dialects.fim import families, family_of
from twospeed.dialects.quirks import Quirks
from twospeed.policy.budget import Budget
from twospeed.policy.limit import Limit
from twospeed.types import Settings
from twospeed.units import Fraction, PositiveCount, PositiveDuration, Size
from twospeed.upstream.simulated import Simulation

Api = Literal["chat", "completions", "responses", "compact", "embeddings", "messages", "count_tokens"]
DIALECTS: dict[Api, str] = {
    "chat": "openai_chat",
    "completions": "openai_completions",
    "responses": "openai_responses",
    "compact": "openai_compact",
    "embeddings": "openai_embeddings",
    "messages": "anthropic_messages",
    "count_tokens": "anthropic_count_tokens",
}


FAMILIES = tuple(families())


class Price(Settings):
    """`providers.<name>.models.<model>.price`: what a provider charges, in US dollars per million tokens."""

    input: NonNegativeFloat
    """Tokens read."""
    output: NonNegativeFloat
    """Tokens written, reasoning included."""
    cached_input: NonNegativeFloat | None = None
    """Tokens read from the provider's cache; left out: as `input`."""
    cache_write: NonNegativeFloat | None = None
    """Tokens written to the provider's cache; left out: as `input`."""
    as_of: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")] | None = None
    """When this was true: year and month, or a day."""

    def resolved(self) -> types.Price:
        """Return it with nothing left out."""
        cached, written = self.cached_input, self.cache_write
        return types.Price(
            self.input,
            self.output,
            self.input if cached is None else cached,
            self.input if written is None else written,
            cached is not None and cached < self.input,
            self.as_of or "",
        )


def _family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"expected one of {', '.join(FAMILIES)}, got '{name}'")
    return name


class Completions(Settings):
    """`providers.<name>.completions`: how completions and fill-in-the-middle are asked for there."""

    path: Literal["/completions", "/fim/completions", "/beta/completions"] | None = None
    """Where, below base_url; answers are turned into the shape the client's own endpoint has. Left out: where the
    client asks."""
    suffix: Literal["native", "template", "none"] = "native"
    """What becomes of the text behind the cursor: native, the field suffix is understood; template, it is folded into
    the prompt with the marks of the model's `fim` family; none, such requests do not go there."""


class Model(Settings):
    """`providers.<name>.models.<model>`: what one provider's model can do."""

    context: PositiveCount = 128_000
    """Tokens the model reads at most, answer included; larger requests do not go there."""
    images: bool = False
    """Whether the model accepts images."""
    family: str | None = None
    """The pool of limits that the provider meters together; default: the model itself."""
    dialects: list[Api] | None = None
    """APIs this model is served over, where they differ from those of its provider."""
    completions: Completions | None = None
    """How completions are asked for, where that differs from its provider."""
    fim: Annotated[str, AfterValidator(_family), Field(json_schema_extra={"enum": [*FAMILIES]})] | None = None
    """The model family whose fill-in-the-middle marks it knows; default: as its name tells, if it does. A prompt that is
    already marked goes to no other family."""
    price: Price | None = None
    """What it costs; left out: unknown, and no sum is made of it."""
    cache_window: PositiveDuration | None = None
    """How long its prompt cache lives, where that differs from its provider's."""


class Common(Settings):
    """Keys that every kind of provider has."""

    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = "default"
    """Where it runs, in letters, digits and _ . -; the third part of a backend's name `provider/model@region`."""
    models: dict[str, Model]
    """Models served, by the name the provider knows them under."""
    completions: Completions = Completions()
    """How completions and fill-in-the-middle are asked for; a provider that has neither names its `dialects` without
    completions."""
    limits: dict[str, Limit] = {}
    """Limits per model family; `"*"` holds for each family not named."""
    fast_share: Fraction = 0.0
    """Part of each limit that deep requests leave to the fast tier, where both use the same pool."""
    retry_budget: Budget = Budget()
    """How many attempts at this provider may be repeats."""
    cache_window: PositiveDuration = 300.0
    """How long after its last use a prompt stays in the provider's cache; a session that pauses for longer is free to go
    elsewhere."""
    when: Annotated[str, Field(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Take part only when this environment variable is set and not empty, for example env:OPENAI_API_KEY."""
    unless: list[Annotated[str, Field(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")]] = []
    """Leave out when any of these environment variables is set and not empty."""
    use: str | None = None
    """A provider of the built-in catalogue, such as openai, whose keys hold where this block has none."""


ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings", "/models")
Header = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]


def _verified(verify: bool) -> bool:
    if not verify:
        raise ValueError("certificates are always verified: name the authority's certificate as `ca` instead")
    return verify


def _address(url: str) -> str:
    ending = next((end for end in ENDPOINTS if url.rstrip("/").endswith(end)), None)
    if ending:
        raise ValueError(
            f"'{ending}' is added for each request: leave it away, up to and including the version is enough"
        )
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("a port is a number from 1 to 65535")
    return url


Address = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"), AfterValidator(_address)]


def _proxy(proxy: str) -> str:
    if proxy == "none" or re.fullmatch(r"(env:|file:).+|http://[^/?#@\s]+/?", proxy):
        return proxy
    if "@" in proxy:
        raise ValueError("a password in plain text is refused: write env:NAME or file:PATH")
    raise ValueError("expected none, http://host:port, or env:NAME / file:PATH where it holds a password")


class Tls(Settings):
    """`providers.<name>.tls`: whom to trust at an https:// address, and who to say we are. Paths to PEM files."""

    ca: str | None = None
    """Certificates of the authorities to trust instead of the system's."""
    cert: str | None = None
    """Our certificate, with its chain, where the provider asks for one."""
    key: str | None = None
    """Its private key, without a password; left out: in the same file."""
    verify: Annotated[bool, AfterValidator(_verified), Field(json_schema_extra={"const": True})] = True
    """Always true."""


class HttpProvider(Common):
    """What every provider that is reached over HTTP(S) has."""

    key: SecretStr | None = None
    """The provider's key: env:NAME or file:PATH. Left out: no key is sent."""
    headers: dict[str, str] = {}
    """Headers added to each request to this provider."""
    query: dict[Header, str] = {}
    """Query parameters added to each request, for example api-version."""
    forward_headers: list[str] = []
    """Names of client headers passed on to this provider beyond the built-in allow-list."""
    answer_limit: Size = 64_000_000
    """Largest unstreamed answer accepted."""
    connections: PositiveCount = 1_000
    """Connections open at once at most."""
    keep_alive: PositiveDuration = 20.0
    """How long an idle connection is kept; keep this below the provider's own limit."""
    proxy: Annotated[str, AfterValidator(_proxy)] | None = None
    """The proxy that leads there: http://host:port, env:NAME or file:PATH when it holds a password, or none. Left out: as
    HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, this machine excepted."""
    tls: Tls = Tls()
    """Certificates, where those of the system will not do."""
    quirks: Quirks = Quirks()
    """Where it differs from the API it speaks; matters only to translated requests."""


class OpenAiProvider(HttpProvider):
    """`providers.<name>` with `kind: openai`: anything that speaks one of OpenAI's APIs over HTTP(S)."""

    kind: Literal["openai"] = "openai"
    """Which kind of provider this is."""
    base_url: Address
    """Address up to and including the version, for example https://api.openai.com/v1."""
    dialects: Annotated[list[Api], Field(min_length=1)] = ["chat", "completions"]
    """APIs it speaks; what comes in another one is translated."""
    auth: Literal["bearer", "api-key", "x-api-key"] = "bearer"
    """How the key is sent: in Authorization, or in the header of this name."""
    stream_usage: bool = True
    """Whether it understands stream_options.include_usage; without it, tokens of streams are estimated."""


class AnthropicProvider(HttpProvider):
    """`providers.<name>` with `kind: anthropic`: Anthropic, or anything that speaks its Messages API."""

    kind: Literal["anthropic"] = "anthropic"
    """Which kind of provider this is."""
    base_url: Address = "https://api.anthropic.com/v1"
    """Address up to and including the version."""
    dialects: Annotated[list[Api], Field(min_length=1)] = ["messages", "count_tokens"]
    """APIs it speaks; what comes in another one is translated."""
    auth: Literal["bearer", "api-key", "x-api-key"] = "x-api-key"
    """How the key is sent: in Authorization, or in the header of this name."""
    version: str = "2023-06-01"
    """Header anthropic-version of requests whose client sends none."""


class SimulatedProvider(Common):
    """`providers.<name>` with `kind: simulated`: a scripted backend in this process, no key, no network."""

    kind: Literal["simulated"] = "simulated"
    """Which kind of provider this is."""
    dialects: Annotated[list[Api], Field(min_length=1)] = [
        *("chat", "completions", "responses", "embeddings", "messages", "count_tokens"),
    ]
    """APIs it speaks; what comes in another one is translated."""
    quirks: Quirks = Quirks()
    """Where it differs from the API it speaks; matters only to translated requests."""
    simulate: Simulation = Simulation()
    """How it answers: speed, text, faults."""


Provider = Annotated[OpenAiProvider | AnthropicProvider | SimulatedProvider, Field(discriminator="kind")]


def dialects(provider: Provider, model: str) -> frozenset[str]:
    """Return the names of the dialects a provider speaks with one of its models."""
    return frozenset(DIALECTS[api] for api in provider.models[model].dialects or provider.dialects)


def completions(provider: Provider, model: str) -> tuple[Completions, str]:
    """Return how a provider is asked for completions of one of its models, and that model's family, "" if unknown."""
    settings = provider.models[model]
    return settings.completions or provider.completions, settings.fim or family_of(model)
