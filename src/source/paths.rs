//! Fields of structs, by their path: `user.id`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

/// The column, the path below it, and the field of a dotted name; names may hold dots themselves.
pub fn find_path(columns: &Fields, name: &str) -> Option<(usize, Vec<String>, FieldRef)> {
    columns.iter().enumerate().find_map(|(root, column)| {
        let rest = name.strip_prefix(column.name().as_str())?.strip_prefix('.')?;
        let (path, field) = below(column.data_type(), rest)?;
        Some((root, path, field))
    })
}

fn below(data_type: &DataType, name: &str) -> Option<(Vec<String>, FieldRef)> {
    let DataType::Struct(fields) = data_type else { return None };
    if let Some(field) = fields.iter().find(|field| field.name() == name) {
        return Some((vec![name.to_owned()], Arc::clone(field)));
    }
    let (root, mut path, field) = find_path(fields, name)?;
    path.insert(0, fields[root].name().clone());
    Some((path, field))
}

/// The field without what lies at a path; `None` if nothing is left.
pub fn without(field: &Field, path: &[String]) -> Option<Field> {
    let (name, rest) = path.split_first()?;
    let DataType::Struct(fields) = field.data_type() else { return Some(field.clone()) };
    let keep =
        |own: &FieldRef| if own.name() == name { without(own, rest).map(Arc::new) } else { Some(Arc::clone(own)) };
    let left: Fields = fields.iter().filter_map(keep).collect();
    (!left.is_empty()).then(|| field.clone().with_data_type(DataType::Struct(left)))
}

/// The values at a path; null where the struct is. `None` where the structs have no such field.
///
/// # Errors
/// Nulls that do not fit the values, which is a fault of the array.
pub fn at_path(array: &ArrayRef, path: &[String]) -> Result<Option<ArrayRef>, ArrowError> {
    let mut found = Arc::clone(array);
    for name in path {
        let Some(outer) = found.as_struct_opt() else { return Ok(None) };
        let Some(child) = outer.column_by_name(name) else { return Ok(None) };
        found = match outer.nulls().filter(|_| !child.data_type().is_null()) {
            Some(nulls) => nullif(child, &BooleanArray::new(!nulls.inner(), None))?,
            None => Arc::clone(child),
        };
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StructArray};
    use arrow::buffer::NullBuffer;

    use super::*;

    #[test]
    fn fields_are_found_left_out_and_read_by_their_path() {
        let inner = DataType::Struct(vec![Field::new("id", DataType::Int64, true)].into());
        let outer = vec![Field::new("v.2", inner, true), Field::new("age", DataType::Int8, true)];
        let columns = Fields::from(vec![
            Field::new("x", DataType::Int8, true),
            Field::new("user", DataType::Struct(outer.into()), true),
        ]);
        let (root, path, field) = find_path(&columns, "user.v.2.id").unwrap();
        assert_eq!(
            (root, path.as_slice(), field.data_type()),
            (1, ["v.2", "id"].map(String::from).as_slice(), &DataType::Int64)
        );
        assert!(find_path(&columns, "user.id").is_none() && find_path(&columns, "user").is_none());
        let left = without(&columns[1], &path).unwrap();
        assert_eq!(left.data_type(), &DataType::Struct(vec![Field::new("age", DataType::Int8, true)].into()));
        assert!(without(&left, &["age".into()]).is_none());
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let nulls = NullBuffer::from(vec![true, true, false]);
        let user: ArrayRef =
            Arc::new(StructArray::new(vec![Field::new("id", DataType::Int64, true)].into(), vec![ids], Some(nulls)));
        let found = at_path(&user, &["id".into()]).unwrap().unwrap();
        assert_eq!(found.as_ref(), &Int64Array::from(vec![Some(1), None, None]) as &dyn Array);
    }
}
