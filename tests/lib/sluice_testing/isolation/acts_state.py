"""Acts that change the session itself: settings, statements, and what pins."""

import asyncio

import asyncpg

from sluice_testing.isolation.owner import Act, Left, Owner
from sluice_testing.isolation.state import CHANGED, quoted, set_statement, value_for
from sluice_testing.isolation.wire import WireSession
from sluice_testing.raw import query


def follow_encoding(owner: Owner) -> None:
    """The wire session speaks what its client_encoding says."""
    if owner.kind == "wire":
        shown = owner.settings.visible()["client_encoding"]
        owner.wire.encoding = "latin-1" if shown == "LATIN1" else "utf-8"


async def change(owner: Owner, *, within: bool) -> None:
    """One setting set or reset; `within` a transaction also for its length alone."""
    name = owner.dice.choice(CHANGED)
    value = value_for(name, owner.number, owner.dice)
    die = owner.dice.random()
    if within and die < 0.25:
        await owner.ask(set_statement(name, value, owner.dice, local=True))
        owner.settings.set_local(name, value)
    elif die < 0.75:
        await owner.ask(set_statement(name, value, owner.dice))
        owner.settings.set(name, value)
    elif die < 0.95:
        ways = [f"RESET {name}", f"SET {name} TO DEFAULT"]
        await owner.ask(owner.dice.choice(ways))
        owner.settings.reset(name)
    else:
        await owner.ask("RESET ALL")
        owner.settings.reset_all()
        follow_encoding(owner)


async def settings(owner: Owner) -> None:
    for _ in range(owner.dice.randint(1, 5)):
        await change(owner, within=False)
        if owner.dice.random() < 0.3:
            await owner.check_ledger("own rows with own settings")


async def wrong_setting(owner: Owner) -> None:
    code = await owner.refused("SET work_mem TO 'much'")
    owner.expect("a setting that cannot be", code, "22023")
    owner.expect("one that is not there", await owner.refused("SET nothing_such = 1"), "42704")


async def settings_in_transaction(owner: Owner) -> None:
    await owner.ask("BEGIN")
    owner.settings.save()
    for step in range(owner.dice.randint(2, 7)):
        die = owner.dice.random()
        if die < 0.2:
            await owner.ask(f"SAVEPOINT s{step}")
        elif die < 0.4:
            await undo(owner)
        else:
            await change(owner, within=True)
    if owner.dice.random() < 0.3:
        await see_settings(owner)
    await end(owner)
    follow_encoding(owner)


async def undo(owner: Owner) -> None:
    """Back to a savepoint, after an error or without one."""
    await owner.ask("SAVEPOINT deeper")
    owner.settings.save()
    await change(owner, within=True)
    if owner.dice.random() < 0.5:
        await owner.refused("SELECT 1 / 0")
    await owner.ask("ROLLBACK TO deeper")
    owner.settings.back()
    await owner.ask("RELEASE deeper")
    owner.settings.release()
    follow_encoding(owner)


async def end(owner: Owner) -> None:
    die = owner.dice.random()
    if die < 0.5:
        await owner.ask("COMMIT")
        owner.settings.commit()
        return
    if die < 0.75:
        await owner.refused("SELECT 1 / 0")
    await owner.ask("ROLLBACK")
    owner.settings.rollback()


async def see_settings(owner: Owner) -> None:
    names = owner.dice.sample(CHANGED, 3)
    shown = ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in names)
    rows = await owner.ask(f"SELECT {shown}")
    own = owner.settings.visible()
    wanted = tuple(own.get(name, "") for name in names)
    if rows != [wanted]:
        owner.leak(owner.findings.settings, f"{owner.tag} sees {names} as {rows}, not {wanted}")


async def discard(owner: Owner) -> None:
    await owner.ask("DISCARD ALL")
    owner.settings.discard_all()
    owner.statements.clear()
    follow_encoding(owner)


async def prepare_in_sql(owner: Owner) -> None:
    """All use the same name, each for a text of its own."""
    nonce = owner.nonce()
    await owner.ask(f"PREPARE p0 (text) AS SELECT {quoted(owner.tag)}, $1, {quoted(nonce)}")
    for _ in range(owner.dice.randint(1, 3)):
        value = owner.nonce()
        rows = await owner.ask(f"EXECUTE p0({quoted(value)})")
        owner.expect("a statement of SQL", rows, [(owner.tag, value, nonce)])
        await owner.pause(0.01)
    code = await owner.refused("PREPARE p0 AS SELECT 1")
    owner.expect("a statement that is there", code, "42P05")
    await owner.ask("DEALLOCATE p0")
    code = await owner.refused("EXECUTE p0('x')")
    owner.expect("a statement that was deallocated", code, "26000")


async def temporary_table(owner: Owner) -> None:
    await owner.ask("CREATE TEMP TABLE mine (owner text)")
    await owner.ask("INSERT INTO mine VALUES ($1)", owner.tag)
    await owner.pause(0.01)
    rows = await owner.ask("SELECT owner FROM mine")
    owner.expect("its temporary table", rows, [(owner.tag,)])
    await part(owner, "DROP TABLE pg_temp.mine")


