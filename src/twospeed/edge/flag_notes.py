"""What the config file changes in its flags, entered into the audit ledger: at the start, and at each reload."""

import time

from twospeed.config import Loaded
from twospeed.policy.audit import Audit, flags_of_file
from twospeed.policy.flags import worded


def note_flags(ledger: Audit, before: Loaded | None, after: Loaded) -> None:
    """Enter what is new; `before`: None at the start, where a file that was served before is nothing new."""
    if before is None:
        entries = flags_of_file({}, worded(after.config.flags), time.time(), after.version)
    else:
        entries = flags_of_file(worded(before.config.flags), worded(after.config.flags), time.time())
    for entry in entries:
        ledger.enter(entry)
