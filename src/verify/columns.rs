//! Columns as the pipeline names them: `a.b` in structs, `column:a+b` in rules; and folders of input paths.

use std::path::Path;

use polars::prelude::{Column, DataFrame, IntoColumn, Series};

use crate::reader::{Dataset, ints};
use crate::schema;

/// A column of a frame, or a field of its structs; `None` where it has none.
pub fn find(frame: &DataFrame, name: &str) -> Option<Column> {
    if let Ok(column) = frame.column(name) {
        return Some(column.clone());
    }
    let roots =
        name.match_indices('.').filter_map(|(dot, _)| Some((frame.column(&name[..dot]).ok()?, &name[dot + 1..])));
    roots.filter_map(|(root, rest)| field(root.as_materialized_series(), rest)).next().map(IntoColumn::into_column)
}

/// A field of structs; null where the struct is.
fn field(structs: &Series, name: &str) -> Option<Series> {
    let own = structs.struct_().ok()?;
    let found = match own.field_by_name(name) {
        Ok(found) => found,
        Err(_) => {
            let mut dots = name.match_indices('.');
            dots.find_map(|(dot, _)| field(&own.field_by_name(&name[..dot]).ok()?, &name[dot + 1..]))?
        }
    };
    if structs.null_count() == 0 {
        return Some(found);
    }
    let nulls = Series::full_null(found.name().clone(), found.len(), found.dtype());
    found.zip_with(&structs.is_not_null(), &nulls).ok()
}

/// The structs without a field, by its path; `None` where there is none, and nothing inside where nothing is left.
fn without(structs: &Series, path: &str) -> Option<Option<Series>> {
    let own = structs.struct_().ok()?;
    let mut fields = own.fields_as_series();
    if let Some(at) = fields.iter().position(|field| field.name() == path) {
        drop(fields.remove(at));
    } else {
        let split = path.match_indices('.').map(|(dot, _)| (&path[..dot], &path[dot + 1..]));
        let (at, rest) =
            split.filter_map(|(head, rest)| Some((fields.iter().position(|f| f.name() == head)?, rest))).next()?;
        match without(&fields[at], rest)? {
            Some(left) => fields[at] = left,
            None => drop(fields.remove(at)),
        }
    }
    if fields.is_empty() {
        return Some(None);
    }
    let left = polars::prelude::StructChunked::from_series(own.name().clone(), own.len(), fields.iter()).ok()?;
    let left = polars::prelude::IntoSeries::into_series(left);
    if structs.null_count() == 0 {
        return Some(Some(left));
    }
    let nulls = Series::full_null(left.name().clone(), left.len(), left.dtype());
    left.zip_with(&structs.is_not_null(), &nulls).ok().map(Some)
}

/// Structs that are there where a frame's are, of one field that is null.
fn hollow(frame: &DataFrame, name: &str) -> Option<Column> {
    use polars::prelude::{DataType, IntoSeries, StructChunked};
    let whole = frame.column(name).ok()?.as_materialized_series();
    let nothing = Series::full_null("".into(), whole.len(), &DataType::Boolean);
    let left = StructChunked::from_series(name.into(), whole.len(), [nothing].iter()).ok()?.into_series();
    let nulls = Series::full_null(name.into(), whole.len(), left.dtype());
    left.zip_with(&whole.is_not_null(), &nulls).ok().map(IntoColumn::into_column)
}

/// Takes what is not carried out of a frame's structs.
pub fn leave_out(frame: &mut DataFrame, name: &str) {
    if frame.column(name).is_ok() {
        return;
    }
    let dots: Vec<usize> = name.match_indices('.').map(|(dot, _)| dot).collect();
    for dot in dots {
        let left = frame.column(&name[..dot]).ok().and_then(|c| without(c.as_materialized_series(), &name[dot + 1..]));
        match left {
            Some(Some(left)) => {
                // The name and the height are those of the column before.
                let _ = frame.with_column(left.into_column());
                return;
            }
            Some(None) => {
                // Structs of nothing: another file may have more of them.
                let _ = hollow(frame, &name[..dot]).and_then(|left| frame.with_column(left).ok().map(|_| ()));
                return;
            }
            None => {}
        }
    }
}

/// The top-level column of a name, among these.
pub fn root_of(name: &str, has: impl Fn(&str) -> bool) -> &str {
    if has(name) {
        return name;
    }
    let heads = name.match_indices('.').map(|(dot, _)| &name[..dot]);
    heads.into_iter().find(|head| has(head)).unwrap_or(name)
}

/// What a part of a `same:` rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Role(String),
    Column(String),
}

