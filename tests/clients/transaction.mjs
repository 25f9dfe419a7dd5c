// One transaction by node-postgres; the rest of the settings come from libpq's environment.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import pg from "pg";

const table = pg.escapeIdentifier(process.env.TABLE);
const value = randomUUID();
// An own `ssl` object means: verify the chain and the host's name.
const client = new pg.Client({
  ssl: { ca: readFileSync(process.env.PGSSLROOTCERT, "utf8"), rejectUnauthorized: true },
});
await client.connect();
await client.query("BEGIN");
await client.query(`INSERT INTO ${table} (tag, value) VALUES ('node', $1)`, [value]);
const read = await client.query(
  `SELECT value FROM ${table} WHERE tag = 'node' AND value = $1`, [value]);
await client.query("COMMIT");
await client.end();
if (read.rows.length !== 1 || read.rows[0].value !== value) {
  console.error(`node read ${JSON.stringify(read.rows)} where it had written ${value}`);
  process.exit(1);
}
console.log(`ok node ${value}`);
