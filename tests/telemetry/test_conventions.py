"""What providers are called in the conventions."""

import pytest
from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import GenAiProviderNameValues
from opentelemetry.semconv.schemas import Schemas

from twospeed.telemetry.conventions import _SYSTEMS, SCHEMA_URL, Place, place


def test_the_pinned_version_is_known():
    """The schema that spans and metrics name exists."""
    assert SCHEMA_URL in {schema.value for schema in Schemas}


def test_provider_names_are_those_of_the_conventions():
    """Wherever the conventions have a name it is used as it is."""
    assert set(_SYSTEMS.values()) <= {value.value for value in GenAiProviderNameValues}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.openai.com/v1", Place("openai", "api.openai.com", 443)),
        ("https://mine.openai.azure.com/openai/v1", Place("azure.ai.openai", "mine.openai.azure.com", 443)),
        (
            "https://us-central1-aiplatform.googleapis.com/v1",
            Place("gcp.vertex_ai", "us-central1-aiplatform.googleapis.com", 443),
        ),
        ("http://127.0.0.1:8000/v1", Place("mine", "127.0.0.1", 8000)),
        ("https://api.openai.com.evil.example/v1", Place("mine", "api.openai.com.evil.example", 443)),
        ("http://[::1]/v1", Place("mine", "::1", 80)),
        ("", Place("mine")),
    ],
)
def test_a_provider_is_known_by_its_host(url, expected):
    """A host nobody knows goes by the operator's name for it."""
    assert place("mine", url) == expected
