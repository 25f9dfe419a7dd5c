"""`python -m sluice_operator`: kopf for the events, the queue for the work, HTTP for probes.

Environment: SLUICE_PROXY_IMAGE (the image that proxies run), POD_NAMESPACE (where the
operator lives), SLUICE_HTTP_PORT (8080), SLUICE_LOG_LEVEL (INFO), KUBECONFIG (absent in
a cluster: the pod's ServiceAccount).
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys

import kopf

from sluice_operator import names
from sluice_operator.cluster.client import Client, connect
from sluice_operator.cluster.errors import ApiError
from sluice_operator.decide.references import Key, ReferenceIndex
from sluice_operator.decide.resolve import Installation
from sluice_operator.doors.handlers import Doors, register
from sluice_operator.doors.http import Checks, serve
from sluice_operator.doors.settings import operator_settings
from sluice_operator.proxies.states import States
from sluice_operator.queue import WorkQueue
from sluice_operator.reconcile import Reconciler

log = logging.getLogger("sluice_operator")

CRD_RETRY_SECONDS = 2.0


def main() -> int:
    logging.basicConfig(
        level=os.environ.get("SLUICE_LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    image = os.environ.get("SLUICE_PROXY_IMAGE")
    if not image:
        log.error("SLUICE_PROXY_IMAGE is not set: which image shall the proxies run?")
        return 2
    namespace = os.environ.get("POD_NAMESPACE", "sluice-system")
    port = int(os.environ.get("SLUICE_HTTP_PORT", "8080"))
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run(Installation(image, namespace), port))
    return 0


async def run(installation: Installation, port: int) -> None:
    """Until SIGTERM, or until a part of it dies: then the whole process ends."""
    _end_on_sigterm()
    client, states = await connect(), States()
    queue: WorkQueue[Key] = WorkQueue(Reconciler(client, states, installation).reconcile)
    ready = asyncio.Event()
    server = await serve(Checks(queue.is_alive, ready.is_set), port)
    working = asyncio.create_task(queue.run(), name="queue")
    try:
        await served(client)
        log.info("watching; proxies run %s", installation.proxy_image)
        await watch(queue, ready)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await server.cleanup()
        await states.close()
        await client.close()


def _end_on_sigterm() -> None:
    """Until kopf sets its own handler: process 1 of a container has none by default."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def served(client: Client) -> None:
    """Waits for the CRD: kopf looks for resources once, at its start."""
    while not await _is_served(client):
        log.warning("the API server does not know %s yet", f"{names.PLURAL}.{names.GROUP}")
        await asyncio.sleep(CRD_RETRY_SECONDS)


async def _is_served(client: Client) -> bool:
    try:
        return await client.is_served(names.KIND)
    except ApiError as error:
        log.warning("the API server does not answer: %s", error)
        return False


async def watch(queue: WorkQueue[Key], ready: asyncio.Event) -> None:
    """kopf's events until SIGTERM."""
    await kopf.operator(
        registry=register(Doors(queue, ReferenceIndex())),
        settings=operator_settings(),
        standalone=True,
        clusterwide=True,
        # kopf would ask for the user's name, and a container's user may have none.
        identity=socket.gethostname(),  # type: ignore[arg-type]
        ready_flag=ready,
    )


if __name__ == "__main__":
    sys.exit(main())
