//! `oms simulate`: orders for a running server.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::end_signal;
use super::progress::Progress;
use crate::clock::{Clock, SystemClock};
use crate::simulate::{Stream, run as stream};

/// What stream, and where to.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Orders a second.
    #[arg(long, default_value_t = 2.0, value_parser = rate)]
    rate: f64,
    /// For how many minutes.
    #[arg(long, default_value_t = 1.0, value_parser = minutes)]
    minutes: f64,
    /// The API of the running server.
    #[arg(long, default_value = "http://127.0.0.1:8080/graphql")]
    url: String,
    /// An API key that may submit orders; or OMS_KEY in the environment.
    #[arg(long)]
    key: Option<String>,
    /// Which stream: the same seed gives the same orders. The time of the start, if not given.
    #[arg(long)]
    seed: Option<u64>,
}

fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.01, 1_000.0)
}

fn minutes(text: &str) -> Result<f64, String> {
    within(text, 0.01, 1_440.0)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| (least..=most).contains(number))
        .ok_or_else(|| format!("a number from {least} to {most} is needed"))
}

/// Runs the command.
pub(super) async fn run(asked: Simulate) -> Result<ExitCode, Box<dyn Error>> {
    let now = SystemClock.now().timestamp().unsigned_abs();
    let wanted = Stream {
        rate: asked.rate,
        time: Duration::from_secs_f64(asked.minutes * 60.0),
        url: asked.url,
        key: asked.key.or_else(|| std::env::var("OMS_KEY").ok()),
        seed: asked.seed.unwrap_or(now),
    };
    eprintln!(
        "{} orders a second for {:?}, seed {}",
        wanted.rate, wanted.time, wanted.seed
    );
    let mut progress = Progress::start("submissions", None).every(Duration::from_millis(900));
    let streamed = stream(&wanted, |sent, line| progress.at(sent, line), end_signal()).await?;
    progress.done();
    print!("{}", streamed.summary);
    Ok(if streamed.whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
