//! `debug --watch`: repeats syncs with pauses, and shows the changes of each.

use std::{
    io::{self, IsTerminal as _, Write as _},
    str::FromStr,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock as _, SystemClock};
use fivetran_runner::{SyncOutcome, report, terminal};

/// A pause between two syncs: `30s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WatchInterval(Duration);

impl FromStr for WatchInterval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a pause is a number with a unit: 30s, 5m, 1h";
        let units = [("s", 1), ("m", 60), ("h", 3_600)];
        let mut found = units
            .iter()
            .filter_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
        let (number, seconds) = found.next().ok_or(WRONG)?;
        let number: u32 = number.parse().map_err(|_| WRONG)?;
        if number == 0 {
            return Err("the pause must be at least one second");
        }
        Ok(Self(Duration::from_secs(u64::from(number) * seconds)))
    }
}

/// Prints a line about the changes of a sync, and its notes. Without a terminal the line has the date, too.
pub(super) fn print_line(outcome: &SyncOutcome, now: DateTime<Utc>) -> io::Result<()> {
    let width = terminal::width();
    let format = if width.is_some() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S UTC"
    };
    let time = format!("{}  ", now.format(format));
    let room = width.map(|width| width.saturating_sub(time.len()));
    let line = format!("{time}{}", report::line(outcome, room));
    let mut out = io::stdout();
    writeln!(out, "{}", terminal::wrapped(&line, width))?;
    for note in &outcome.notes {
        let note = " ".repeat(time.len()) + note;
        writeln!(out, "{}", terminal::wrapped(&note, width))?;
    }
    Ok(())
}

/// Waits until the next sync is due, or until the process is asked to end.
pub(super) async fn pause(
    WatchInterval(pause): WatchInterval,
    json: bool,
    interrupted: &CancellationToken,
) -> io::Result<()> {
    if interrupted.is_cancelled() {
        return Ok(());
    }
    let mut out = io::stderr();
    if out.is_terminal() && !json {
        let next = SystemClock.now() + TimeDelta::from_std(pause).unwrap_or_default();
        let next = next.format("%H:%M:%S UTC");
        write!(out, "next sync at {next}; Ctrl-C stops\r")?;
        out.flush()?;
    }
    tokio::select! {
        () = SystemClock.sleep(pause) => {}
        () = interrupted.cancelled() => {}
    }
    if out.is_terminal() && !json {
        // Clears the line.
        write!(out, "\u{1b}[2K")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_a_unit() {
        let pause = |text: &str| {
            text.parse::<WatchInterval>()
                .map(|WatchInterval(pause)| pause.as_secs())
        };
        assert_eq!(pause("30s"), Ok(30));
        assert_eq!(pause("5m"), Ok(300));
        assert_eq!(pause("2h"), Ok(7_200));
        for wrong in ["", "5", "m", "0s", "-1m", "1d", "5 m", "9999999999s", "ß"] {
            assert!(pause(wrong).is_err(), "{wrong}");
        }
    }
}
