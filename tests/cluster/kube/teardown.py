"""`down`: the cluster, then our engine; and the proof that nothing of them is left."""

from kube import engine as engines
from kube import kindcluster, machine, places
from kube.engine import Engine
from kube.progress import Trouble, say

_IMAGES = ("sluice/*", "kube.local/*")


def down() -> None:
    """Removes every trace; caches of what was built stay."""
    before = engines.before()
    if (engine := _engine()) is not None:
        kindcluster.delete(engine)
        others = kindcluster.clusters(engine)
        if others:
            say(f"the Docker engine stays: it has other clusters ({', '.join(others)})")
            return
        if not engine.ours:
            _clean_foreign(engine)
    engines.stop()
    _report(before)


def _engine() -> Engine | None:
    """The engine to clean; one of ours that died is started again, since it knows its things."""
    running = engines.running()
    if running is None and engines.was_started():
        return engines.needed()
    return running


def _clean_foreign(engine: Engine) -> None:
    """The machine's own engine goes on, without our images and kind's network."""
    for pattern in _IMAGES:
        found = engine.docker("images", "--quiet", pattern).split()
        if found:
            engine.docker("image", "rm", "--force", *sorted(set(found)))
    if "kind" in engine.docker("network", "ls", "--format", "{{.Name}}").split():
        engine.docker("network", "rm", "kind")


def _report(before: machine.Before | None) -> None:
    left = leftovers(before)
    if left:
        raise Trouble("left behind:\n" + "\n".join(f"  {line}" for line in left))
    say("nothing is left but the caches in " + str(places.CACHE))


def leftovers(before: machine.Before | None) -> list[str]:
    """What a cluster and an engine of ours would leave: empty is how it has to be."""
    found = [f"process {pid}" for pid in engines.processes()]
    found += [f"mount {point}" for point in machine.mounts_below(places.ENGINE)]
    found += [str(path) for path in (places.ENGINE, places.STATE) if path.exists()]
    if before is not None:
        found += machine.differences(before)
    return found


def status() -> str:
    """What is there, in a few lines."""
    lines = [f"cluster {places.CLUSTER}: {'up' if kindcluster.healthy() else 'not up'}"]
    engine = engines.running()
    if engine is None:
        lines.append("Docker engine: none answers")
    else:
        lines.append(f"Docker engine: {'ours' if engine.ours else 'of this machine'}")
    if kindcluster.healthy():
        lines += [kindcluster.describe(), f"KUBECONFIG={places.KUBECONFIG}"]
    return "\n".join(lines)
