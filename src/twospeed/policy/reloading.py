"""When a configuration is read anew, and what a start may fall back on (R25)."""

from twospeed.types import Settings


class Reload(Settings):
    """`reload:` in the config file. SIGHUP and `POST /admin/reload` read the file anew in any case."""

    watch: bool = True
    """Look at the file once a second and take it over when it has changed; a file that is not valid changes nothing.
    Takes a restart. Secrets in files of their own are not watched."""
    last_good: bool = True
    """Keep the configuration that serves, with references instead of secrets, in the state folder (TWOSPEED_STATE_DIR,
    STATE_DIRECTORY, XDG_STATE_HOME/twospeed or ~/.local/state/twospeed), and start with it when the file is not valid."""
