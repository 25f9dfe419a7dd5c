//! What a client expects of its session: settings, transactions, and whatever else stays.

use std::time::Duration;

use tokio_postgres::Client;

use crate::client::{
    connect, connect_with, raises, same, setting, shows, values, Failure, Outcome,
};

const ZONES: [&str; 3] = ["Asia/Tokyo", "America/Lima", "Europe/Oslo"];
const ZONE: &str = "SELECT current_setting('TimeZone')";
const SHOWN: &str = "
SELECT current_setting('TimeZone'), current_setting('search_path'),
       current_setting('statement_timeout'), current_setting('drivers.tag'),
       current_setting('application_name')";

pub async fn sets() -> Outcome {
    let mut clients = [connect().await?, connect().await?, connect().await?];
    let mut initial = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        initial.extend(values(client, ZONE).await?);
        set(client, index).await?;
    }
    for number in 0..20 {
        for (index, client) in clients.iter_mut().enumerate() {
            keeps(client, index, number % 2 == 0).await?;
        }
    }
    for (index, client) in clients.iter_mut().enumerate() {
        undoes_and_resets(client, ZONES[index], &initial[index]).await?;
    }
    Ok(())
}

async fn set(client: &Client, index: usize) -> Outcome {
    for sql in [
        format!("SET TimeZone = '{}'", ZONES[index]),
        format!("SET search_path TO \"$user\", \"of {index}\", public"),
        format!("SET SESSION statement_timeout TO {}", 60_001 + index),
        format!("SELECT set_config('drivers.tag', 'it''s {index}', false)"),
        format!("SET application_name = 'driver {index}'"),
    ] {
        client.batch_execute(&sql).await?;
    }
    Ok(())
}

async fn keeps(client: &mut Client, index: usize, in_transaction: bool) -> Outcome {
    let expected = vec![
        ZONES[index].to_owned(),
        format!("\"$user\", \"of {index}\", public"),
        format!("{}ms", 60_001 + index),
        format!("it's {index}"),
        format!("driver {index}"),
    ];
    let row = if in_transaction {
        let transaction = client.transaction().await?;
        let row = transaction.query_one(SHOWN, &[]).await?;
        transaction.commit().await?;
        row
    } else {
        client.query_one(SHOWN, &[]).await?
    };
    same((0..5).map(|at| row.get::<_, String>(at)).collect(), expected)
}

async fn undoes_and_resets(client: &mut Client, before: &str, initial: &str) -> Outcome {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET TimeZone = 'Africa/Cairo'").await?;
    raises(transaction.batch_execute("SELECT 1/0").await.map_err(Failure::from), &["22012"])?;
    transaction.rollback().await?;
    shows(client, ZONE, &[before]).await?;
    client.batch_execute("RESET TimeZone").await?;
    shows(client, ZONE, &[initial]).await
}

pub async fn transactions() -> Outcome {
    let mut client = connect().await?;
    let table = format!("written_{}", std::process::id());
    client.batch_execute(&format!("CREATE TABLE {table} (n int)")).await?;
    for _ in 0..5 {
        savepoint(&mut client, &table).await?;
        rolled_back(&mut client, &table).await?;
    }
    let counts = format!("SELECT n, count(*) FROM {table} GROUP BY n ORDER BY n");
    shows(&client, &counts, &["1", "5", "3", "5"]).await?;
    Ok(client.batch_execute(&format!("DROP TABLE {table}")).await?)
}

async fn savepoint(client: &mut Client, table: &str) -> Outcome {
    let mut outer = client.transaction().await?;
    outer.execute(&format!("INSERT INTO {table} VALUES (1)"), &[]).await?;
    let inner = outer.transaction().await?;
    inner.execute(&format!("INSERT INTO {table} VALUES (2)"), &[]).await?;
    raises(inner.execute("SELECT 1/0", &[]).await.map_err(Failure::from), &["22012"])?;
    inner.rollback().await?;
    outer.execute(&format!("INSERT INTO {table} VALUES (3)"), &[]).await?;
    Ok(outer.commit().await?)
}

