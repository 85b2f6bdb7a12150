//! One integration binary; a module per guarantee.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// What drives the tests: the real binary, small Parquet files, slow references.
mod support;

// Which module may know which.
mod architecture;
// Bad input: one line, exit 2, nothing at the output.
mod bad_input;
// check, inspect and report.
mod check;
// The command line and the pipeline file.
mod cli;
// The same input gives the same bytes.
mod determinism;
// The masks in the files, cell by cell, against sets over the raw input.
mod cells;
// Equal rows: which one survives.
mod dedup;
// How shards are stored: dictionaries that serve, split floats, shared bitmaps.
mod encodings;
// A store that fails at any operation: nothing is left, nothing passes.
mod faults;
// identity_grouped: quotas, copies, what is left.
mod grouped;
// README and guide: names that are there, commands that run.
mod guide;
// Tokens, keys and nulls.
mod identity;
// init: a pipeline file for somebody's own log.
mod init;
// The masks, cell by cell, against sets over the whole input.
mod masks;
// What does not fit the memory limit.
mod memory;
// Which identities meet, beside orders that the caps allow.
mod meeting;
// Whatever the memory has room for, and however keys are parted, the plan is the same.
mod partitions;
// logQ: each item's share of its pool.
mod log_q;
// request_packed, and layout "first" in all modes.
mod requests;
// Legal inputs unlike the usual, each verified against its own input.
mod oddities;
// Every Arrow type comes back as it went in.
mod payload;
// Stock readers, and the Python of README and guide.
mod readers;
// Folders, lists and names of input files.
mod discovery;
// Ordered dictionaries and intervals: kept whole, and the judge sees where they are not.
mod kept;
// Predicates on times and numbers as people write them.
mod predicates;
// The Python package against brute force.
mod python;
// Folders as pandas, DuckDB, Polars and pyarrow write them.
mod real_folders;
// What may play a role, and how roles and columns are named.
mod roles;
// Types that the judge's own reader does not know.
mod second_opinion;
// Shards that differ become one table.
mod widening;
// The figures that are claimed of real data.
mod real_data;
// The stages of a run, each in a process of its own.
mod jobs;
// verify: nothing on a correct dataset, the expected findings on each kind of damage.
mod verify;
mod verify_tables;
// user_spread: caps, fewest pairs, mixing, windows, remainders.
mod spread;
// Windows of the calendar.
mod windows;
