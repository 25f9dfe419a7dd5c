"""One transaction by asyncpg; settings come from libpq's environment."""

import asyncio
import os
import ssl
import uuid

import asyncpg

TABLE = '"{}"'.format(os.environ["TABLE"].replace('"', '""'))


async def main() -> None:
    value = uuid.uuid4().hex
    trust = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    connection = await asyncpg.connect(ssl=trust)
    async with connection.transaction():
        await connection.execute(f"INSERT INTO {TABLE} (tag, value) VALUES ('asyncpg', $1)", value)
        select = f"SELECT value FROM {TABLE} WHERE tag = 'asyncpg' AND value = $1"
        read = [row["value"] for row in await connection.fetch(select, value)]
    await connection.close()
    if read != [value]:
        raise SystemExit(f"asyncpg read {read} where it had written {value}")
    print(f"ok asyncpg {value}")


asyncio.run(main())
