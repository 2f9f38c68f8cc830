//! The real implementation of the storage traits, against a Unix kernel: rules S2, S3 and S5, and
//! the guard of maps. `windows/` asks the other one.
#![cfg(unix)]

#[cfg(test)]
mod allocation;
#[cfg(test)]
mod bus_faults;
#[cfg(test)]
mod bus_handlers;
#[cfg(test)]
mod files;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod maps;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod support;
