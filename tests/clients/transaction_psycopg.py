"""One transaction by psycopg; settings come from libpq's environment."""

import os
import uuid

import psycopg
from psycopg import sql

value = uuid.uuid4().hex
table = sql.Identifier(os.environ["TABLE"])
with psycopg.connect() as connection, connection.cursor() as cursor:
    insert = sql.SQL("INSERT INTO {} (tag, value) VALUES ('psycopg', %s)")
    cursor.execute(insert.format(table), [value])
    select = sql.SQL("SELECT value FROM {} WHERE tag = 'psycopg' AND value = %s")
    read = cursor.execute(select.format(table), [value]).fetchall()
if read != [(value,)]:
    raise SystemExit(f"psycopg read {read} where it had written {value}")
print(f"ok psycopg {value}")
