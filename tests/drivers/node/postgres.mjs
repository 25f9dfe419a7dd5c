// postgres.js: it prepares whatever has parameters, and never waits between two queries.
import { Readable } from 'node:stream'
import { pipeline as flow } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import postgres from 'postgres'

import { address, run } from './columns.mjs'

class Client {
  // Its stream into a COPY that the server refuses does not end.
  static tellsCopyErrors = false
  // A transaction fails with the first error in it, even with one that was caught.
  static keepsFirstError = true

  #sql

  constructor(sql) {
    this.#sql = sql
  }

  static async connect({ password, ca }) {
    // One connection for each client of the matrix; by default there were ten.
    const sql = postgres({ ...address, password, ssl: { ca }, max: 1, onnotice: () => {} })
    await sql`SELECT 1`
    return new Client(sql)
  }

  async rows(text) {
    return plain(await this.#sql.unsafe(text).values())
  }

  async asked(text, values) {
    return plain(await this.#sql.unsafe(text, values, { prepare: true }).values())
  }

  async prepared(offset, number) {
    return await this.asked(`SELECT $1::int + ${offset}, pg_backend_pid()`, [number])
  }

  async transaction(block) {
    const within = (sql) => block(new Client(sql))
    await (this.#sql.savepoint ? this.#sql.savepoint(within) : this.#sql.begin(within))
  }

  async copyIn(text, lines) {
    await flow(Readable.from(lines), await this.#sql.unsafe(text).writable())
  }

  async copyOut(text) {
    const chunks = await (await this.#sql.unsafe(text).readable()).toArray()
    return Buffer.concat(chunks).toString()
  }

  async cancelled() {
    const query = this.#sql`SELECT pg_sleep(30)`
    sleep(300).then(() => query.cancel())
    await query
  }

  /** It listens on a connection of its own. */
  async listen(channel) {
    const { promise, resolve } = withResolvers()
    await this.#sql.listen(channel, resolve)
    return () => promise
  }

  async close() {
    await this.#sql.end({ timeout: 5 })
  }
}

function withResolvers() {
  const it = {}
  it.promise = new Promise((resolve, reject) => Object.assign(it, { resolve, reject }))
  return it
}

/** Its rows carry more than their values. */
function plain(rows) {
  return Array.from(rows, (row) => Array.from(row))
}

await run(Client)
