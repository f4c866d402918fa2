"""Which conventions telemetry speaks, and the names they have for providers.

Attribute and metric names are those of one pinned version: the GenAI part left the common repository after it and is
being renamed there without a release. OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental adds the newer metric
names beside the pinned ones (LATEST); attributes of spans are the same in both.

Source: open-telemetry/semantic-conventions v1.41.0; open-telemetry/semantic-conventions-genai, not released.
"""

from typing import NamedTuple
from urllib.parse import urlsplit

SEMCONV = "1.41.0"
SCHEMA_URL = f"https://opentelemetry.io/schemas/{SEMCONV}"
OPT_IN = "gen_ai_latest_experimental"
OPT_IN_VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
SCOPE = "twospeed"

# Hosts as they end -> gen_ai.provider.name, of the values the conventions know.
_SYSTEMS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "api.anthropic.com": "anthropic",
    "amazonaws.com": "aws.bedrock",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "api.cohere.com": "cohere",
    "api.perplexity.ai": "perplexity",
    "cloud.ibm.com": "ibm.watsonx.ai",
}
_PORTS = {"http": 80, "https": 443}


class Place(NamedTuple):
    """Where a provider is, as telemetry tells it. `system`: gen_ai.provider.name. `address` "" and `port` 0: nowhere."""

    system: str
    address: str = ""
    port: int = 0


def place(name: str, base_url: str = "") -> Place:
    """Tell where a provider is.

    Args:
        name: The operator's name for it, which stands where the conventions have none.
        base_url: "" for one in this process.

    >>> place("eu", "https://api.groq.com/openai/v1")
    Place(system='groq', address='api.groq.com', port=443)
    """
    if not base_url:
        return Place(name)
    url = urlsplit(base_url)
    host = url.hostname or ""
    system = next(
        (system for end, system in _SYSTEMS.items() if host == end or host.endswith((f".{end}", f"-{end}"))), name
    )
    return Place(system, host, url.port or _PORTS.get(url.scheme, 0))
