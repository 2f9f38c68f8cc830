//! The judge judged: histories with one thing wrong are convicted of just that, and those that
//! look strange but can have happened are acquitted.

use super::history::{History, Kind};
use super::look::Run;
use super::model::State;

/// What the judge says of these lines. A line `look <first> <op of the hard state> <run>, <run>`
/// is a look without a writer, `watch ...` one at a writer that stands still.
fn judged(lines: &str) -> Option<Kind> {
    let mut history = History::default();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let done = if let Some(look) = line.strip_prefix("look ") {
            history.looked(&state(look))
        } else if let Some(look) = line.strip_prefix("watch ") {
            history.looked_at_a_writer(&state(look), false)
        } else if let Some(look) = line.strip_prefix("delayed ") {
            history.looked_at_a_writer(&state(look), true)
        } else {
            history.hear(line.to_owned()).map(drop)
        };
        if let Err(violation) = done {
            return Some(violation.kind);
        }
    }
    None
}

fn state(text: &str) -> State {
    let mut parts = text.splitn(3, ' ');
    let mut next = || parts.next().unwrap_or("");
    let (first, hard) = (next().parse().expect("a number"), next().parse().ok());
    let runs = next().split(", ").filter(|run| !run.is_empty());
    let runs = runs.map(|run| Run::of(&run.split(' ').collect::<Vec<_>>()));
    State { first, entries: runs.flat_map(Run::tags).collect(), hard }
}

/// Each is convicted of this, and not without its last line.
fn convicts(of: Kind, histories: &[&str]) {
    for history in histories {
        assert_eq!(judged(history), Some(of), "{history}");
        let (before, _last) = history.trim_end().rsplit_once('\n').expect("there are two lines");
        assert_eq!(judged(before), None, "the last line convicts: {before}");
    }
}

fn acquits(histories: &[&str]) {
    for history in histories {
        assert_eq!(judged(history), None, "{history}");
    }
}

/// A log with a batch of two by operation 1, and a hard state with an entry by operation 2.
const BEGUN: &str = "opened 0 1 1 - 0 0 0
    try 0 1 durable append 11 - -
    ok 0 1 appended 1 2
    try 0 2 durable append 1 3 set
    ";
const HEARD: &str = "ok 0 2 appended 3 3
    ";

fn begun(rest: &str) -> String {
    format!("{BEGUN}{rest}")
}

fn heard(rest: &str) -> String {
    format!("{BEGUN}{HEARD}{rest}")
}

pub(crate) fn clean() {
    acquits(&[
        &begun("dead 0\n look 1 - \n run 0 1 1 0 2\n opened 0 1 3 - 0 0 0"),
        &begun(
            "dead 0\n look 1 2 1 1 0 2, 3 2 0 1\n run 0 1 1 0 2\n run 0 3 2 0 1
                opened 0 1 4 2 0 9 0",
        ),
        &heard("try 0 3 durable truncate 7\n ok 0 3 refused TIDEMARK_NOT_FOUND"),
        &heard(
            "try 0 3 durable purge 9\n ok 0 3 done\n try 0 4 written append 0 9 -
                ok 0 4 appended 9 9",
        ),
        // A reader that is told of a truncate, and one that a death keeps from being told.
        &heard(
            "again 1 1\n saw 1 1 1 0 2\n saw 1 3 2 0 1\n try 0 3 durable truncate 1
                told 1 TIDEMARK_CONFLICT\n again 1 1\n saw 1 1 1 0 1",
        ),
        &heard("try 0 3 durable truncate 1\n again 1 1\n saw 1 1 1 0 2\n dead 0\n saw 1 3 2 0 1"),
        &begun("watch 1 - 1 1 0 2"),
        // The next segment was begun within the group of the second operation.
        &begun("rolls 0\n delayed 1 2 1 1 0 2, 3 2 0 1"),
    ]);
}

pub(crate) fn lost() {
    convicts(
        Kind::Lost,
        &[
            &heard("dead 0\n run 0 1 1 0 2\n opened 0 1 3 - 0 0 0"),
            // Nobody was told, but somebody read it.
            &begun(
                "again 1 1\n saw 1 1 1 0 2\n saw 1 3 2 0 1\n dead 0\n run 0 1 1 0 2
                opened 0 1 3 - 0 0 0",
            ),
            // A hard state that came without an entry.
            &heard(
                "try 0 3 durable hard set\n ok 0 3 done\n dead 0\n run 0 1 1 0 2\n run 0 3 2 0 1
                opened 0 1 4 2 0 0 0",
            ),
        ],
    );
}

