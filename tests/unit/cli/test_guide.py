"""The line that a client changes."""

import shlex

import pytest
from psycopg.conninfo import conninfo_to_dict

from sluice_cli.guide import Address, conninfo, guide
from sluice_proxy.config import User

USER = User("orders", "never-shown", database="shop")
LOCAL = ("127.0.0.1", 6432)
ADMIN = ("127.0.0.1", 9127)


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        (LOCAL, "localhost"),
        (("", 6432), "localhost"),
        (("0.0.0.0", 6432), "localhost"),  # noqa: S104
        (("::1", 6432), "localhost"),
        (("192.0.2.7", 6432), "192.0.2.7"),
        (("2001:db8::7", 6432), "2001:db8::7"),
    ],
)
def test_the_host_is_one_that_the_certificate_has(listen: Address, host: str) -> None:
    assert conninfo_to_dict(conninfo(listen, "/ca.crt", USER)) == {
        "host": host,
        "port": "6432",
        "user": "orders",
        "dbname": "shop",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.crt",
    }


@pytest.mark.parametrize("name", ["o'brien", "two words", "back\\slash", "'", "tab\there"])
def test_odd_names_survive_libpq_and_the_shell(name: str) -> None:
    text = guide("shop/orders", LOCAL, ADMIN, "/a folder/ca.crt", User(name, "x", database=name))
    program, line = shlex.split(text.partition("\n")[2].partition("\n")[2])
    fields = conninfo_to_dict(line)
    assert program == "psql"
    assert (fields["user"], fields["dbname"]) == (name, name)
    assert fields["sslrootcert"] == "/a folder/ca.crt"


def test_what_a_person_reads() -> None:
    assert guide("shop/orders", LOCAL, ADMIN, "/ca.crt", USER).splitlines() == [
        "shop/orders is served on 127.0.0.1:6432; its state: http://localhost:9127/state",
        "CA: /ca.crt",
        "psql 'host=localhost port=6432 user=orders dbname=shop sslmode=verify-full "
        "sslrootcert=/ca.crt'",
    ]


def test_a_certificate_of_the_users_own() -> None:
    text = guide("shop/orders", ("::", 6432), ("", 9127), "", USER)
    assert "[::]:6432" in text
    assert "CA:" not in text
    assert text.endswith("sslmode=require'")
