//! The parts that the programs share: files, an allocator and an executor, without the
//! standard library and without threads.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod executor;
pub mod file;
pub mod memory;
