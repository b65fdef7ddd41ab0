//! The commands of the `oms` binary.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use entity::api_key::Role;

use crate::access::{self, CreateKey};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::db::Db;
use crate::notifications::mailer;
use crate::payments::gateway::Sandbox;
use crate::server::{self, Background};
use crate::tx::Actor;
use crate::{demo, events, graphql, integrity};

mod import;
mod progress;
mod simulate;

/// OMS, an order management system.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Default, Subcommand)]
enum Command {
    /// Serve the API (the default).
    #[default]
    Serve,
    /// Bring the database's schema up to date.
    Migrate,
    /// Print the GraphQL schema.
    Schema,
    /// Fill an empty database with a small believable merchant.
    Seed,
    /// Make an API key and print it.
    Key {
        /// What it is for.
        #[arg(long)]
        name: String,
    },
    /// Bring data in from files.
    Import {
        #[command(subcommand)]
        what: import::Import,
    },
    /// Send a believable stream of orders to a running server.
    Simulate(simulate::Simulate),
    /// Say that the database was restored from a backup: whoever follows the events is told to
    /// begin anew. Run it before anything is served.
    Restored,
    /// Check every invariant of the data; fails if something disagrees.
    Verify,
}

/// Runs a command.
pub async fn run(cli: Cli, config: Config) -> Result<ExitCode, Box<dyn Error>> {
    match cli.command.unwrap_or_default() {
        Command::Serve => serve(config).await,
        Command::Migrate => {
            Db::connect(&config.database).await?.migrate().await?;
            println!("the schema is up to date");
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema => {
            print!("{}", graphql::sdl());
            Ok(ExitCode::SUCCESS)
        }
        Command::Seed => {
            let app = open(config).await?;
            if demo::seed(&app).await? {
                println!("the demo merchant is there");
            } else {
                println!("the database has channels already; nothing was changed");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Key { name } => {
            let app = open(config).await?;
            println!("{}", administrator_key(&app, &name).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Import { what } => import::run(open(config).await?, what).await,
        Command::Simulate(asked) => simulate::run(asked).await,
        Command::Restored => {
            let app = open(config).await?;
            let epoch = app
                .write(&Actor::worker("restore"), move |tx| async move {
                    events::restored(&tx).await
                })
                .await?;
            println!("the log of events has a new epoch, {epoch}: old cursors begin anew");
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify => verify(config).await,
    }
}

/// Connects, migrates, and puts the app together.
pub async fn open(config: Config) -> Result<Arc<App>, Box<dyn Error>> {
    let db = Db::connect(&config.database).await?;
    db.migrate().await?;
    let mailer = mailer::of(&config.mail)?;
    Ok(App::new(
        db,
        Arc::new(SystemClock),
        config,
        Arc::new(Sandbox),
        mailer,
    ))
}

async fn serve(config: Config) -> Result<ExitCode, Box<dyn Error>> {
    if config.is_public() && config.access.pepper.is_empty() {
        return Err(
            "listening beyond this machine needs OMS__ACCESS__PEPPER, the secret under \
                    which API keys are hashed"
                .into(),
        );
    }
    let app = open(config).await?;
    let fresh = !access::any_key(&app.db.read).await?;
    if fresh && app.config.is_public() {
        return Err(
            "listening beyond this machine needs an API key: make one with \
                    `oms key --name NAME`"
                .into(),
        );
    }
    if app.config.database.url.starts_with("sqlite:") && demo::open(&app).await? {
        tracing::info!("the database was empty: the demo merchant is there");
    }
    let key = if fresh {
        Some(administrator_key(&app, "administrator").await?)
    } else {
        None
    };
    let running = server::start(app, Background::Running)?;
    println!("Console:     http://{}/", running.address);
    println!("GraphQL API: http://{}/graphql", running.address);
    if let Some(key) = key {
        println!("Administrator key, shown this once: {key}");
    }
    end_signal().await;
    tracing::info!("stopping: running requests finish first");
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn administrator_key(app: &App, name: &str) -> Result<String, Box<dyn Error>> {
    let cmd = &CreateKey {
        name: name.to_owned(),
        role: Role::Admin,
        channels: None,
        expires_at: None,
    };
    let access = &app.config.access;
    let key = app
        .write(&Actor::worker("setup"), move |tx| async move {
            access::create_key(&tx, &access.pepper, &access.environment, cmd).await
        })
        .await?;
    Ok(key.key)
}

async fn verify(config: Config) -> Result<ExitCode, Box<dyn Error>> {
    let db = Db::connect(&config.database).await?;
    let differences = integrity::verify(&db.read).await?;
    for difference in &differences {
        println!(
            "{}: {}: {}",
            difference.invariant, difference.rule, difference.subject
        );
    }
    println!(
        "{} checks, {} differences",
        integrity::checks(),
        differences.len()
    );
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Completes on SIGTERM or SIGINT.
async fn end_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
