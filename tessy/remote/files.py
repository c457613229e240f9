"""Every stream is a socket, and every socket an open file."""

from __future__ import annotations

__all__ = ["raise_file_limit"]


def raise_file_limit(wanted: int) -> int:
    """Raise this process's limit of open files to ``wanted`` if it may; how many there may be now."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return wanted if soft == unlimited else soft
    target = wanted if hard == unlimited else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    except (ValueError, OSError):
        return soft
    return target
