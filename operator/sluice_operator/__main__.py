"""`python -m sluice_operator`: kopf for the events, the queue for the work, HTTP for probes.

Every replica watches; the one that holds the Lease works. So a standby knows everything when
its turn comes.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import kopf

from sluice_operator import metrics, names
from sluice_operator.cluster.activators import Activators
from sluice_operator.cluster.client import Client, connect
from sluice_operator.cluster.election import Election, LeaseLost
from sluice_operator.cluster.errors import ApiError
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.recorder import Recorder
from sluice_operator.cluster.store import Store
from sluice_operator.decide.overcommit import Claims
from sluice_operator.decide.ports import Ports
from sluice_operator.decide.references import Key, ReferenceIndex
from sluice_operator.doors.environment import Environment, Misconfigured, environment
from sluice_operator.doors.handlers import WATCHED, Books, Doors, register
from sluice_operator.doors.http import Checks, serve
from sluice_operator.doors.settings import operator_settings
from sluice_operator.doors.watches import Watches
from sluice_operator.proxies.states import States
from sluice_operator.queue import WorkQueue
from sluice_operator.reconcile import Reconciler, Surroundings
from sluice_operator.rounds import SPREAD_SECONDS, Rounds, look_at_all

log = logging.getLogger("sluice_operator")

CRD_RETRY_SECONDS = 2.0


def main() -> int:
    """0 after a clean stop, 2 when the environment will not do; 1 at once if the Lease is lost."""
    try:
        given = environment(os.environ)
    except Misconfigured as error:
        print(f"sluice-operator: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=given.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    asyncio.run(run(given))
    return 0


@dataclass(slots=True)
class Parts:
    """What the process is made of."""

    client: Client
    states: States
    queue: WorkQueue[Key]
    doors: Doors
    watches: Watches
    election: Election
    activators: Activators
    rounds: Rounds
    at_work: asyncio.Event = field(default_factory=asyncio.Event)


async def run(given: Environment) -> None:
    """Until SIGTERM, or until a part of it dies: then the whole process ends."""
    stopping = asyncio.Event()
    _stop_on_sigterm(stopping)
    parts = await _parts(given)
    ready = asyncio.Event()
    server = await serve(Checks(lambda: _is_alive(parts), ready.is_set), given.http_port)
    try:
        await _until(stopping, _served(parts.client))
        if not stopping.is_set():
            await _work(parts, given, ready, stopping)
    finally:
        await server.cleanup()
        await parts.states.close()
        await parts.client.close()


def _stop_on_sigterm(stopping: asyncio.Event) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)


async def _parts(given: Environment) -> Parts:
    client, states, store, claims = await connect(), States(), Store(), Claims()
    here, installed = given.installation.namespace, bool(given.installation.activators)
    activators = Activators(client, here, installed=installed)
    recorder = Recorder(client, time.time)
    objects, ports = Objects(client, store), Ports()
    surroundings = Surroundings(objects, states, claims, recorder, activators, ports)
    reconciler = Reconciler(surroundings, given.installation)
    queue: WorkQueue[Key] = WorkQueue(reconciler.reconcile)
    reconciler.look_at = queue.add
    activators.on_change = lambda: look_at_all(queue, store, SPREAD_SECONDS, asleep=0.0)
    rounds = Rounds(
        client, objects, store, queue, ports, activators, given.installation, given.watch_namespaces
    )
    doors = Doors(queue, Books(ReferenceIndex(), claims, store))
    # A container that restarts in its pod is another candidate: its last life may not be over.
    identity = f"{given.pod or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    election = Election(client, given.installation.namespace, given.lease, identity)
    return Parts(client, states, queue, doors, Watches(), election, activators, rounds)


def _is_alive(parts: Parts) -> bool:
    """Whether Lease, watches and queue go on; only a leader has its queue turn.

    While the API server is away or lacks the CRD, none of them has begun.
    """
    if not parts.at_work.is_set():
        return True
    works = not parts.election.is_leader or parts.queue.is_alive()
    return works and parts.election.is_alive() and parts.watches.are_alive()


async def _work(
    parts: Parts, given: Environment, ready: asyncio.Event, stopping: asyncio.Event
) -> None:
    """Watches; and reconciles while leading."""
    parts.at_work.set()
    ending = asyncio.Event()
    watching = asyncio.create_task(_watch(parts, given, ready, ending), name="watch")
    leading = asyncio.create_task(_lead(parts, stopping), name="lead")
    activating = asyncio.create_task(parts.activators.run(), name="activators")
    handing = asyncio.create_task(_take_signal_back(ready, stopping), name="signal")
    try:
        parts_of_it = (watching, leading, activating)
        await asyncio.wait(parts_of_it, return_when=asyncio.FIRST_COMPLETED)
        for part in (leading, activating):
            if part.done():
                part.result()
    finally:
        handing.cancel()
        activating.cancel()
        stopping.set()
        ending.set()
        await asyncio.gather(watching, leading, handing, activating, return_exceptions=True)
    watching.result()


async def _take_signal_back(ready: asyncio.Event, stopping: asyncio.Event) -> None:
    """kopf takes SIGTERM for itself; but there is a Lease to give up before the watches end."""
    await ready.wait()
    _stop_on_sigterm(stopping)


async def _lead(parts: Parts, stopping: asyncio.Event) -> None:
    """Until `stopping` is set: then what is under way is finished, and the Lease given up."""
    await _until(stopping, parts.election.acquire())
    if stopping.is_set():
        await parts.election.release()
        return
    metrics.LEADER.set(1)
    working = asyncio.create_task(parts.rounds.run(), name="queue")
    try:
        await _until(stopping, parts.election.hold())
    except LeaseLost:
        log.error("the Lease is lost: another may lead, so nothing more may be written")
        os._exit(1)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
    metrics.LEADER.set(0)
    await parts.election.release()


async def _until(stopping: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """`work` to its end, or until `stopping` is set."""
    working = asyncio.create_task(work)
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
    elif not working.cancelled():
        working.result()


async def _served(client: Client) -> None:
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


async def _watch(
    parts: Parts, given: Environment, ready: asyncio.Event, ending: asyncio.Event
) -> None:
    """kopf's events until `ending` is set."""
    log.info("watching; proxies run %s", given.installation.proxy_image.name)
    parts.watches.begin(WATCHED, given.watch_namespaces)
    await kopf.operator(
        registry=register(parts.doors, parts.watches.login),
        settings=operator_settings(),
        standalone=True,
        clusterwide=not given.watch_namespaces,
        namespaces=given.watch_namespaces,
        # kopf would ask for the user's name, and a container's user may have none.
        identity=socket.gethostname(),  # type: ignore[arg-type]
        ready_flag=ready,
        stop_flag=ending,
    )


if __name__ == "__main__":
    sys.exit(main())