pub(crate) fn torn() {
    convicts(
        Kind::Torn,
        &[
            &begun(
                "try 0 3 written append 111 - -\n dead 0\n run 0 1 1 0 2\n run 0 3 2 0 1
                run 0 4 3 0 2\n opened 0 1 6 2 0 0 0",
            ),
            &begun("dead 0\n run 0 1 1 0 2\n run 0 3 2 0 1\n opened 0 1 4 - 0 0 0"),
            &begun("dead 0\n run 0 1 1 0 2\n opened 0 1 3 2 0 0 0"),
        ],
    );
}

pub(crate) fn resurrected() {
    convicts(
        Kind::Resurrected,
        &[
            &heard(
                "try 0 3 durable truncate 1\n ok 0 3 done\n dead 0\n run 0 1 1 0 2
                run 0 3 2 0 1\n opened 0 1 4 2 0 0 0",
            ),
            &heard(
                "try 0 3 durable purge 3\n ok 0 3 done\n dead 0\n run 0 1 1 0 2
                run 0 3 2 0 1\n opened 0 1 4 2 0 0 0",
            ),
            // It did not survive, so nobody can have read it.
            &begun(
                "dead 0\n run 0 1 1 0 2\n opened 0 1 3 - 0 0 0\n again 1 1\n saw 1 1 1 0 2
                saw 1 3 2 0 1",
            ),
        ],
    );
}

pub(crate) fn invented() {
    convicts(
        Kind::Invented,
        &[
            &heard("dead 0\n run 0 1 1 0 2\n run 0 3 7 0 1\n opened 0 1 4 2 0 0 0"),
            &heard("again 1 1\n saw 1 1 8 0 1"),
            &heard("dead 0\n look 2 2 2 1 0 1, 3 2 1 1"),
        ],
    );
    convicts(Kind::Changed, &[&heard("again 1 1\n saw 1 1 1 1 1"), &heard("again 1 1\n bad 1 1")]);
}

pub(crate) fn holes() {
    convicts(
        Kind::Hole,
        &[
            &heard("again 1 1\n saw 1 1 1 0 1\n saw 1 3 2 0 1"),
            &heard("again 1 1\n saw 1 1 1 0 2\n saw 1 2 1 1 1"),
            &heard("dead 0\n run 0 1 1 0 2\n opened 0 1 4 2 0 0 0"),
        ],
    );
}

pub(crate) fn early() {
    convicts(
        Kind::Early,
        &[
            &begun("watch 1 2 1 1 0 2, 3 2 0 1"),
            &begun("delayed 1 2 1 1 0 2, 3 2 0 1"),
            // Asked for only after the next segment was begun.
            &begun(
                "rolls 0\n try 0 3 durable append 1 - -\n delayed 1 2 1 1 0 2, 3 2 0 1, 4 3 0 1",
            ),
        ],
    );
    // What was acknowledged as durable is durable.
    convicts(Kind::Lost, &[&heard("watch 1 - 1 1 0 2")]);
}

pub(crate) fn papered_over() {
    let cut = "again 1 1\n saw 1 1 1 0 2\n saw 1 3 2 0 1\n try 0 3 durable truncate 1\n
        try 0 4 durable append 111 - -\n";
    convicts(Kind::PaperedOver, &[&heard(&format!("{cut} saw 1 4 4 2 1"))]);
    convicts(
        Kind::Wrong,
        &[
            &heard("again 1 1\n saw 1 1 1 0 2\n told 1 TIDEMARK_CONFLICT"),
            &heard("again 1 1\n saw 1 1 1 0 2\n told 1 TIDEMARK_EXPIRED"),
            &begun("ok 0 2 appended 4 4"),
        ],
    );
}

/// Records of any size tell what they are, and no other byte sequence does.
pub(crate) fn records() {
    use super::model::Tag;
    use super::record::{hard_state, record, setter, tag};
    for size in [16, 17, 90, 2600] {
        let bytes = record(7, 3, size);
        assert_eq!(tag(&bytes), Some(Tag::Of { op: 7, index: 3 }));
        for at in 0..size {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            assert_eq!(tag(&changed), None, "byte {at} of {size}");
        }
        assert_eq!(tag(&bytes[..size - 1]), None);
        assert_eq!((setter(&bytes), setter(&hard_state(7, size))), (None, Some(7)));
    }
    assert_eq!(tag(&record(7, 3, 0)), Some(Tag::Empty));
}
