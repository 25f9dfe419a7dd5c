"""How sessions begin, and what they go back to."""

from sluice_proxy.pool.key import FOLLOWED, PoolKey
from sluice_proxy.session import profile
from sluice_proxy.session.client_login import Login
from sluice_proxy.session.inspection import Findings
from sluice_proxy.session.pinning import PinReason
from sluice_proxy.session.profile import Profile, Profiles, Start
from sluice_proxy.session.settings import DEFAULTS, Settings, settings

PLAIN = PoolKey("app", "shop")
ZONED = PoolKey("app", "shop", ((b"TimeZone", b"CET"),))
TOLD = {b"TimeZone": b"UTC", FOLLOWED: b""}
ZONE = settings({b"TimeZone": b"CET"})


def start(of: Profile, key: PoolKey = PLAIN, name: bytes | None = None) -> Start:
    return Start(of, Login(key, name, b"", False), Profiles())


def found(values: Settings, no_role: bool = False) -> Findings:
    return Findings(values, PinReason.NONE, no_role=no_role)


def test_one_who_asks_for_nothing_begins_with_nothing() -> None:
    begun = start(Profile(TOLD))
    assert (begun.key, begun.settings, begun.lasting) == (PLAIN, DEFAULTS, DEFAULTS)
    assert begun.parameters is TOLD
    assert begun.kept(found(ZONE)) is ZONE


def test_startup_parameters_are_set_on_shared_connections() -> None:
    begun = start(Profile(TOLD, ZONE), ZONED, b"me")
    assert begun.key == PLAIN
    assert begun.settings is settings({b"TimeZone": b"CET", FOLLOWED: b"me"})
    assert begun.parameters == {b"TimeZone": b"UTC", FOLLOWED: b"me"}
    assert begun.kept(found(DEFAULTS)) is begun.settings, "a RESET leads to them"


def test_what_can_be_set_at_the_start_alone_needs_connections_of_its_own() -> None:
    begun = start(Profile(TOLD, ZONE, startup_only=True), ZONED, b"me")
    assert begun.key == ZONED
    assert begun.settings is settings({FOLLOWED: b"me"})


def test_what_init_query_set_is_there_until_it_is_reset() -> None:
    begun = start(Profile(TOLD, initial=settings({b"work_mem": b"1"})), name=b"me")
    assert begun.settings is settings({b"work_mem": b"1", FOLLOWED: b"me"})
    assert begun.lasting is settings({FOLLOWED: b"me"})


def test_a_role_of_the_start_may_be_given_up() -> None:
    begun = start(Profile(TOLD, settings({b"role": b"r"})), ZONED)
    assert begun.kept(found(DEFAULTS)).values == {b"role": b"r"}
    assert begun.kept(found(DEFAULTS, no_role=True)).values == {b"role": b"none"}
    assert start(Profile(TOLD)).kept(found(DEFAULTS, no_role=True)) is DEFAULTS


def test_profiles_are_found_again_until_servers_change() -> None:
    profiles, known = Profiles(), Profile(TOLD)
    assert profiles.get(PLAIN) is None
    profiles.put(PLAIN, known)
    assert profiles.get(PLAIN) is known
    profiles.forget()
    assert profiles.get(PLAIN) is None


def test_what_is_remembered_has_an_end() -> None:
    profiles = Profiles()
    for number in range(profile._LIMIT + 1):
        profiles.put(PoolKey("app", str(number)), Profile(TOLD))
        profiles.share({b"a": b"%d" % number})
    assert profiles.get(PoolKey("app", "0")) is None
    assert profiles.get(PoolKey("app", "1")) is not None
    again = {b"a": b"0"}
    assert profiles.share(again) is again


def test_equal_parameters_are_one_dict() -> None:
    profiles = Profiles()
    one = profiles.share({b"a": b"1"})
    assert profiles.share({b"a": b"1"}) is one
