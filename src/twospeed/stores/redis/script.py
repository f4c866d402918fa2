"""Scripts of Redis and calls of them, packed for the wire: what does not change from call to call is packed once."""

import hashlib

import hiredis

Word = str | bytes | int


class Script:
    """A Lua script, known to Redis by its digest."""

    __slots__ = ("digest", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Form:
    """A call of a script in which only one word changes; the others are packed once, at 150 ns each.

    Args:
        before, after: Words of the script before and after the one that changes.
    """

    __slots__ = ("_after", "_before", "_keys", "_packed", "script")

    def __init__(
        self, script: Script, keys: tuple[str, ...], before: tuple[Word, ...], after: tuple[Word, ...] = ()
    ) -> None:
        self.script = script
        self._keys = keys
        self._before, self._after = before, after
        first = ("EVALSHA", script.digest, len(keys), *keys, *before)
        count = len(first) + 1 + len(after)
        head, tail = (packed(words).partition(b"\r\n")[2] for words in (first, after))
        self._packed = b"*%d\r\n%b" % (count, head), tail

    def packed(self, line: str) -> bytes:
        """Return the call with that word in it."""
        head, tail = self._packed
        word = line.encode()
        return b"%b$%d\r\n%b\r\n%b" % (head, len(word), word, tail)

    def whole(self, line: str) -> tuple[Word, ...]:
        """Return the call as it is put to a Redis that does not know the script."""
        return ("EVAL", self.script.source, len(self._keys), *self._keys, *self._before, line, *self._after)


def packed(words: tuple[Word, ...]) -> bytes:
    """Return a command as it stands on the wire."""
    return hiredis.pack_command(words)  # type: ignore[no-any-return, arg-type]  # stub says one word
