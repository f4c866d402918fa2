"""The configuration that served last, kept so that a broken file does not stop the next start (R25).

What is kept is the text of the file: references, never the secrets behind them; readable by this user only. One file for
each config path, named by a digest of it.
"""

import hashlib
import os
from pathlib import Path

MOST = 32  # texts kept, the newest first: old paths are not remembered for ever


def keep(folder: Path, path: str, text: bytes | None) -> None:
    """Write the text that serves now, for the config file at `path`; None forgets an earlier one. Raises: OSError."""
    target = _place(folder, path)
    if text is None:
        target.unlink(missing_ok=True)
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.exists() and target.read_bytes() == text:
        os.utime(target)
        return
    fresh = target.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
    _prune(folder)


def kept(folder: Path, path: str) -> bytes | None:
    """Return the text that served last for a config file, None when there is none."""
    try:
        return _place(folder, path).read_bytes()
    except OSError:
        return None


def _place(folder: Path, path: str) -> Path:
    return folder / f"last-good-{hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:16]}.yaml"


def _prune(folder: Path) -> None:
    known = sorted(folder.glob("last-good-*.yaml"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in known[MOST:]:
        old.unlink(missing_ok=True)
