//! The keys of a row group's examples, between `scan` and `compose`.

use arrow::datatypes::{Int64Type, UInt32Type, UInt64Type};

use super::bundle::Bundle;
use crate::error::Result;
use crate::identity::{ChunkKeys, LeftOut, Run};

/// The keys as they are written.
pub fn bundle(keys: &ChunkKeys) -> Bundle {
    let left_out = vec![keys.left_out.filtered, keys.left_out.null_identity];
    let mut all = Bundle::default()
        .numbers::<UInt32Type>("input_row", keys.input_row.clone())
        .numbers::<UInt64Type>("left_out", left_out)
        .hashes("label", keys.texts.keys().map(|token| token.to_le_bytes()))
        .texts("label_text", keys.texts.values().map(|text| Some(text.as_str())));
    for (column, runs) in keys.runs.iter().enumerate() {
        all = all
            .hashes(&format!("token_{column}"), runs.iter().map(|run| run.token.to_le_bytes()))
            .numbers::<UInt32Type>(&format!("row_{column}"), runs.iter().map(|run| run.row).collect())
            .numbers::<UInt32Type>(&format!("rows_{column}"), runs.iter().map(|run| run.rows).collect());
    }
    if let Some(time) = &keys.time {
        all = all.numbers::<Int64Type>("time", time.clone());
    }
    if let Some(positive) = &keys.positive {
        all = all.truths("positive", positive);
    }
    all
}

/// The keys of a row group that holds these input rows, with so many key columns.
///
/// # Errors
/// Keys that can't be those of such a row group.
pub fn keys(bundle: &Bundle, columns: usize, group: std::ops::Range<u64>) -> Result<ChunkKeys> {
    let input_row = bundle.get::<UInt32Type>("input_row")?;
    let ascending = input_row.windows(2).all(|w| w[0] < w[1]);
    let within = |row: &u32| group.contains(&u64::from(*row));
    if !ascending || !input_row.iter().all(within) {
        return Err(bundle.damaged("its rows are of another row group"));
    }
    let mut runs = Vec::new();
    for column in 0..columns {
        let tokens = bundle.get_tokens(&format!("token_{column}"))?;
        let (row, rows) =
            (bundle.get::<UInt32Type>(&format!("row_{column}"))?, bundle.get::<UInt32Type>(&format!("rows_{column}"))?);
        let own: Vec<Run> = tokens
            .into_iter()
            .zip(row.into_iter().zip(rows))
            .map(|(token, (row, rows))| Run { token, row, rows })
            .collect();
        let end = |run: &Run| u64::from(run.row) + u64::from(run.rows);
        let apart = own.windows(2).all(|w| end(&w[0]) <= u64::from(w[1].row));
        if !apart || own.last().is_some_and(|run| end(run) > input_row.len() as u64) {
            return Err(bundle.damaged(format!("runs of key column {column} pass its rows")));
        }
        runs.push(own);
    }
    let texts = bundle.get_tokens("label")?.into_iter().zip(bundle.get_texts("label_text")?);
    let (filtered, null_identity) = match bundle.get::<UInt64Type>("left_out")?.as_slice() {
        [filtered, null_identity] => (*filtered, *null_identity),
        _ => return Err(bundle.damaged("it does not say which rows it leaves out")),
    };
    Ok(ChunkKeys {
        runs,
        texts: texts.filter_map(|(token, text)| Some((token, text?))).collect(),
        time: bundle.maybe::<Int64Type>("time").filter(|time| time.len() == input_row.len()),
        positive: bundle.get_truths("positive").ok().filter(|positive| positive.len() == input_row.len()),
        left_out: LeftOut { filtered, null_identity },
        input_row,
    })
}
