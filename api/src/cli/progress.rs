//! Shows that long work goes on: a bar on a terminal, elsewhere a line every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal, unless told.
const LINE: Duration = Duration::from_secs(3);

/// Work under way.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    started: Instant,
    said: Instant,
    line: Duration,
}

impl Progress {
    /// Begins. `what` is counted; how many there will be is not always known.
    pub(super) fn start(what: &'static str, whole: Option<u64>) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = match whole {
                Some(_) => "{bar:30} {pos}/{len} {wide_msg} {per_sec} ({eta} left)",
                None => "{spinner} {pos} {wide_msg} {per_sec}",
            };
            let bar = whole.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Progress {
            bar,
            what,
            started: now,
            said: now,
            line: LINE,
        }
    }

    /// The same with a line as often as this.
    pub(super) fn every(self, line: Duration) -> Progress {
        Progress { line, ..self }
    }

    /// Says how far it has come, and more in words.
    pub(super) fn at(&mut self, count: u64, words: impl Fn() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(count);
            bar.set_message(format!("{}: {}", self.what, words()));
            return;
        }
        if self.said.elapsed() >= self.line {
            self.said = Instant::now();
            let seconds = self.started.elapsed().as_secs();
            eprintln!("{count} {} after {seconds} s: {}", self.what, words());
        }
    }

    /// Ends.
    pub(super) fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
