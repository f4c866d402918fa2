#!/usr/bin/env python3
"""Run a client that wants a terminal in one, type a line into it once it is quiet, and end it once it is quiet again.

    typed.py LINE COMMAND...

What the client shows goes to stdout. Quiet: nothing new for 3 s; it is not waited for longer than 60 s.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

QUIET, LONGEST = 3.0, 60.0
SIZE = struct.pack("HHHH", 40, 120, 0, 0)


def main() -> None:
    """Be the terminal."""
    line, *command = sys.argv[1:]
    process, screen = pty.fork()
    if not process:
        os.execvp(command[0], command)
    fcntl.ioctl(screen, termios.TIOCSWINSZ, SIZE)
    shown(screen)
    os.write(screen, line.encode())
    shown(screen)
    os.write(screen, b"\r")
    shown(screen)
    os.kill(process, signal.SIGTERM)
    os.waitpid(process, 0)


def shown(screen: int) -> None:
    """Pass on what the client shows until it is quiet."""
    until = time.monotonic() + LONGEST
    wait = LONGEST  # a client may take its time to begin
    while time.monotonic() < until and select.select([screen], [], [], wait)[0]:
        wait = QUIET
        try:
            sys.stdout.buffer.write(os.read(screen, 65536))
        except OSError:  # it has ended
            return


if __name__ == "__main__":
    main()
