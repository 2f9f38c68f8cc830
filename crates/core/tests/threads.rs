//! How many threads stores have and keep: GC-6, GC-8, L-2. The only test here: it counts the
//! threads of its process.

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests look at the process from outside")]

    use std::fs;
    use std::time::Duration;

    use tidemark_core::ErrorKind;
    use tidemark_core::LockMode;
    use tidemark_core::checkpoint::{JsonFileOptions, MemoryStore};
    use tidemark_core::file_lock::{LockRegistry, LockRequests};

    use super::support::{
        HANG, Hold, Mailbox, Process, Scratch, at, eventually, inode, key, real, waiters,
    };

    /// Threads of this process by the beginning of their name.
    fn threads(name: &str) -> usize {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
        names
            .filter(|comm| comm.as_ref().is_ok_and(|comm| comm.trim_end().starts_with(name)))
            .count()
    }

    /// A thread that was just started has the name of its parent for a moment; one that waits for
    /// a lock stays.
    fn alone(name: &str) {
        eventually(&format!("one thread {name}"), || threads(name) == 1);
    }

    fn all_gone() {
        for name in ["tidemark-commit", "tidemark-watch", "tidemark-io"] {
            eventually(&format!("no thread {name} is left"), || threads(name) == 0);
        }
    }

    /// "At most one thread per process and path ever waits", however many operations, timeouts
    /// and reopens; the threads end with their store.
    #[test]
    fn one_thread_waits_for_a_lock_and_every_thread_ends_with_its_store() {
        one_thread_waits_however_many_operations_and_reopens();
        all_gone();
        one_thread_waits_for_a_lock_file_however_many_requests();
        all_gone();
        stores_that_were_closed_leave_no_thread_behind();
        all_gone();
    }

    fn one_thread_waits_however_many_operations_and_reopens() {
        let (scratch, process) = (Scratch::new(), Process::new());
        let hold = Hold::take(&scratch.lock());
        let lock = inode(&scratch.lock());
        let options = JsonFileOptions {
            lock_timeout: Duration::from_millis(5),
            ..JsonFileOptions::default()
        };
        for round in 0..20 {
            let store = process.try_open(&scratch.state(), options).unwrap();
            for number in 0..3 {
                let error = store.put(&key(number), at(round)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::LockTimeout);
            }
            alone("tidemark-commit");
            alone("tidemark-watch");
            eventually("it waits in the kernel", || waiters(lock) == 1);
        }
        assert_eq!(waiters(lock), 1);
        let store = process.try_open(&scratch.state(), options).unwrap();
        drop(hold);
        eventually("the late grant was released", || waiters(lock) == 0);
        // A busy machine may take longer than the timeout to run the thread that got the lock.
        eventually("it serves puts", || store.put(&key(1), at(1)).is_ok());
        alone("tidemark-commit");
    }

    fn one_thread_waits_for_a_lock_file_however_many_requests() {
        let scratch = Scratch::new();
        let path = scratch.path("lock");
        let hold = Hold::take(&path);
        let lock = inode(&path);
        let registry = LockRegistry::default();
        let mailbox = Mailbox::new();
        for ticket in 0..20 {
            let place = LockRequests::open(&registry, &real(), &path, false).unwrap();
            place.enqueue(LockMode::Exclusive, HANG, ticket, &mailbox.sink).unwrap();
            eventually("somebody waits", || waiters(lock) == 1);
            alone("tidemark-commit");
        }
        drop(hold);
        for ticket in 0..20 {
            let (granted, lock) = mailbox.next();
            assert_eq!(granted, ticket);
            drop(lock.unwrap());
        }
    }

    fn stores_that_were_closed_leave_no_thread_behind() {
        let scratch = Scratch::new();
        for round in 0..20 {
            let process = Process::new();
            let store = process.open(&scratch.path(&format!("{round}.json")));
            store.run_io(|| ()).unwrap();
            store.put(&key(1), at(1)).unwrap();
            let memory = MemoryStore::open(&real()).unwrap();
            memory.put(&key(1), at(1)).unwrap();
            if round % 2 == 0 {
                store.close_blocking();
                memory.close_blocking();
            }
        }
    }
}
