"""A look around a session: everything that somebody else may have left in it."""

from sluice_testing.isolation.look_sql import ALL_SETTINGS, LOOK, NO_TRANSACTION, Seen
from sluice_testing.isolation.owner import STATEMENTS, Owner
from sluice_testing.raw import query

NOBODYS = "nobody_prepared_this"  # a statement's name that no client uses


async def look_around(owner: Owner, what: str) -> None:
    owner.findings.looks += 1
    nonce = owner.nonce()
    [row] = await owner.ask(LOOK, nonce)
    seen = Seen.of(row)
    owner.expect(f"a look around after {what}", seen.nonce, nonce)
    await _compare_settings(owner, seen, what)
    _compare_objects(owner, seen, what)
    if not owner.session.idle or seen.transaction or seen.shown["stress.local"]:
        owner.leak(owner.findings.open_transactions, f"{owner.tag} after {what}: {seen}")
    if owner.dice.random() < 0.2:
        await _look_for_statements(owner, what)
    if owner.kind == "wire":
        await _look_on_the_wire(owner, what)


async def _compare_settings(owner: Owner, seen: Seen, what: str) -> None:
    own = owner.settings.visible()
    differing = {
        name: (value, own.get(name, ""))
        for name, value in seen.shown.items()
        if value != own.get(name, "")
    }
    if seen.digest != owner.world.defaults.digest:
        rows = await owner.ask(ALL_SETTINGS)
        fresh = owner.world.defaults.settings
        differing |= {
            name or "": (value or "", fresh.get(name or "", ""))
            for name, value in rows
            if value != fresh.get(name or "")
        } or {"settings that no client sets": ("some", "none")}
    if differing:
        owner.leak(owner.findings.settings, f"{owner.tag} ({owner.kind}) after {what}: {differing}")
    role = own["role"] if own["role"] != "none" else seen.user
    if (seen.user, seen.role) != (owner.world.door.user, role):
        owner.leak(owner.findings.settings, f"{owner.tag} after {what}: {seen.user} as {seen.role}")
    there = ("public", f"o{owner.number}")
    schemas = [name for name in own["search_path"].split(", ") if name in there]
    owner.expect(f"the schema after {what}", seen.place, schemas[0])


def _compare_objects(owner: Owner, seen: Seen, what: str) -> None:
    found = (seen.temporary, seen.cursors, seen.locks, seen.channels)
    if any(found):
        owner.leak(
            owner.findings.objects,
            f"{owner.tag} ({owner.kind}) after {what}: tables, cursors, locks, channels {found}",
        )


async def _look_for_statements(owner: Owner, what: str) -> None:
    """What the owner has not prepared is not there, even where everybody else has it."""
    missing = [name for name in STATEMENTS if name not in owner.statements]
    for name in (NOBODYS, *owner.dice.sample(missing, min(1, len(missing)))):
        code = await owner.refused(f"EXECUTE {name}('whose')")
        if not code:
            owner.leak(owner.findings.objects, f"{owner.tag} after {what}: statement {name}")
        elif code != "26000":
            owner.leak(owner.findings.errors, f"{owner.tag} after {what}: {code} for no statement")


async def _look_on_the_wire(owner: Owner, what: str) -> None:
    """What was told without being asked."""
    own = owner.settings.visible()
    wrong = {
        name: (value, own[name]) for name, value in owner.wire.told.items()
        if name in own and value != own[name]
    }  # fmt: skip
    if wrong:
        owner.leak(owner.findings.settings, f"{owner.tag} was told after {what}: {wrong}")
    for channel, payload in owner.wire.notifications:
        owner.findings.wrong.add(f"{owner.tag} was notified of {channel}: {payload}")
    owner.wire.notifications.clear()
    if owner.dice.random() < 0.2:
        [answer] = await owner.wire.ask(query(NO_TRANSACTION))
        if owner.wire.rows(answer) != [("true",)]:
            owner.leak(
                owner.findings.open_transactions, f"{owner.tag} after {what}: an older now()"
            )
