//! The pipe into which all processes and the observer tell what happens, one line each.
//!
//! A line goes out with one `write` of less than `PIPE_BUF` bytes: the kernel takes it as a whole
//! or not at all, also from a process that is killed, and puts the lines of all processes in one
//! order. What is told before an operation begins and after it ended encloses it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// What POSIX grants to every pipe; Linux grants more.
const PIPE_BUF: usize = 512;

/// One teller's end of the pipe.
#[derive(Clone)]
pub(crate) struct Journal {
    pub(crate) writer: usize,
    pipe: Arc<File>,
}

impl Journal {
    /// The pipe that is this process's standard output.
    pub(crate) fn of_this_process(writer: usize) -> Self {
        let pipe = io::stdout().as_fd().try_clone_to_owned().expect("standard output is open");
        Self { writer, pipe: Arc::new(File::from(pipe)) }
    }

    /// The observer's own end.
    pub(crate) fn of_the_observer(pipe: io::PipeWriter) -> Self {
        let pipe = Arc::new(File::from(std::os::fd::OwnedFd::from(pipe)));
        Self { writer: usize::MAX, pipe }
    }

    /// Writes down all that was told, heard by now or not: nobody is left who could tell more.
    pub(crate) fn write_down(&self, heard: &[String], pipe: &Receiver<String>, to: &Path) {
        const END: &str = "end";
        self.tell(END);
        let not_heard: Vec<String> = pipe.iter().take_while(|line| line != END).collect();
        let mut journal = [heard, &not_heard].concat().join("\n");
        journal.push('\n');
        std::fs::write(to, journal).expect("it can be written");
    }

    /// Tells one line.
    pub(crate) fn tell(&self, line: &str) {
        let line = format!("{line}\n");
        assert!(line.len() <= PIPE_BUF, "too long to be one write: {line}");
        match (&*self.pipe).write(line.as_bytes()) {
            Ok(count) => assert_eq!(count, line.len(), "the pipe took a part of {line}"),
            // Nobody observes any more.
            Err(_) => std::process::exit(1),
        }
    }
}
