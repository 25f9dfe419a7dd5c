// The columns of the matrix, told once for both drivers of Node. One JSON line for each
// column that is named on the command line.
import { readFileSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const env = process.env
export const address = {
  host: env.PGHOST, port: Number(env.PGPORT), user: env.PGUSER, database: env.PGDATABASE,
}
export const password = env.PGPASSWORD
export const ca = readFileSync(env.PGSSLROOTCERT, 'utf8')
const otherCa = readFileSync(env.OTHER_CA, 'utf8')
const CLIENTS = 8, USES = 50, PATIENCE = 30_000

export class NotApplicable extends Error {}

export function same(got, expected) {
  const [a, b] = [got, expected].map((it) => JSON.stringify(it))
  if (a !== b) throw new Error(`${a} and not ${b}`)
}

export async function raises(sqlstates, action) {
  try {
    await action()
  } catch (error) {
    if (sqlstates.includes(error.code ?? '')) return
    throw error
  }
  throw new Error(`none of ${sqlstates} was raised`)
}

const value = async (client, sql) => (await client.rows(sql))[0][0]

async function withClient(driver, use) {
  const client = await driver.connect({ password, ca })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

async function connects(driver) {
  await withClient(driver, async (client) => {
    same(await value(client, 'SELECT current_user::text'), env.PGUSER)
  })
  await raises(['28P01'], () => driver.connect({ password: 'wrong', ca }))
  const mistrust = ['SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY']
  await raises(mistrust, () => driver.connect({ password, ca: otherCa }))
}

async function prepares(driver) {
  const one = (offset) => withClient(driver, async (client) => {
    const pids = new Set()
    for (let number = 0; number < USES; number++) {
      const [[total, pid]] = await client.prepared(offset, number)
      same(total, number + offset)
      pids.add(pid)
    }
    return pids.size
  })
  const seen = await Promise.all(Array.from({ length: CLIENTS }, (_, k) => one(1000 * k)))
  return { fewest_servers: Math.min(...seen), most_servers: Math.max(...seen) }
}

async function pipelines(driver) {
  const client = await driver.connect({ password, ca, pipeline: true })
  try {
    for (let round = 0; round < 3; round++) {
      const asked = Array.from({ length: 200 }, (_, n) => client.asked('SELECT $1::int', [n]))
      const got = await Promise.all(asked)
      same(got.map((rows) => rows[0][0]), Array.from({ length: 200 }, (_, n) => n))
      const divided = await Promise.allSettled(
        [1, 0, 2].map((n) => client.asked('SELECT 1 / $1::int', [n])))
      same(divided.map((it) => it.status), ['fulfilled', 'rejected', 'fulfilled'])
      same(divided[1].reason.code, '22012')
    }
  } finally {
    await client.close()
  }
}

async function copies(driver) {
  const table = `copied_${process.pid}`
  await withClient(driver, async (client) => {
    await client.rows(`CREATE TABLE ${table} (n int, t text)`)
    try {
      const lines = Array.from({ length: 1000 }, (_, n) => `${n}\ta\\tb\\n\n`)
      await client.copyIn(`COPY ${table} FROM STDIN`, lines)
      const out = await client.copyOut(`COPY ${table} TO STDOUT`)
      same(out.split('\n').length - 1, 1000)
      if (driver.tellsCopyErrors ?? true) await copyFails(client, `COPY ${table} FROM STDIN`)
      same(await client.rows(`SELECT count(*)::int, sum(n)::int FROM ${table}`), [[1000, 499500]])
    } finally {
      await client.rows(`DROP TABLE ${table}`)
    }
  })
}

const copyFails = (client, text) =>
  raises(['22P02'], () => client.copyIn(text, ['no number\tx\n']))

async function cancels(driver) {
  await withClient(driver, async (client) => {
    for (let round = 0; round < 3; round++) {
      await raises(['57014'], () => client.cancelled())
      same(await value(client, 'SELECT 1'), 1)
    }
  })
}

const ZONES = ['Asia/Tokyo', 'America/Lima', 'Europe/Oslo']
const ZONE = "SELECT current_setting('TimeZone')"
const SHOWN = `
SELECT current_setting('TimeZone'), current_setting('search_path'),
       current_setting('statement_timeout'), current_setting('drivers.tag'),
       current_setting('application_name')`

async function sets(driver) {
  const clients = await Promise.all(ZONES.map(() => driver.connect({ password, ca })))
  try {
    const initial = await Promise.all(clients.map((client) => value(client, ZONE)))
    for (const [index, client] of clients.entries()) await set(client, index)
    for (let number = 0; number < 20; number++)
      for (const [index, client] of clients.entries()) await keeps(client, index, number % 2)
    for (const [index, client] of clients.entries()) await undoesAndResets(client, initial[index])
  } finally {
    for (const client of clients) await client.close()
  }
}

async function set(client, index) {
  await client.rows(`SET TimeZone = '${ZONES[index]}'`)
  await client.rows(`SET search_path TO "$user", "of ${index}", public`)
  await client.rows(`SET SESSION statement_timeout TO ${60_001 + index}`)
  await client.rows(`SELECT set_config('drivers.tag', 'it''s ${index}', false)`)
  await client.rows(`SET application_name = 'driver ${index}'`)
}

async function keeps(client, index, inTransaction) {
  const expected = [[ZONES[index], `"$user", "of ${index}", public`, `${60_001 + index}ms`,
    `it's ${index}`, `driver ${index}`]]
  const check = async (it) => same(await it.rows(SHOWN), expected)
  await (inTransaction ? client.transaction(check) : check(client))
}

async function undoesAndResets(client, initial) {
  const before = await value(client, ZONE)
  await raises(['22012'], () => client.transaction(async (it) => {
    await it.rows("SET TimeZone = 'Africa/Cairo'")
    await it.rows('SELECT 1/0')
  }))
  same(await value(client, ZONE), before)
  await client.rows('RESET TimeZone')
  same(await value(client, ZONE), initial)
}

async function transactions(driver) {
  const table = `written_${process.pid}`
  await withClient(driver, async (client) => {
    await client.rows(`CREATE TABLE ${table} (n int)`)
    try {
      for (let round = 0; round < 5; round++) {
        await savepoint(client, table)
        await rolledBack(client, table, driver.keepsFirstError ? '42P01' : '25P02')
      }
      same(await client.rows(`SELECT n, count(*)::int FROM ${table} GROUP BY n ORDER BY n`),
        [[1, 5], [3, 5]])
    } finally {
      await client.rows(`DROP TABLE ${table}`)
    }
  })
}

async function savepoint(client, table) {
  await client.transaction(async (outer) => {
    await outer.rows(`INSERT INTO ${table} VALUES (1)`)
    await raises(['22012'], () => outer.transaction(async (inner) => {
      await inner.rows(`INSERT INTO ${table} VALUES (2)`)
      await inner.rows('SELECT 1/0')
    }))
    await outer.rows(`INSERT INTO ${table} VALUES (3)`)
  })
}

async function rolledBack(client, table, sqlstate) {
  await raises([sqlstate], () => client.transaction(async (it) => {
    await it.rows(`INSERT INTO ${table} VALUES (4)`)
    await raises(['42P01'], () => it.rows('TABLE no_such_table'))
    await it.rows('SELECT 1')
  }))
}

async function session(driver) {
  await withClient(driver, (client) => withClient(driver, async (other) => {
    await tempTable(client)
    await holdableCursor(client)
    await advisoryLock(client, other)
    await client.own?.()
    await client.transaction(async (it) => {
      const pids = new Set()
      for (let round = 0; round < 10; round++) pids.add(await value(it, 'SELECT pg_backend_pid()'))
      same(pids.size, 1)
    })
    const channel = `news_${process.pid}`
    const heard = await client.listen(channel)
    await other.rows(`NOTIFY ${channel}, 'read this'`)
    same(await Promise.race([heard(), sleep(PATIENCE, 'nothing', { ref: false })]), 'read this')
  }))
}

async function tempTable(client) {
  await client.rows('CREATE TEMP TABLE mine (n int)')
  for (let n = 0; n < 5; n++) await client.rows(`INSERT INTO mine VALUES (${n})`)
  same(await value(client, 'SELECT sum(n)::int FROM mine'), 10)
  await client.rows('DROP TABLE mine')
}

async function holdableCursor(client) {
  await client.transaction((it) =>
    it.rows('DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5)'))
  same(await client.rows('FETCH 2 FROM held'), [[1], [2]])
  same(await client.rows('FETCH ALL FROM held'), [[3], [4], [5]])
  await client.rows('CLOSE held')
}

async function advisoryLock(client, other) {
  const key = process.pid
  await client.rows(`SELECT pg_advisory_lock(${key})`)
  for (let round = 0; round < 5; round++)
    same(await value(other, `SELECT pg_try_advisory_lock(${key})`), false)
  same(await value(client, `SELECT pg_advisory_unlock(${key})`), true)
  same(await value(other, `SELECT pg_try_advisory_lock(${key})`), true)
  same(await value(other, `SELECT pg_advisory_unlock(${key})`), true)
}

async function loses(driver) {
  const table = `lost_${process.pid}`
  await withClient(driver, (client) => client.rows(`CREATE TABLE ${table} (n int)`))
  const lost = ['57P01', '08006', '08003', 'CONNECTION_CLOSED', 'ECONNRESET', '']
  await raises(lost, () => terminated(driver, table))
  await withClient(driver, async (client) => {
    same(await value(client, `SELECT count(*)::int FROM ${table}`), 0)
    await client.rows(`DROP TABLE ${table}`)
  })
}

async function terminated(driver, table) {
  const client = await driver.connect({ password, ca })
  try {
    await client.transaction(async (it) => {
      await it.rows(`INSERT INTO ${table} VALUES (1)`)
      const pid = await value(it, 'SELECT pg_backend_pid()')
      await withClient(driver, async (other) => {
        same(await value(other, `SELECT pg_terminate_backend(${pid}, 10000)`), true)
      })
      await it.rows('SELECT 1')
    })
  } finally {
    await client.close().catch((error) => console.error('closing a lost connection:', error))
  }
}

const COLUMNS = {
  connects, prepares, pipelines, copies, cancels, sets, transactions, session, loses,
}

export async function run(driver) {
  for (const column of process.argv.slice(2)) {
    const cell = await answer(driver, column)
    writeSync(1, JSON.stringify({ column, ...cell }) + '\n')
  }
  process.exit(0)
}

async function answer(driver, column) {
  try {
    return { result: 'ok', ...await COLUMNS[column](driver) }
  } catch (error) {
    if (error instanceof NotApplicable) return { result: 'n/a', reason: error.message }
    console.error(column, error)
    const told = `${error.code ?? error.name}: ${error.message}`
    return { result: `FAILED: ${told.replaceAll(/\s+/g, ' ').slice(0, 300)}` }
  }
}
