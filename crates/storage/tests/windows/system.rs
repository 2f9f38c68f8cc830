//! What is asked of the system itself.

use tidemark_storage::{Access, FileSystemClass, Open, RealStorage, Storage};

use crate::support::{HERE, Scratch};

/// "never on Windows": no file system is called proven.
#[test]
fn no_file_system_is_proven() {
    let scratch = Scratch::new();
    let found = RealStorage.file_system(HERE, scratch.root()).unwrap();
    assert_ne!(found.class, FileSystemClass::Proven);
    assert!(!found.reason.is_empty() && !found.name.is_empty(), "{found:?}");
}

#[test]
fn randomness_differs() {
    let mut drawn = [[0; 16]; 2];
    for into in &mut drawn {
        RealStorage.random(HERE, into).unwrap();
    }
    assert_ne!(drawn[0], drawn[1]);
    assert_ne!(drawn[0], [0; 16]);
    assert_eq!(Open::READ.access, Access::Read);
}
