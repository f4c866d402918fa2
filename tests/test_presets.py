"""Presets: a user names a provider and gives a key."""

import pytest

from twospeed.config import ConfigError, read
from twospeed.presets import filled, presets, unknown
from twospeed.upstream import OpenAiProvider

TIERS = "tiers: {fast: {models: [p/m]}, deep: {models: [p/m]}}"


@pytest.mark.parametrize("name", presets())
def test_each_preset_is_good_configuration(name: str):
    """With an address where it needs one, and a model, every one of them loads."""
    address = "" if "base_url" in presets()[name] or name == "anthropic" else ", base_url: https://example.com/v1"
    text = f"providers: {{p: {{use: {name}, key: env:K, models: {{m: {{}}}}{address}}}}}\n{TIERS}"
    provider = read(text.encode(), "f", {"K": "k"}).providers["p"]
    assert provider.use == name
    models = {model: {"context": 1, **facts} for model, facts in presets()[name].get("models", {}).items()}
    assert all(facts["context"] and facts.get("price", {"as_of": 1})["as_of"] for facts in models.values())


def test_what_is_written_wins():
    """Keys of the block replace those of the preset; of quirks and models only those written."""
    block = {
        "use": "mistral",
        "key": "env:MINE",
        "quirks": {"effort": True},
        "models": {"new": None, "mistral-medium-latest": {"context": "1k"}},
    }
    mine = filled({"providers": {"p": block}})["providers"]["p"]
    assert (mine["key"], mine["base_url"]) == ("env:MINE", "https://api.mistral.ai/v1")
    assert (mine["quirks"]["effort"], mine["quirks"]["call_id_length"]) == (True, 9)
    assert mine["models"]["new"] == {}
    assert (mine["models"]["mistral-medium-latest"]["context"], mine["models"]["mistral-medium-latest"]["images"]) == (
        "1k",
        True,
    )


def test_without_models_all_that_are_known():
    """`use: openai` alone is enough."""
    text = "providers: {openai: {use: openai}}\ntiers: {fast: {models: [openai/gpt-5.4-mini]}, deep: {models: [openai/gpt-5.4]}}"
    loaded = read(text.encode(), "f", {"OPENAI_API_KEY": "k"})
    assert isinstance(loaded.providers["openai"], OpenAiProvider)
    assert loaded.catalogue.backends["openai/gpt-5.4@default"].context == 1_050_000
    assert "openai_responses" in loaded.catalogue.backends["openai/gpt-5.4@default"].dialects


def test_an_unknown_name_is_told():
    """A typo is named, with what was probably meant."""
    assert next(unknown({"providers": {"p": {"use": "opnai"}, "q": 3}}))[1].endswith("did you mean 'openai'?")
    with pytest.raises(ConfigError) as caught:
        read(f"providers: {{p: {{use: nobody}}}}\n{TIERS}".encode(), "f", {})
    assert "nothing is known of a provider 'nobody'" in str(caught.value)
