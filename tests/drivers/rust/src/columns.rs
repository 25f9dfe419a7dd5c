//! What a driver does with one connection, and with several that prepare.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use futures_util::{pin_mut, SinkExt, StreamExt};
use serde_json::{json, Value};
use tokio_postgres::Client;

use crate::client::{
    connect, connect_with, raises, same, setting, shows, sqlstate, tls, told, Failure, Outcome,
};

const CLIENTS: i32 = 8;
const USES: i32 = 50;

pub async fn connects() -> Outcome {
    shows(&connect().await?, "SELECT current_user::text", &[&setting("PGUSER")]).await?;
    let ca_file = setting("PGSSLROOTCERT");
    raises(connect_with("wrong", &ca_file).await, &["28P01"])?;
    match connect_with(&setting("PGPASSWORD"), &setting("OTHER_CA")).await {
        Ok(_) => Err("an unknown authority was trusted".into()),
        Err(error) if told(&error).contains("certificate") => Ok(()),
        Err(error) => Err(error),
    }
}

pub async fn prepares() -> Outcome<Value> {
    let seen = try_join_all((0..CLIENTS).map(|at| preparing(1000 * at))).await?;
    Ok(json!({
        "result": "ok",
        "fewest_servers": seen.iter().min(),
        "most_servers": seen.iter().max(),
    }))
}

async fn preparing(offset: i32) -> Outcome<usize> {
    let client = connect().await?;
    let sql = format!("SELECT $1::int + {offset}, pg_backend_pid()");
    let statement = client.prepare(&sql).await?;
    let mut pids = HashSet::new();
    for number in 0..USES {
        let row = if number % 10 == 9 {
            client.query_one(&sql, &[&number]).await? // prepared for this once
        } else {
            client.query_one(&statement, &[&number]).await?
        };
        same(row.get::<_, i32>(0), number + offset)?;
        pids.insert(row.get::<_, i32>(1));
    }
    Ok(pids.len())
}

/// Futures that are polled together go out without waiting.
pub async fn pipelines() -> Outcome {
    let client = connect().await?;
    let echo = client.prepare("SELECT $1::int").await?;
    let divide = client.prepare("SELECT 1 / $1::int").await?;
    for _ in 0..3 {
        let asked = (0..200).map(|number| {
            let (client, echo) = (&client, &echo);
            async move { client.query_one(echo, &[&number]).await.map(|row| row.get::<_, i32>(0)) }
        });
        same(try_join_all(asked).await?, (0..200).collect())?;
        let divided = join_all([1, 0, 2].map(|number| divided(&client, &divide, number))).await;
        let states: Vec<_> =
            divided.iter().map(|it| it.as_ref().map_or_else(sqlstate, |_| "ok")).collect();
        same(states, vec!["ok", "22012", "ok"])?;
        shows(&client, "SELECT 1", &["1"]).await?;
    }
    Ok(())
}

async fn divided(
    client: &Client,
    statement: &tokio_postgres::Statement,
    by: i32,
) -> Outcome<i32> {
    Ok(client.query_one(statement, &[&by]).await?.get(0))
}

pub async fn copies() -> Outcome {
    let client = connect().await?;
    let table = format!("copied_{}", std::process::id());
    client.batch_execute(&format!("CREATE TABLE {table} (n int, t text)")).await?;
    let lines: String = (0..1000).map(|number| format!("{number}\ta\\tb\\n\n")).collect();
    same(copy_in(&client, &table, lines.clone()).await?, 1000)?;
    let out = client.copy_out(&format!("COPY {table} TO STDOUT")).await?;
    pin_mut!(out);
    let mut read = Vec::new();
    while let Some(chunk) = out.next().await {
        read.extend_from_slice(&chunk?);
    }
    same(String::from_utf8(read)?, lines)?;
    raises(copy_in(&client, &table, "no number\tx\n".into()).await, &["22P02"])?;
    shows(&client, &format!("SELECT count(*), sum(n) FROM {table}"), &["1000", "499500"]).await?;
    Ok(client.batch_execute(&format!("DROP TABLE {table}")).await?)
}

async fn copy_in(client: &Client, table: &str, lines: String) -> Outcome<u64> {
    let sink = client.copy_in(&format!("COPY {table} FROM STDIN")).await?;
    pin_mut!(sink);
    sink.send(Bytes::from(lines)).await?;
    Ok(sink.finish().await?)
}

pub async fn cancels() -> Outcome {
    let client = connect().await?;
    for _ in 0..3 {
        let token = client.cancel_token();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel_query(tls(&setting("PGSSLROOTCERT"))?).await?;
            Ok::<_, Failure>(())
        };
        let (slept, cancelled) = tokio::join!(client.batch_execute("SELECT pg_sleep(30)"), cancel);
        cancelled?;
        raises(slept.map_err(Failure::from), &["57014"])?;
        shows(&client, "SELECT 1", &["1"]).await?;
    }
    Ok(())
}
