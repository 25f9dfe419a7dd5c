//! tokio-postgres by its defaults: one JSON line for each column on the command line.

mod client;
mod columns;
mod state;

use serde_json::{json, Value};

#[tokio::main]
async fn main() {
    for column in std::env::args().skip(1) {
        let mut line = match answer(&column).await {
            Ok(line) => line,
            Err(error) => {
                eprintln!("{column}: {error:?}");
                let told = client::told(&error).replace('\n', " ");
                json!({ "result": format!("FAILED: {}", &told[..told.len().min(300)]) })
            }
        };
        line["column"] = json!(column);
        println!("{line}");
    }
}

async fn answer(column: &str) -> client::Outcome<Value> {
    match column {
        "connects" => columns::connects().await?,
        "prepares" => return columns::prepares().await,
        "pipelines" => columns::pipelines().await?,
        "copies" => columns::copies().await?,
        "cancels" => columns::cancels().await?,
        "sets" => state::sets().await?,
        "transactions" => state::transactions().await?,
        "session" => state::session().await?,
        "loses" => state::loses().await?,
        _ => return Err(format!("no column is named {column}").into()),
    }
    Ok(json!({ "result": "ok" }))
}
