"""Coroutines of these tests run in the proxy's own event loop."""

from sluice_proxy.transport.loop import ReactorLoop


def pytest_asyncio_loop_factories() -> dict[str, type[ReactorLoop]]:
    return {"reactor": ReactorLoop}
