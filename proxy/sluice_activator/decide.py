"""What an activator decides, as functions on values: seconds in, addresses and sentences out."""

from collections.abc import Collection, Mapping
from typing import Final

from sluice_activator.slices import READY, TERMINATING, UNREADY, Key, Pods, Registration

DEADLINE: Final = 30.0
"""Seconds that a client is held at most."""

FIRST_BYTES_WITHIN: Final = 60.0
"""Seconds for a client's first message, as PostgreSQL's authentication_timeout."""

HELD_MAX: Final = 1000
"""Clients held for one proxy."""

HELD_MAX_OF_ALL: Final = 10_000
"""Clients held, and connections that have not said who they are, at one activator."""

DIAL_EVERY: Final = 0.05
"""Seconds between two dials to an address that does not answer; they overlap."""

DIAL_SLOWLY: Final = 0.5
"""The same when nothing was heard of the proxy's pods for DIAL_EAGERLY seconds."""

DIAL_EAGERLY: Final = 5.0

DIAL_TIMEOUT: Final = 1.0
"""Seconds until a dial, with the pod's proof, is given up."""

DIALS_MAX: Final = 32
"""Dials of one proxy that are under way at once."""

HINT_LIVES: Final = 10.0
"""Seconds for which a pod's hello counts."""

TRIES: Final = 6
"""How many pods may hang up on a client without a byte: they mean this client."""

# The part of the wanted ports that may be missing.
_FAILED_PORTS: Final = 0.1
_LOOKS: Final = (0.25, 0.5, 1.0)
# Seconds after which a pod that ends is better than none that answers: it ends its clients, too.
_PATIENCE: Final = 3.0
_RETRY: Final = 0.1
_MAY_HAVE_CLIENTS: Final = (READY, TERMINATING, UNREADY)


def look_pause(looks: int) -> float:
    """Seconds from the look number `looks` (0: the first) at the scale to the next."""
    return _LOOKS[min(looks, len(_LOOKS) - 1)]


def first_look(candidates: Collection[str], pods: Pods) -> float:
    """Seconds until the first look: at once where no slice tells of a pod that will stay.

    A pod that ends may serve the client, but the proxy is wanted, and has to wake. A hello alone
    is no reason to wait: anybody may say it.
    """
    staying = any(pods.get(address, TERMINATING) != TERMINATING for address in candidates)
    return _LOOKS[0] if staying else 0.0


def retry_pause(tries: int) -> float:
    """Seconds before a client goes to a pod again after `tries` hung up on it."""
    return float(_RETRY * 2 ** (tries - 1))


def candidates(
    pods: Pods, hints: Collection[str], strangers: Collection[str], waited: float
) -> list[str]:
    """Whom to dial, best first: who said hello, ready ones, others.

    Pods that end come last, and only where no other has answered for some seconds: who comes
    to one of them will have to leave it.
    """
    ranks = _ranks(pods, hints, strangers)
    staying = sorted((a for a in ranks if ranks[a] != TERMINATING), key=ranks.__getitem__)
    ending = [a for a in ranks if ranks[a] == TERMINATING]
    return staying + ending if waited >= _PATIENCE else staying


def for_cancel(pods: Pods, hints: Collection[str], strangers: Collection[str]) -> list[str]:
    """Whom a CancelRequest is offered to, best first: those that may have its client.

    Pods that end may well have it while the next ones start.
    """
    ranks = _ranks(pods, hints, strangers)
    return sorted(ranks, key=lambda address: _MAY_HAVE_CLIENTS.index(ranks[address]))


def _ranks(pods: Pods, hints: Collection[str], strangers: Collection[str]) -> Pods:
    ranks = {address: READY for address in hints} | pods
    return {address: rank for address, rank in ranks.items() if address not in strangers}


def patience(waited: float) -> float:
    """In how many seconds pods that end are dialled, too; for ever if they are already."""
    return _PATIENCE - waited if waited < _PATIENCE else float("inf")


def pods_are_up(pods: Pods, hints: Collection[str]) -> bool:
    """Whether there is any pod that a CancelRequest could be for."""
    return bool(hints) or any(rank != UNREADY for rank in pods.values())


def too_few_ports(failed: int, wanted: int) -> bool:
    """Whether so many ports cannot be had that clients had better go to another activator.

    A single one, or few of many, are in somebody else's hand: there too, perhaps, and all other
    proxies need this activator.
    """
    return failed > 1 and failed > wanted * _FAILED_PORTS


def dial_pause(since_news: float) -> float:
    """Seconds between two dials; `since_news`: since anything was heard of the pods."""
    return DIAL_EVERY if since_news < DIAL_EAGERLY else DIAL_SLOWLY


def wake_patch(scale: Mapping[str, object], replicas: int) -> dict[str, object] | None:
    """The merge patch that wakes, None where nothing is asleep.

    With the resourceVersion that was read: whoever was faster stays (409).
    """
    spec, metadata = scale.get("spec"), scale.get("metadata")
    assert isinstance(metadata, Mapping)
    if replicas < 1 or (isinstance(spec, Mapping) and spec.get("replicas")):
        return None
    return {
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "spec": {"replicas": replicas},
    }


def sentence(proxy: Key, registration: Registration | None, reason: str, api_error: str) -> str:
    """Why a client that was held is sent away; `reason` is what the metrics call it."""
    whole = f"{proxy[0]}/{proxy[1]}"
    if registration is None:
        return f"the database proxy {whole} is gone"
    if reason == "full":
        return f"too many clients wait for the database proxy {whole} to wake"
    if reason == "hung_up":
        return f"the pods of the database proxy {whole} end connections without an answer"
    if reason == "shutdown":
        return f"the activator of the database proxy {whole} shuts down"
    return f"the database proxy {whole} sleeps and {_cause(registration, api_error)}"


def _cause(registration: Registration, api_error: str) -> str:
    if registration.trouble:
        return f"its pods cannot start: {registration.trouble}"
    if api_error:
        return f"cannot be woken: {api_error}"
    return f"its pods did not start within {DEADLINE:.0f} seconds"


def advice(proxy: Key) -> str:
    """Where to look."""
    return f"Try again; `kubectl describe databaseproxy {proxy[1]} -n {proxy[0]}` tells more."
