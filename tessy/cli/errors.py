"""The boundary between the program and the shell: every error becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tessy.errors import BackendDown, BackendError, ConfigError, DataError, PluginError, TessyError

__all__ = ["INTERRUPTED", "UNEXPECTED", "WRONG_USE", "Debug", "guarded"]

UNEXPECTED = 1
WRONG_USE = 2
INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EPIPE)
_BEFORE_START = (ConfigError, DataError, PluginError, BackendError)
"""Within a run these fail a trajectory, so whichever arrives here was raised before anything was spent.
But for `BackendDown`, which ends the run."""


@dataclass(slots=True)
class Debug:
    """Whether errors come with a traceback; ``--debug`` turns it on."""

    on: bool = False

    def wanted(self, environ: Mapping[str, str] = os.environ) -> bool:
        """By flag or by ``TESSY_DEBUG``."""
        return self.on or environ.get("TESSY_DEBUG", "") not in ("", "0")


def guarded(call: Callable[[], object], debug: Debug) -> int:
    """Run ``call`` and return the exit code; what it raises is shown on standard error.

    0 if it returns, what it says if it exits, 2 for wrong use, configuration, data and plugins, 130 for an
    interrupt, 1 for everything else.
    """
    try:
        call()
        # What is still buffered must not fail when the program is gone.
        sys.stdout.flush()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        _say(str(error.code))
        return UNEXPECTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        ours = [error for error in leaves if isinstance(error, TessyError)]
        return _report(ours[0] if len(ours) == len(leaves) else group, debug)
    except Exception as error:
        return _report(error, debug)
    return 0


def _report(error: BaseException, debug: Debug) -> int:
    if debug.wanted():
        traceback.print_exception(error)
    if isinstance(error, TessyError):
        _say(str(error))
        before = isinstance(error, _BEFORE_START) and not isinstance(error, BackendDown)
        return WRONG_USE if before else UNEXPECTED
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in _leaves(error)):
        return INTERRUPTED
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        _say(f"{error.filename or 'the output'} cannot be written: {error.strerror}")
        _drop_output()
        return UNEXPECTED
    if isinstance(error, PermissionError) and error.filename is not None:
        _say(f"{error.filename}: {error.strerror}; see who may read it and write to it")
        return UNEXPECTED
    hint = "" if debug.wanted() else "\nThis should not happen. TESSY_DEBUG=1 shows where it comes from."
    _say(f"unexpected {type(error).__name__}: {error}{hint}")
    return UNEXPECTED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _drop_output() -> None:
    """What cannot be written now cannot be at the exit: Python would complain of it again."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _say(message: str) -> None:
    from tessy.cli.clean import clean

    # A message may quote what a plugin, a server or a file said.
    try:
        print(f"tessy: {clean(message)}", file=sys.stderr, flush=True)
    except OSError:  # nobody reads any more
        pass
