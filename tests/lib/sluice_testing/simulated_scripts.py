"""What the clients of the simulation say: messages of a name and of a tag that is new."""

from collections.abc import Callable

from sluice_testing.stage import (
    CLOSE_UNNAMED,
    EXECUTE,
    SYNC,
    TERMINATE,
    bind,
    close,
    describe,
    execute,
    msg,
    parse,
    query,
)

RUN = bind() + EXECUTE + SYNC
COPIED = msg("d", b"x" * 40)


def simple(text: bytes) -> Callable[[bytes, bytes], bytes]:
    """A Query with `text`, in which `tag` is a new one and `name` one of a few."""
    return lambda name, tag: query(text % {b"tag": tag, b"name": name})


def extended(text: bytes) -> Callable[[bytes, bytes], bytes]:
    return lambda name, tag: parse(text % {b"tag": tag, b"name": name}) + RUN


def use(name: bytes, tag: bytes) -> bytes:
    return bind(name, tag) + EXECUTE


# Each makes messages of a name of prepared statements and a new tag.
SCRIPTS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "query": simple(b"SELECT %(tag)b"),
    "failing query": simple(b"oops %(tag)b"),
    "text that is no SQL": simple(b"SELECT %(tag)b; bad %(tag)b"),
    "two queries": lambda name, tag: query(b"SELECT " + tag) + query(b"oops " + tag),
    "two statements": simple(b"SELECT %(tag)b; SELECT %(tag)b"),
    "two statements, the second fails": simple(b"SET work_mem %(tag)b; missing; SELECT 1"),
    "begin": simple(b"BEGIN %(tag)b"),
    "commit": simple(b"COMMIT %(tag)b"),
    "rollback": simple(b"ROLLBACK %(tag)b"),
    "savepoint": simple(b"SAVEPOINT a"),
    "roll back to it": simple(b"ROLLBACK TO a"),
    "extended": extended(b"SELECT %(tag)b"),
    "parse now": lambda name, tag: parse(b"SELECT " + tag) + SYNC,
    "bind later": lambda name, tag: RUN,
    "parse skipped": lambda name, tag: bind(b"nowhere") + parse(b"SELECT " + tag) + SYNC + RUN,
    "query skipped": lambda name, tag: bind(b"nowhere") + query(b"SELECT " + tag) + SYNC + RUN,
    "close skipped": lambda name, tag: bind(b"nowhere") + CLOSE_UNNAMED + SYNC + RUN,
    "first not read": lambda name, tag: EXECUTE + parse(b"SELECT " + tag) + SYNC + RUN,
    "two pipelines": lambda name, tag: parse(b"SELECT " + tag) + RUN + parse(b"oops " + tag) + RUN,
    "begin extended": extended(b"BEGIN %(tag)b"),
    "commit extended": extended(b"COMMIT %(tag)b"),
    "copy": lambda name, tag: query(b"copy " + tag) + COPIED + msg("c"),
    "copy that fails": lambda name, tag: query(b"oops " + tag) + COPIED + msg("c"),
    "copy given up": lambda name, tag: query(b"copy " + tag) + COPIED + msg("f", b"\0"),
    "copy extended": lambda name, tag: parse(b"copy " + tag) + bind() + EXECUTE + msg("c") + SYNC,
    "copy with syncs": lambda name, tag: parse(b"copy " + tag) + RUN + COPIED + msg("c") + SYNC,
    "copy to a view": lambda name, tag: query(b"view " + tag) + COPIED + msg("c"),
    "unfinished": lambda name, tag: parse(b"SELECT " + tag) + bind() + EXECUTE,
    "flush": lambda name, tag: parse(b"SELECT " + tag) + bind() + msg("H"),
    "sync": lambda name, tag: SYNC,
    "bye": lambda name, tag: TERMINATE,
    # Parameters
    "set": simple(b"SET work_mem %(tag)b"),
    "set local": simple(b"SET LOCAL work_mem %(tag)b"),
    "set extended": extended(b"SET work_mem %(tag)b"),
    "set twice in one": simple(b"SET work_mem %(tag)b; SET TimeZone %(tag)b; SHOW work_mem"),
    "set and fail": simple(b"SET work_mem %(tag)b; oops %(tag)b"),
    "set what is reported": simple(b"SET TimeZone %(tag)b"),
    "set one's own": simple(b"SET my.own %(tag)b"),
    "set role": simple(b"SET role %(tag)b"),
    "set by a function": simple(b"SELECT set_config('work_mem', '%(tag)b', false)"),
    "show": simple(b"SHOW work_mem"),
    "show another": simple(b"SHOW TimeZone"),
    "show one's own": simple(b"SHOW my.own"),
    "show role": simple(b"SHOW role"),
    "show extended": extended(b"SHOW work_mem"),
    "show the name": simple(b"SHOW application_name"),
    "a transaction that sets": simple(b"BEGIN; SET work_mem %(tag)b; SHOW work_mem; COMMIT"),
    "a transaction that sets in vain": simple(b"BEGIN; SET work_mem %(tag)b; ROLLBACK"),
    # Prepared statements: names are the same for everybody, and so are the texts
    "parse": lambda name, tag: parse(b"SELECT shared $1", name) + SYNC,
    "parse another": lambda name, tag: parse(b"SELECT other $1", name) + SYNC,
    "parse one's own": lambda name, tag: parse(b"SELECT " + tag, name) + SYNC,
    "parse in vain": lambda name, tag: parse(b"missing " + tag, name) + use(name, tag) + SYNC,
    "parse and use": lambda name, tag: parse(b"SELECT shared $1", name) + use(name, tag) + SYNC,
    "use": lambda name, tag: use(name, tag) + SYNC,
    "use twice": lambda name, tag: use(name, tag) + SYNC + use(name, tag) + SYNC,
    "use a portal": lambda name, tag: bind(name, tag, portal=b"c") + execute(b"c") + SYNC,
    "describe": lambda name, tag: describe(name) + SYNC,
    "close": lambda name, tag: close(name) + SYNC,
    "close and parse": lambda name, tag: close(name) + parse(b"SELECT other $1", name) + SYNC,
    "close in vain": lambda name, tag: (
        bind(b"nowhere") + close(name) + SYNC + use(name, tag) + SYNC
    ),
    "parse after an error": lambda name, tag: (
        bind(b"nowhere") + parse(b"SELECT other $1", name) + SYNC + use(name, tag) + SYNC
    ),
    "a pipeline of names": lambda name, tag: (
        close(name)
        + SYNC
        + parse(b"SELECT shared $1", name)
        + SYNC
        + use(name, tag)
        + SYNC
        + parse(b"SELECT other $1", name)
        + SYNC
        + use(name, tag)
        + SYNC
    ),
    "parse a command": lambda name, tag: parse(b"BEGIN " + tag, name) + SYNC,
    "parse a set": lambda name, tag: parse(b"SET work_mem mine", name) + SYNC,
    "parse a rollback": lambda name, tag: parse(b"ROLLBACK", name) + SYNC,
    # SQL's own
    "prepare": simple(b"PREPARE %(name)b AS SELECT shared $1"),
    "prepare one's own": simple(b"PREPARE %(name)b AS SELECT %(tag)b"),
    "prepare a set": simple(b"PREPARE %(name)b AS SELECT set_config('work_mem', 'mine', false)"),
    "prepare in vain": simple(b"PREPARE %(name)b AS missing %(tag)b"),
    "prepare extended": extended(b"PREPARE %(name)b AS SELECT other $1"),
    "execute": simple(b"EXECUTE %(name)b('%(tag)b')"),
    "execute twice": simple(b"EXECUTE %(name)b('%(tag)b'); EXECUTE %(name)b('%(tag)b')"),
    "execute and miss": simple(b"EXECUTE %(name)b('%(tag)b'); missing %(tag)b"),
    "execute extended": extended(b"EXECUTE %(name)b('%(tag)b')"),
    "deallocate": simple(b"DEALLOCATE %(name)b"),
    "deallocate extended": extended(b"DEALLOCATE %(name)b"),
    "all in one": simple(
        b"PREPARE %(name)b AS SELECT %(tag)b; EXECUTE %(name)b; DEALLOCATE %(name)b"
    ),
    "anew in one": simple(
        b"DEALLOCATE %(name)b; PREPARE %(name)b AS SELECT %(tag)b; EXECUTE %(name)b"
    ),
    "deallocate all": simple(b"DEALLOCATE ALL"),
    "prepare in a transaction": simple(b"BEGIN; PREPARE %(name)b AS SELECT other $1; ROLLBACK"),
    "execute a name and use it": lambda name, tag: (
        query(b"EXECUTE %b('%b')" % (name, tag)) + use(name, tag) + SYNC
    ),
    # What pins
    "temporary": simple(b"CREATE TEMP TABLE %(tag)b"),
    "make and drop": simple(b"CREATE TEMP TABLE a; DROP TABLE a"),
    "make a": simple(b"CREATE TEMP TABLE a"),
    "drop a": simple(b"DROP TABLE a"),
    "lock": simple(b"SELECT pg_advisory_lock(1)"),
    "unlock": simple(b"SELECT pg_advisory_unlock(1)"),
    "listen": simple(b"LISTEN c"),
    "unlisten": simple(b"UNLISTEN c"),
    "hold": simple(b"DECLARE c CURSOR WITH HOLD FOR SELECT %(tag)b"),
    "let go": simple(b"CLOSE c"),
    "sequence": simple(b"SELECT nextval('%(tag)b'); SELECT lastval()"),
    # Back to what the client itself began with
    "reset": simple(b"RESET work_mem"),
    "reset the zone": simple(b"RESET TimeZone"),
    "reset all": simple(b"RESET ALL"),
    "reset role": simple(b"RESET role"),
    "discard all": simple(b"DISCARD ALL"),
}
