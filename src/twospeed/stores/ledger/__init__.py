"""The audit ledger: who let which version in, who took it back, when and on what evidence.

`file.Book` is the SQLite file, for whoever may wait for a disk; `scribe.Scribe` writes and reads it beside the event loop.
"""

from twospeed.stores.ledger.scribe import Scribe

__all__ = ["Scribe"]
