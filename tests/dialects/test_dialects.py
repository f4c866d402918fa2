"""The dialects that exist."""

from twospeed.dialects import discover


def test_no_dialect_appears_by_accident():
    """Each dialect is a file of its name; adding one is adding it here."""
    found = discover()
    assert list(found) == [
        *("anthropic_count_tokens", "anthropic_messages"),
        *("openai_chat", "openai_compact", "openai_completions", "openai_embeddings", "openai_responses"),
    ]
    assert [dialect.name for dialect in found.values()] == list(found)


def test_no_path_belongs_to_two_dialects():
    """A request path says which dialect is spoken."""
    paths = [path for dialect in discover().values() for path in dialect.paths]
    assert len(paths) == len(set(paths))
