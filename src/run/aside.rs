//! Keys out of the way of composition, which asks for few of them and takes as much memory as they do.

use std::path::Path;

use crate::error::Result;
use crate::keys::KeyPlane;
use crate::pipeline::{Mode, Pipeline};
use crate::store::{Shelf, Waiting};

/// Columns of a plane that wait on a shelf.
pub struct Aside {
    shelf: Shelf,
    time: Option<Waiting<i64>>,
    others: Vec<Waiting<u32>>,
}

impl Aside {
    /// Takes from the plane what [`crate::compose::compose`] does not look at, if that is more than `room` bytes.
    pub fn put(plane: &mut KeyPlane, p: &Pipeline, room: u64, dir: &Path) -> Result<Option<Self>> {
        let times = plane.time.as_ref().map_or(0, |time| 8 * time.len());
        let others = unasked(plane, p).iter().map(|column| 4 * column.len()).sum::<usize>();
        let Some(mut shelf) = Shelf::beyond(room, times + others, dir)? else { return Ok(None) };
        let time = plane.time.take().map(|time| shelf.put(time)).transpose()?;
        let others = unasked(plane, p).into_iter().map(|column| shelf.put(std::mem::take(column)));
        let others = others.collect::<Result<_>>()?;
        Ok(Some(Aside { time, others, shelf }))
    }

    /// Brings the times back, the first that are needed again.
    pub fn bring_times(&mut self, plane: &mut KeyPlane) -> Result<()> {
        plane.time = self.time.take().map(|time| self.shelf.take(time)).transpose()?;
        Ok(())
    }

    /// Brings back all but the times. Gives the number of bytes that were put aside.
    pub fn bring_others(self, plane: &mut KeyPlane, p: &Pipeline) -> Result<u64> {
        for (column, other) in unasked(plane, p).into_iter().zip(self.others) {
            *column = self.shelf.take(other)?;
        }
        Ok(self.shelf.bytes())
    }
}

/// Columns beside times that composition does not ask for, in one order.
fn unasked<'a>(plane: &'a mut KeyPlane, p: &Pipeline) -> Vec<&'a mut Vec<u32>> {
    let request = plane.request.as_mut().filter(|_| p.mode != Mode::RequestPacked);
    let codes = [request, plane.item.as_mut()].into_iter().flatten();
    let codes = codes.chain(plane.columns.iter_mut().map(|(_, codes)| codes)).map(|codes| &mut codes.rows);
    std::iter::once(&mut plane.input_row).chain(codes).collect()
}
