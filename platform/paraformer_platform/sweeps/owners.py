"""Who holds a claim: named so that a later process can tell whether the owner still lives.

A name is ``host:pid:start``. On the same host, a process that is gone, or one that got the same number
later, is known for dead at once; of other hosts nothing is known, there the lease has to run out.
"""

import os
import platform
from pathlib import Path


def owner_name() -> str:
    """Name this process."""
    return f"{platform.node()}:{os.getpid()}:{_start_of(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Tell whether the owner certainly lives no more; False when nothing is known of it."""
    host, _, process = owner.partition(":")
    pid, _, start = process.partition(":")
    if host != platform.node() or not pid.isdigit() or not Path("/proc/self/stat").exists():
        return False
    now = _start_of(int(pid))
    return now is None or (start != "" and start != now)


def _start_of(pid: int) -> str | None:
    """Return the process's start time in clock ticks since boot; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # proc(5): the name, in parentheses, may hold anything; state is field 3 and the start time field 22.
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]