async def temporary_for_a_transaction(owner: Owner) -> None:
    await owner.ask("BEGIN")
    await owner.ask("CREATE TEMP TABLE mine (owner text) ON COMMIT DROP")
    await owner.ask("INSERT INTO mine VALUES ($1)", owner.tag)
    rows = await owner.ask("SELECT owner FROM mine")
    owner.expect("its temporary table", rows, [(owner.tag,)])
    await owner.ask(owner.dice.choice(("COMMIT", "ROLLBACK")))


async def cursor_with_hold(owner: Owner) -> None:
    nonce = owner.nonce()
    sql = f"SELECT '{nonce}/' || g FROM generate_series(1, 9) g"
    await owner.ask(f"DECLARE kept CURSOR WITH HOLD FOR {sql}")
    first = await owner.ask("FETCH 4 FROM kept")
    await owner.pause(0.01)
    rest = await owner.ask("FETCH ALL FROM kept")
    owner.expect("its cursor", first + rest, [(f"{nonce}/{g}",) for g in range(1, 10)])
    await part(owner, "CLOSE kept")


async def lock(owner: Owner) -> None:
    """The lock's number is the owner's: nobody else may ever hold it."""
    await _take_lock(owner)
    again = await owner.ask(f"SELECT pg_try_advisory_lock({owner.number})::text")
    owner.expect("its lock once more", again, [("true",)])
    await owner.pause(0.01)
    for _ in range(2):
        rows = await owner.ask(f"SELECT pg_advisory_unlock({owner.number})::text")
        owner.expect("its lock given back", rows, [("true",)])
    await owner.check_ledger("own rows after a lock")
    rows = await owner.ask(f"SELECT pg_advisory_unlock({owner.number})::text")
    owner.expect("a lock that it does not hold", rows, [("false",)])
    if owner.dice.random() < 0.2:
        await _take_lock(owner)
        raise Left


async def _take_lock(owner: Owner) -> None:
    """What the owner left locked when it vanished is freed within seconds."""
    for _ in range(100):
        rows = await owner.ask(f"SELECT pg_try_advisory_lock({owner.number})::text")
        if rows == [("true",)]:
            return
        await asyncio.sleep(0.1)
    owner.leak(owner.findings.objects, f"{owner.tag}: somebody else holds its lock")
    raise Left


async def part(owner: Owner, tidy: str) -> None:
    """Cleans up, or leaves that to whoever is responsible for it."""
    if owner.dice.random() < 0.2:
        await owner.leave(abruptly=owner.dice.random() < 0.5)
        raise Left
    await owner.ask(tidy)


async def listen(owner: Owner) -> None:
    """Notified by a second connection of the owner's, of nothing but its own."""
    async with owner.world.elsewhere:
        channel, payload = f"channel_{owner.number}", owner.nonce()
        if isinstance(owner.session, WireSession):
            await _listen_on_the_wire(owner, channel, payload)
        elif owner.kind == "asyncpg":
            await _listen_by_asyncpg(owner, channel, payload)


async def _notify(owner: Owner, channel: str, payload: str) -> None:
    world = owner.world
    other = await WireSession.connect(world.door, owner.dice, None)
    try:
        await other.ask(query(f"NOTIFY {channel}, {quoted(payload)}"))
    finally:
        await other.close()


async def _listen_on_the_wire(owner: Owner, channel: str, payload: str) -> None:
    await owner.ask(f"LISTEN {channel}")
    await _notify(owner, channel, payload)
    wire = owner.wire
    while not wire.notifications:
        await wire.read()
    owner.expect("its notification", wire.notifications, [(channel, payload)])
    await part(owner, "UNLISTEN *")
    # One that was sent before the UNLISTEN may come with its answer.
    wire.notifications.clear()


async def _listen_by_asyncpg(owner: Owner, channel: str, payload: str) -> None:
    connection: asyncpg.Connection = owner.session.connection  # type: ignore[attr-defined]
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def on_notification(_connection: object, _pid: int, name: str, text: str) -> None:
        heard.put_nowait((name, text))

    def on_end(_connection: object) -> None:
        heard.put_nowait((channel, ""))

    connection.add_termination_listener(on_end)
    await connection.add_listener(channel, on_notification)
    await _notify(owner, channel, payload)
    name, text = await heard.get()
    if connection.is_closed():
        raise ConnectionResetError("ended while it listened")
    connection.remove_termination_listener(on_end)
    owner.expect("its notification", (name, text), (channel, payload))
    await connection.remove_listener(channel, on_notification)


# psycopg sends DEALLOCATE ALL after a ROLLBACK or a DROP: its statements of SQL last no longer
# than the act that makes them. Neither driver survives a DISCARD ALL that it did not send.
ANY: list[tuple[Act, int]] = [
    (settings, 12), (wrong_setting, 3), (settings_in_transaction, 12), (prepare_in_sql, 5),
    (temporary_table, 3), (temporary_for_a_transaction, 3), (cursor_with_hold, 3), (lock, 3),
]  # fmt: skip
WIRE: list[tuple[Act, int]] = [(discard, 3), (listen, 2)]
ASYNCPG: list[tuple[Act, int]] = [(listen, 2)]
