//! Jobs as the bench hands them out, and the answers.
//!
//! ```text
//! JOB    = KIND COUNT [SIZE]
//! single COUNT          one append after the other, each awaited; the time of each
//! together COUNT SIZE   SIZE appends at once, each with an answer of its own; the time of each lot
//! bulk COUNT SIZE       SIZE records in one go, one answer for all; the time of each lot
//! purge COUNT           gives up all that is there, for good; the time of each
//! open COUNT            opens; the time of each
//! ANSWER = {"subject":..,"job":..,"p50_us":..,"p99_us":..,"mean_us":..,"took_us":[..]}
//! ```
//!
//! A subject that cannot do a job says so and the program ends: the bench asked for nonsense.

#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;

/// One of those that are measured.
pub(crate) trait Subject {
    /// One append that is durable when this returns, or whatever is single here.
    fn single(&mut self) -> Result<Duration>;

    /// So many appends at once, each with an answer of its own.
    fn together(&mut self, _size: usize) -> Result<Duration> {
        Err("this subject knows one at a time".into())
    }

    /// So many records in one go, with one answer for all.
    fn bulk(&mut self, _size: usize) -> Result<Duration> {
        Err("this subject knows one at a time".into())
    }

    /// Gives up all that was appended.
    fn purge(&mut self) -> Result<Duration> {
        Err("this subject gives nothing up".into())
    }

    /// Opens what is there, and closes it outside of the time.
    fn open(&mut self) -> Result<Duration> {
        Err("this subject opens nothing".into())
    }
}

/// The time that something takes.
pub(crate) fn timed(what: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    what()?;
    Ok(began.elapsed())
}

fn perform(subject: &mut impl Subject, job: &str) -> Result<Vec<Duration>> {
    let words: Vec<&str> = job.split_whitespace().collect();
    let (kind, count, size) = match words[..] {
        [kind, count] => (kind, count, 0),
        [kind, count, size] => (kind, count, size.parse()?),
        _ => return Err("a kind, a count and perhaps a size".into()),
    };
    (0..count.parse::<usize>()?)
        .map(|_| match (kind, size) {
            ("single", 0) => subject.single(),
            ("purge", 0) => subject.purge(),
            ("open", 0) => subject.open(),
            ("together", 1..) => subject.together(size),
            ("bulk", 1..) => subject.bulk(size),
            _ => Err(format!("no such job: {job}").into()),
        })
        .collect()
}

fn microseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

/// The value below which so many hundredths of the sorted ones lie.
fn percentile(sorted: &[f64], hundredths: usize) -> Option<f64> {
    sorted.get((sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1))).copied()
}

fn answer(subject: &str, job: &str, took: &[Duration]) -> serde_json::Value {
    let took: Vec<f64> = took.iter().copied().map(microseconds).collect();
    let mut sorted = took.clone();
    sorted.sort_by(f64::total_cmp);
    // Nothing was done: no mean, which prints as null.
    let count = u32::try_from(took.len()).ok().filter(|&count| count > 0);
    json!({
        "subject": subject,
        "job": job,
        "p50_us": percentile(&sorted, 50),
        "p99_us": percentile(&sorted, 99),
        "mean_us": count.map(|count| took.iter().sum::<f64>() / f64::from(count)),
        "took_us": took,
    })
}

/// Works off jobs until stdin ends. The first line says that the subject is ready.
pub(crate) fn work_off(name: &str, mut subject: impl Subject) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", json!({ "subject": name, "ready": true }))?;
    for job in std::io::stdin().lock().lines() {
        let job = job?;
        let took = perform(&mut subject, &job)?;
        writeln!(out, "{}", answer(name, &job, &took))?;
    }
    Ok(())
}
