//! What became of the stream: counts and latencies, in little memory however long it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Each bucket of latencies is this much wider than the one before.
const STEP: f64 = 1.02;

/// How many buckets there are: up to about seven minutes.
const BUCKETS: usize = 1_003;

/// Latencies, each within two in a hundred.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Vec<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Latencies(vec![0; BUCKETS])
    }
}

impl Latencies {
    fn add(&mut self, took: Duration) {
        let micros = took.as_micros().max(1) as f64;
        let bucket = (micros.ln() / STEP.ln()) as usize;
        self.0[bucket.min(BUCKETS - 1)] += 1;
    }

    /// The latency that so many in a hundred stay below.
    pub(super) fn percentile(&self, percent: u64) -> Duration {
        let all: u64 = self.0.iter().sum();
        let mut left = (all * percent).div_ceil(100);
        for (bucket, count) in self.0.iter().enumerate() {
            if left <= *count {
                return Duration::from_micros(STEP.powf(bucket as f64 + 0.5) as u64);
            }
            left -= count;
        }
        Duration::ZERO
    }
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The order was taken: at which stage it stands, and why it waits for a person.
    Taken { stage: String, flags: Vec<String> },
    /// It had been taken before.
    Replayed,
    /// It was refused.
    Refused(Vec<String>),
    /// An order was cancelled.
    Cancelled,
    /// A cancellation was refused.
    NotCancelled(Vec<String>),
    /// There was no proper answer.
    Failed(String),
}

/// The counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Submissions sent, repetitions among them.
    pub(super) sent: u64,
    taken: u64,
    replayed: u64,
    refused: u64,
    flagged: u64,
    cancelled: u64,
    /// Requests without a proper answer.
    pub(super) failed: u64,
    stages: BTreeMap<String, u64>,
    flags: BTreeMap<String, u64>,
    codes: BTreeMap<String, u64>,
    not_cancelled: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    latencies: Latencies,
}

impl Tally {
    /// Counts the answer to a request.
    pub(super) fn add(&mut self, outcome: Outcome, took: Duration) {
        let mut submission = true;
        match outcome {
            Outcome::Taken { stage, flags } => {
                self.taken += 1;
                *self.stages.entry(stage).or_default() += 1;
                self.flagged += u64::from(!flags.is_empty());
                count(&mut self.flags, flags);
            }
            Outcome::Replayed => self.replayed += 1,
            Outcome::Refused(codes) => {
                self.refused += 1;
                count(&mut self.codes, codes);
            }
            Outcome::Cancelled => {
                self.cancelled += 1;
                submission = false;
            }
            Outcome::NotCancelled(codes) => {
                count(&mut self.not_cancelled, codes);
                submission = false;
            }
            Outcome::Failed(why) => {
                self.failed += 1;
                *self.failures.entry(why).or_default() += 1;
            }
        }
        if submission {
            self.latencies.add(took);
        }
    }

    /// The counts in a line.
    pub(super) fn line(&self) -> String {
        let codes: Vec<String> = self
            .codes
            .iter()
            .map(|(code, count)| format!("{code} {count}"))
            .collect();
        let codes = if codes.is_empty() {
            String::new()
        } else {
            format!(" ({})", codes.join(", "))
        };
        format!(
            "{} accepted, {} replayed, {} flagged, {} cancelled, {} refused{codes}, {} failed, \
             p50 {} ms, p95 {} ms",
            self.taken,
            self.replayed,
            self.flagged,
            self.cancelled,
            self.refused,
            self.failed,
            millis(self.latencies.percentile(50)),
            millis(self.latencies.percentile(95)),
        )
    }
}

/// Each code once for a request, however often it has it.
fn count(counts: &mut BTreeMap<String, u64>, mut codes: Vec<String>) {
    codes.sort();
    codes.dedup();
    for code in codes {
        *counts.entry(code).or_default() += 1;
    }
}

fn millis(latency: Duration) -> String {
    format!("{:.1}", latency.as_secs_f64() * 1_000.0)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = |f: &mut fmt::Formatter<'_>, counts: &BTreeMap<String, u64>| {
            counts
                .iter()
                .try_for_each(|(name, count)| writeln!(f, "  {name:<28} {count:>8}"))
        };
        writeln!(f, "{:<30} {:>8}", "submissions sent", self.sent)?;
        writeln!(f, "{:<30} {:>8}", "accepted, by stage", self.taken)?;
        parts(f, &self.stages)?;
        writeln!(f, "{:<30} {:>8}", "flagged, by code", self.flagged)?;
        parts(f, &self.flags)?;
        writeln!(f, "{:<30} {:>8}", "replayed", self.replayed)?;
        writeln!(f, "{:<30} {:>8}", "refused, by code", self.refused)?;
        parts(f, &self.codes)?;
        writeln!(f, "{:<30} {:>8}", "cancelled", self.cancelled)?;
        parts(f, &self.not_cancelled)?;
        writeln!(f, "{:<30} {:>8}", "failed", self.failed)?;
        parts(f, &self.failures)?;
        for percent in [50, 95, 99] {
            let latency = millis(self.latencies.percentile(percent));
            writeln!(f, "{:<30} {latency:>8} ms", format!("p{percent}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_truth() {
        let mut latencies = Latencies::default();
        for millis in 1..=100 {
            latencies.add(Duration::from_millis(millis));
        }
        let near = |percent: u64, millis: f64| {
            let found = latencies.percentile(percent).as_secs_f64() * 1_000.0;
            assert!((found / millis - 1.0).abs() < 0.03, "p{percent}: {found}");
        };
        near(50, 50.0);
        near(95, 95.0);
        near(100, 100.0);
        assert_eq!(
            Latencies::default().percentile(50),
            Duration::from_micros(1)
        );
    }

    #[test]
    fn every_answer_is_in_one_count() {
        let mut tally = Tally::default();
        let took = Duration::from_millis(1);
        let stage = "STAGED".to_owned();
        tally.add(
            Outcome::Taken {
                stage,
                flags: vec!["A".into(), "A".into()],
            },
            took,
        );
        tally.add(Outcome::Refused(vec!["B".into(), "C".into()]), took);
        tally.add(Outcome::Replayed, took);
        tally.add(Outcome::Failed("HTTP 503".into()), took);
        tally.add(Outcome::Cancelled, took);
        assert_eq!((tally.taken, tally.refused, tally.replayed), (1, 1, 1));
        assert_eq!((tally.flagged, tally.failed, tally.cancelled), (1, 1, 1));
        assert_eq!(tally.flags["A"], 1);
        assert!(tally.line().contains("(B 1, C 1)"));
    }
}
