//! A batch's mask as a picture.

use std::fmt::Write;

use crate::reader::Look;

/// Most squares along a side.
const SIDE: usize = 96;

/// An SVG of the mask: anchors down, candidates across, darker where more of a square is excluded.
pub fn mask(look: &Look) -> String {
    let size = look.rows().div_ceil(SIDE).max(1);
    let cells = look.excluded(size);
    let side = cells.len();
    let mut out =
        format!("<svg viewBox=\"0 0 {side} {side}\" role=\"img\" shape-rendering=\"crispEdges\" class=\"mask\">");
    for (y, row) in cells.iter().enumerate() {
        // Equal neighbours are one rectangle.
        let level = |share: f64| if share == 0.0 { 0 } else { 1 + (share * 3.999) as usize };
        let mut x = 0;
        for run in row.chunk_by(|a, b| level(*a) == level(*b)) {
            if level(run[0]) > 0 {
                let opacity = 0.25 * level(run[0]).min(4) as f64;
                // A string takes what is written.
                let _ = write!(
                    out,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"1\" opacity=\"{opacity}\"/>",
                    run.len()
                );
            }
            x += run.len();
        }
    }
    out + "</svg>"
}
