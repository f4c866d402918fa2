"""Which dialects can be resumed."""

from twospeed.dialects import discover
from twospeed.dialects.resuming import KITS


def test_every_kit_belongs_to_a_dialect():
    """Chat, completions and Messages; Responses has ids and numbers on every item, which no second backend continues."""
    assert KITS.keys() == {"openai_chat", "openai_completions", "anthropic_messages"}
    assert KITS.keys() <= discover().keys()
