"""How long a whole backend has been out of service, and when that is too long."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.errors import BackendDown, BackendError, BackendTimeout

__all__ = ["Outage"]


class Outage:
    """The time since the first failure that no success has followed.

    Time in which nobody asks is no part of it: a pause of an hour and one failure are not an hour's outage.

    Args:
        name: of the backend, for the message.
        urls: of its endpoints, for the message.
        patience: seconds.
    """

    def __init__(self, name: str, urls: Sequence[str], patience: float) -> None:
        self._name = name
        self._urls = urls
        self._patience = patience
        self._since: float | None = None
        self._worked = float("-inf")
        self._last_error: BackendError | None = None
        self._spared = False
        self._calls = 0
        self._idle_since: float | None = None

    def entered(self, now: float) -> None:
        """A call begins."""
        if self._idle_since is not None and self._since is not None:
            self._since += now - self._idle_since
        self._idle_since = None
        self._calls += 1

    def left(self, now: float) -> None:
        """A call has ended, however."""
        self._calls -= 1
        if not self._calls:
            self._idle_since = now

    def works(self, now: float) -> None:
        """Something has come from an endpoint."""
        self._since, self._worked, self._spared = None, now, False

    def failed(self, now: float, error: BackendError) -> None:
        """A request has failed, being busy included."""
        self._last_error = error
        if self._since is None:
            self._since = now

    def worked_since(self, then: float) -> bool:
        """Whether anything has worked after a time."""
        return self._worked > then

    @property
    def until(self) -> float | None:
        """When patience ends, if nothing works until then; ``None``: there is no outage."""
        return None if self._since is None else self._since + self._patience

    def check(self, now: float) -> None:
        """Give up if patience has ended.

        Raises:
            BackendDown: it has; names backend, URLs, time and the last error.
            BackendTimeout: it has, but nobody else has asked meanwhile, the backend takes requests and has
                answered before: it may be this request. Once; if nothing works after it either, it is not.
        """
        # A timer may be early by a clock's tick.
        if self.until is None or now < self.until - 1e-6:
            return
        lonely = self._calls == 1 and isinstance(self._last_error, BackendTimeout)
        if lonely and self._worked > float("-inf") and not self._spared:
            self._spared, self._since = True, None
            raise BackendTimeout(
                f"{self._name}: this request alone has waited {self._patience:g} seconds (patience), others "
                f"were answered: {self._last_error}",
                again=False,
            )
        raise BackendDown(
            f"{self._name}: nothing has worked at {', '.join(self._urls)} for {self._patience:g} seconds "
            f"(patience): {self._last_error}"
        )
