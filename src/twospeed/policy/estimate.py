"""How many tokens a request will use, learned from those before it: no tokenizer is needed or fetched (R20).

Per backend: bytes of a request body per input token, and the 95th percentile of output tokens. Both forget slowly,
so that a new habit counts within a few hundred answers. Kept per process; a restart begins with the defaults.
"""

from twospeed.policy.percentile import Percentile

BYTES_PER_TOKEN = 4.0  # of a request body; code and JSON measure 3 to 5
OUTPUT_TOKENS = 1_024  # reserved for an answer while a backend has told too little
ENOUGH = 20  # answers after which its own figures count
_STEPS = 4  # buckets per doubling: a percentile is right within 19%
_FINE_STEPS = 8  # for times: right within 9%
_TICKS = 10_000.0  # per second: what is below 0.1 ms is told apart by nobody
_WEIGHT = 0.05  # of the newest ratio


class Sizes:
    """What one backend's answers were like."""

    __slots__ = ("_outputs", "bytes_per_token", "output_p95", "seen")

    def __init__(self) -> None:
        self.bytes_per_token = BYTES_PER_TOKEN
        self.output_p95 = OUTPUT_TOKENS
        self.seen = 0
        self._outputs = Percentile(_STEPS)

    def observe(self, body_bytes: int, input_tokens: int, output_tokens: int) -> None:
        """Learn from one whole answer whose provider said what it used."""
        self.seen += 1
        if input_tokens > 0:
            ratio = min(20.0, max(1.0, body_bytes / input_tokens))
            self.bytes_per_token += _WEIGHT * (ratio - self.bytes_per_token)
        self._outputs.add(output_tokens)
        if self.seen % ENOUGH == 0:
            self.output_p95 = int(self._outputs.p95() or OUTPUT_TOKENS) + 1


class Waits:
    """How long one backend's first tokens took."""

    __slots__ = ("_seconds", "p95", "seen")

    def __init__(self) -> None:
        self.p95: float | None = None
        self.seen = 0
        self._seconds = Percentile(_FINE_STEPS)

    def observe(self, seconds: float) -> None:
        """Learn from one attempt: how long it took, or had taken when it was given up."""
        self.seen += 1
        self._seconds.add(seconds * _TICKS)
        if self.seen % ENOUGH == 0:
            self.p95 = (self._seconds.p95() or 0.0) / _TICKS


class Estimates:
    """Sizes of all backends; their names come from the configuration, so this is bounded by it."""

    def __init__(self) -> None:
        self._sizes: dict[str, Sizes] = {}
        self._waits: dict[str, Waits] = {}

    def expected(self, backend: str, body_bytes: int, max_tokens: int | None) -> tuple[int, int]:
        """Return the input and output tokens to reserve.

        >>> Estimates().expected("p/m@r", 4_000, 100)
        (1000, 100)
        """
        sizes = self._sizes.get(backend)
        ratio, output = (sizes.bytes_per_token, sizes.output_p95) if sizes else (BYTES_PER_TOKEN, OUTPUT_TOKENS)
        return int(body_bytes / ratio), output if max_tokens is None else min(max_tokens, output)

    def first_token_p95(self, backend: str) -> float | None:
        """Return the 95th percentile of recent times to first token in seconds, None before ENOUGH of them."""
        waits = self._waits.get(backend)
        return waits.p95 if waits else None

    def waited(self, backend: str, seconds: float) -> None:
        """Learn how long a first token took; asked only of tiers that hedge."""
        waits = self._waits.get(backend)
        if waits is None:
            waits = self._waits[backend] = Waits()
        waits.observe(seconds)

    def observe(self, backend: str, body_bytes: int, input_tokens: int, output_tokens: int) -> None:
        """Learn from one whole answer."""
        sizes = self._sizes.get(backend)
        if sizes is None:
            sizes = self._sizes[backend] = Sizes()
        sizes.observe(body_bytes, input_tokens, output_tokens)
