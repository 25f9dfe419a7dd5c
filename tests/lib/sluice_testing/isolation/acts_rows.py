"""Acts that read and write rows: transactions, errors, cancels, COPY, cursors."""

from sluice_testing.isolation.owner import Act, Owner
from sluice_testing.isolation.sessions import PsycopgSession
from sluice_testing.isolation.state import quoted

KEPT = 30  # rows of an owner, after which it deletes them
DIVISION_BY_ZERO, BAD_TEXT = "22012", "22P02"


async def read(owner: Owner) -> None:
    await owner.check_ledger("own rows")


async def read_many(owner: Owner) -> None:
    nonce = owner.nonce()
    many = owner.dice.randint(1, 400)
    sql = "SELECT $1::text || '/' || g FROM generate_series(1, $2::text::int) g"
    rows = await owner.ask(sql, nonce, str(many))
    owner.expect("a long answer", rows, [(f"{nonce}/{g}",) for g in range(1, many + 1)])
    sql = "SELECT owner, payload FROM tagged WHERE owner = $1 ORDER BY n"
    rows = await owner.ask(sql, owner.tag)
    wanted = [(owner.tag, f"{owner.tag}:{n}") for n in sorted(owner.possible[-1])]
    owner.expect("own payloads", rows, wanted)


async def insert(owner: Owner) -> int:
    n = owner.next_number()
    sql = "INSERT INTO tagged VALUES ($1, $2::text::int, $3)"
    await owner.ask(sql, owner.tag, str(n), f"{owner.tag}:{n}")
    return n


async def begin(owner: Owner) -> int:
    """Begins, inserts one row, and makes sure that it is still the same transaction."""
    await owner.ask("BEGIN")
    await owner.ask(f"SET LOCAL stress.local = '{owner.tag}'")
    backend = await owner.ask("SELECT pg_backend_pid()::text")
    n = await insert(owner)
    await owner.pause(0.004)
    again = await owner.ask("SELECT pg_backend_pid()::text")
    owner.expect("the same server connection", again, backend)
    rows = await owner.ask("SELECT current_setting('stress.local', true)")
    owner.expect("the same transaction", rows, [(owner.tag,)])
    await owner.check_ledger("own rows in a transaction", (n,))
    return n


async def commit(owner: Owner) -> None:
    n = await begin(owner)
    async with owner.committing([*owner.possible[-1], n]):
        await owner.ask("COMMIT")
    await owner.check_ledger("own rows after COMMIT")
    if len(owner.possible[-1]) > KEPT:
        async with owner.committing([]):
            await owner.ask("DELETE FROM tagged WHERE owner = $1", owner.tag)


async def commit_alone(owner: Owner) -> None:
    n = owner.next_number()
    async with owner.committing([*owner.possible[-1], n]):
        sql = "INSERT INTO tagged VALUES ($1, $2::text::int, $3) RETURNING payload"
        rows = await owner.ask(sql, owner.tag, str(n), f"{owner.tag}:{n}")
    owner.expect("the row that was inserted", rows, [(f"{owner.tag}:{n}",)])


async def roll_back(owner: Owner) -> None:
    await begin(owner)
    await owner.ask("ROLLBACK")
    await owner.check_ledger("own rows after ROLLBACK")


async def savepoints(owner: Owner) -> None:
    first = await begin(owner)
    await owner.ask("SAVEPOINT a")
    await insert(owner)
    if owner.dice.random() < 0.5:
        await fail(owner)
    await owner.ask("ROLLBACK TO a")
    second = await insert(owner)
    await owner.check_ledger("own rows after ROLLBACK TO", (first, second))
    async with owner.committing([*owner.possible[-1], first, second]):
        await owner.ask("COMMIT")
    await owner.check_ledger("own rows after a savepoint")


async def fail(owner: Owner) -> None:
    code = await owner.refused("SELECT (1 / (length($1::text) * 0))::text", owner.nonce())
    owner.expect("an error of its own", code, DIVISION_BY_ZERO)