/// The parts of a rule as the manifest records it; none of `known_positive`.
pub fn parts_of(rule: &str) -> Vec<Named> {
    let Some(mut rest) = rule.strip_prefix("same:") else { return Vec::new() };
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if let Some(named) = rest.strip_prefix("column:") {
            // Up to the next prefix, since a name may hold a `+`.
            let end = ["+column:", "+role:"].iter().filter_map(|next| named.find(next)).min().unwrap_or(named.len());
            parts.push(Named::Column(named[..end].to_owned()));
            rest = named.get(end + 1..).unwrap_or_default();
            continue;
        }
        let (name, behind) = rest.split_once('+').unwrap_or((rest, ""));
        parts.push(match name.strip_prefix("role:").unwrap_or(name) {
            role @ ("identity" | "request" | "item" | "label") => Named::Role(role.to_owned()),
            column => Named::Column(column.to_owned()),
        });
        rest = behind;
    }
    parts
}

/// The parts of requests in a batch: what the payload has of them, and the identity's token where that is one. `None`: not all
/// can be told.
pub fn request_parts(dataset: &Dataset, frame: &DataFrame) -> Option<Vec<Column>> {
    let (parts, identity) = (dataset.columns("request"), dataset.columns("identity"));
    if parts.is_empty() {
        return None;
    }
    let part = |name: &String| match find(frame, name) {
        Some(column) => Some(column),
        None if identity.len() == 1 && identity[0] == *name => frame.column(schema::USER).ok().cloned(),
        None => None,
    };
    parts.iter().map(part).collect()
}

/// A time column as 64-bit integers in order: ticks, days of dates that are text, floats by their bits in order.
pub fn times(column: &Column) -> Vec<i64> {
    let series = column.as_materialized_series();
    if series.dtype().is_float() {
        let wide = series.cast(&polars::prelude::DataType::Float64).ok();
        let floats = wide.as_ref().and_then(|wide| wide.f64().ok());
        return floats
            .map(|floats| floats.iter().map(|x| in_order(x.unwrap_or(f64::NAN))).collect())
            .unwrap_or_default();
    }
    if let Ok(texts) = series.str() {
        return texts.iter().map(|text| text.and_then(day_of).unwrap_or(i64::MIN)).collect();
    }
    ints(&column.to_physical_repr())
}

/// Negative floats count down from −1; zeros of both signs are 0.
fn in_order(x: f64) -> i64 {
    let magnitude = (x.abs().to_bits() & (u64::MAX >> 1)) as i64;
    if x < 0.0 { -1 - magnitude } else { magnitude }
}

/// Days from the epoch of `2024-01-31`, by counting leap days.
fn day_of(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    // March comes first, so that the leap day is the last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1;
    Some(days - 719_468)
}

/// The `key=value` folders of a path, outermost first, as the folders' writers meant them.
pub fn folders(path: &Path) -> Vec<(String, String)> {
    let names = path.parent().into_iter().flat_map(|folder| folder.iter().filter_map(|name| name.to_str()));
    names.filter_map(|name| name.split_once('=')).map(|(key, value)| (meant(key), meant(value))).collect()
}

/// Without percent-encoding.
fn meant(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend(part.as_bytes());
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use polars::prelude::{NamedFrom, StructChunked};

    use super::*;

    #[test]
    fn rules_are_read_as_the_manifest_writes_them() {
        let (role, column) = (|n: &str| Named::Role(n.into()), |n: &str| Named::Column(n.into()));
        assert_eq!(parts_of("same:identity+label"), [role("identity"), role("label")]);
        assert_eq!(parts_of("same:x+column:item+column:a+b"), [column("x"), column("item"), column("a+b")]);
        assert_eq!(parts_of("same:column:a+b+role:item"), [column("a+b"), role("item")]);
        assert!(parts_of("known_positive").is_empty());
    }

    #[test]
    fn fields_are_found_and_left_out() {
        let (id, age) = (Series::new("id".into(), [1i64, 2]), Series::new("age".into(), [7i64, 8]));
        let user = StructChunked::from_series("user".into(), 2, [id, age].iter()).unwrap();
        let mut frame = DataFrame::new(2, vec![polars::prelude::IntoSeries::into_series(user).into_column()]).unwrap();
        assert_eq!(ints(&find(&frame, "user.id").unwrap()), [1, 2]);
        assert!(find(&frame, "user.x").is_none() && find(&frame, "x.id").is_none());
        leave_out(&mut frame, "user.id");
        assert!(find(&frame, "user.id").is_none());
        assert_eq!(ints(&find(&frame, "user.age").unwrap()), [7, 8]);
        assert_eq!(root_of("user.age", |n| n == "user"), "user");
    }

    #[test]
    fn times_and_folders_are_read_without_the_writer() {
        assert_eq!(
            ["1970-01-01", "2000-03-01", "1969-12-31", "2024-02-29"].map(|d| day_of(d).unwrap()),
            [0, 11_017, -1, 19_782]
        );
        let floats = Series::new("t".into(), [-2.5, -0.0, 0.0, 3.5]);
        let found = times(&floats.into_column());
        assert!(found.is_sorted() && found[1] == found[2] && found[0] < found[1] && found[2] < found[3]);
        assert_eq!(
            folders(Path::new("a/b%20c=d%2Fe/x%=%C3%A9/f.parquet")),
            [("b c".into(), "d/e".into()), ("x%".into(), "é".into())]
        );
    }
}
