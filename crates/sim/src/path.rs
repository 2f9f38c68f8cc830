//! Walks paths as the kernel does: component by component, through symbolic links.
//!
//! A relative path starts at the top. Directories may be searched by everybody.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tidemark_storage::{FileKind, OsError};

use crate::disk::{Disk, ROOT};
use crate::node::{Answer, Body, ENAMETOOLONG, NodeId};

/// How many symbolic links one walk may pass (`MAXSYMLINKS`).
const LINK_COUNT_MAX: usize = 40;
const NAME_LEN_MAX: usize = 255;
const PATH_LEN_MAX: usize = 4095;

/// What to do with a symbolic link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// Go where it leads (`stat`).
    Follow,
    /// Take the link itself, unless a slash follows it (`lstat`, `O_NOFOLLOW`).
    Keep,
    /// Take the name, whatever it is (`unlink`, `rename`, `mkdir`).
    Name,
}

/// Where a path leads.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directories on the way, the top one without a name.
    pub(crate) parents: Vec<(NodeId, OsString)>,
    /// The last component; empty for the top directory, `.` and `..` as they are.
    pub(crate) name: OsString,
    /// What is there.
    pub(crate) node: Option<NodeId>,
    /// Whether a slash ends the path, so that only a directory will do.
    pub(crate) slash: bool,
}

impl Place {
    /// The directory that has, or would have, the name.
    pub(crate) fn parent(&self) -> NodeId {
        self.parents.last().map_or(ROOT, |(id, _)| *id)
    }

    /// Whether the last component is a name, not `.`, `..` or the top.
    pub(crate) fn is_named(&self) -> bool {
        !matches!(self.name.as_bytes(), b"" | b"." | b"..")
    }

    /// The path without symbolic links.
    pub(crate) fn real_path(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        path.extend(self.parents.iter().map(|(_, name)| name).filter(|name| !name.is_empty()));
        if self.is_named() {
            path.push(&self.name);
        }
        path
    }
}

impl Disk {
    /// Walks a path to its last component, which need not exist.
    pub(crate) fn walk(&self, path: &Path, last: Last) -> Answer<Place> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.contains(&0) {
            return Err(OsError::EINVAL);
        }
        if bytes.is_empty() {
            return Err(OsError::ENOENT);
        }
        if bytes.len() > PATH_LEN_MAX {
            return Err(ENAMETOOLONG);
        }
        let mut slash = ends_in_slash(path.as_os_str());
        let mut todo: VecDeque<OsString> = components(path.as_os_str());
        let mut parents = vec![(ROOT, OsString::new())];
        let mut link_count = 0;
        while let Some(name) = todo.pop_front() {
            let directory = parents.last().map_or(ROOT, |(id, _)| *id);
            let is_last = todo.is_empty();
            if name == "." || name == ".." {
                if name == ".." && parents.len() > 1 {
                    parents.pop();
                }
                if is_last {
                    let node = parents.last().map(|(id, _)| *id);
                    return Ok(Place { parents, name, node, slash });
                }
                continue;
            }
            if name.len() > NAME_LEN_MAX {
                return Err(ENAMETOOLONG);
            }
            let Some(node) = self.cached_entry(directory, &name) else {
                return if is_last {
                    Ok(Place { parents, name, node: None, slash })
                } else {
                    Err(OsError::ENOENT)
                };
            };
            let follow = match last {
                Last::Follow => true,
                Last::Keep => !is_last || slash,
                Last::Name => !is_last,
            };
            match &self.node(node).cached.body {
                Body::Symlink(target) if follow => {
                    link_count += 1;
                    if link_count > LINK_COUNT_MAX {
                        return Err(OsError::ELOOP);
                    }
                    slash |= is_last && ends_in_slash(target);
                    if target.as_bytes().first() == Some(&b'/') {
                        parents.truncate(1);
                    }
                    for name in components(target).into_iter().rev() {
                        todo.push_front(name);
                    }
                }
                body => {
                    let is_directory = matches!(body, Body::Directory(_));
                    if !is_directory && (!is_last || (slash && last != Last::Name)) {
                        return Err(OsError::ENOTDIR);
                    }
                    if is_last {
                        return Ok(Place { parents, name, node: Some(node), slash });
                    }
                    parents.push((node, name));
                }
            }
        }
        // Nothing but slashes, at the start or at the end of a link.
        let node = parents.last().map(|(id, _)| *id);
        Ok(Place { parents, name: OsString::new(), node, slash })
    }

    /// What a path leads to.
    pub(crate) fn find(&self, path: &Path, last: Last) -> Answer<NodeId> {
        self.walk(path, last)?.node.ok_or(OsError::ENOENT)
    }

    /// The directory that a path leads to.
    pub(crate) fn find_directory(&self, path: &Path) -> Answer<NodeId> {
        let id = self.find(path, Last::Follow)?;
        match self.node(id).cached.kind() {
            FileKind::Directory => Ok(id),
            _ => Err(OsError::ENOTDIR),
        }
    }
}

fn ends_in_slash(path: &OsStr) -> bool {
    path.as_bytes().last() == Some(&b'/')
}

fn components(path: &OsStr) -> VecDeque<OsString> {
    path.as_bytes()
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect()
}
