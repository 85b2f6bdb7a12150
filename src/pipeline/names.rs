//! Names of roles and columns: `identity`, `user_id`, `column:item`, `role:item`, and several of them joined by `+`.

use super::resolve::{Field, Pipeline, RuleText};
use crate::error::{Error, Result};

/// What says that a name is a column's, or a role's.
const COLUMN: &str = "column:";
const ROLE: &str = "role:";

pub const ROLES: [&str; 5] = ["identity", "request", "item", "label", "time"];

impl Pipeline {
    /// Binds a name to the role that it means, else to a column.
    ///
    /// # Errors
    /// `role:` before what is none, or is not mapped; a role without one column of its own, such as `time` of none.
    pub(super) fn field(&self, at: &'static str, name: &str) -> Result<Field> {
        if let Some(column) = name.strip_prefix(COLUMN) {
            return Ok(self.column_field(column));
        }
        let (role, must) = match name.strip_prefix(ROLE) {
            Some(role) => (role, true),
            None => (name, false),
        };
        let field = match role {
            "identity" => Some(Field::Identity),
            "request" if !self.request.is_empty() => Some(Field::Request),
            "item" if self.item.is_some() => Some(Field::Item),
            "label" if self.label.is_some() => Some(Field::Label),
            "time" => self.time.clone().map(Field::Column),
            _ => None,
        };
        match field {
            Some(field) => Ok(field),
            None if must => Err(Error::pipeline(
                at,
                format!("`{name}` is not a role that is mapped"),
                format!("use one of {} that [columns] maps", ROLES.join(", ")),
            )),
            None => Ok(self.column_field(name)),
        }
    }

    /// A column, or the role that it plays alone.
    fn column_field(&self, name: &str) -> Field {
        let plays = |columns: &[String]| columns.len() == 1 && columns[0] == name;
        if plays(&self.identity) {
            Field::Identity
        } else if plays(&self.request) {
            Field::Request
        } else if self.item.as_deref() == Some(name) {
            Field::Item
        } else {
            Field::Column(name.into())
        }
    }

    /// A rule's name, and the roles and columns behind it.
    ///
    /// # Errors
    /// A colon that no role or column follows, or a role that is not mapped.
    pub(super) fn rule(&self, at: &'static str, text: &str) -> Result<RuleText> {
        let Some((name, names)) = text.split_once(':') else {
            return Ok(RuleText::new(text, Vec::new()));
        };
        let names = joined(names);
        if names.iter().any(|name| name.is_empty() || name == COLUMN || name == ROLE) {
            return Err(Error::pipeline(
                at,
                format!("`{text}` lacks the name of a role or column"),
                format!("write it as \"{name}:identity\" or \"{name}:identity+label\", with any roles or columns"),
            ));
        }
        let fields = names.iter().map(|name| self.field(at, name)).collect::<Result<_>>()?;
        Ok(RuleText { name: name.into(), fields, written: text.into() })
    }

    /// Columns that are called like a role that a rule or the dedup key names, or like several names joined: which is meant
    /// would be a guess. `has_column` tells what the input has.
    ///
    /// # Errors
    /// The first such name, with the ways to say which.
    pub fn check_names(&self, has_column: impl Fn(&str) -> bool) -> Result<()> {
        let refuse = |at: &str, problem: String, remedy: String| Err(Error::pipeline(at, problem, remedy));
        let names = self.rule_texts.iter().filter_map(|text| text.split_once(':')).flat_map(|(_, names)| joined(names));
        let names = names.map(|name| ("mask.rules", name));
        for (at, name) in names.chain(self.dedup_texts.iter().map(|name| ("dedup.key", name.clone()))) {
            let mapped = self.columns_of(&name);
            let is_own = mapped.as_ref().is_some_and(|columns| columns.len() == 1 && columns[0] == name);
            if mapped.is_some() && !is_own && has_column(&name) {
                return refuse(
                    at,
                    format!("`{name}` is a role and a column of the input"),
                    format!("write {COLUMN}{name} for the column, {ROLE}{name} for the role"),
                );
            }
        }
        for text in &self.rule_texts {
            let Some((rule, names)) = text.split_once(':').filter(|(_, names)| names.contains('+')) else { continue };
            if !names.contains(COLUMN) && !names.contains(ROLE) && has_column(names) {
                let several: Vec<String> = names.split('+').map(|name| format!("{COLUMN}{name}")).collect();
                return refuse(
                    "mask.rules",
                    format!("`{text}` may mean the column `{names}`, or several"),
                    format!("write {rule}:{COLUMN}{names} for the one, {rule}:{} for all", several.join("+")),
                );
            }
        }
        Ok(())
    }

