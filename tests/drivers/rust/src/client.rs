//! A connection, its TLS, and how errors are told.

use std::error::Error;
use std::sync::Arc;

use futures_util::future::poll_fn;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{pem::PemObject, CertificateDer};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Outcome<T = ()> = Result<T, Failure>;

pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

pub fn tls(ca_file: &str) -> Outcome<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The client, and the payloads of the notifications that it hears.
pub async fn connect_with(
    password: &str,
    ca_file: &str,
) -> Outcome<(Client, mpsc::UnboundedReceiver<String>)> {
    let (client, mut connection) = Config::new()
        .host(setting("PGHOST"))
        .port(setting("PGPORT").parse()?)
        .user(setting("PGUSER"))
        .dbname(setting("PGDATABASE"))
        .password(password)
        .ssl_mode(tokio_postgres::config::SslMode::Require)
        .connect(tls(ca_file)?)
        .await?;
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notification(it)) => drop(tell.send(it.payload().to_owned())),
                Ok(_) => {}
                Err(error) => return eprintln!("the connection: {error}"),
            }
        }
    });
    Ok((client, heard))
}

pub async fn connect() -> Outcome<Client> {
    let (password, ca_file) = (setting("PGPASSWORD"), setting("PGSSLROOTCERT"));
    Ok(connect_with(&password, &ca_file).await?.0)
}

/// By the simple protocol; all values in a row after another.
pub async fn values(client: &Client, sql: &str) -> Outcome<Vec<String>> {
    let mut values = Vec::new();
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            values.extend((0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned()));
        }
    }
    Ok(values)
}

pub async fn shows(client: &Client, sql: &str, expected: &[&str]) -> Outcome {
    same(values(client, sql).await?, expected.iter().map(|it| it.to_string()).collect())
}

pub fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(format!("{got:?} and not {expected:?}").into())
}

/// Empty where the driver itself found that the connection is gone.
pub fn sqlstate(error: &Failure) -> &str {
    let told = error.downcast_ref::<tokio_postgres::Error>().and_then(|it| it.code());
    told.map_or("", |it| it.code())
}

pub fn raises<T>(outcome: Outcome<T>, sqlstates: &[&str]) -> Outcome {
    match outcome {
        Ok(_) => Err(format!("none of {sqlstates:?} was raised").into()),
        Err(error) if sqlstates.contains(&sqlstate(&error)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The error and what it comes from.
pub fn told(error: &Failure) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        text = format!("{text}: {below}");
        cause = below.source();
    }
    text
}
