//! The real implementation of the storage traits, against Windows: rules S2, S3, S5 and S6, and
//! what is different from Unix. `real/` asks the other one.
#![cfg(windows)]

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
#[cfg(test)]
mod system;
