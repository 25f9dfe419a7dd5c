"""The types of what tests/conftest.py hands out."""

from collections.abc import Callable

from sluice_proxy.config import ProxyConfig
from sluice_testing.door import Door
from sluice_testing.proxy import ProxyProcess

MakeConfig = Callable[..., ProxyConfig]  # (server, budget=5, borrow=20, **fields)
StartProxy = Callable[..., ProxyProcess]  # (config, ready=True, program=…)
DoorOf = Callable[..., Door]  # (a Postgres or a ProxyProcess)
