"""`python -m twospeed` is the `twospeed` command."""

import sys

from twospeed.cli import main

sys.exit(main())
