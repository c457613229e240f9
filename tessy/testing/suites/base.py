"""What the suites share: a loop for each test, and that none is left out in silence."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import wraps
from inspect import getattr_static
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast

import pytest

from tessy.testing.suites.loading import environment

__all__ = ["Suite", "on_loop"]

P = ParamSpec("P")
S = TypeVar("S", bound="Suite")

_HEAVY = (
    "aiohttp", "anthropic", "datasets", "httpx", "httpx2", "jax", "litellm", "llama_cpp", "numpy",
    "onnxruntime", "openai", "pandas", "requests", "scipy", "sklearn", "tensorflow", "tokenizers",
    "torch", "transformers", "vllm",
)  # fmt: skip
"""What no entry point imports: `tessy --help` imports them all."""
_SKIPPING = ("skip", "skipif", "xfail")


def on_loop(
    test: Callable[Concatenate[S, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[S, P], None]:
    """Run an asynchronous test on a new loop of the suite's, for at most ``timeout`` seconds."""

    @wraps(test)
    def run(self: S, *args: P.args, **kwargs: P.kwargs) -> None:
        self.run(test(self, *args, **kwargs))

    # `wraps` keeps the signature, by which pytest finds the fixtures.
    return cast(Callable[Concatenate[S, P], None], run)


class Suite:
    """The base of all suites.

    Attributes:
        entry_point: the module that the plugin's entry point names; ``None`` where it has none of its own.
        exempt: tests that do not apply, each with the reason.
        timeout: seconds a test may take.
        loop_factory: makes the loops; ``None``: asyncio's own.
    """

    entry_point: ClassVar[str | None] = None
    exempt: ClassVar[Mapping[str, str]] = {}
    timeout: ClassVar[float] = 60.0
    loop_factory: ClassVar[Callable[[], asyncio.AbstractEventLoop] | None] = None

    _plugin: ClassVar[str]
    """The name of the fixture that gives the plugin."""
    _tests: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, *, plugin: str | None = None) -> None:
        super().__init_subclass__()
        if plugin is not None:
            # A suite, not a plugin's test class: this is what has to stand.
            cls._plugin = plugin
            names = [name for name in dir(cls) if name.startswith("test")]
            cls._tests = {name: getattr_static(cls, name) for name in (*names, *_GUARDS)}
            return
        _check_class(cls)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on a new loop.

        The limit is on the wall's clock: a loop on virtual time runs its own clock out while it waits for a
        thread.
        """
        with asyncio.Runner(loop_factory=type(self).loop_factory) as runner:
            loop, hung = runner.get_loop(), threading.Event()
            task = loop.create_task(work)

            def stop() -> None:
                hung.set()
                loop.call_soon_threadsafe(task.cancel)

            timer = threading.Timer(self.timeout, stop)
            timer.start()
            try:
                runner.run(_awaited(task))
            except asyncio.CancelledError:
                if not hung.is_set():
                    raise
                pytest.fail(f"it hangs: not through after {self.timeout:g} s (class attribute `timeout`)")
            finally:
                timer.cancel()

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """Refuse marks that skip: on the class, on its module, or on a test."""
        name = metafunc.function.__name__
        for mark in metafunc.definition.iter_markers():
            if mark.name in _SKIPPING and name in cls._tests and name not in cls.exempt:
                pytest.fail(f"{cls.__name__}.{name} is marked {mark.name}; {_HINT}", pytrace=False)

    @pytest.fixture(autouse=True)
    def every_test_runs(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """Skip what is exempt, with its reason; refuse a plugin's fixture that skips."""
        name = request.function.__name__
        overridden = getattr_static(self, name, None) is not self._tests.get(name)
        if name in self.exempt and not overridden:
            pytest.skip(self.exempt[name])  # the author's reason; an empty one is refused
        if self._plugin not in request.fixturenames:
            yield
            return
        try:
            request.getfixturevalue(self._plugin)
        except pytest.skip.Exception as skipped:
            if name in self._tests and name not in self.exempt:
                pytest.fail(f"fixture {self._plugin!r} skips {name} ({skipped}); {_HINT}", pytrace=False)
            raise
        yield

    def test_entry_point_is_cheap(self) -> None:
        """The entry point's module imports neither an engine nor an HTTP client nor numpy."""
        if self.entry_point is None:
            pytest.skip("no entry point is named")  # a plugin within another package has none of its own
        found = _imported(self.entry_point)
        assert not found, (
            f"import {self.entry_point} imports {', '.join(found)}: every tessy command pays for that; "
            "import it in the function `load` of the Plugin"
        )


_HINT = (
    "name it in the class's `exempt` with the reason, or, where the environment lacks something, "
    "call pytest.importorskip at the top of the module"
)
_GUARDS = ("every_test_runs", "pytest_generate_tests")


def _check_class(cls: type[Suite]) -> None:
    """Whether a test class leaves the suite's tests as they are, but for those it exempts.

    Raises:
        TypeError: it does not.
    """
    tests = {name: test for name, test in cls._tests.items() if name not in _GUARDS}
    for name, reason in cls.exempt.items():
        if name not in tests:
            raise TypeError(f"{cls.__name__}.exempt names {name!r}, there are {', '.join(sorted(tests))}")
        if not isinstance(reason, str) or not reason.strip():
            raise TypeError(f"{cls.__name__}.exempt[{name!r}] must say why")
    for name, test in cls._tests.items():
        found = getattr_static(cls, name, None)
        if found is not test and name not in cls.exempt:
            done = "overrides" if callable(found) else "drops"
            raise TypeError(f"{cls.__name__} {done} {name} of the suite; {_HINT}")


async def _awaited(task: asyncio.Task[None]) -> None:
    await task


def _imported(module: str) -> list[str]:
    """Which heavy packages a fresh interpreter has imported after that module."""
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**environment()}
    )
    assert made.returncode == 0, f"import {module} fails:\n{made.stderr}"
    return sorted(set(made.stdout.split()) & set(_HEAVY))