    /// The columns of a role that is mapped.
    fn columns_of(&self, role: &str) -> Option<Vec<String>> {
        match role {
            "identity" => Some(self.identity.clone()),
            "request" => Some(self.request.clone()).filter(|columns| !columns.is_empty()),
            "item" => self.item.clone().map(|column| vec![column]),
            "label" => self.label.clone().map(|column| vec![column]),
            "time" => self.time.clone().map(|column| vec![column]),
            _ => None,
        }
    }

    /// All columns that play a role, or that a rule or a key names, with the pipeline key that does.
    pub fn named_columns(&self) -> Vec<(&'static str, String)> {
        let mut named: Vec<(&'static str, String)> = Vec::new();
        let mut add = |at: &'static str, names: &[String]| named.extend(names.iter().map(|name| (at, name.clone())));
        add("columns.identity", &self.identity);
        add("columns.request", &self.request);
        add("columns.item", self.item.as_slice());
        add("columns.label", self.label.as_slice());
        add("columns.time", self.time.as_slice());
        add("requests.columns", &self.request_columns);
        let mut add_fields = |at: &'static str, fields: &[Field]| {
            let column = |field: &Field| if let Field::Column(name) = field { Some((at, name.clone())) } else { None };
            named.extend(fields.iter().filter_map(column));
        };
        add_fields("dedup.key", &self.dedup_key);
        self.rules.iter().for_each(|rule| add_fields("mask.rules", &rule.fields));
        self.positive_rules.iter().for_each(|rule| add_fields("mask.positives", &rule.fields));
        named
    }

    /// Whether the rules of the mask are written down, not the default.
    pub fn has_own_rules(&self) -> bool {
        self.has_own_rules
    }

    /// The columns of the input that are not carried, with the key that says so.
    pub fn left_out(&self) -> Vec<(&'static str, String)> {
        let raw = if self.keep_raw { &[][..] } else { &self.identity };
        let dropped = self.drop.iter().map(|name| ("input.drop", name.clone()));
        dropped.chain(raw.iter().map(|name| ("columns.identity", name.clone()))).collect()
    }
}

/// Names joined by `+`. Behind `column:`, a name goes on until the next prefix, as it may hold a `+` itself.
fn joined(names: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names.split('+') {
        match all.last_mut() {
            Some(last)
                if last.starts_with(COLUMN)
                    && !name.trim_start().starts_with(COLUMN)
                    && !name.trim_start().starts_with(ROLE) =>
            {
                last.push('+');
                last.push_str(name);
            }
            _ => all.push(name.trim_start().to_owned()),
        }
    }
    all.iter_mut().for_each(|name| name.truncate(name.trim_end().len()));
    all
}

impl Field {
    /// As the pipeline file writes it, without a doubt which is meant.
    pub fn text(&self) -> String {
        match self {
            Field::Column(name)
                if ROLES.contains(&name.as_str())
                    || name.contains('+')
                    || name.starts_with(COLUMN)
                    || name.starts_with(ROLE) =>
            {
                format!("{COLUMN}{name}")
            }
            field => field.name().to_owned(),
        }
    }

    /// The role's name, or the column's.
    pub fn name(&self) -> &str {
        match self {
            Field::Identity => "identity",
            Field::Request => "request",
            Field::Item => "item",
            Field::Label => "label",
            Field::Column(name) => name,
        }
    }
}

impl RuleText {
    /// As the pipeline file writes it.
    pub fn text(&self) -> String {
        let mut names: Vec<String> = self.fields.iter().map(Field::text).collect();
        // A name behind `column:` goes on until the next one.
        names.sort_by_key(|name| name.starts_with(COLUMN));
        if names.is_empty() { self.name.clone() } else { format!("{}:{}", self.name, names.join("+")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_behind_a_prefix_may_hold_the_sign_that_joins() {
        assert_eq!(joined("identity+label"), ["identity", "label"]);
        assert_eq!(joined("column:a+b"), ["column:a+b"]);
        assert_eq!(joined("label+column:a+b+column:c+role:item"), ["label", "column:a+b", "column:c", "role:item"]);
    }

    #[test]
    fn a_rule_s_text_means_the_rule() {
        let fields =
            vec![Field::Column("item".into()), Field::Item, Field::Column("a+b".into()), Field::Column("x".into())];
        assert_eq!(RuleText::new("same", fields).text(), "same:item+x+column:item+column:a+b");
    }
}
