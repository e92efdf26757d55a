//! What happens right now: a line per step, a bar for many mails; on a terminal and in a log alike.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows steps as they happen.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    /// A spinner on a terminal, plain lines elsewhere.
    pub(crate) fn start() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, terminal }
    }

    /// Begins a step; the one before it is done.
    pub(crate) fn step(&self, what: &str) {
        if self.terminal {
            let before = self.bar.message();
            if !before.is_empty() {
                self.bar.println(format!("  ✓ {before}"));
            }
            self.bar.set_message(what.to_owned());
        } else {
            eprintln!("  · {what}");
        }
    }

    /// Begins a step of `length` equal parts.
    pub(crate) fn many(&self, what: &str, length: usize) {
        self.step(what);
        if self.terminal {
            self.bar.set_length(u64::try_from(length).unwrap_or(u64::MAX));
            self.bar.set_position(0);
            // The template is a constant that indicatif accepts; if it ever does not, the spinner stays.
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {bar:30} {pos}/{len}") {
                self.bar.set_style(style);
            }
        }
    }

    /// One of the parts is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// Everything is done.
    pub(crate) fn finish(&self) {
        if self.terminal {
            let before = self.bar.message();
            self.bar.println(format!("  ✓ {before}"));
        }
        self.bar.finish_and_clear();
    }
}
