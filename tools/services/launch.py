"""`python launch.py SIGNAL USER COMMAND...`: become a command that gets SIGNAL when its starter dies. USER may be empty.

A program of its own, because what is set here must be set between the change of user (which clears it) and the start of the
command, and a process with threads should run no Python between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def main(signal_number: int, user: str, command: list[str]) -> None:
    parent = os.getppid()
    if user:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":  # Elsewhere the one who starts it is alone responsible for stopping it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # It died before it could be noticed.
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  # No shell is wanted.


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
