//! `batchwright inspect`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::args::{Format, InspectArgs};
use super::{Outcome, print, print_json, table};
use crate::error::{Error, Place, Result};
use crate::reader::{self, Dataset, Look};
use crate::stats::{Counts, Metrics};

/// Identities that are listed.
const TOP: usize = 5;

pub fn inspect(args: &InspectArgs) -> Outcome {
    let dataset = Dataset::open(&args.dataset)?;
    match (args.batch, args.format) {
        (Some(batch), Format::Text) => print(&draw(&reader::look(&dataset, batch as usize)?, batch, terminal_width()))?,
        (Some(batch), Format::Json) => {
            let look = reader::look(&dataset, batch as usize)?;
            print_json(&serde_json::json!({
                "batch": batch, "users": look.user, "groups": look.group, "labels": look.label,
                "copies": look.copies, "valid_negatives": look.valid_negatives(),
            }))?;
        }
        (None, format) => overview(&dataset, format)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn overview(dataset: &Dataset, format: Format) -> Result<()> {
    let recorded = &dataset.recorded;
    let bad = |e: serde_json::Error| Error::input(Place::file(&dataset.root), e.to_string(), "compose it again");
    let counts: Counts = serde_json::from_value(recorded.counts.clone()).map_err(bad)?;
    let metrics: Metrics = serde_json::from_value(recorded.stats.clone()).map_err(bad)?;
    let users = reader::rows_by_user(dataset)?;
    let share = |rows: u64| rows as f64 / counts.rows_out.max(1) as f64;
    let density = metrics.valid_negatives.mean / (dataset.batch_size as f64 - 1.0).max(1.0);
    if format == Format::Json {
        let top: Vec<_> = users
            .iter()
            .take(TOP)
            .map(|(t, rows)| serde_json::json!({ (crate::schema::USER): t, "share": share(*rows) }))
            .collect();
        print_json(&serde_json::json!({
            "counts": counts, "stats": metrics, "baselines": recorded.baselines, "mask_density": density, "top_identities": top,
        }))?;
        return Ok(());
    }
    let mut text = format!(
        "{}: {}, batches of {}{}, {}\n\n{}\n\n{}\n\n {} of the cells of a batch's mask are valid negatives\n\n",
        dataset.root.display(),
        dataset.setting("compose.mode"),
        dataset.batch_size,
        if dataset.ranks > 1 { format!(" for {} ranks", dataset.ranks) } else { String::new() },
        recorded.tool,
        table::counts(&counts),
        table::metrics(&metrics, Some(&recorded.baselines)),
        table::percent(density),
    );
    let rows = users.iter().take(TOP).map(|(token, rows)| {
        vec![format!("{:016x}", *token as u64), table::grouped(*rows), table::percent(share(*rows))]
    });
    text.push_str(&table::table(&["largest identities (token)", "rows", "share"], rows));
    print(&text)?;
    Ok(())
}

fn terminal_width() -> usize {
    console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns)).max(20)
}

/// The batch's identities, its groups, and its mask: each character a square of cells, darker where more are excluded.
fn draw(look: &Look, batch: u32, width: usize) -> String {
    let rows = look.rows();
    let mut per_user: BTreeMap<i64, usize> = BTreeMap::new();
    look.user_slot.iter().for_each(|u| *per_user.entry(*u).or_default() += 1);
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    per_user.values().for_each(|n| *sizes.entry(*n).or_default() += 1);
    let mut out = format!("batch {batch}: {rows} rows of {} identities, {} copies\n", per_user.len(), look.copies);
    let spread: Vec<String> = sizes.iter().rev().take(4).map(|(rows, n)| format!("{n} with {rows}")).collect();
    out.push_str(&format!("rows of an identity: {}\n", spread.join(", ")));
    let groups = look.group.iter().max().map_or(0, |g| g + 1);
    if groups > 0 {
        let first: Vec<&str> =
            (0..rows).filter(|s| look.group[*s] == 0).filter_map(|s| look.label.get(s)).map(String::as_str).collect();
        out.push_str(&format!(
            "{groups} groups of {} ({}), {} rows outside groups\n",
            first.len().max(look.group.iter().filter(|g| **g == 0).count()),
            first.join(", "),
            look.group.iter().filter(|g| **g < 0).count()
        ));
    }
    // A character is about twice as high as wide, so each covers two squares on top of one another.
    let size = rows.div_ceil((width - 2).min(64)).max(1);
    let cells = look.excluded(size);
    out.push_str(&format!(
        "\nexcluded candidates (columns) of each anchor (rows), {size}×{} cells a character\n",
        2 * size
    ));
    for pair in cells.chunks(2) {
        let shade = |k: usize| {
            let share = pair.iter().map(|row| row[k]).sum::<f64>() / pair.len() as f64;
            match share {
                0.0 => '·',
                s if s < 0.25 => '░',
                s if s < 0.5 => '▒',
                s if s < 1.0 => '▓',
                _ => '█',
            }
        };
        out.push_str(&format!(" {}\n", (0..pair[0].len()).map(shade).collect::<String>()));
    }
    out.trim_end().to_owned()
}
