"""Acts that end with the client's leaving, seldom in order."""

import asyncio
import contextlib

from sluice_testing.isolation.acts_rows import begin
from sluice_testing.isolation.owner import Act, Left, Owner
from sluice_testing.raw import bind, copy_data, execute, parse, query


async def leave_in_order(owner: Owner) -> None:
    await owner.leave()
    raise Left


async def vanish_in_transaction(owner: Owner) -> None:
    await begin(owner)
    await owner.leave(abruptly=True)
    raise Left


async def leave_in_transaction(owner: Owner) -> None:
    await begin(owner)
    await owner.leave()
    raise Left


async def vanish_in_query(owner: Owner) -> None:
    request = owner.session.fetch("SELECT 'nobody reads this' FROM pg_sleep(0.02)")
    task = asyncio.create_task(request)
    await owner.pause(0.02)
    owner.session.abort()
    with contextlib.suppress(Exception):
        await task
    await owner.leave(abruptly=True)
    raise Left


async def _vanish(owner: Owner) -> None:
    await owner.pause(0.01)
    await owner.leave(abruptly=True)
    raise Left


async def vanish_in_message(owner: Owner) -> None:
    """After the first bytes of one, in a transaction or outside."""
    if owner.dice.random() < 0.5:
        await begin(owner)
    whole = owner.dice.choice(
        (
            query(f"SELECT '{'x' * 300}'"),
            query(f"SELECT '{'x' * 200_000}'"),
            parse("SELECT $1::text") + bind("x" * 100_000),
        )
    )
    owner.wire.send(whole[: owner.dice.randint(1, len(whole) - 1)])
    await _vanish(owner)


async def vanish_in_copy_in(owner: Owner) -> None:
    await owner.wire.begin_copy("COPY tagged FROM STDIN")
    line = f"{owner.tag}\t{owner.next_number()}\tnever\n".encode()
    owner.wire.send(copy_data(line) * owner.dice.randint(1, 500))
    if owner.dice.random() < 0.5:
        owner.wire.send(copy_data(line)[:7])
    await _vanish(owner)


async def vanish_in_copy_out(owner: Owner) -> None:
    sql = f"SELECT '{owner.tag}' FROM generate_series(1, 20000)"
    owner.wire.send(query(f"COPY ({sql}) TO STDOUT"))
    await owner.wire.until("d")
    await _vanish(owner)


async def vanish_without_sync(owner: Owner) -> None:
    """The row was inserted, and nothing will ever commit it."""
    n = owner.next_number()
    sql = "INSERT INTO tagged VALUES ($1, $2::text::int, 'never')"
    owner.wire.send(parse(sql), bind(owner.tag, str(n)), execute())
    await _vanish(owner)


async def say_nonsense(owner: Owner) -> None:
    """No message, or one with a length that cannot be: the server ends it."""
    if owner.dice.random() < 0.5:
        await begin(owner)
    owner.wire.send(owner.dice.choice((b"!\0\0\0\4", b"Q\0\0\0\1", b"B\xff\xff\xff\xff", b"zzzzz")))
    with contextlib.suppress(Exception):
        async with asyncio.timeout(20):
            await owner.wire.until()
            owner.expect("an answer to nonsense", "ReadyForQuery", "the end")
    await owner.leave(abruptly=True)
    raise Left


ANY: list[tuple[Act, int]] = [
    (leave_in_order, 3), (vanish_in_transaction, 2), (leave_in_transaction, 1),
    (vanish_in_query, 2),
]  # fmt: skip
WIRE: list[tuple[Act, int]] = [
    (vanish_in_message, 2), (vanish_in_copy_in, 2), (vanish_in_copy_out, 1),
    (vanish_without_sync, 2), (say_nonsense, 1),
]  # fmt: skip
