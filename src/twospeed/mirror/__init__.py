"""Mirror: copies of requests, sent to a candidate once the client has been served, and compared with what it was told.

    attend (tap the reply) ... the client has its last byte -> offer -> task: budget, trial of the candidate, pair

Nothing here can be seen by a client: no limit, breaker, learned size or connection is shared with real requests, no
fault leaves, and all of it may be dropped at any time (`drop`). Texts are held in memory while a pair is made, and nowhere else.

Tasks: one per copy, owned and awaited by `Mirror`.
"""

from twospeed.mirror.mirror import MOST_BYTES, Mirror, Twin, Witness

__all__ = ["MOST_BYTES", "Mirror", "Twin", "Witness"]
