//! Charts as SVG, in colours that follow the page's theme.

use plotters::prelude::*;

/// Stand-ins that [`themed`] replaces by the page's variables.
const INK: RGBColor = RGBColor(1, 2, 3);
const FAINT: RGBColor = RGBColor(4, 5, 6);
const DATA: RGBColor = RGBColor(7, 8, 9);
const RANDOM: RGBColor = RGBColor(10, 11, 12);
const INPUT: RGBColor = RGBColor(13, 14, 15);

/// In the page's pixels, about: labels keep their size.
const SIZE: (u32, u32) = (340, 210);

/// What a chart shows beside the data: the random order's value and the input order's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines {
    pub random: Option<f64>,
    pub input: Option<f64>,
}

impl Lines {
    fn values(self) -> impl Iterator<Item = (f64, RGBColor)> {
        [(self.random, RANDOM), (self.input, INPUT)].into_iter().filter_map(|(v, c)| Some((v?, c)))
    }
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn svg(draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Drawn) -> String {
    let mut out = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut out, SIZE).into_drawing_area();
        draw(&area).and_then(|()| area.present().map_err(Into::into))
    };
    match drawn {
        Ok(()) => themed(&out),
        Err(_) => "<p>(nothing to draw)</p>".into(),
    }
}

/// Lets the page's variables choose the colours, and the page's width the size.
fn themed(svg: &str) -> String {
    let size = format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1);
    svg.replace(&size, "role=\"img\"")
        .replace("#010203", "var(--ink)")
        .replace("#040506", "var(--faint)")
        .replace("#070809", "var(--data)")
        .replace("#0A0B0C", "var(--random)")
        .replace("#0D0E0F", "var(--input)")
}

fn label(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v >= 10_000.0 => format!("{:.0}k", value / 1000.0),
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 0.01 => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => format!("{value:.0e}"),
    }
}

/// A little room around the values, so that none sits on the frame.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    // A figure that hardly varies needs room for labels that differ.
    let room = ((high - low) * 0.06).max(high.abs() * 0.1).max(1e-9);
    (if low >= 0.0 { (low - room).max(0.0) } else { low - room }, high + room)
}

macro_rules! axes {
    ($chart:expr, $x:expr, $y:expr) => {
        $chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT.stroke_width(1))
            .axis_style(FAINT.stroke_width(1))
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&$x)
            .y_label_formatter(&$y)
            .draw()
    };
}

/// How a figure is distributed over the batches.
pub fn histogram(values: &[f64], lines: Lines) -> String {
    const BINS: usize = 32;
    let (low, high) = range(values.iter().copied().chain(lines.values().map(|(v, _)| v)));
    let width = (high - low) / BINS as f64;
    let mut bins = [0u32; BINS];
    values.iter().for_each(|v| bins[(((v - low) / width) as usize).min(BINS - 1)] += 1);
    let top = f64::from(bins.iter().max().copied().unwrap_or(1)) * 1.08;
    svg(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(26)
            .y_label_area_size(40)
            .build_cartesian_2d(low..high, 0.0..top)?;
        axes!(chart, |v| label(*v), |v| label(*v))?;
        chart.draw_series(bins.iter().enumerate().filter(|(_, n)| **n > 0).map(|(k, n)| {
            let left = low + k as f64 * width;
            Rectangle::new([(left, 0.0), (left + width * 0.92, f64::from(*n))], DATA.filled())
        }))?;
        for (value, colour) in lines.values() {
            chart.draw_series([PathElement::new(vec![(value, 0.0), (value, top)], colour.stroke_width(2))])?;
        }
        Ok(())
    })
}

/// How a figure drifts over the batches, in reading order; long ones as means of stretches.
pub fn drift(values: &[f64], lines: Lines) -> String {
    const POINTS: usize = 400;
    let step = values.len().div_ceil(POINTS).max(1);
    let points: Vec<(f64, f64)> = values
        .chunks(step)
        .enumerate()
        .map(|(k, chunk)| ((k * step) as f64, chunk.iter().sum::<f64>() / chunk.len() as f64))
        .collect();
    let (low, high) = range(points.iter().map(|(_, y)| *y).chain(lines.values().map(|(v, _)| v)));
    let last = (values.len().max(2) - 1) as f64;
    svg(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(26)
            .y_label_area_size(40)
            .build_cartesian_2d(0.0..last, low..high)?;
        axes!(chart, |v| label(v.round()), |v| label(*v))?;
        for (value, colour) in lines.values() {
            chart.draw_series([PathElement::new(vec![(0.0, value), (last, value)], colour.stroke_width(2))])?;
        }
        chart.draw_series(LineSeries::new(points.iter().copied(), DATA.stroke_width(2)))?;
        Ok(())
    })
}

/// A curve over batch sizes (logarithmic), with the measured point.
pub fn curve(points: &[(f64, f64)], measured: (f64, f64)) -> String {
    let (first, last) = (points.first().map_or(1.0, |p| p.0), points.last().map_or(2.0, |p| p.0));
    svg(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(26)
            .y_label_area_size(40)
            .build_cartesian_2d((first..last).log_scale(), 0.0..1.06)?;
        axes!(chart, |v| label(*v), |v| label(*v))?;
        chart.draw_series(LineSeries::new(points.iter().copied(), RANDOM.stroke_width(2)))?;
        chart.draw_series([Circle::new(measured, 6, DATA.filled())])?;
        Ok(())
    })
}
