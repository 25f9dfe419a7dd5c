"""Conversations of one client, step by step, which a miniature PostgreSQL understands.

`tests/playbook/test_as_direct.py` holds them direct and through the proxy.
"""

from sluice_testing.stage import (
    CLOSE_UNNAMED,
    EXECUTE,
    SYNC,
    bind,
    close,
    describe,
    execute,
    msg,
    parse,
    query,
)

RUN = bind() + EXECUTE + SYNC
P = parse(b"SELECT mine $1", b"p")


def use(name: bytes = b"p", value: bytes = b"1") -> bytes:
    return bind(name, value) + EXECUTE


Q = query
# Steps; each is answered before the next is said.
CONVERSATIONS: dict[str, list[bytes]] = {
    # Prepared statements
    "pitfalls 12 and 14: a statement is there wherever it is bound": [
        P + SYNC, use() + SYNC, use() + SYNC, describe(b"p") + SYNC, use() + SYNC,
    ],
    "pitfall 14: describe needs the statement too": [P + SYNC, describe(b"p") + SYNC],
    "pitfall 17: a name twice": [P + SYNC, P + SYNC, use() + SYNC],
    "pitfall 17: a name twice, and the first fault is told": [
        P + SYNC, parse(b"bad", b"p") + SYNC, parse(b"missing", b"p") + SYNC, use() + SYNC,
    ],
    "pitfall 17: an unknown name": [use(b"nobody") + SYNC, Q(b"SELECT 1")],
    "pitfall 17: errors within a pipeline skip to its Sync": [
        P + SYNC, P + use() + SYNC + use() + SYNC, use(b"x") + use() + SYNC + use() + SYNC,
    ],
    "pitfall 18: close": [
        P + SYNC, close(b"p") + SYNC, use() + SYNC, close(b"p") + SYNC, P + use() + SYNC,
    ],
    "pitfall 18: closing what nobody knows is no error": [close(b"x") + SYNC],
    "pitfall 16: a close that is skipped": [
        P + SYNC, use(b"x") + close(b"p") + SYNC, use() + SYNC,
    ],
    "pitfall 16: a close that is skipped, used at once": [
        P + SYNC, use(b"x") + close(b"p") + SYNC + use() + SYNC,
    ],
    "pitfall 16: a parse that is skipped": [use(b"x") + P + SYNC, use() + SYNC, P + SYNC],
    "pitfall 16: changes are taken back in reverse": [
        P + SYNC,
        use(b"x") + close(b"p") + parse(b"SELECT other $1", b"p") + close(b"p") + SYNC,
        use() + SYNC,
    ],
    "pitfall 16: changes before an error stay": [
        P + SYNC,
        close(b"p") + parse(b"SELECT other $1", b"p") + use(b"x") + close(b"p") + SYNC,
        use() + SYNC,
    ],
    "a parse that fails leaves nothing": [
        parse(b"missing", b"p") + SYNC, use() + SYNC, P + SYNC, use() + SYNC,
    ],
    "the same text under two names": [
        P + parse(b"SELECT mine $1", b"q") + SYNC, close(b"p") + SYNC, use(b"q") + SYNC,
    ],
    "pipelines across Syncs": [
        P + SYNC + use() + SYNC + close(b"p") + SYNC + parse(b"SELECT other $1", b"p") + SYNC
        + use() + SYNC + use() + SYNC,
    ],
    "pipelines across Syncs with errors": [
        P + SYNC + P + SYNC + use() + SYNC + parse(b"missing", b"q") + SYNC + use(b"q") + SYNC,
    ],
    "a name that a failing Query may have changed": [
        Q(b"PREPARE p AS SELECT mine $1; missing") + use() + SYNC, P + SYNC,
    ],
    "pitfall 15: a statement that ends a failed transaction": [
        parse(b"ROLLBACK", b"r") + SYNC, Q(b"BEGIN"), Q(b"missing"), use(b"r") + SYNC,
    ],
    "pitfall 15: nothing else is made in one": [
        P + SYNC, Q(b"BEGIN"), Q(b"missing"), use() + SYNC, P + SYNC, Q(b"ROLLBACK"), use() + SYNC,
    ],
    "prepared statements outlive a rollback": [
        Q(b"BEGIN"), P + SYNC, Q(b"ROLLBACK"), use() + SYNC,
    ],
    "pitfall 12: portals keep their names": [
        P + SYNC, bind(b"p", b"1", portal=b"c") + describe(b"c", b"P") + execute(b"c") + SYNC,
        execute(b"c") + SYNC,
    ],
    "portals in a transaction": [
        P + SYNC, Q(b"BEGIN"), bind(b"p", b"1", portal=b"c") + SYNC, execute(b"c") + SYNC,
        bind(b"p", b"2", portal=b"c") + SYNC, Q(b"COMMIT"),
    ],
    "pitfall 20: DEALLOCATE ALL": [P + SYNC, Q(b"DEALLOCATE ALL"), use() + SYNC, P + SYNC],
    "pitfall 20: DISCARD ALL": [P + SYNC, Q(b"DISCARD ALL"), use() + SYNC, P + SYNC],
    "pitfall 20: through an Execute": [
        P + SYNC, parse(b"DEALLOCATE ALL") + RUN, use() + SYNC, P + SYNC,
    ],
    "pitfall 20: not undone by a rollback": [
        P + SYNC, Q(b"BEGIN"), Q(b"DEALLOCATE ALL"), Q(b"ROLLBACK"), use() + SYNC,
    ],
    "pitfall 20: in a pipeline": [P + SYNC + Q(b"DEALLOCATE ALL") + use() + SYNC + P + SYNC],
    "DEALLOCATE ALL in a statement with a name": [
        P + parse(b"DEALLOCATE ALL", b"d") + SYNC, use(b"d") + SYNC, use() + SYNC, use(b"d") + SYNC,
    ],
    "DISCARD ALL where it cannot be": [
        P + SYNC, Q(b"BEGIN"), Q(b"DISCARD ALL"), Q(b"ROLLBACK"), use() + SYNC,
    ],
    # SQL's
    "pitfall 22: SQL's own": [
        Q(b"PREPARE p AS SELECT mine $1"), Q(b"EXECUTE p('1')"), use() + SYNC,
        Q(b"DEALLOCATE p"), Q(b"EXECUTE p('1')"), use() + SYNC,
    ],
    "pitfall 22: one space of names": [
        P + SYNC, Q(b"EXECUTE p('1')"), Q(b"PREPARE p AS SELECT 2"), Q(b"DEALLOCATE p"),
        use() + SYNC, Q(b"PREPARE p AS SELECT other $1"), use() + SYNC, P + SYNC,
    ],
    "all in one text": [
        Q(b"PREPARE p AS SELECT a; EXECUTE p; DEALLOCATE p; PREPARE p AS SELECT b; EXECUTE p"),
        Q(b"EXECUTE p"),
    ],
    "a text that fails half-way": [
        Q(b"PREPARE p AS SELECT a; missing; PREPARE q AS SELECT b"), Q(b"EXECUTE p"),
        Q(b"EXECUTE q"), use(b"p") + SYNC,
    ],
    "what the catalogs cannot tell": [
        Q(b"PREPARE p AS SELECT set_config('work_mem', '9MB', false)"), Q(b"EXECUTE p"),
        Q(b"SHOW work_mem"),
    ],
    "places in errors": [
        Q(b"PREPARE longer_name AS missing"), Q(b"PREPARE p AS SELECT 1; missing"),
        Q(b"EXECUTE p; missing"), Q(b"EXECUTE p; EXECUTE p; SELECT 1; missing"),
        Q(b"missing; EXECUTE p"), Q(b"EXECUTE p; bad"), Q(b"bad; EXECUTE p"),
    ],
    "SQL's in the extended way": [
        parse(b"PREPARE p AS SELECT mine $1") + RUN, parse(b"EXECUTE p('1')") + RUN, RUN,
        parse(b"EXECUTE p('2')", b"e") + SYNC, use(b"e") + SYNC, parse(b"DEALLOCATE p") + RUN,
        use(b"e") + SYNC, RUN,
    ],
    "SQL's under a name that is taken, in the extended way": [
        P + SYNC, parse(b"PREPARE p AS SELECT other $1") + RUN, use() + SYNC,
    ],
    "DEALLOCATE of what nobody knows": [Q(b"DEALLOCATE x"), Q(b"DEALLOCATE ALL")],
    # The unnamed statement
    "pitfall 21: the unnamed statement is there in the next transaction": [
        parse(b"SELECT 1") + SYNC, RUN, RUN, describe() + SYNC, RUN,
    ],
    "pitfall 21: a Query drops it": [parse(b"SELECT 1") + SYNC, Q(b"SELECT 2"), RUN],
    "pitfall 21: a Close drops it": [parse(b"SELECT 1") + SYNC, CLOSE_UNNAMED + SYNC, RUN],
    "pitfall 21: a Parse that fails drops it": [
        parse(b"SELECT 1") + SYNC, parse(b"missing") + SYNC, RUN,
    ],
    "pitfall 21: one that is skipped does not": [
        parse(b"SELECT 1") + SYNC, use(b"x") + parse(b"SELECT 2") + SYNC, RUN,
    ],
    "pitfall 21: never another's": [RUN, describe() + SYNC],
    # Parameters
    "pitfall 32: SET": [Q(b"SET work_mem 9MB"), Q(b"SHOW work_mem"), Q(b"SHOW work_mem")],
    "pitfall 32: SET that is rolled back": [
        Q(b"SET work_mem 1MB"), Q(b"BEGIN"), Q(b"SET work_mem 9MB"), Q(b"SHOW work_mem"),
        Q(b"ROLLBACK"), Q(b"SHOW work_mem"),
    ],
    "pitfall 32: a savepoint takes back": [
        Q(b"BEGIN"), Q(b"SET work_mem 1MB"), Q(b"SAVEPOINT a"), Q(b"SET work_mem 9MB"),
        Q(b"ROLLBACK TO a"), Q(b"COMMIT"), Q(b"SHOW work_mem"),
    ],
    "pitfall 32: SET in a text that fails": [
        Q(b"SET work_mem 9MB; missing"), Q(b"SHOW work_mem"),
        Q(b"BEGIN; SET work_mem 8MB; COMMIT; missing"), Q(b"SHOW work_mem"),
    ],
    "pitfall 32: SET LOCAL": [
        Q(b"BEGIN"), Q(b"SET LOCAL work_mem 9MB"), Q(b"COMMIT"), Q(b"SHOW work_mem"),
    ],
    "pitfall 32: set_config": [
        Q(b"SELECT set_config('work_mem', '9MB', false)"), Q(b"SHOW work_mem"),
        parse(b"SELECT set_config('work_mem', '8MB', false)", b"s") + SYNC, use(b"s") + SYNC,
        Q(b"SHOW work_mem"), Q(b"RESET work_mem"), use(b"s") + SYNC, Q(b"SHOW work_mem"),
    ],
    "pitfall 33: values with signs in them": [
        Q(b"SET work_mem it's \\ odd, \"quoted\""), Q(b"SHOW work_mem"), Q(b"SHOW work_mem"),
    ],
    "pitfall 31: what is reported": [
        Q(b"SET TimeZone CET"), Q(b"SHOW TimeZone"), Q(b"RESET TimeZone"), Q(b"SHOW TimeZone"),
        Q(b"BEGIN"), Q(b"SET TimeZone CET"), Q(b"ROLLBACK"), Q(b"SHOW TimeZone"),
    ],
    "a parameter of one's own": [
        Q(b"SET my.own 1"), Q(b"SHOW my.own"), Q(b"RESET my.own"), Q(b"SHOW my.own"),
        Q(b"SET my.own 2"), Q(b"DISCARD ALL"), Q(b"SHOW my.own"),
    ],
    "a role": [
        Q(b"SET role r"), Q(b"SHOW role"), Q(b"SET work_mem 9MB"), Q(b"SHOW role"),
        Q(b"RESET ALL"), Q(b"SHOW role"), Q(b"SHOW work_mem"), Q(b"RESET role"), Q(b"SHOW role"),
    ],
    "a name": [
        Q(b"SHOW application_name"), Q(b"SET application_name you"), Q(b"SHOW application_name"),
        Q(b"RESET application_name"), Q(b"SHOW application_name"), Q(b"DISCARD ALL"),
        Q(b"SHOW application_name"),
    ],
    "everything at once": [
        Q(b"SET work_mem 9MB") + Q(b"SHOW work_mem") + P + use() + SYNC + Q(b"SET TimeZone CET"),
        Q(b"SHOW work_mem") + use() + SYNC + Q(b"SHOW TimeZone"),
    ],
    # What pins
    "pitfall 34: temporary tables": [
        Q(b"CREATE TEMP TABLE t"), Q(b"CREATE TEMP TABLE t"), Q(b"DROP TABLE t"),
        Q(b"CREATE TEMP TABLE t"), Q(b"DISCARD ALL"), Q(b"CREATE TEMP TABLE t"),
    ],
    "pitfall 34: a temporary table that is rolled back": [
        Q(b"BEGIN"), Q(b"CREATE TEMP TABLE t"), Q(b"ROLLBACK"), Q(b"CREATE TEMP TABLE t"),
    ],
    "pitfall 34: locks": [
        Q(b"SELECT pg_advisory_lock(1)"), Q(b"SELECT pg_advisory_unlock(1)"), Q(b"SELECT 1"),
    ],
    "pitfall 34: cursors": [
        Q(b"DECLARE c CURSOR WITH HOLD FOR SELECT 1"), Q(b"CLOSE c"), Q(b"CLOSE c"),
    ],
    "pitfall 34: sequences": [
        Q(b"SELECT nextval('a'); SELECT lastval()"), Q(b"SELECT lastval()"),
        Q(b"BEGIN"), Q(b"SELECT nextval('b')"), Q(b"SELECT lastval()"), Q(b"COMMIT"),
        Q(b"SELECT lastval()"), Q(b"DISCARD ALL"), Q(b"SELECT lastval()"),
    ],
    "pitfall 34: never another's sequence": [
        Q(b"SELECT lastval()"), Q(b"BEGIN"), Q(b"SELECT lastval()"), Q(b"ROLLBACK"),
        parse(b"SELECT lastval()", b"l") + SYNC, use(b"l") + SYNC, use(b"l") + SYNC,
    ],
    # The rest of the protocol
    "pitfall 2: an error skips to the Sync, in a Query it does not": [
        use(b"x") + Q(b"SELECT 1") + SYNC, Q(b"missing") + Q(b"SELECT 1"),
    ],
    "pitfall 3: a Query amid a pipeline": [
        parse(b"SELECT 1") + bind() + EXECUTE + Q(b"SELECT 2") + SYNC,
    ],
    "pitfall 4: several statements, none, an error": [
        Q(b"SELECT 1; SELECT 2"), Q(b""), Q(b" ; "), Q(b"SELECT 1; missing; SELECT 2"),
        Q(b"BEGIN; SELECT 1"), Q(b"SELECT 1; COMMIT; SELECT 2"),
    ],
    "pitfall 6: Flush": [parse(b"SELECT 1") + bind() + EXECUTE + msg("H"), SYNC],
    "pitfall 7: the status is the server's word": [
        Q(b"BEGIN"), Q(b"missing"), Q(b"COMMIT"), Q(b"BEGIN"), Q(b"SAVEPOINT a"), Q(b"missing"),
        Q(b"ROLLBACK TO a"), Q(b"COMMIT"),
    ],
    "pitfall 26: COPY with Syncs sent ahead": [
        parse(b"copy x") + RUN + msg("d", b"1") + msg("c") + SYNC, Q(b"SELECT 1"),
    ],
    "pitfall 27: COPY data behind a failure": [
        Q(b"oops x") + msg("d", b"1") + msg("c"), Q(b"SELECT 1"), msg("c") + Q(b"SELECT 2"),
    ],
    "COPY that the client gives up": [Q(b"copy x") + msg("f", b"no\0"), Q(b"SELECT 1")],
}  # fmt: skip
