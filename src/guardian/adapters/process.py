"""Processes by name: `host/pid`."""

from __future__ import annotations

import os
import socket


def own_name() -> str:
    """Return this process's name."""
    return f"{socket.gethostname()}/{os.getpid()}"


def is_gone(name: str) -> bool:
    """Return whether the process of that name was on this machine and has ended; False where it cannot be told."""
    host, _, pid = name.rpartition("/")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
