"""From spec and cluster to inputs, or to what is missing with the last good document."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

from sluice_operator.api.manifest import parse
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.decide.budget import Memory
from sluice_operator.decide.fleet import Crew
from sluice_operator.decide.observed import Observed, Pod, child_key
from sluice_operator.decide.outcome import Outcome, Sight, Subject, seen
from sluice_operator.decide.resolve import Installation, Resolution, resolve
from sluice_operator.decide.state import PoolState, ProxyState
from sluice_operator.desired.certificates import LEAF_LIFE, Kept, issued
from sluice_operator.desired.inputs import Inputs, ProxyImage
from sluice_operator.desired.objects import desired_objects
from sluice_operator.names import dns_names
from sluice_proxy.config import Fleet, PodShare
from sluice_testing.specs import manifest

NOW = 1_800_000_000.0
HERE = Installation(ProxyImage("sluice/proxy:1"), "sluice-system", ("monitoring",))
APP = {"orders-app": {"username": b"app", "password": b"pw"}}
EMPTY = Observed({}, {}, {}, ())
LIFE = LEAF_LIFE.total_seconds()


def proxy(**changes: Any) -> DatabaseProxy:
    changed = {f"spec.{key}": value for key, value in changes.items()}
    return parse(manifest({"metadata.uid": "uid-1", **changed}))


NOBODY = Crew((), {}, Memory())


def solved(observed: Observed, now: float = NOW, crew: Crew = NOBODY, **changes: Any) -> Inputs:
    resolution = resolve(proxy(**changes), observed, crew, HERE, now)
    assert resolution.missing is None
    assert resolution.inputs is not None
    return resolution.inputs


def after(inputs: Inputs, **observed: Any) -> Observed:
    """The cluster once the children of `inputs` were applied."""
    children = {child_key(made): made for made in desired_objects(inputs)}
    return replace(Observed(APP, {}, children, ()), **observed)


def test_what_is_there_becomes_inputs() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    assert [user.name for user in inputs.config.users] == ["app"]
    assert inputs.config.certificate is not None
    assert inputs.ca == inputs.issued.trusted if inputs.issued else False
    assert inputs.image.name == "sluice/proxy:1"


def test_pods_are_told_the_name_of_their_peers_even_by_an_old_document() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    assert inputs.config.peers == "orders-peers.shop.svc"
    old = replace(inputs, config=replace(inputs.config, peers=""))
    broken = resolve(proxy(), after(old, secrets={}), NOBODY, HERE, NOW)
    assert broken.missing is not None
    assert broken.inputs is not None
    assert broken.inputs.config.peers == "orders-peers.shop.svc"


def test_looking_again_changes_nothing() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    assert solved(after(inputs), NOW + 60) == inputs


def test_a_changed_password_keeps_the_previous_one_across_restarts() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    secrets = {"orders-app": {"username": b"app", "password": b"new"}}
    (user,) = solved(after(inputs, secrets=secrets), NOW + 5).config.users
    assert (user.password, user.previous_password) == ("new", "pw")
    assert user.previous_until == NOW + 65


def test_a_grace_that_is_shortened_ends_sooner() -> None:
    """A password that leaked: its Secret changes, and then the grace is taken back."""
    before = solved(Observed(APP, {}, {}, ()))
    secrets = {"orders-app": {"username": b"app", "password": b"new"}}
    changed = after(solved(after(before, secrets=secrets), NOW + 5), secrets=secrets)

    def previous(grace: int) -> tuple[str, float]:
        auth = [{"secretRef": {"name": "orders-app"}, "rotationGraceSeconds": grace}]
        resolution = resolve(proxy(auth=auth), changed, NOBODY, HERE, NOW + 20)
        assert resolution.inputs is not None
        (user,) = resolution.inputs.config.users
        return user.previous_password, user.previous_until

    assert previous(60) == ("pw", NOW + 65)
    assert previous(3600) == ("pw", NOW + 65)
    assert previous(10) == ("pw", NOW + 30)
    assert previous(0) == ("", 0.0)


def told(resolution: Resolution) -> tuple[str, str, str]:
    assert resolution.missing is not None
    return (
        resolution.missing.condition,
        resolution.missing.reason,
        resolution.missing.path,
    )


SECRET_GONE = ("CredentialsReady", "SecretNotFound", "spec.auth[0].secretRef.name")


def test_a_missing_secret_at_the_start_gives_nothing_to_serve() -> None:
    resolution = resolve(proxy(), EMPTY, NOBODY, HERE, NOW)
    assert resolution.inputs is None
    assert told(resolution) == SECRET_GONE


def test_a_missing_secret_later_leaves_the_last_good_document() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    resolution = resolve(
        proxy(idleClientTimeoutSeconds=99), after(inputs, secrets={}), NOBODY, HERE, NOW + 60
    )
    assert told(resolution) == SECRET_GONE
    assert resolution.inputs is not None
    assert resolution.inputs.config == inputs.config


def test_the_last_good_document_still_gets_a_fresh_certificate_of_ours() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    late = NOW + 0.9 * LEAF_LIFE.total_seconds()
    resolution = resolve(proxy(), after(inputs, secrets={}), NOBODY, HERE, late)
    assert resolution.inputs is not None
    assert resolution.inputs.issued is not None
    assert resolution.inputs.config.certificate == resolution.inputs.issued.shown()
    assert resolution.inputs.config.certificate != inputs.config.certificate


def test_a_certificate_of_the_users_stays_in_the_last_good_document() -> None:
    mine = solved(Observed(APP, {}, {}, ())).issued
    assert mine is not None
    data = {"tls.crt": mine.leaf.certificate.encode(), "tls.key": mine.leaf.key.encode()}
    tls = {"secretRef": {"name": "mine"}}
    inputs = solved(Observed({**APP, "mine": data}, {}, {}, ()), tls=tls)
    assert inputs.issued is None
    assert inputs.ca == ""
    resolution = resolve(proxy(tls=tls), after(inputs, secrets={}), NOBODY, HERE, NOW)
    assert resolution.inputs is not None
    assert resolution.inputs.config.certificate == mine.shown()


TLS = {"secretRef": {"name": "mine"}}


def mine(begin: float) -> dict[str, dict[str, bytes]]:
    """Good for 90 days from `begin`, less five minutes."""
    pair = issued("shop/orders", dns_names("orders", "shop"), begin, Kept()).leaf
    return {**APP, "mine": {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode()}}


def shown(resolution: Resolution) -> bytes:
    assert resolution.inputs is not None
    assert resolution.inputs.config.certificate is not None
    return resolution.inputs.config.certificate.chain.encode()


def halted(resolution: Resolution) -> bool:
    assert resolution.missing is not None
    return resolution.missing.halts


EXPIRED = ("CredentialsReady", "CertificateExpired", "spec.tls.secretRef")


def test_an_expired_certificate_is_served_where_there_is_no_better() -> None:
    old = mine(NOW - 2 * LIFE)
    first = resolve(proxy(tls=TLS), Observed(old, {}, {}, ()), NOBODY, HERE, NOW)
    assert told(first) == EXPIRED
    assert shown(first) == old["mine"]["tls.crt"]


def test_passwords_change_while_the_certificate_is_expired() -> None:
    secrets = mine(NOW)
    before = after(solved(Observed(secrets, {}, {}, ()), tls=TLS))
    changed = {**secrets, "orders-app": {"username": b"app", "password": b"new"}}
    late = resolve(proxy(tls=TLS), replace(before, secrets=changed), NOBODY, HERE, NOW + LIFE + 1)
    assert told(late) == EXPIRED
    assert not halted(late)
    assert shown(late) == secrets["mine"]["tls.crt"]
    assert late.inputs is not None
    assert late.inputs.config.users[0].password == "new"


def test_an_expired_certificate_takes_no_good_ones_place() -> None:
    good, old = mine(NOW), mine(NOW - 2 * LIFE)
    before = after(solved(Observed(good, {}, {}, ()), tls=TLS))
    changed = {**old, "orders-app": {"username": b"app", "password": b"new"}}
    resolution = resolve(proxy(tls=TLS), replace(before, secrets=changed), NOBODY, HERE, NOW)
    assert told(resolution) == EXPIRED
    assert halted(resolution)
    assert shown(resolution) == good["mine"]["tls.crt"]
    assert resolution.inputs is not None
    assert resolution.inputs.config.users[0].password == "pw"


def test_a_certificate_of_tomorrow_waits_for_its_day() -> None:
    good, next_one = mine(NOW), mine(NOW + 86400)
    before = after(solved(Observed(good, {}, {}, ()), tls=TLS), secrets=next_one)
    early = resolve(proxy(tls=TLS), before, NOBODY, HERE, NOW)
    assert told(early) == ("CredentialsReady", "CertificateNotYetValid", "spec.tls.secretRef")
    assert shown(early) == good["mine"]["tls.crt"]
    in_time = resolve(proxy(tls=TLS), before, NOBODY, HERE, NOW + 86400)
    assert in_time.missing is None
    assert shown(in_time) == next_one["mine"]["tls.crt"]


def test_what_may_not_be_meant_is_noted() -> None:
    secrets = {**mine(NOW), "orders-app": {"username": b"app", "password": b"pw\n"}}
    observed = Observed(secrets, {}, {}, (), unreadable=frozenset({("data", "db")}))
    targets = [{"host": "db.data"}]
    inputs = solved(observed, NOW + LIFE - 60, tls=TLS, targets=targets)
    fields = [note.split(":")[0] for note in inputs.notes]
    assert fields == [
        "spec.network.databaseCIDRs", "spec.auth[0].secretRef", "spec.tls.secretRef",
    ]  # fmt: skip
    assert "may not read" in inputs.notes[0]
    written = Subject(manifest({"metadata.generation": 1}))
    assert seen(written, Outcome(inputs, None), Sight()).notes == inputs.notes


def test_a_zero_byte_in_a_secret_is_the_secrets_affair() -> None:
    for data in ({"username": b"app", "password": b"p\0"}, {"uri": b"postgres://a:b%00@c"}):
        resolution = resolve(proxy(), Observed({"orders-app": data}, {}, {}, ()), NOBODY, HERE, NOW)
        assert told(resolution) == ("CredentialsReady", "InvalidSecret", "spec.auth[0].secretRef")


def test_a_document_of_somebody_else_is_not_believed() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    stranger = replace(inputs, owner=replace(inputs.owner, uid="uid-0"))
    observed = after(stranger, secrets={})
    assert resolve(proxy(), observed, NOBODY, HERE, NOW).inputs is None


def test_an_unreadable_document_is_as_none() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    observed = after(inputs)
    secret = observed.children["Secret", "orders-proxy-config"]
    for content in (b"{}", b"\xff", b"not JSON"):
        secret["data"]["config.json"] = b64encode(content).decode()
        assert solved(observed, NOW).config.users == inputs.config.users


def test_before_a_pod_has_logged_in_each_takes_a_small_part() -> None:
    assert solved(Observed(APP, {}, {}, ())).config.fleet == Fleet(parts=3)


def crew(inputs: Inputs, *, limit: int) -> Crew:
    """One pod that has taken the document of `inputs`."""
    pod = Pod("p", "10.0.0.1", True, False, "", running=True)
    pool = PoolState(budget=limit, open=limit)
    return Crew((pod,), {"p": ProxyState(inputs.config_hash, "", (), pool, "p", 90)}, Memory())


def test_who_answers_gets_a_share_by_name() -> None:
    inputs = solved(Observed(APP, {}, {}, ()))
    fleet = solved(after(inputs), crew=crew(inputs, limit=3)).config.fleet
    assert fleet == Fleet(total=90, shares=(PodShare("p", 41),), others=3)


def test_more_pods_wait_until_the_others_made_room() -> None:
    """From one pod that has most of the budget to four."""
    first = solved(Observed(APP, {}, {}, ()), replicas=1)
    alone = solved(after(first), crew=crew(first, limit=4), replicas=1)
    taken = crew(alone, limit=82)
    four = solved(after(alone), crew=taken, replicas=4)
    assert four.spec.replicas == 1
    assert four.config.fleet.others == 1
    told = solved(after(four), crew=crew(four, limit=four.config.fleet.shares[0].share), replicas=4)
    assert told.spec.replicas == 4
