//! The stage `compose`: keys in, all that they alone decide or count out.

use arrow::datatypes::DataType;
use rayon::prelude::*;

use super::Settings;
use super::bind::{is_local, time_type, time_unit};
use super::open::{Job, open};
use super::scan::Scanner;
use crate::compose::{Head, compose};
use crate::dataset::Cuts;
use crate::dedup;
use crate::error::{Error, Place, Result};
use crate::figures::{Composition, Facts, warnings};
use crate::identity::{Gathered, KeyBuilder, KeyColumns, Tokenizer};
use crate::keys::{Key, Keys};
use crate::negatives::Positives;
use crate::parallel::in_parallel;
use crate::pipeline::{Field, Pipeline};
use crate::progress::Progress;
use crate::schema;
use crate::source::Source;
use crate::spill::{MOST_PARTITIONS, Room};
use crate::store;

/// All that is known before payload is touched.
pub struct Prepared {
    pub source: Source,
    pub tokenizer: Tokenizer,
    pub composition: Composition,
    /// Bytes of keys that went through scratch files.
    pub spilled: u64,
    /// What a person should hear of the input.
    notices: Vec<String>,
}

impl Prepared {
    /// What a person should hear of the input and of what is made of it.
    ///
    /// # Errors
    /// A scratch file that can't be read.
    pub fn warnings(&self, p: &Pipeline) -> Result<Vec<String>> {
        let mut lines = self.notices.clone();
        lines.extend(warnings(p, &self.composition)?);
        Ok(lines)
    }
}

/// Reads footers and keys, and composes; writes nothing but nameless scratch files, if keys need them.
///
/// # Errors
/// An input that can't be read or does not fit the pipeline, or one without examples.
pub fn prepare(p: &Pipeline, settings: &Settings, progress: &Progress) -> Result<Prepared> {
    let job = open(p, progress)?;
    let scanner = Scanner::new(p, &job)?;
    let groups: Vec<usize> = (0..job.source.row_groups.len()).collect();
    progress.stage("reading keys", groups.len(), "row groups");
    let scan = |builder: &KeyBuilder<'_>| {
        let scan = |&group: &usize| {
            builder.add(group, scanner.scan(group)?)?;
            progress.advance(1);
            Ok(())
        };
        // In input order, in which keys are joined; no more wait for a slow one than are read side by side.
        let mut few = groups.chunks(READ_AHEAD * rayon::current_num_threads());
        few.try_for_each(|some| in_parallel(some, |_| 0, scan).map(drop))
    };
    let gathered = gather(p, &job, &scanner.keys, settings, scan)?;
    drop(scanner);
    composed(p, job, gathered, finest_row_groups, progress)
}

/// Row groups that each thread may read while the first of them is being read.
const READ_AHEAD: usize = 8;

/// The keys of all row groups, which `scan` brings.
///
/// # Errors
/// What `scan` says, or a scratch file that can't be written.
pub fn gather(
    p: &Pipeline,
    job: &Job,
    columns: &KeyColumns,
    settings: &Settings,
    scan: impl FnOnce(&KeyBuilder<'_>) -> Result<()>,
) -> Result<Gathered> {
    let folder = settings.spill_dir.clone().unwrap_or_else(|| store::scratch_folder(&p.output));
    let builder = KeyBuilder::new(columns, p.seed, job.source.rows, Room::new(settings.memory, folder))?;
    scan(&builder)?;
    builder.finish()
}

/// The ranges of batches that parts of keys are made of: whole row groups.
fn finest_row_groups(cuts: &Cuts) -> Vec<std::ops::Range<usize>> {
    cuts.parts(MOST_PARTITIONS)
}

/// Deduplicates and composes. Parts of keys that do not fit the memory are whole ranges of those that `finest` gives.
///
/// # Errors
/// No example is left, or a scratch file can't be read or written.
pub fn composed(
    p: &Pipeline,
    job: Job,
    gathered: Gathered,
    finest: impl Fn(&Cuts) -> Vec<std::ops::Range<usize>>,
    progress: &Progress,
) -> Result<Prepared> {
    let Job { source, tokenizer, notices } = job;
    let Gathered { mut keys, room, left_out, mut spilled } = gathered;
    if keys.is_empty() {
        return Err(Error::input(
            Place::default(),
            format!(
                "no example is left of {} rows ({} fail input.where, {} have no identity)",
                source.rows, left_out.filtered, left_out.null_identity
            ),
            "loosen input.where, or add input",
        ));
    }
    let time = time_type(p, &source);
    keys.shape_mut().time_is_float = time.as_ref().is_some_and(DataType::is_floating);
    keys.shape_mut().time_is_local = time.as_ref().is_some_and(is_local);
    keys.shape_mut().time_unit_nanos = time.and_then(|time| time_unit(p, &time));
    warn_of_collisions(&keys.shape().identity.tokens, progress);

    progress.stage("deduplicating", 0, "");
    let mut facts = Facts::before_dedup(&keys)?;
    // Known positives say how many false negatives there are, whatever the rules are.
    let positives = p.item.as_ref().map(|_| positives(&keys)).transpose()?;
    let rows = keys.len();
    if !p.dedup_key.is_empty() {
        let survivors = dedup::survivors_of(&keys, &p.dedup_key, p.keep, &room)?;
        keys.select(&survivors, &room)?;
    }
    let duplicates = (rows - keys.len()) as u64;
    facts.add_examples(&keys)?;

    progress.stage("composing", 0, "");
    let cut = |head: &Head| finest(&Cuts::new(p, head, source.row_bytes()));
    let composed = compose(&keys, p, &room, cut)?;
    spilled += composed.filed_bytes();
    let rows_in = source.rows.into();
    let composition = Composition { keys, composed, facts, positives, rows_in, left_out, duplicates, room };
    Ok(Prepared { source, tokenizer, composition, spilled, notices })
}

fn positives(keys: &Keys) -> Result<Positives> {
    let columns = [Key::IDENTITY, Key::Code(Field::Item), Key::Positive];
    Positives::of_pieces(keys.shape(), |each| {
        keys.each_piece(&columns, |_, plane| {
            each(plane);
            Ok(())
        })
    })
}

fn warn_of_collisions(tokens: &[u128], progress: &Progress) {
    let mut low: Vec<u64> = tokens.iter().map(|t| *t as u64).collect();
    low.par_sort_unstable();
    let collisions = low.windows(2).filter(|w| w[0] == w[1]).count();
    if collisions > 0 {
        progress.warn(&format!(
            "{collisions} identities share the low 64 bits of their tokens: {} can't tell them apart",
            schema::USER
        ));
    }
}
