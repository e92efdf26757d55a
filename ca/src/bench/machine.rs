//! What the kernel says of this process and this machine; nothing on other systems than Linux.

use std::fs;
use std::time::Duration;

/// The load average of the last minute.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// In megabytes.
pub(super) fn resident() -> f64 {
    status("VmRSS:")
}

/// The most that was resident since [`forget_peak`], in megabytes.
pub(super) fn peak() -> f64 {
    status("VmHWM:")
}

pub(super) fn forget_peak() {
    // proc(5): 5 resets the peak. Without the right to it, the peak is that of the whole run, which is no smaller.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn status(field: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

/// What all threads have used, in user and kernel mode.
pub(super) fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // proc(5): the second field is a name in parentheses and may hold anything; user and kernel time are the 14th and 15th.
    let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    // USER_HZ is 100 on every Linux.
    Duration::from_millis(ticks * 10)
}
