"""Acts that need a say over every message: statements by name, pipelines, portals, encodings."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sluice_testing.isolation.owner import STATEMENTS, Act, Owner
from sluice_testing.isolation.state import quoted
from sluice_testing.raw import (
    COPY_DONE,
    FLUSH,
    SYNC,
    Message,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    function_call,
    parse,
    query,
)

SHARED = "SELECT 'shared by all'::text, $1::text"
_MD5 = 2311  # pg_proc: md5(text)


@dataclass(frozen=True)
class Step:
    """Messages up to their Sync or of one Query, and the answer that they must have."""

    send: bytes
    kinds: str
    row: tuple[str | None, ...] | None = None
    sqlstate: str = ""


def check(owner: Owner, what: str, step: Step, answer: list[Message]) -> None:
    kinds = "".join(message.kind for message in answer)
    codes = [message.fields.get("C") for message in answer if message.kind == "E"]
    rows = owner.wire.rows([message for message in answer if message.kind == "D"])
    owner.count(rows)
    owner.expect(what, (kinds, rows, codes), (
        step.kinds, [] if step.row is None else [step.row], [step.sqlstate] if step.sqlstate else []
    ))  # fmt: skip


async def pipeline(owner: Owner, what: str, steps: list[Step]) -> None:
    """All in one write, or one after the other."""
    if owner.dice.random() < 0.5:
        answers = await owner.wire.ask(*(step.send for step in steps), rounds=len(steps))
    else:
        answers = []
        for step in steps:
            answers += await owner.wire.ask(step.send)
            await owner.pause(0.004)
    for step, answer in zip(steps, answers, strict=True):
        check(owner, what, step, answer)


# Statements by name. A statement of SQL and one of the protocol share their names.


def text_of(owner: Owner) -> str:
    """A text that others have, too, or one that tells whose it is."""
    return owner.dice.choice((SHARED, f"SELECT {quoted(owner.tag)}::text, $1::text"))


def answer_of(text: str, value: str) -> tuple[str, str]:
    return text.split("'")[1], value


def prepare(owner: Owner, name: str) -> Step:
    text = text_of(owner)
    by_sql = owner.dice.random() < 0.3
    send = query(f"PREPARE {name} (text) AS {text}") if by_sql else parse(text, name) + SYNC
    if name in owner.statements:
        return Step(send, "EZ", sqlstate="42P05")
    owner.statements[name] = text
    return Step(send, "CZ" if by_sql else "1Z")


def run(owner: Owner, name: str) -> Step:
    value = owner.nonce()
    by_sql = owner.dice.random() < 0.3
    if by_sql:
        send = query(f"EXECUTE {name}({quoted(value)})")
    else:
        send = bind(value, name=name) + execute() + SYNC
    text = owner.statements.get(name)
    if text is None:
        return Step(send, "EZ", sqlstate="26000")
    return Step(send, "TDCZ" if by_sql else "2DCZ", answer_of(text, value))


def describe_it(owner: Owner, name: str) -> Step:
    send = describe("S", name) + SYNC
    return Step(send, "tTZ") if name in owner.statements else Step(send, "EZ", sqlstate="26000")


def forget(owner: Owner, name: str) -> Step:
    known = owner.statements.pop(name, None) is not None
    if owner.dice.random() < 0.7:
        return Step(close("S", name) + SYNC, "3Z")
    send = query(f"DEALLOCATE {name}")
    return Step(send, "CZ") if known else Step(send, "EZ", sqlstate="26000")


def prepare_badly(owner: Owner, name: str) -> Step:
    """Nothing is left behind; the name that was there is there still."""
    return Step(parse("SELEC 1", name) + SYNC, "EZ", sqlstate="42601")


def forget_all(owner: Owner, _name: str) -> Step:
    owner.statements.clear()
    return Step(query("DEALLOCATE ALL"), "CZ")


STEPS: list[tuple[Callable[[Owner, str], Step], int]] = [
    (prepare, 6), (run, 12), (describe_it, 3), (forget, 2), (prepare_badly, 1), (forget_all, 1),
]  # fmt: skip


async def statements_by_name(owner: Owner) -> None:
    makers = owner.dice.choices(
        [maker for maker, _ in STEPS], [weight for _, weight in STEPS], k=owner.dice.randint(1, 8)
    )
    steps = [maker(owner, owner.dice.choice(STATEMENTS)) for maker in makers]
    await pipeline(owner, "a statement by name", steps)


async def statements_in_transaction(owner: Owner) -> None:
    """A ROLLBACK takes no statement back."""
    steps = [Step(query("BEGIN"), "CZ")]
    name = owner.dice.choice(STATEMENTS)
    if name not in owner.statements:
        steps.append(prepare(owner, name))
    steps += [run(owner, name), run(owner, name), Step(query("ROLLBACK"), "CZ"), run(owner, name)]
    await pipeline(owner, "a statement by name in a transaction", steps)


# Pipelines


def tagged(owner: Owner) -> Step:
    value = owner.nonce()
    if owner.dice.random() < 0.4:
        return Step(query(f"SELECT {quoted(value)}"), "TDCZ", (value,))
    sent = parse("SELECT $1::text, $2::text") + bind(owner.tag, value) + execute() + SYNC
    return Step(sent, "12DCZ", (owner.tag, value))


def failing(owner: Owner) -> Step:
    """A Bind plans, and computes what is constant. Everything up to the Sync is skipped."""
    sent = parse("SELECT 1 / $1::int") + bind("0") + execute() + bind("1") + execute() + SYNC
    return Step(sent, "1EZ", sqlstate="22012")


def empty(owner: Owner) -> Step:
    return owner.dice.choice((Step(query(""), "IZ"), Step(SYNC, "Z")))


async def deep_pipeline(owner: Owner) -> None:
    makers = owner.dice.choices((tagged, failing, empty), (8, 2, 1), k=owner.dice.randint(2, 12))
    await pipeline(owner, "a pipeline", [maker(owner) for maker in makers])


async def several_statements(owner: Owner) -> None:
    first, second = owner.nonce(), owner.nonce()
    sql = f"SELECT {quoted(first)}; SELECT {quoted(second)}"
    [answer] = await owner.wire.ask(query(sql))
    owner.expect("two results", owner.wire.rows(answer), [(first,), (second,)])
    [answer] = await owner.wire.ask(query(f"SELECT {quoted(first)}; SELECT 1 / 0; SELECT 2"))
    kinds = "".join(message.kind for message in answer)
    owner.expect("an error between two", kinds, "TDCEZ")


async def unnamed_statement(owner: Owner) -> None:
    """It outlives its transaction, and ends with the next simple query."""
    value = owner.nonce()
    again = Step(bind(value) + execute() + SYNC, "2DCZ", (owner.tag, value))
    text = f"SELECT {quoted(owner.tag)}::text, $1::text"
    await pipeline(owner, "an unnamed statement", [Step(parse(text) + SYNC, "1Z")])
    for _ in range(2):
        await owner.pause(0.02)
        await pipeline(owner, "an unnamed statement later", [again])
    gone = Step(again.send, "EZ", sqlstate="26000")
    simple = Step(query(f"SELECT {quoted(value)}"), "TDCZ", (value,))
    await pipeline(owner, "no unnamed statement", [simple, gone])


async def portal_in_pieces(owner: Owner) -> None:
    """Row limits, with Flush instead of Sync between the pieces."""
    wire, nonce = owner.wire, owner.nonce()
    sql = f"SELECT {quoted(nonce + '/')} || g FROM generate_series(1, 7) g"
    wire.send(parse(sql), bind(portal="part"), execute("part", 3), FLUSH)
    answer = await wire.until("sE")
    await owner.pause(0.004)
    wire.send(execute("part", 3), FLUSH)
    answer += await wire.until("sE")
    [rest] = await wire.ask(execute("part"), SYNC)
    rows = wire.rows(answer + rest)
    owner.count(rows)
    owner.expect("a portal in pieces", rows, [(f"{nonce}/{g}",) for g in range(1, 8)])
    late = Step(execute("part") + SYNC, "EZ", sqlstate="34000")
    await pipeline(owner, "a portal after its transaction", [late])


async def function(owner: Owner) -> None:
    nonce = f"{owner.tag} {owner.nonce()}"
    [answer] = await owner.wire.ask(function_call(_MD5, nonce.encode()))
    bodies = [message.body[4:] for message in answer if message.kind == "V"]
    owner.expect(
        "a function's result",
        bodies,
        [hashlib.md5(nonce.encode(), usedforsecurity=False).hexdigest().encode()],
    )


# Encodings and COPY


async def encoding(owner: Owner) -> None:
    """From now on it speaks LATIN1, or UTF8 again."""
    wire, now = owner.wire, owner.settings.visible()["client_encoding"]
    name, codec = ("UTF8", "utf-8") if now == "LATIN1" else ("LATIN1", "latin-1")
    await owner.ask(f"SET client_encoding TO '{name}'")
    owner.settings.set("client_encoding", name)
    wire.encoding = codec
    value = f"Zürich, {owner.nonce()}"
    [answer] = await wire.ask(parse("SELECT $1::text, length($1)::text"), bind(
        value.encode(codec)), execute(), SYNC)  # fmt: skip
    owner.expect("a text in its encoding", wire.rows(answer), [(value, str(len(value)))])


async def copy_given_up(owner: Owner) -> None:
    """CopyFail: nothing of it is there."""
    wire = owner.wire
    await wire.begin_copy("COPY tagged FROM STDIN")
    line = f"{owner.tag}\t{owner.next_number()}\tnever\n".encode()
    [answer] = await wire.ask(copy_data(line * 3), copy_fail("the client changed its mind"))
    codes = [message.fields.get("C") for message in answer if message.kind == "E"]
    owner.expect("a COPY that was given up", codes, ["57014"])
    await owner.check_ledger("own rows after CopyFail")


async def copy_by_pipeline(owner: Owner) -> None:
    """Sent at once, without waiting for CopyInResponse; between two questions."""
    n, before, after = owner.next_number(), owner.nonce(), owner.nonce()
    line = f"{owner.tag}\t{n}\t{owner.tag}:{n}\n".encode()
    sent = (query(f"SELECT {quoted(before)}"), query("COPY tagged FROM STDIN"), copy_data(line),
            COPY_DONE, query(f"SELECT {quoted(after)}"))  # fmt: skip
    async with owner.committing([*owner.possible[-1], n]):
        answers = await owner.wire.ask(*sent, rounds=3)
    rows = [owner.wire.rows(answer) for answer in answers]
    owner.expect("a COPY in a pipeline", rows, [[(before,)], [], [(after,)]])
    await owner.check_ledger("own rows after a COPY in a pipeline")


async def slow_reader(owner: Owner) -> None:
    """Leaves a long answer unread for a while."""
    nonce = owner.nonce()
    sql = f"SELECT {quoted(nonce)} || repeat('x', 1000) FROM generate_series(1, 500)"
    owner.wire.send(query(sql))
    await asyncio.sleep(owner.dice.random() * 0.1)
    rows = owner.wire.rows(await owner.wire.until())
    owner.count(rows)
    owner.expect("a long answer read late", rows, [(nonce + "x" * 1000,)] * 500)


ACTS: list[tuple[Act, int]] = [
    (statements_by_name, 25), (statements_in_transaction, 5), (deep_pipeline, 12),
    (several_statements, 4), (unnamed_statement, 6), (portal_in_pieces, 4), (function, 3),
    (encoding, 3), (copy_given_up, 3), (copy_by_pipeline, 3), (slow_reader, 1),
]  # fmt: skip
