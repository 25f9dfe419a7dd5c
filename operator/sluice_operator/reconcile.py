"""The one funnel: observe, resolve, desired, plan, apply, status.

Everything is read once, then decided, then written; nothing in between touches the
network. It does not matter which event led here, or how many were missed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sluice_operator import metrics, names
from sluice_operator.api import conditions
from sluice_operator.api.manifest import InvalidManifest, parse
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.cluster.client import Client
from sluice_operator.cluster.errors import Forbidden, Gone, Rejected
from sluice_operator.cluster.observe import observe
from sluice_operator.decide import egress
from sluice_operator.decide.observed import ChildKey, Observed, Pod, child_key
from sluice_operator.decide.plan import Plan, plan
from sluice_operator.decide.poke import poke
from sluice_operator.decide.references import Key
from sluice_operator.decide.resolve import Installation, Missing, owner_of, resolve
from sluice_operator.decide.state import ProxyState
from sluice_operator.decide.status import Seen, next_look, status
from sluice_operator.desired.inputs import Inputs
from sluice_operator.desired.manifest import Manifest
from sluice_operator.desired.objects import desired_objects
from sluice_operator.proxies.states import States

log = logging.getLogger(__name__)

POOL_SECONDS = 60.0
"""The pool's figures are written at most so often."""

SETTLE_SECONDS = 3.0
"""How long one look waits for pods to take a new document."""

