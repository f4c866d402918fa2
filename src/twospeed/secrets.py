"""Secrets: references in the file (`env:NAME`, `file:PATH`, `sha256:HEX`) become values kept apart from the config.

The config itself only ever holds references, so it may be shown and dumped. No message here holds a value.
"""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath

LONGEST_BYTES = 65_536
PRIVATE_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key"})

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_VARIABLE = re.compile(  # as other tools write it; a bare name only where it looks like nothing else
    r"(?:\$|\$\{|\$env:|ENV:|os\.environ/|env[./])([A-Z][A-Z0-9_]*)\}?|([A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET|PASSWORD))"
)
_SENDABLE = re.compile(r"[\x21-\x7e]+")


class Unresolved(Exception):
    """A reference that leads to nothing usable; the text says what to do about it."""


def is_reference(text: str) -> bool:
    """Say whether a text points at a secret instead of being one."""
    return text.startswith(("env:", "file:"))


def is_set(reference: str, env: Mapping[str, str]) -> bool:
    """Say whether the variable of `env:NAME` is set and not empty."""
    return bool(env.get(reference.removeprefix("env:")))


def resolve(reference: str, env: Mapping[str, str], folder: FilePath, digests: bool = False) -> str:
    """Return what a reference stands for.

    Args:
        folder: Where a relative `file:PATH` begins: the folder of the config file.
        digests: `sha256:HEX` is good too, and returned as it stands.

    Raises: Unresolved.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        secret = _sendable(_from_env(rest, env), f"environment variable {rest}")
    elif scheme == "file":
        secret = _sendable(_from_file(folder / rest), f"file {rest}")
    elif scheme == "sha256" and digests:
        secret = reference
    else:
        raise Unresolved(_refusal(reference, digests))
    if digests and secret.startswith("sha256:") and not _DIGEST.fullmatch(secret.removeprefix("sha256:")):
        raise Unresolved("sha256: needs the 64 hexadecimal digits of the key's digest")
    return secret


def _refusal(reference: str, digests: bool) -> str:
    meant = _VARIABLE.fullmatch(reference)
    if meant:
        return f"to use an environment variable, write env:{meant[1] or meant[2]}"
    if reference.startswith("sha256:"):
        return "a digest is not enough to call a provider with: write env:NAME or file:PATH"
    forms = "env:NAME, file:PATH or sha256:HEX" if digests else "env:NAME or file:PATH"
    return f"a secret in plain text is refused: move it out of this file and write {forms}"


def _from_env(name: str, env: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        raise Unresolved("env: needs the name of an environment variable, as in env:OPENAI_API_KEY")
    if not env.get(name):
        raise Unresolved(f"environment variable {name} is not set")
    return env[name]


def _from_file(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise Unresolved(f"file {path} cannot be read: {reason.lower()}") from None
    if len(data) > LONGEST_BYTES:
        raise Unresolved(f"file {path} is larger than a secret can be")
    return data.decode(errors="replace")


def _sendable(text: str, source: str) -> str:
    secret = text.strip()
    if not secret:
        raise Unresolved(f"{source} is empty")
    if not _SENDABLE.fullmatch(secret):
        raise Unresolved(f"{source} holds a space, a line break or a character that no key has")
    return secret
