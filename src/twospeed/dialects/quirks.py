"""Quirks: where a provider differs from the API it speaks; matters only to bodies that are made by translation."""

from typing import Annotated, Literal

from pydantic import Field

from twospeed.types import Settings


class Quirks(Settings):
    """`providers.<name>.quirks`: used where a request is translated; a body of the provider's own dialect stays as it is."""

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Name of the limit of output tokens in chat completions."""
    reasoning: Literal["drop", "reasoning_content"] = "drop"
    """What becomes of earlier reasoning in chat completions: left out, or given back in the field reasoning_content."""
    effort: bool = True
    """Whether it takes a reasoning effort; without it, what a client asks for is left out."""
    strict: bool = True
    """Whether it takes `strict` on tools."""
    call_id_length: Annotated[int, Field(ge=8, le=64)] | None = None
    """Length that ids of tool calls must have, letters and digits only, for example 9."""
    output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most output tokens it accepts to be asked for; larger limits of clients are lowered to it."""
    prefill: Literal["none", "plain", "prefix", "continue"] = "none"
    """Whether it goes on from the beginning of an answer that it is shown, which `tiers.<tier>.resume` needs of chat and
    Messages: plain, as the last message of the assistant; prefix, as one marked `prefix: true`; continue, with vLLM's
    `continue_final_message`. Matters to untranslated requests as well."""
    omit: list[str] = []
    """Further top-level fields of a body that it refuses and that are left out."""


NONE = Quirks()
