"""How many tokens a request will use, learned from those before it: no tokenizer is needed or fetched (R20).

Per backend: bytes of a request body per input token, and the 95th percentile of output tokens. Both forget slowly,
so that a new habit counts within a few hundred answers. Kept per process; a restart begins with the defaults.
"""

from math import log2

BYTES_PER_TOKEN = 4.0  # of a request body; code and JSON measure 3 to 5
OUTPUT_TOKENS = 1_024  # reserved for an answer while a backend has told too little
ENOUGH = 20  # answers after which its own figures count
_STEPS = 4  # buckets per doubling: a percentile is right within 19%
_BUCKETS = _STEPS * 20  # up to a million tokens
_FORGET = 512  # answers after which the counts are halved
_WEIGHT = 0.05  # of the newest ratio


class Sizes:
    """What one backend's answers were like."""

    __slots__ = ("_counts", "_total", "bytes_per_token", "output_p95", "seen")

    def __init__(self) -> None:
        self.bytes_per_token = BYTES_PER_TOKEN
        self.output_p95 = OUTPUT_TOKENS
        self.seen = 0
        self._counts = [0] * _BUCKETS
        self._total = 0

    def observe(self, body_bytes: int, input_tokens: int, output_tokens: int) -> None:
        """Learn from one whole answer whose provider said what it used."""
        self.seen += 1
        if input_tokens > 0:
            ratio = min(20.0, max(1.0, body_bytes / input_tokens))
            self.bytes_per_token += _WEIGHT * (ratio - self.bytes_per_token)
        self._counts[min(_BUCKETS - 1, int(_STEPS * log2(max(1, output_tokens))))] += 1
        self._total += 1
        if self._total >= _FORGET:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)
        if self.seen % ENOUGH == 0:
            self.output_p95 = self._percentile()

    def _percentile(self) -> int:
        """Upper edge of the bucket that holds the 95th percentile."""
        above = self._total * 0.05
        for bucket in range(_BUCKETS - 1, -1, -1):
            above -= self._counts[bucket]
            if above < 0:
                return int(2 ** ((bucket + 1) / _STEPS)) + 1
        return OUTPUT_TOKENS


class Estimates:
    """Sizes of all backends; their names come from the configuration, so this is bounded by it."""

    def __init__(self) -> None:
        self._sizes: dict[str, Sizes] = {}

    def expected(self, backend: str, body_bytes: int, max_tokens: int | None) -> tuple[int, int]:
        """Return the input and output tokens to reserve.

        >>> Estimates().expected("p/m@r", 4_000, 100)
        (1000, 100)
        """
        sizes = self._sizes.get(backend)
        ratio, output = (sizes.bytes_per_token, sizes.output_p95) if sizes else (BYTES_PER_TOKEN, OUTPUT_TOKENS)
        return int(body_bytes / ratio), output if max_tokens is None else min(max_tokens, output)

    def observe(self, backend: str, body_bytes: int, input_tokens: int, output_tokens: int) -> None:
        """Learn from one whole answer."""
        sizes = self._sizes.get(backend)
        if sizes is None:
            sizes = self._sizes[backend] = Sizes()
        sizes.observe(body_bytes, input_tokens, output_tokens)
