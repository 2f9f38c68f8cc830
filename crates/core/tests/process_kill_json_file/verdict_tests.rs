//! The judge judged: histories with one thing wrong are convicted of just that, and those that
//! look strange but can have happened are acquitted.

use super::history::{Content, History, Value};
use super::verdict::{Kind, judge};

/// What the judge says of these lines. A line `file <key>=<event id> ...` is a look at the file.
fn judged(lines: &str) -> Option<Kind> {
    let mut history = History::default();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(file) = line.strip_prefix("file") else {
            history.hear(line.to_owned()).expect("nothing failed");
            continue;
        };
        let look = history.looks.len();
        let content: Content = file.split_whitespace().map(entry).collect();
        history.see(content);
        for mark in [format!("look {look}"), format!("seen {look}")] {
            history.hear(mark).expect("nothing failed");
        }
    }
    judge(&history).err().map(|violation| violation.kind)
}

/// An entry of a file, from `key=writer/op@sequence`.
fn entry(text: &str) -> (String, Value) {
    let (key, id) = text.split_once('=').expect("an entry");
    let (_, sequence) = id.split_once('@').expect("an event id");
    let sequence = sequence.parse().expect("a sequence");
    (key.to_owned(), Value { sequence, id: id.to_owned() })
}

/// Each is convicted of this.
fn convicts(of: Kind, histories: &[&str]) {
    for history in histories {
        assert_eq!(judged(history), Some(of), "{history}");
    }
}

fn acquits(histories: &[&str]) {
    for history in histories {
        assert_eq!(judged(history), None, "{history}");
    }
}

pub(crate) fn clean() {
    acquits(&[
        "file",
        "try 0 0 put k 5\n try 1 0 put k 7\n ok 0 0 applied\n ok 1 0 applied\n file k=1/0@7
         try 0 1 put k 6\n ok 0 1 superseded 7 1/0@7\n file k=1/0@7",
        "try 0 0 put k 5\n ok 0 0 applied\n try 0 1 delete k\n ok 0 1 deleted\n file
         try 0 2 put k 3\n ok 0 2 applied\n file k=0/2@3",
        // Of two at the same time either may have come first.
        "try 0 0 put k 5\n try 1 0 put k 7\n ok 1 0 applied\n ok 0 0 superseded 7 1/0@7
         file k=1/0@7",
        "try 0 0 put k 5\n try 1 0 delete k\n ok 1 0 absent\n ok 0 0 applied\n file k=0/0@5",
    ]);
}

pub(crate) fn lost() {
    convicts(
        Kind::Lost,
        &[
            "try 0 0 put k 5\n ok 0 0 applied\n try 0 1 put k 7\n ok 0 1 applied
             dead 0\n file k=0/0@5",
            // What superseded a put was durable as well.
            "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 put k 7\n try 0 1 put k 6
             ok 0 1 superseded 7 1/0@7\n file k=0/0@5",
            // The same sequence, by somebody who came second and must not have replaced it.
            "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 put k 5\n dead 1\n file k=1/0@5",
        ],
    );
}

pub(crate) fn applied_over_more() {
    convicts(
        Kind::Lost,
        // A later put hides it from whoever looks.
        &["try 0 0 put k 7\n ok 0 0 applied\n try 1 0 put k 6\n ok 1 0 applied
           try 0 1 put k 9\n ok 0 1 applied\n file k=0/1@9"],
    );
}

pub(crate) fn vanished() {
    convicts(
        Kind::Vanished,
        &[
            "try 0 0 put k 5\n ok 0 0 applied\n file",
            "try 0 0 put k 5\n file k=0/0@5\n dead 0\n file",
            "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 delete k\n ok 1 0 absent",
            // Another key was deleted, not this one.
            "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 delete l\n ok 1 0 deleted\n file",
        ],
    );
}

pub(crate) fn backward() {
    convicts(
        Kind::Backward,
        &["try 0 0 put k 5\n try 0 1 put k 7\n file k=0/1@7\n dead 0\n file k=0/0@5"],
    );
}

pub(crate) fn resurrected() {
    convicts(
        Kind::Resurrected,
        &[
            "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 delete k\n ok 1 0 deleted\n file k=0/0@5",
            "try 0 0 put k 5\n dead 0\n file\n file k=0/0@5",
        ],
    );
}

pub(crate) fn invented() {
    convicts(
        Kind::Invented,
        &[
            "file k=0/0@5",
            "try 0 0 put l 5\n ok 0 0 applied\n try 0 1 put k 5\n file k=0/0@5 l=0/0@5",
            "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 put k 6\n file k=1/0@5",
            "try 0 0 put k 5\n file k=1/0@9\n try 1 0 put k 9",
            "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 put k 6\n ok 1 0 superseded 9 0/0@5",
            // It was told that it changed nothing.
            "try 0 0 put k 5\n try 1 0 put k 5\n ok 0 0 applied\n ok 1 0 superseded 5 0/0@5
             file k=1/0@5",
        ],
    );
}

pub(crate) fn excuses() {
    let put = "try 0 0 put k 5\n ok 0 0 applied\n";
    acquits(&[
        // Nobody heard of the delete; it may have been done.
        &format!("{put} try 1 0 delete k\n dead 1\n file"),
        "try 1 0 delete k\n try 0 0 put k 5\n ok 0 0 applied\n ok 1 0 deleted\n file",
        &format!("{put} try 1 0 delete k\n try 2 0 put k 3\n dead 1\n dead 2\n file k=2/0@3"),
    ]);
    let over = "try 1 0 delete k\n ok 1 0 deleted\n";
    convicts(Kind::Vanished, &[&format!("{over} {put} file"), &format!("{put} file\n {over}")]);
    // The lower value was put before the delete began.
    let low = "try 2 0 put k 3\n ok 2 0 applied\n";
    convicts(
        Kind::Lost,
        &[
            &format!("{low} {put} try 1 0 delete k\n dead 1\n file k=2/0@3"),
            // The higher one came after the lower one, whenever the delete was.
            &format!("try 1 0 delete k\n {low} {put} dead 1\n file k=2/0@3"),
            // The delete came after both.
            &format!("try 2 0 put k 3\n {put} dead 2\n try 1 0 delete k\n dead 1\n file k=2/0@3"),
        ],
    );
}

pub(crate) fn deaths() {
    // Done or not done; but done before the death, or never.
    acquits(&[
        "try 0 0 put k 5\n dead 0\n file",
        "try 0 0 put k 5\n dead 0\n file k=0/0@5",
        "try 0 0 put k 5\n ok 0 0 applied\n try 1 0 delete k\n file k=0/0@5\n file\n dead 1",
    ]);
    convicts(
        Kind::Vanished,
        &["try 0 0 put k 5\n ok 0 0 applied\n try 1 0 delete k\n dead 1\n file k=0/0@5\n file"],
    );
}

pub(crate) fn superseded_by_less() {
    convicts(
        Kind::Lost,
        &["try 0 0 put k 5\n ok 0 0 applied\n try 0 1 put k 6\n ok 0 1 superseded 5 0/0@5"],
    );
}