async fn rolled_back(client: &mut Client, table: &str) -> Outcome {
    let transaction = client.transaction().await?;
    transaction.execute(&format!("INSERT INTO {table} VALUES (4)"), &[]).await?;
    for (sql, sqlstate) in [("TABLE no_such_table", "42P01"), ("SELECT 1", "25P02")] {
        raises(transaction.execute(sql, &[]).await.map_err(Failure::from), &[sqlstate])?;
    }
    Ok(()) // what is dropped rolls back
}

pub async fn session() -> Outcome {
    let (password, ca_file) = (setting("PGPASSWORD"), setting("PGSSLROOTCERT"));
    let (mut client, mut heard) = connect_with(&password, &ca_file).await?;
    let other = connect().await?;
    temp_table(&client).await?;
    cursors(&mut client).await?;
    advisory_lock(&client, &other).await?;
    one_pid(&mut client).await?;
    let channel = format!("news_{}", std::process::id());
    client.batch_execute(&format!("LISTEN {channel}")).await?;
    other.batch_execute(&format!("NOTIFY {channel}, 'read this'")).await?;
    let payload = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await?;
    same(payload.as_deref(), Some("read this"))
}

async fn temp_table(client: &Client) -> Outcome {
    client.batch_execute("CREATE TEMP TABLE mine (n int)").await?;
    for number in 0..5 {
        client.execute("INSERT INTO mine VALUES ($1)", &[&number]).await?;
    }
    shows(client, "SELECT sum(n) FROM mine", &["10"]).await?;
    Ok(client.batch_execute("DROP TABLE mine").await?)
}

/// A holdable one, and a portal that is read by pieces.
async fn cursors(client: &mut Client) -> Outcome {
    let declared = "BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5); COMMIT";
    client.batch_execute(declared).await?;
    shows(client, "FETCH 2 FROM held", &["1", "2"]).await?;
    shows(client, "FETCH ALL FROM held", &["3", "4", "5"]).await?;
    client.batch_execute("CLOSE held").await?;
    let transaction = client.transaction().await?;
    let portal = transaction.bind("SELECT generate_series(1, $1::int)", &[&10]).await?;
    for expected in [4, 4, 2] {
        same(transaction.query_portal(&portal, 4).await?.len(), expected)?;
    }
    Ok(transaction.commit().await?)
}

async fn advisory_lock(client: &Client, other: &Client) -> Outcome {
    let key = std::process::id();
    client.batch_execute(&format!("SELECT pg_advisory_lock({key})")).await?;
    let (attempt, unlock) =
        (format!("SELECT pg_try_advisory_lock({key})"), format!("SELECT pg_advisory_unlock({key})"));
    for _ in 0..5 {
        shows(other, &attempt, &["f"]).await?;
    }
    shows(client, &unlock, &["t"]).await?;
    shows(other, &attempt, &["t"]).await?;
    shows(other, &unlock, &["t"]).await
}

async fn one_pid(client: &mut Client) -> Outcome {
    let transaction = client.transaction().await?;
    let mut pids = std::collections::HashSet::new();
    for _ in 0..10 {
        pids.insert(transaction.query_one("SELECT pg_backend_pid()", &[]).await?.get::<_, i32>(0));
    }
    same(pids.len(), 1)?;
    Ok(transaction.commit().await?)
}

pub async fn loses() -> Outcome {
    let table = format!("lost_{}", std::process::id());
    let other = connect().await?;
    other.batch_execute(&format!("CREATE TABLE {table} (n int)")).await?;
    raises(terminated(&table, &other).await, &["57P01", "08006", "08003", ""])?;
    shows(&other, &format!("SELECT count(*) FROM {table}"), &["0"]).await?;
    Ok(connect().await?.batch_execute(&format!("DROP TABLE {table}")).await?)
}

async fn terminated(table: &str, other: &Client) -> Outcome {
    let mut client = connect().await?;
    let transaction = client.transaction().await?;
    transaction.execute(&format!("INSERT INTO {table} VALUES (1)"), &[]).await?;
    let pid: i32 = transaction.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let ended = values(other, &format!("SELECT pg_terminate_backend({pid}, 10000)")).await?;
    assert_eq!(ended, ["t"]);
    transaction.execute("SELECT 1", &[]).await?;
    Ok(transaction.commit().await?)
}
