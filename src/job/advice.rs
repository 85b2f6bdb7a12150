//! What was asked but can't be reached, or is hardly meant.

use super::prepare::Prepared;
use super::rules::Share;
use crate::error::Result;
use crate::keys::Key;
use crate::pipeline::{Field, Group, Mode, Pipeline, Rule};

/// A rule that excludes more than this is hardly meant.
const MOST_EXCLUDED: f64 = 0.5;

/// A line for each thing that is hardly meant: what a run says aloud.
pub fn warnings(p: &Pipeline, prepared: &Prepared, shares: &[(String, Share)]) -> Vec<String> {
    let mut lines = prepared.notices.clone();
    lines.extend(mixed_requests(p, prepared));
    lines.extend(items_without_rule(p, prepared));
    for (rule, share) in shares {
        if share.most > MOST_EXCLUDED && share.exact {
            lines.push(format!(
                "mask.rules: {rule} excludes {:.0} % of all pairs in a random order",
                100.0 * share.most
            ));
        }
        if share.most == 0.0 && p.has_own_rules() {
            lines.push(format!("mask.rules: {rule} excludes no other example"));
        }
    }
    lines
}

/// Requests whose ids are hardly unique.
fn mixed_requests(p: &Pipeline, prepared: &Prepared) -> Option<String> {
    let mixed = prepared.facts.mixed_requests;
    let all = prepared.facts.number_of_requests().unwrap_or(0);
    let more = p.request.iter().filter(|name| !p.identity.contains(name));
    let columns: Vec<String> = p.identity.iter().chain(more).map(|name| format!("\"{name}\"")).collect();
    (mixed > 0).then(|| {
        format!(
            "{mixed} of {all} requests hold rows of several identities: if ids of requests are unique for an identity only, set columns.request = [{}]",
            columns.join(", ")
        )
    })
}

/// Items that come again, and no rule that looks at them.
fn items_without_rule(p: &Pipeline, prepared: &Prepared) -> Option<String> {
    let looks = |rule: &Rule| match rule {
        Rule::KnownPositive => true,
        Rule::Same(fields) => fields.contains(&Field::Item),
    };
    let again = prepared.facts.items.rows.iter().any(|rows| *rows > 1);
    (p.item.is_some() && again && !p.rules.iter().any(looks)).then(|| {
        "columns.item is mapped, and no rule of mask.rules looks at it: other rows of an anchor's own item stay its negatives; add \"same:item\" or \"known_positive\"".into()
    })
}

/// A line for each thing that was asked but can't be reached, with the setting that would do, and for what rules exclude.
pub fn advice(p: &Pipeline, prepared: &Prepared, shares: &[(String, Share)]) -> Result<Vec<String>> {
    let mut lines: Vec<String> = repeats(p, prepared).into_iter().collect();
    for (rule, share) in shares {
        let most = if share.exact { "about" } else { "at most" };
        lines.push(format!("{rule} excludes {most} {:.3} % of all pairs in a random order", 100.0 * share.most));
    }
    if let Some(group) = &p.group {
        lines.extend(lacking(group, prepared)?);
        lines.extend(copies(prepared));
    }
    Ok(lines)
}

/// Identities with more rows than there are batches.
fn repeats(p: &Pipeline, prepared: &Prepared) -> Option<String> {
    let (counts, n) = (&prepared.facts.identities, prepared.keys.len() as u64);
    let largest = counts.iter().copied().max().map_or(0, u64::from);
    let full = n / p.batch_size as u64;
    if p.mode != Mode::UserSpread || p.window.is_some() || full == 0 || largest <= full {
        return None;
    }
    let over = counts.iter().filter(|count| u64::from(**count) > full).count();
    let remedy = match n / largest {
        0 | 1 => "no batch size keeps it apart".into(),
        fits => format!("batch_size up to {fits} would keep all apart"),
    };
    Some(format!(
        "{over} identities have more rows than there are full batches ({largest} in {full}), so they repeat within batches: {remedy}; masks cover the rest"
    ))
}

/// Classes that most identities lack.
fn lacking(group: &Group, prepared: &Prepared) -> Result<Vec<String>> {
    let (keys, counts) = (&prepared.keys, &prepared.facts.identities);
    let Some(labels) = &keys.shape().label else { return Ok(Vec::new()) };
    let class_of = |text: &Option<String>| group.classes.iter().position(|(class, _)| Some(class) == text.as_ref());
    let class_of: Vec<Option<usize>> = labels.text.iter().map(class_of).collect();
    let mut having = vec![vec![false; counts.len()]; group.classes.len()];
    keys.each_piece(&[Key::IDENTITY, Key::Code(Field::Label)], |_, plane| {
        let labels = plane.codes(&Field::Label).unwrap_or_default();
        for (identity, label) in plane.identity.rows.iter().zip(labels) {
            if let Some(class) = class_of[*label as usize] {
                having[class][*identity as usize] = true;
            }
        }
        Ok(())
    })?;
    let identities = counts.iter().filter(|count| **count > 0).count();
    let lines = group.classes.iter().zip(having).filter_map(|((class, _), having)| {
        let having = having.into_iter().filter(|has| *has).count();
        (having * 2 < identities).then(|| {
            format!(
                "only {having} of {identities} identities have class `{class}`: the rows of the others stay ungrouped; leave the class out of compose.group.classes, or filter with input.where"
            )
        })
    });
    Ok(lines.collect())
}

/// More copies than examples.
fn copies(prepared: &Prepared) -> Option<String> {
    let (copies, rows) = (prepared.composed.head().copies, prepared.composed.head().rows());
    (copies * 2 > rows).then(|| {
        format!("{copies} of {rows} rows would be copies: quotas nearer to the classes' shares, or scarce = \"rest\", need fewer")
    })
}
