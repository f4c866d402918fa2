"""Routing that a request asks for in its own body, in the words OpenRouter made known: `models` and `provider`.

Both are read here, acted on in `policy`, and never sent on: what they name are names of this router.
Source: OpenRouter documentation, "Provider routing" and "Model routing". Fields of `provider` other than those below
(quantizations, data_collection, ...) are passed over.
"""

import msgspec

from twospeed.dialects.body import bad, without
from twospeed.types import NULL, Wishes

FIELDS = ("models", "provider")
_MOST = 32  # names in one list


class Wanted(msgspec.Struct, gc=False):
    """`provider`."""

    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    sort: msgspec.Raw = NULL


_models: msgspec.json.Decoder[list[str] | None] = msgspec.json.Decoder(list[str] | None)
_provider: msgspec.json.Decoder[Wanted | None] = msgspec.json.Decoder(Wanted | None)
_text: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)


def wishes(models: msgspec.Raw, provider: msgspec.Raw) -> Wishes | None:
    """Read both fields, None when neither is there. Raises: Fault BAD_REQUEST.

    >>> wishes(msgspec.Raw(b'["a"]'), NULL).models
    ('a',)
    """
    if models == NULL and provider == NULL:
        return None
    try:
        names = _models.decode(models)
    except msgspec.ValidationError:
        raise bad("models", "expected an array of names") from None
    try:
        wanted = _provider.decode(provider) or Wanted()
        sort = _text.decode(wanted.sort)
    except msgspec.ValidationError:
        raise bad("provider", "expected an object with order, only, ignore, allow_fallbacks or sort") from None
    return Wishes(
        models=_few(names),
        order=_few(wanted.order),
        only=_few(wanted.only),
        ignore=_few(wanted.ignore),
        spares=wanted.allow_fallbacks is not False,
        sort=sort or "",
    )


def stripped(body: bytes) -> bytes:
    """Return the body without these fields."""
    return without(body, FIELDS)


def _few(names: list[str] | None) -> tuple[str, ...]:
    return tuple((names or ())[:_MOST])
