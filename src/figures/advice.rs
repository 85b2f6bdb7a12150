//! What was asked but can't be reached, or is hardly meant.

use super::composition::Composition;
use super::shares::rule_shares;
use crate::compose::mode;
use crate::error::Result;
use crate::keys::Key;
use crate::negatives::MaskRules;
use crate::pipeline::{Field, Group, Pipeline};

/// A rule that excludes more than this is hardly meant.
const MOST_EXCLUDED: f64 = 0.5;

/// A line for each thing that is hardly meant: what a run says aloud.
///
/// # Errors
/// A scratch file that can't be read.
pub fn warnings(p: &Pipeline, composition: &Composition) -> Result<Vec<String>> {
    let mut lines: Vec<String> = mixed_requests(p, composition).into_iter().collect();
    lines.extend(items_without_rule(p, composition)?);
    for (rule, share) in rule_shares(&MaskRules::of(p)?.excluding, composition)? {
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
    Ok(lines)
}

/// Requests whose ids are hardly unique.
fn mixed_requests(p: &Pipeline, composition: &Composition) -> Option<String> {
    let mixed = composition.facts.mixed_requests;
    let all = composition.facts.number_of_requests().unwrap_or(0);
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
fn items_without_rule(p: &Pipeline, composition: &Composition) -> Result<Option<String>> {
    let looked_at = MaskRules::of(p)?.excluding.iter().any(|rule| rule.fields().contains(&Field::Item));
    let again = composition.facts.items.rows.iter().any(|rows| *rows > 1);
    Ok((p.item.is_some() && again && !looked_at).then(|| {
        "columns.item is mapped, and no rule of mask.rules looks at it: other rows of an anchor's own item stay its negatives; add \"same:item\" or \"known_positive\"".into()
    }))
}

/// A line for each thing that was asked but can't be reached, with the setting that would do, and for what rules exclude.
///
/// # Errors
/// A scratch file that can't be read.
pub fn advice(p: &Pipeline, composition: &Composition) -> Result<Vec<String>> {
    let mut lines: Vec<String> = repeats(p, composition).into_iter().collect();
    for (rule, share) in rule_shares(&MaskRules::of(p)?.excluding, composition)? {
        let most = if share.exact { "about" } else { "at most" };
        lines.push(format!("{rule} excludes {most} {:.3} % of all pairs in a random order", 100.0 * share.most));
    }
    if let Some(group) = &p.group {
        lines.extend(lacking(group, composition)?);
        lines.extend(copies(composition));
    }
    Ok(lines)
}

/// Identities with more rows than there are batches.
fn repeats(p: &Pipeline, composition: &Composition) -> Option<String> {
    let (counts, n) = (&composition.facts.identities, composition.keys.len() as u64);
    let largest = counts.iter().copied().max().map_or(0, u64::from);
    let full = n / p.batch_size as u64;
    if !mode(p).spreads_rows() || p.window.is_some() || full == 0 || largest <= full {
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
fn lacking(group: &Group, composition: &Composition) -> Result<Vec<String>> {
    let (keys, counts) = (&composition.keys, &composition.facts.identities);
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
fn copies(composition: &Composition) -> Option<String> {
    let (copies, rows) = (composition.composed.head().copies, composition.composed.head().rows());
    (copies * 2 > rows).then(|| {
        format!("{copies} of {rows} rows would be copies: quotas nearer to the classes' shares, or scarce = \"rest\", need fewer")
    })
}