SETTLE_STEP = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of planning and applying."""

    inputs: Inputs | None
    missing: Missing | None
    deployment: Manifest | None = None


class Reconciler:
    """Looks at one DatabaseProxy at a time; the queue sees to that."""

    def __init__(
        self,
        client: Client,
        states: States,
        installation: Installation,
        clock: Callable[[], float] = time.time,
    ):
        self._client = client
        self._states = states
        self._installation = installation
        self._clock = clock
        self._pool_written: dict[Key, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """In how many seconds to look again; None if the proxy is gone. Raises ApiError."""
        with metrics.RECONCILE_SECONDS.time():
            try:
                again = await self._reconcile(key)
            except Exception:
                metrics.RECONCILES.labels("error").inc()
                raise
        metrics.RECONCILES.labels("done").inc()
        return again

    async def _reconcile(self, key: Key) -> float | None:
        manifest = await self._client.get(names.KIND, *key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            # The children go by their ownerReferences.
            self._pool_written.pop(key, None)
            return None
        try:
            proxy = parse(manifest)
        except InvalidManifest as error:
            path, sentence = error.problems[0]
            missing = Missing(conditions.ACCEPTED, "Invalid", path, sentence)
            return await self._report(manifest, Outcome(None, missing), (), {})
        observed = await observe(self._client, proxy)
        outcome = await self._carry_out(proxy, observed)
        states = await self._settle(outcome, observed.pods, key[0])
        return await self._report(manifest, outcome, observed.pods, states)

    async def _carry_out(self, proxy: DatabaseProxy, observed: Observed) -> Outcome:
        resolution = resolve(proxy, observed, self._installation, self._clock())
        inputs, missing = resolution.inputs, resolution.missing
        if inputs is None:
            return Outcome(None, missing)
        todo = plan(desired_objects(inputs), observed.children, owner_of(proxy))
        if todo.taken:
            return Outcome(None, _name_taken(todo.taken, proxy.metadata.namespace))
        key = ("Deployment", names.workload(proxy.metadata.name))
        try:
            # What the last good document needs may be unknown to a spec that is not whole.
            applied = await self._apply(todo, delete=missing is None)
        except (Rejected, Forbidden) as error:
            refused = Missing(conditions.ACCEPTED, type(error).__name__, "", error.message)
            return Outcome(inputs, refused, observed.children.get(key))
        return Outcome(inputs, missing, applied.get(key, observed.children.get(key)))

    async def _apply(self, todo: Plan, *, delete: bool) -> dict[ChildKey, Manifest]:
        applied = {}
        for manifest in todo.apply:
            applied[child_key(manifest)] = await self._client.apply(manifest)
            _wrote("applied", manifest)
        for manifest in todo.delete if delete else ():
            await self._client.delete(manifest)
            _wrote("deleted", manifest)
        return applied

    async def _settle(
        self, outcome: Outcome, pods: tuple[Pod, ...], namespace: str
    ) -> Mapping[str, ProxyState]:
        """What the pods say; pods with an old document are poked and given a moment."""
        serving = [item for item in pods if item.serving]
        states = await self._states.of(serving)
        if outcome.inputs is None or not await self._poke(outcome, serving, states, namespace):
            return states
        wanted, deadline = _hash(outcome), time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not _all_settled(states, wanted):
            await asyncio.sleep(SETTLE_STEP)
            states = await self._states.of(serving)
        return states

    async def _poke(
        self,
        outcome: Outcome,
        pods: list[Pod],
        states: Mapping[str, ProxyState],
        namespace: str,
    ) -> bool:
        """Touches the pods that need it; whether there was one."""
        now, wanted = self._clock(), _hash(outcome)
        touches = {item.name: poke(item, states.get(item.name), wanted, now) for item in pods}
        poked = {name: value for name, value in touches.items() if value is not None}
        await asyncio.gather(
            *(self._annotate(namespace, name, value) for name, value in poked.items())
        )
        return bool(poked)

    async def _annotate(self, namespace: str, name: str, value: str) -> None:
        try:
            await self._client.annotate("Pod", namespace, name, {names.CONFIG_HASH: value})
            metrics.WRITES.labels("Pod").inc()
        except Gone:
            return  # it ended meanwhile, and needs no document

    async def _report(
        self,
        manifest: Manifest,
        outcome: Outcome,
        pods: tuple[Pod, ...],
        states: Mapping[str, ProxyState],
    ) -> float:
        seen = _seen(manifest, outcome, pods, states)
        metadata, old, now = manifest["metadata"], manifest.get("status") or {}, self._clock()
        key = (metadata["namespace"], metadata["name"])
        due = now - self._pool_written.get(key, 0.0) >= POOL_SECONDS
        new = status(seen, old, now, pool_due=due)
        if new != old:
            await self._write_status(metadata, new)
        if due:
            self._pool_written[key] = now
        return next_look(seen)

    async def _write_status(self, metadata: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
            "status": dict(new),
        }
        try:
            await self._client.apply_status(body)
            metrics.WRITES.labels(names.KIND).inc()
            log.info("%s/%s: %s", metadata["namespace"], metadata["name"], _story(new))
        except Gone:
            return  # deleted meanwhile


def _wrote(deed: str, manifest: Manifest) -> None:
    kind, metadata = manifest["kind"], manifest["metadata"]
    metrics.WRITES.labels(kind).inc()
    log.info("%s %s %s/%s", deed, kind, metadata["namespace"], metadata["name"])


def _seen(
    manifest: Manifest, outcome: Outcome, pods: tuple[Pod, ...], states: Mapping[str, ProxyState]
) -> Seen:
    inputs = outcome.inputs
    return Seen(
        generation=manifest["metadata"]["generation"],
        inputs=inputs,
        missing=outcome.missing,
        notes=() if inputs is None else egress.notes(inputs.spec, inputs.egress),
        config_hash="" if inputs is None else _hash(outcome),
        deployment=outcome.deployment,
        pods=pods,
        states=states,
    )


def _story(status: Mapping[str, Any]) -> str:
    ready = next(c for c in status["conditions"] if c["type"] == conditions.READY)
    return f"{status['phase']}, Ready={ready['status']} {ready['reason']}: {ready['message']}"


def _hash(outcome: Outcome) -> str:
    assert outcome.inputs is not None
    return outcome.inputs.config_hash


def _all_settled(states: Mapping[str, ProxyState], wanted: str) -> bool:
    return all(state.config_hash == wanted or state.config_error for state in states.values())


def _name_taken(taken: tuple[ChildKey, ...], namespace: str) -> Missing:
    kind, name = taken[0]
    sentence = (
        f"{kind} {namespace}/{name} exists and does not belong to this DatabaseProxy: "
        "rename one of them"
    )
    return Missing(conditions.ACCEPTED, "NameTaken", "metadata.name", sentence)
