"""The one funnel: observe, resolve, desired, plan, apply, status.

Everything is read once, then decided, then written; nothing in between touches the
network. It does not matter which event led here, or how many were missed.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sluice_operator import metrics, names
from sluice_operator.api import conditions
from sluice_operator.api.manifest import InvalidManifest, parse
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.cluster.activators import Activators
from sluice_operator.cluster.errors import ApiError, Forbidden, Gone, Rejected
from sluice_operator.cluster.objects import Objects
from sluice_operator.cluster.recorder import Recorder
from sluice_operator.decide import outcome as outcomes
from sluice_operator.decide.budget import HOLD_SECONDS, Memory
from sluice_operator.decide.event_objects import About
from sluice_operator.decide.events import changes, events, failing, woke
from sluice_operator.decide.fallback import slice_made, slice_port
from sluice_operator.decide.fleet import Crew
from sluice_operator.decide.observed import ChildKey, Observed, child_key
from sluice_operator.decide.outcome import Failure, Outcome, Sight, Subject
from sluice_operator.decide.overcommit import Claims
from sluice_operator.decide.plan import Plan, differing, plan
from sluice_operator.decide.poke import poke
from sluice_operator.decide.ports import Ports
from sluice_operator.decide.references import Key
from sluice_operator.decide.resolve import Installation, Missing, owner_of, resolve
from sluice_operator.decide.status import next_look, status
from sluice_operator.decide.wake import Wake
from sluice_operator.desired.activator_policy import activator_policy
from sluice_operator.desired.manifest import Manifest, Owner
from sluice_operator.desired.objects import desired_objects
from sluice_operator.proxies.states import States
from sluice_operator.scaling import Scaler

log = logging.getLogger(__name__)

DUE_SECONDS = 60.0
"""What changes all the time, as the pool's figures do, is written at most so often."""

FRESH_SECONDS = 600.0
"""So often everything around a proxy is read anew: a watch may have missed a deletion."""

SOON = 0.3
"""Seconds to the next look while pods are taking a document."""

SOON_FOR = 20.0
"""Seconds after which such looks become rarer: whoever takes that long may take for ever."""

LATER = 2.0

CLOCKS_APART = 2.0
"""Seconds by which the clocks of two pods may differ."""


