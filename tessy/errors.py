"""Every error tessy raises on purpose.

::

    TessyError
    ├── ConfigError                 wrong use or configuration; nothing has been spent
    ├── PluginError                 a plugin is at fault; the message names it and its package
    │   ├── PluginNotFound          no plugin of that kind and name; says which exist
    │   ├── PluginLoadError         its code could not be imported or constructed
    │   ├── PluginConflict          two packages claim one name
    │   └── PluginIncompatible      built for another version of tessy
    ├── BackendError                an engine or a server is at fault
    │   ├── BackendTimeout          it did not answer in time
    │   ├── BackendRejected         it refused this request: asking again is useless
    │   ├── BackendUnavailable      it is down, busy or out of resources: asking again may help
    │   │   └── BackendDown         it has been out of service too long: the run ends, to be resumed
    │   ├── ContinuationUnsupported it cannot continue a text that somebody began
    │   └── UnsafeText              text that spells control strings, in a mode that cannot quote them
    ├── BudgetSpent                 a budget is spent: the run has stopped, to be resumed
    ├── WorkerDied                  too many worker processes have died: the run has stopped, to be resumed
    ├── DataError                   a prompt or a row is unusable
    └── TraceError                  a trajectory cannot be finished (length, no progress, …)

``reason`` is the short machine-readable word that ``failures.jsonl`` and statistics use.
"""

from __future__ import annotations

__all__ = [
    "BackendDown",
    "BackendError",
    "BackendRejected",
    "BackendTimeout",
    "BackendUnavailable",
    "BudgetSpent",
    "ConfigError",
    "ContinuationUnsupported",
    "DataError",
    "PluginConflict",
    "PluginError",
    "PluginIncompatible",
    "PluginLoadError",
    "PluginNotFound",
    "TessyError",
    "TraceError",
    "UnsafeText",
    "WorkerDied",
]


class TessyError(Exception):
    """Base of all errors that tessy raises on purpose; its text is written for the user."""

    reason = "error"


class ConfigError(TessyError):
    """Wrong use or configuration: exit code 2, nothing has been spent."""

    reason = "config"


class PluginError(TessyError):
    """A plugin broke its contract; the text names the plugin and its package."""

    reason = "plugin"


class PluginNotFound(PluginError, ConfigError):
    """No plugin of that kind has that name; the text lists the names that exist."""


class PluginLoadError(PluginError, ConfigError):
    """A plugin's code could not be imported or constructed."""


class PluginConflict(PluginError, ConfigError):
    """Two packages register one name; the text names both."""


class PluginIncompatible(PluginError, ConfigError):
    """A plugin was built for another version of tessy."""


class BackendError(TessyError):
    """An engine or a server failed."""

    reason = "backend"


class BackendTimeout(BackendError):
    """The engine did not answer in time.

    Attributes:
        again: asking again may help; not where that has been done already, at length.
    """

    reason = "backend_timeout"

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class BackendRejected(BackendError):
    """The engine refused this request; asking again is useless (context too small, bad input).

    Attributes:
        key: it is the key that is refused, so all requests are.
    """

    reason = "backend_rejected"

    def __init__(self, message: str, *, key: bool = False) -> None:
        super().__init__(message)
        self.key = key


class BackendUnavailable(BackendError):
    """The engine is down, busy or out of resources; asking again may help.

    Attributes:
        retry_after: seconds after which the service wants to be asked again; ``None``: it did not say.
        busy: it works but has enough to do (429, 503): ask less, not elsewhere.
    """

    reason = "backend_unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None, busy: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.busy = busy


class BackendDown(BackendUnavailable):
    """A whole backend is out of service: unreachable for too long, its process dead, its key revoked.

    No row is at fault, so none fails: the run ends, all that is committed stays, and the same command goes
    on from there once the backend is back.
    """

    reason = "backend_down"


class ContinuationUnsupported(BackendError, ConfigError):
    """The backend cannot continue a text that somebody else began, and the policy needs that."""

    reason = "continuation_unsupported"


class UnsafeText(BackendError):
    """A text spells a control string, and this mode has no way to send it as plain text."""

    reason = "unsafe_text"


class BudgetSpent(TessyError):
    """A budget is spent: what is committed stays, the same call with a higher one goes on."""

    reason = "budget"


class WorkerDied(TessyError):
    """Worker processes of a run died again and again: what is committed stays, the same call goes on."""

    reason = "worker"


class DataError(TessyError):
    """A prompt or a row is unusable; the text names file and line where there is one."""

    reason = "data"


class TraceError(TessyError):
    """A trajectory cannot be finished; ``reason`` says why.

    Reasons: ``length`` (the limit was reached), ``ended_in_thinking`` (an end of turn before the
    end of the thinking), ``repetition`` (it says the same over and over), ``no_progress`` (turns that
    keep nothing, again and again), and those of policies, which may raise it where a row cannot be
    written and no code is at fault: a judge without a judgement.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
