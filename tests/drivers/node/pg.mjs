// node-postgres, with its own streams for COPY and its own cursors.
import { Readable } from 'node:stream'
import { pipeline as flow } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import pg from 'pg'
import copyStreams from 'pg-copy-streams'
import Cursor from 'pg-cursor'

import { address, ca, run, same } from './columns.mjs'

class Client {
  #client
  #depth = 0

  static async connect({ password, ca, pipeline = false }) {
    const client = new Client()
    client.#client = new pg.Client({ ...address, password, ssl: { ca }, pipeline })
    client.#client.on('error', (error) => console.error('told of by an event:', error.message))
    await client.#client.connect()
    return client
  }

  async rows(text) {
    return (await this.#client.query({ text, rowMode: 'array' })).rows
  }

  async asked(text, values) {
    return (await this.#client.query({ text, values, rowMode: 'array' })).rows
  }

  async prepared(offset, number) {
    const text = `SELECT $1::int + ${offset}, pg_backend_pid()`
    const asked = { name: 'add', text, values: [number], rowMode: 'array' }
    return (await this.#client.query(asked)).rows
  }

  async transaction(block) {
    const [begin, commit, undo] = this.#depth++
      ? ['SAVEPOINT inner_one', 'RELEASE inner_one', 'ROLLBACK TO inner_one']
      : ['BEGIN', 'COMMIT', 'ROLLBACK']
    try {
      await this.rows(begin)
      await block(this)
      await this.rows(commit)
    } catch (error) {
      // Where the connection is lost, the first error tells it.
      await this.rows(undo).catch((another) => console.error(undo, another.message))
      throw error
    } finally {
      this.#depth--
    }
  }

  async copyIn(text, lines) {
    await flow(Readable.from(lines), this.#client.query(copyStreams.from(text)))
  }

  async copyOut(text) {
    const chunks = await this.#client.query(copyStreams.to(text)).toArray()
    return Buffer.concat(chunks).toString()
  }

  async cancelled() {
    const query = new pg.Query('SELECT pg_sleep(30)')
    const ended = new Promise((resolve, reject) => {
      query.on('end', resolve)
      query.on('error', reject)
    })
    this.#client.query(query)
    const cancel = sleep(300).then(() => {
      const canceller = new pg.Client({ ...address, ssl: { ca } })
      canceller.connection.on('error', (error) => console.error('cancelling:', error.message))
      canceller.cancel(this.#client, query)
    })
    await Promise.all([ended, cancel])
  }

  async own() {
    await this.transaction(async () => {
      const cursor = this.#client.query(new Cursor('SELECT generate_series(1, $1::int) AS n', [10]))
      const counts = []
      for (let rows = [0]; rows.length;) counts.push((rows = await cursor.read(4)).length)
      same(counts, [4, 4, 2, 0])
      await cursor.close()
    })
  }

  async listen(channel) {
    const heard = new Promise((resolve) => {
      this.#client.on('notification', (message) => resolve(message.payload))
    })
    await this.rows(`LISTEN ${channel}`)
    return () => heard
  }

  async close() {
    await this.#client.end()
  }
}

await run(Client)