async def fail_in_transaction(owner: Owner) -> None:
    await begin(owner)
    await fail(owner)
    owner.expect("a failed transaction", await owner.refused("SELECT 1::text"), "25P02")
    await owner.ask(owner.dice.choice(("ROLLBACK", "COMMIT")))
    await owner.check_ledger("own rows after an error")


async def cancel(owner: Owner) -> None:
    """Sent before, while and after the query runs: nobody else's may be hit by it."""
    nonce = owner.nonce()
    sql = "SELECT $1::text FROM pg_sleep(0.02)"
    rows = await owner.session.cancelled(sql, nonce, 0.001 + owner.dice.random() * 0.04)
    owner.count(rows)
    owner.expect("a query that is cancelled, or not", rows or [(nonce,)], [(nonce,)])
    await owner.check_ledger("own rows after a cancel")


async def copy_out(owner: Owner) -> None:
    nonce, many = owner.nonce(), owner.dice.randint(1, 300)
    sql = f"SELECT '{nonce}/' || g FROM generate_series(1, {many}) g"
    lines = await owner.session.copy_out(sql)
    owner.count([(line,) for line in lines])
    owner.expect("a COPY out", lines, [f"{nonce}/{g}" for g in range(1, many + 1)])


async def copy_in(owner: Owner) -> None:
    numbers = [owner.next_number() for _ in range(owner.dice.randint(1, 5))]
    data = "".join(f"{owner.tag}\t{n}\t{owner.tag}:{n}\n" for n in numbers)
    async with owner.committing([*owner.possible[-1], *numbers]):
        await owner.session.copy_in("tagged", data)
    owner.count([])
    await owner.check_ledger("own rows after COPY in")


async def copy_in_fails(owner: Owner) -> None:
    line = f"{owner.tag}\t{owner.next_number()}\t{owner.tag}\n"
    owner.expect("a bad COPY", await owner.refused_copy("tagged", line + "x\ty\tz\n"), BAD_TEXT)
    await owner.check_ledger("own rows after a bad COPY")


async def copy_out_fails(owner: Owner) -> None:
    sql = "SELECT 10 / (5 - g) FROM generate_series(1, 9) g"
    owner.expect("a COPY out that fails", await owner.refused_copy(sql), DIVISION_BY_ZERO)


async def cursor(owner: Owner) -> None:
    nonce = owner.nonce()
    await owner.ask("BEGIN")
    sql = f"SELECT '{nonce}/' || g FROM generate_series(1, 9) g"
    await owner.ask(f"DECLARE here CURSOR FOR {sql}")
    first = await owner.ask("FETCH 4 FROM here")
    await owner.pause(0.004)
    rest = await owner.ask("FETCH ALL FROM here")
    owner.expect("a cursor", first + rest, [(f"{nonce}/{g}",) for g in range(1, 10)])
    await owner.ask(owner.dice.choice(("COMMIT", "ROLLBACK")))
    owner.expect("a cursor after its end", await owner.refused("FETCH 1 FROM here"), "34000")


async def pipeline_of_libpq(owner: Owner) -> None:
    assert isinstance(owner.session, PsycopgSession)
    values = [owner.nonce() for _ in range(owner.dice.randint(1, 15))]
    sql = f"SELECT {quoted(owner.tag)}, $1::text"
    answers = await owner.session.pipelined(sql, values)
    for value, rows in zip(values, answers, strict=True):
        owner.count(rows)
        owner.expect("a pipeline of libpq", rows, [(owner.tag, value)])


async def idle(owner: Owner) -> None:
    await owner.pause(2.0)


ACTS: list[tuple[Act, int]] = [
    (read, 25), (read_many, 8), (commit, 14), (commit_alone, 6), (roll_back, 8), (savepoints, 6),
    (fail, 6), (fail_in_transaction, 6), (cancel, 4), (copy_out, 5), (copy_in, 5),
    (copy_in_fails, 3), (copy_out_fails, 3), (cursor, 4), (idle, 10),
]  # fmt: skip
PSYCOPG: list[tuple[Act, int]] = [(pipeline_of_libpq, 8)]
