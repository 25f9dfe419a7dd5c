"""The fleet of one proxy as the rules of the budget see it: from pods and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sluice_operator import names
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.decide import budget
from sluice_operator.decide.budget import Division, Member, Memory, Question
from sluice_operator.decide.observed import Observed, Pod
from sluice_operator.decide.pause import scale_of
from sluice_operator.decide.state import ProxyState
from sluice_proxy.config import Fleet, ProxyConfig, digest, dump


@dataclass(frozen=True, slots=True)
class Crew:
    """The pods of a proxy, what they said, and what was remembered of them.

    `finished` are those whose containers have ended for good.
    """

    pods: tuple[Pod, ...]
    states: Mapping[str, ProxyState]
    memory: Memory
    finished: frozenset[str] = frozenset()


def division(
    spec: Spec, previous: ProxyConfig | None, crew: Crew, now: float, sleep: int | None = None
) -> Division:
    """The shares of the budget from now on; `now` is seconds.

    `sleep` is to how many pods the activators were told to wake a proxy that is asleep; None for
    one that is not. Until they are told of fewer, there is room for so many.
    """
    present = Fleet() if previous is None else previous.fleet
    served = "" if previous is None else digest(dump(previous))
    found = budget.divide(
        Question(
            replicas=max(spec.replicas, sleep or 0),
            budget=known_budget(spec, previous, crew.states),
            fleet=present,
            members=members(crew, served),
            memory=crew.memory,
            now=now,
            asleep=sleep is not None,
            finished=crew.finished,
        )
    )
    if previous is None:
        return replace(found, fits=True)
    return found


def members(crew: Crew, served: str) -> tuple[Member, ...]:
    """The newest pod first; `served` names the document that all should have taken."""
    return budget.order(
        [(pod.created, _member(pod, crew.states.get(pod.name), served)) for pod in crew.pods]
    )


def known_budget(
    spec: Spec, previous: ProxyConfig | None, states: Mapping[str, ProxyState]
) -> int | None:
    """B as the pods tell it, the smallest where they differ; None while none knows it.

    After a change of the percent it is computed from what they know of the server: a pod for
    which that is too much, because some of it is reserved, scales its share down by itself.
    """
    percent = spec.connection_pool.max_connections_percent
    if previous is not None and previous.pool.max_connections_percent != percent:
        known = (t.max_connections for state in states.values() for t in state.targets)
        most = min((number for number in known if number is not None), default=None)
        return None if most is None else percent * most // 100
    told = (state.fleet_budget for state in states.values())
    return min((number for number in told if number is not None), default=None)


def replicas(spec: Spec, observed: Observed, proxy: str, *, fits: bool) -> int:
    """How many pods the Deployment may have: more of them only when there is room for all.

    One that sleeps has the room of all that may be woken.
    """
    present = scale_of(observed.children.get(("Deployment", names.workload(proxy))))
    return min(present, spec.replicas) if present and not fits else spec.replicas


def _member(pod: Pod, state: ProxyState | None, served: str) -> Member:
    if state is None:
        return Member(pod.name, running=pod.running, terminating=pod.terminating)
    return Member(
        name=pod.name,
        terminating=pod.terminating,
        limit=state.pool.budget,
        open=state.pool.open,
        current=state.draining or state.config_hash == served,
    )