@dataclass(slots=True)
class Trail:
    """What is kept of one proxy between two looks; times are seconds, of the clock given."""

    memory: Memory = field(default_factory=Memory)
    fresh_due: float = 0.0
    written: float = 0.0
    restless_since: float | None = None
    failing: frozenset[str] = frozenset()
    asleep_since: float | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a look looks at, and where it tells what it saw."""

    objects: Objects
    states: States
    claims: Claims
    recorder: Recorder
    activators: Activators
    ports: Ports = field(default_factory=Ports)


class Unwritten(Exception):
    """What the API server said to the write of an object."""

    def __init__(self, what: str, error: ApiError):
        super().__init__(f"{what}: {error.message}")
        self.error = error


class Reconciler:
    """Looks at one DatabaseProxy at a time; the queue sees to that."""

    def __init__(
        self,
        surroundings: Surroundings,
        installation: Installation,
        clock: Callable[[], float] = time.time,
    ):
        self._objects = surroundings.objects
        self._states = surroundings.states
        self._claims = surroundings.claims
        self._recorder = surroundings.recorder
        self._activators = surroundings.activators
        self._ports = surroundings.ports
        self._scaler = Scaler(self._objects, self._states, self._activators)
        self._installation = installation
        self._clock = clock
        self._trails: dict[Key, Trail] = {}
        self.look_at: Callable[[Key], None] = lambda _: None
        """Set by whoever owns the queue: a proxy that has to be looked at for another's sake."""

    async def reconcile(self, key: Key) -> float | None:
        """In how many seconds to look again; None if only an event can lead to anything, or the
        proxy is gone. Raises ApiError."""
        with metrics.RECONCILE_SECONDS.time():
            try:
                again = await self._reconcile(key)
            except Exception:
                metrics.RECONCILES.labels("error").inc()
                raise
        metrics.RECONCILES.labels("done").inc()
        return again

    async def _reconcile(self, key: Key) -> float | None:
        trail = self._trails.setdefault(key, Trail())
        fresh = self._is_fresh_due(trail)
        manifest = await self._objects.proxy(key, fresh=fresh)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            await self._forget(key)
            return None
        try:
            proxy = parse(manifest)
        except InvalidManifest as error:
            again = await self._refuse(manifest, error, fresh=fresh)
            return self._restless(trail, again, settled=True)
        observed = self._with_fallback(key, await self._objects.around(proxy, fresh=fresh))
        sight = Sight(observed.pods, await self._states.of(observed.pods))
        outcome = await self._act(proxy, observed, sight, trail)
        outcome = await self._poke(outcome, sight, key[0])
        outcome = await self._rest(proxy, outcome, observed, sight)
        outcome = await self._let_in(outcome, fresh=fresh)
        if outcome.inputs is None or outcome.suspended or outcome.failure is not None:
            may_wake = not outcome.suspended
            await self._scaler.keep_reachable(observed, owner_of(proxy), may_wake=may_wake)
        subject = Subject(manifest, proxy.spec.replicas, self._claims.overcommit(key))
        if outcome.failure is not None:
            await self._report_failure(subject, outcome, sight)
            raise outcome.failure.error
        again = await self._report(subject, outcome, sight)
        settled = outcome.settled and not outcomes.is_behind(outcome, sight)
        if trail.memory.missing:
            # Their shares are held for a while, whatever else happens.
            again = HOLD_SECONDS if again is None else min(again, HOLD_SECONDS)
        return self._restless(trail, again, settled=settled)

    async def _forget(self, key: Key) -> None:
        """Children go by their ownerReferences; what has no owner goes now."""
        if self._installation.activator_policies:
            name = names.activator_policy(key[1], key[0])
            await self._objects.withdraw("NetworkPolicy", self._installation.namespace, name)
        self._ports.free(key)
        del self._trails[key]

    def _with_fallback(self, key: Key, observed: Observed) -> Observed:
        """`observed` with who can stand in for the pods, and where."""
        live = observed.children.get(("EndpointSlice", names.fallback_slice(key[1])))
        moved = None if live is None else self._ports.see(key, slice_port(live), slice_made(live))
        if moved not in (None, key):
            self.look_at(moved)
        listed = self._activators.listed()
        return replace(observed, activators=listed, port=self._ports.port(key))

    async def _let_in(self, outcome: Outcome, *, fresh: bool) -> Outcome:
        """The clients of the proxy to the activators: a policy stands before these."""
        inputs = outcome.inputs
        if not self._installation.activator_policies or inputs is None or outcome.suspended:
            return outcome
        if inputs.fallback is None or outcome.failure is not None:
            return outcome
        policy = activator_policy(inputs, inputs.fallback)
        try:
            todo = differing(policy, await self._objects.beside(policy, fresh=fresh))
            if todo is not None:
                await self._objects.apply(todo)
        except ApiError as error:
            return replace(outcome, failure=Failure(f"{_what(policy)}: {error.message}", error))
        return outcome

    async def _rest(
        self, proxy: DatabaseProxy, outcome: Outcome, observed: Observed, sight: Sight
    ) -> Outcome:
        """Pauses, wakes, or brings the Deployment to the size that it shall have."""
        if outcome.inputs is None:
            return replace(outcome, pause=self._scaler.standing(observed, proxy.metadata.name))
        try:
            outcome = await self._scaler.scale(proxy.spec.auto_pause, outcome, observed, sight)
        except ApiError as error:
            what = f"the scale of Deployment {names.workload(proxy.metadata.name)}: {error.message}"
            return replace(outcome, failure=Failure(what, error))
        return outcome

    def _is_fresh_due(self, trail: Trail) -> bool:
        now = self._clock()
        if now < trail.fresh_due:
            return False
        trail.fresh_due = now + FRESH_SECONDS * random.uniform(0.5, 1.5)
        return True

    async def _refuse(
        self, manifest: Mapping[str, Any], error: InvalidManifest, *, fresh: bool
    ) -> float | None:
        """Changes nothing, and goes on telling of what serves."""
        metadata = manifest["metadata"]
        owner = Owner(metadata["name"], metadata["namespace"], metadata["uid"])
        key = (owner.namespace, owner.name)
        # Its port, too: else another proxy could be given it.
        made = self._with_fallback(key, await self._objects.made(key, fresh=fresh))
        sight = Sight(made.pods, await self._states.of(made.pods))
        outcome = outcomes.refused(outcomes.invalid(error), made, owner)
        outcome = replace(outcome, pause=self._scaler.standing(made, owner.name))
        await self._scaler.keep_reachable(made, owner, may_wake=True)
        return await self._report(Subject(manifest), outcome, sight)

    async def _act(
        self, proxy: DatabaseProxy, observed: Observed, sight: Sight, trail: Trail
    ) -> Outcome:
        crew = Crew(sight.pods, sight.states, trail.memory, observed.finished)
        resolution = resolve(proxy, observed, crew, self._installation, self._clock())
        if proxy.spec.suspend:
            name = proxy.metadata.name
            return outcomes.suspended(resolution.inputs, resolution.missing, observed, name)
        inputs, missing = resolution.inputs, resolution.missing
        if inputs is None:
            return Outcome(None, missing)
        trail.memory = resolution.division.memory
        todo, children = await self._plan(proxy, desired_objects(inputs), observed)
        if todo.taken:
            taken = outcomes.name_taken(todo.taken, proxy.metadata.namespace)
            return outcomes.refused(taken, observed, inputs.owner)
        live = children.get(("Deployment", names.workload(proxy.metadata.name)))
        done = Outcome(inputs, missing, live, inputs.config_hash)
        try:
            # What the last good document needs may be unknown to a spec that is not whole.
            applied = await self._apply(todo, delete=missing is None or not missing.halts)
        except Unwritten as failed:
            return _unwritten(done, failed)
        is_new = ("Secret", names.config_secret(proxy.metadata.name)) in applied
        return replace(
            done,
            deployment=applied.get(("Deployment", names.workload(proxy.metadata.name)), live),
            settled=resolution.division.settled and not is_new,
            changes=changes(resolution.previous, inputs),
        )

    async def _plan(
        self, proxy: DatabaseProxy, desired: tuple[Manifest, ...], observed: Observed
    ) -> tuple[Plan, Mapping[ChildKey, Manifest]]:
        """What to do, and the children it rests on: the store may not know one, or it is
        somebody else's and carries none of our labels."""
        owner, children = owner_of(proxy), observed.children
        todo = plan(desired, children, owner)
        unseen = [key for key in map(child_key, todo.apply) if key not in children]
        if not unseen:
            return todo, children
        found = await self._objects.named(proxy.metadata.namespace, unseen)
        children = {**children, **found}
        return plan(desired, children, owner), children

    async def _apply(self, todo: Plan, *, delete: bool) -> dict[ChildKey, Manifest]:
        """Raises Unwritten."""
        applied = {}
        try:
            for manifest in todo.apply:
                applied[child_key(manifest)] = await self._objects.apply(manifest)
                log.info("applied %s", _what(manifest))
            for manifest in todo.delete if delete else ():
                await self._objects.delete(manifest)
                log.info("deleted %s", _what(manifest))
        except ApiError as error:
            raise Unwritten(_what(manifest), error) from error
        return applied

    async def _poke(self, outcome: Outcome, sight: Sight, namespace: str) -> Outcome:
        """Touches the pods that have not taken the document yet."""
        if outcome.inputs is None or outcome.suspended or outcome.failure is not None:
            return outcome
        now, wanted = self._clock(), outcome.config_hash
        touches = {
            pod.name: poke(pod, sight.states.get(pod.name), wanted, now) for pod in sight.pods
        }
        try:
            await asyncio.gather(
                *(self._touch(namespace, pod, text) for pod, text in touches.items() if text)
            )
        except Unwritten as failed:
            return replace(outcome, failure=Failure(str(failed), failed.error))
        return outcome

    async def _touch(self, namespace: str, pod: str, text: str) -> None:
        try:
            await self._objects.annotate("Pod", namespace, pod, names.CONFIG_HASH, text)
        except Gone:
            return  # it ended meanwhile, and needs no document
        except ApiError as error:
            raise Unwritten(f"Pod {namespace}/{pod}", error) from error

    async def _report(self, subject: Subject, outcome: Outcome, sight: Sight) -> float | None:
        seen = outcomes.seen(subject, outcome, sight)
        metadata, now = subject.metadata, self._clock()
        old = subject.manifest.get("status") or {}
        trail = self._trails[metadata["namespace"], metadata["name"]]
        due = now - trail.written >= DUE_SECONDS
        new = status(seen, old, now, due=due)
        if new != old:
            await self._write_status(metadata, new)
        if due:
            trail.written = now
        about = About(metadata["namespace"], metadata["name"], metadata["uid"])
        trail.failing = failing(trail.failing, old)
        changed = replace(outcome.changes, failing=trail.failing)
        if outcome.pause.asleep:
            trail.asleep_since = trail.asleep_since or now
        if woke(old, new):
            changed = replace(changed, woken=await self._who_woke(about, trail))
        await self._recorder.record(about, events(old, new, changed))
        return next_look(seen)

    async def _who_woke(self, about: About, trail: Trail) -> Wake | None:
        """What an activator tells of this wake, and not of one before it."""
        key, since = (about.namespace, about.name), trail.asleep_since
        trail.asleep_since = None
        wake = await self._states.wake(key, self._activators.ready())
        return None if wake is None or wake.at < (since or 0.0) - CLOCKS_APART else wake

    async def _report_failure(self, subject: Subject, outcome: Outcome, sight: Sight) -> None:
        """As far as the API server lets it be told; the error itself goes to the queue."""
        try:
            await self._report(subject, outcome, sight)
        except ApiError as error:
            name = "/".join((subject.metadata["namespace"], subject.metadata["name"]))
            log.warning("%s: the status was not written: %s", name, error)

    async def _write_status(self, metadata: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
            "status": dict(new),
        }
        try:
            await self._objects.apply_status(body)
            log.info("%s/%s: %s", metadata["namespace"], metadata["name"], _story(new))
        except Gone:
            return  # deleted meanwhile

    def _restless(self, trail: Trail, again: float | None, *, settled: bool) -> float | None:
        """Sooner than otherwise while pods are awaited, of which no event tells."""
        if settled:
            trail.restless_since = None
            return again
        now = self._clock()
        trail.restless_since = now if trail.restless_since is None else trail.restless_since
        soon = SOON if now - trail.restless_since < SOON_FOR else LATER
        return soon if again is None else min(again, soon)


def _unwritten(done: Outcome, failed: Unwritten) -> Outcome:
    """What is refused for good is a fault of the spec or the cluster; all else may pass."""
    error = failed.error
    if isinstance(error, (Rejected, Forbidden)):
        refused = Missing(conditions.ACCEPTED, type(error).__name__, "", error.message)
        return replace(done, missing=refused)
    return replace(done, failure=Failure(str(failed), error))


def _what(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}"


def _story(status: Mapping[str, Any]) -> str:
    ready = next(c for c in status["conditions"] if c["type"] == conditions.READY)
    return f"{status['phase']}, Ready={ready['status']} {ready['reason']}: {ready['message']}"
