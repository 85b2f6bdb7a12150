//! What is seen of columns that may play a role, in a few row groups.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Int64Type};

use crate::error::{Error, Result};
use crate::identity::canonical::for_each_token;
use crate::identity::{Kind, Tokenizer, role_kind, tick};
use crate::parallel::in_parallel;
use crate::source::{InputColumn, RowGroup, Source, decode};

/// Row groups that are looked at: the first, the last, and one between them.
const ROW_GROUPS: usize = 3;

/// Bytes of a column in a row group; larger ones are texts rather than names.
const LARGEST: u64 = 256 << 20;

/// Most values of which the texts are kept.
const FEW: usize = 12;

/// A column, and what is seen of its values.
pub struct Column {
    pub name: String,
    pub is_number: bool,
    pub is_truth: bool,
    /// A date or a timestamp.
    pub is_time: bool,
    /// Rows that were looked at.
    pub rows: usize,
    pub distinct: usize,
    /// Rows that hold the value of the row before.
    pub repeated: usize,
    pub nulls: usize,
    /// The texts of its values, ascending, where they are few.
    pub texts: Vec<String>,
    /// The largest, where it is a number.
    pub largest: Option<i64>,
}

/// Looks at all columns that may play a role.
///
/// # Errors
/// A damaged file.
pub fn look_at(source: &Source) -> Result<Vec<Column>> {
    let all = &source.row_groups;
    let mut places: Vec<usize> = (0..ROW_GROUPS).map(|k| k * all.len().saturating_sub(1) / (ROW_GROUPS - 1)).collect();
    places.dedup();
    let groups: Vec<&RowGroup> = places.iter().filter_map(|at| all.get(*at)).collect();
    let is_small = |column| groups.iter().all(|group| source.decoded_bytes_in(group, column) <= LARGEST);
    let columns: Vec<(InputColumn, DataType, String)> = source
        .fields()
        .filter(|(column, field)| may_play(field.data_type()) && is_small(*column))
        .map(|(column, field)| (column, field.data_type().clone(), field.name().clone()))
        .collect();
    in_parallel(
        &columns,
        |_| 0,
        |(column, data_type, name)| {
            let mut seen = Seen::default();
            for group in &groups {
                let array = decode(source, group, *column)?;
                let place = || source.place(group).with_column(name);
                seen.add(name, &array)?;
                seen.add_facts(&array).map_err(|e| Error::damaged(place(), e))?;
            }
            Ok(seen.column(name.clone(), data_type))
        },
    )
}

/// Floats aside, whose values may be anything.
fn may_play(data_type: &DataType) -> bool {
    let plain = value_type(data_type);
    !plain.is_floating() && role_kind(plain).is_some_and(|kind| kind != Kind::Null)
}

fn value_type(data_type: &DataType) -> &DataType {
    if let DataType::Dictionary(_, value) = data_type { value } else { data_type }
}

#[derive(Default)]
struct Seen {
    rows: usize,
    repeated: usize,
    nulls: usize,
    tokens: HashSet<u128>,
    texts: HashMap<String, ()>,
    largest: Option<i64>,
}

impl Seen {
    fn add(&mut self, name: &str, array: &ArrayRef) -> Result<()> {
        let mut tokens = vec![0; array.len()];
        let rows: Vec<u32> = (0..array.len() as u32).collect();
        let parts = [std::sync::Arc::clone(array)];
        for_each_token(&Tokenizer::xxh3(), &[name.to_owned()], &parts, &rows, &mut |row, token| tokens[row] = token)?;
        let nulls = array.logical_nulls();
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        self.rows += array.len();
        self.nulls += nulls.as_ref().map_or(0, |nulls| nulls.null_count());
        self.repeated += (1..tokens.len()).filter(|row| tokens[*row] == tokens[*row - 1] && !is_null(*row)).count();
        self.tokens.extend(tokens.into_iter().enumerate().filter(|(row, _)| !is_null(*row)).map(|(_, token)| token));
        Ok(())
    }

    fn add_facts(&mut self, array: &ArrayRef) -> Result<(), arrow::error::ArrowError> {
        let plain = value_type(array.data_type());
        if plain.is_integer() && plain != &DataType::UInt64 {
            let numbers = cast(array, &DataType::Int64)?;
            self.largest = self.largest.max(arrow::compute::max(numbers.as_primitive::<Int64Type>()));
        }
        if self.tokens.len() <= FEW && can_cast_types(array.data_type(), &DataType::Utf8) {
            let texts = cast(array, &DataType::Utf8)?;
            self.texts.extend(texts.as_string::<i32>().iter().flatten().map(|text| (text.to_owned(), ())));
        }
        Ok(())
    }

    fn column(self, name: String, data_type: &DataType) -> Column {
        let plain = value_type(data_type);
        let distinct = self.tokens.len();
        let mut texts: Vec<String> = self.texts.into_keys().filter(|_| distinct <= FEW).collect();
        texts.sort_unstable();
        Column {
            is_number: plain.is_integer(),
            is_truth: plain == &DataType::Boolean,
            is_time: tick(plain).is_some(),
            rows: self.rows,
            distinct,
            repeated: self.repeated,
            nulls: self.nulls,
            texts,
            largest: self.largest,
            name,
        }
    }
}
