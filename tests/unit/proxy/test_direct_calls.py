"""What mypyc is told of: calls that go to C, and classes that were seen."""

import importlib
import runpy
from pathlib import Path
from typing import Any

import pytest

from sluice_proxy.pool.neighbours import Server
from sluice_proxy.pool.queue import Queue
from sluice_proxy.transport import reactor as reactors
from sluice_testing.world import A, FakeServer, FakeWaiter

PROXY = Path(__file__).parents[3] / "proxy"
NATIVE: dict[str, Any] = runpy.run_path(str(PROXY / "native.py"), run_name="native")
COMPILED = not str(reactors.__file__).endswith(".py")
compiled = pytest.mark.skipif(not COMPILED, reason="Python itself takes what there is")


@pytest.mark.parametrize("name", NATIVE["DIRECT"])
def test_each_direct_call_is_of_a_function_that_there_is(name: str) -> None:
    """By another name it would be called through Python, and nobody would notice."""
    module, _, function = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))
    assert f"direct_{function}(" in (PROXY / "mypyc_calls.h").read_text()


def test_each_direct_call_is_made_by_its_own_name() -> None:
    """mypyc knows a function by where it was defined: not by a name that was given to it."""
    sources = [(PROXY / module).read_text() for module in NATIVE["modules"]()]
    for name in NATIVE["DIRECT"]:
        module, _, function = name.rpartition(".")
        assert any(f"{module.rpartition('.')[2]}.{function}(" in source for source in sources)


@compiled
def test_a_class_that_was_seen_lets_no_other_in() -> None:
    """The check of a class remembers the last one that passed: one that does not still fails."""
    pool = reactors.Reactor()
    wrong: Any = FakeWaiter(A)
    for _ in range(3):
        with pytest.raises(TypeError):
            pool.again(wrong)
        with pytest.raises(TypeError):
            pool.register(0, wrong)
    pool.close()


@compiled
def test_subclasses_in_turn_are_all_let_in() -> None:
    class Other(FakeWaiter):
        pass

    queue = Queue()
    for kind in (FakeWaiter, Other, FakeWaiter, Other):
        waiter = kind(A)
        queue.push(waiter, 1.0)
        assert queue.pop() is waiter
    wrong: Any = FakeServer(A)
    with pytest.raises(TypeError):
        queue.push(wrong, 1.0)
    assert isinstance(wrong, Server)
    assert queue.count == 0
