"""Providers: who runs an endpoint and how it is reached. Data, from YAML; no code per provider.

`Provider` is a union over `kind`; each kind brings its own settings. What a backend can do (context, images) is
said per model, because the same model behaves differently at different providers.
"""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from twospeed.policy.limit import Limit
from twospeed.types import Settings
from twospeed.units import PositiveCount, PositiveDuration, Size
from twospeed.upstream.simulated import Simulation


class Model(Settings):
    """`providers.<name>.models.<model>`: what one provider's model can do."""

    context: PositiveCount = 128_000
    """Tokens the model reads at most, answer included; larger requests do not go there."""
    images: bool = False
    """Whether the model accepts images."""
    family: str | None = None
    """The pool of limits that the provider meters together; default: the model itself."""


class Common(Settings):
    """Keys that every kind of provider has."""

    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = "default"
    """Where it runs, in letters, digits and _ . -; the third part of a backend's name `provider/model@region`."""
    models: dict[str, Model]
    """Models served, by the name the provider knows them under."""
    limits: dict[str, Limit] = {}
    """Limits per model family; `"*"` holds for each family not named."""
    when: Annotated[str, Field(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Take part only when this environment variable is set and not empty, for example env:OPENAI_API_KEY."""
    unless: list[Annotated[str, Field(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")]] = []
    """Leave out when any of these environment variables is set and not empty."""


class OpenAiProvider(Common):
    """`providers.<name>` with `kind: openai`: anything that speaks OpenAI's chat completions over HTTP(S)."""

    kind: Literal["openai"] = "openai"
    """Which kind of provider this is."""
    base_url: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")]
    """Address up to and including the version, for example https://api.openai.com/v1."""
    key: SecretStr | None = None
    """The provider's key: env:NAME or file:PATH. Left out: no Authorization header is sent."""
    headers: dict[str, str] = {}
    """Headers added to each request to this provider."""
    forward_headers: list[str] = []
    """Names of client headers passed on to this provider beyond the built-in allow-list."""
    answer_limit: Size = 64_000_000
    """Largest unstreamed answer accepted."""
    stream_usage: bool = True
    """Whether it understands stream_options.include_usage; without it, tokens of streams are estimated."""
    connections: PositiveCount = 1_000
    """Connections open at once at most."""
    keep_alive: PositiveDuration = 20.0
    """How long an idle connection is kept; keep this below the provider's own limit."""


class SimulatedProvider(Common):
    """`providers.<name>` with `kind: simulated`: a scripted backend in this process, no key, no network."""

    kind: Literal["simulated"] = "simulated"
    """Which kind of provider this is."""
    simulate: Simulation = Simulation()
    """How it answers: speed, text, faults."""


Provider = Annotated[OpenAiProvider | SimulatedProvider, Field(discriminator="kind")]
