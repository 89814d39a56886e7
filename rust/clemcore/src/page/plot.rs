//! Plots of a game as SVG: how its episodes ended, and the quality of each model.
//!
//! They are shown as images, in which nothing runs. `plotters` draws them and escapes their texts.
use super::visible::visible;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{IntoSegmentedCoord, SegmentValue, SegmentedCoord};
use plotters::coord::types::{RangedCoordf64, RangedCoordusize};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Letters of names that are shown.
const LONGEST: usize = 22;
/// On a phone the plot is scaled down to two thirds, and its letters stay readable.
const WIDTH: u32 = 480;
/// Pixels of a line, and of everything around the lines.
const LINE: u32 = 26;
const AROUND: u32 = 64;
/// Parts narrower than this show no number, in percent.
const NARROW: f64 = 5.0;
/// Colours of the outcomes, that colour-blind people can tell apart, in the order of [`Line::counts`].
const LIGHT: [u32; 7] = [0x00_72B2, 0xE6_9F00, 0xCC_79A7, 0x8C_6D1F, 0xB3_261E, 0xA0_A0AB, 0x56_B4E9];
const DARK: [u32; 7] = [0x4A_A3DF, 0xF0_B429, 0xE2_9AC2, 0xC8_A84B, 0xFF_7B72, 0x80_808C, 0x8F_D0F5];

/// A model in a plot.
#[derive(Debug, Clone, Copy)]
pub struct Line<'t> {
    /// Its name.
    pub name: &'t str,
    /// How many episodes were played, lost, aborted, ended by a limit, ended by an error, are missing, have no scores.
    pub counts: [u32; 7],
    /// The mean of the main score.
    pub quality: Option<f64>,
    /// The interval of this mean.
    pub interval: Option<(f64, f64)>,
}

type Fault = DrawingAreaErrorKind<std::io::Error>;
type Drawn = Result<(), Fault>;
type Chart<'a> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, SegmentedCoord<RangedCoordusize>>>;

struct Look {
    ink: RGBColor,
    faint: RGBColor,
    colors: [RGBColor; 7],
}

impl Look {
    fn of(is_dark: bool) -> Self {
        let (ink, faint, colors) =
            if is_dark { (0xEC_ECF1, 0x4A_4A55, DARK) } else { (0x1B_1B20, 0xD0_D0D8, LIGHT) };
        Self { ink: color(ink), faint: color(faint), colors: colors.map(color) }
    }
}

fn color(number: u32) -> RGBColor {
    let [_, red, green, blue] = number.to_be_bytes();
    RGBColor(red, green, blue)
}

fn short(name: &str) -> String {
    let shown = visible(name).replace(['\n', '\t'], " ");
    if shown.chars().count() <= LONGEST {
        return shown;
    }
    shown.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// How the episodes of each model ended, in percent, as SVG.
///
/// # Errors
/// A fault of ours.
pub fn outcomes(lines: &[Line<'_>], is_dark: bool) -> Result<String, String> {
    let mut out = String::new();
    draw_outcomes(&mut out, lines, &Look::of(is_dark)).map_err(|fault| fault.to_string())?;
    Ok(out)
}

fn draw_outcomes(out: &mut String, lines: &[Line<'_>], look: &Look) -> Drawn {
    let root = SVGBackend::with_string(out, (WIDTH, height(lines))).into_drawing_area();
    let mut chart = framed(&root, lines, look, 0.0..100.0, "% of episodes", 16)?;
    for (at, line) in lines.iter().rev().enumerate() {
        let all = f64::from(line.counts.iter().sum::<u32>()).max(1.0);
        let mut from = 0.0;
        for (count, color) in line.counts.iter().zip(&look.colors).filter(|(count, _)| **count > 0) {
            let to = from + 100.0 * f64::from(*count) / all;
            let ends = [(from, SegmentValue::Exact(at)), (to, SegmentValue::Exact(at + 1))];
            let mut bar = Rectangle::new(ends, color.filled());
            bar.set_margin(4, 4, 0, 1);
            chart.draw_series([bar])?;
            if to - from >= NARROW {
                let inner = if is_bright(*color) { BLACK } else { WHITE };
                let style =
                    ("sans-serif", 12).into_font().color(&inner).pos(Pos::new(HPos::Center, VPos::Center));
                let place = (f64::midpoint(from, to), SegmentValue::CenterOf(at));
                chart.draw_series([Text::new(count.to_string(), place, style)])?;
            }
            from = to;
        }
    }
    root.present()
}

/// The axes of a plot with one row per model; `right` is the margin for the last number below.
fn framed<'a>(
    root: &DrawingArea<SVGBackend<'a>, Shift>,
    lines: &[Line<'_>],
    look: &Look,
    span: std::ops::Range<f64>,
    title: &str,
    right: u32,
) -> Result<Chart<'a>, Fault> {
    let mut chart = ChartBuilder::on(root)
        .margin(8)
        .margin_right(right)
        .x_label_area_size(40)
        .y_label_area_size(150)
        .build_cartesian_2d(span, rows(lines).into_segmented())?;
    let name = |value: &SegmentValue<usize>| name_of(lines, value);
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(look.faint)
        .axis_style(look.faint)
        .y_labels(lines.len().max(2))
        .y_label_formatter(&name)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .x_desc(title)
        .label_style(("sans-serif", 13).into_font().color(&look.ink))
        .draw()?;
    Ok(chart)
}

fn is_bright(color: RGBColor) -> bool {
    let RGBColor(red, green, blue) = color;
    // The contrast to black is higher than that to white.
    u32::from(red) * 299 + u32::from(green) * 587 + u32::from(blue) * 114 > 120_000
}

/// The rows of a plot, at least two: `plotters` places everything at the upper end of an axis with a single value.
fn rows(lines: &[Line<'_>]) -> std::ops::Range<usize> {
    0..lines.len().saturating_sub(1).max(1)
}

fn height(lines: &[Line<'_>]) -> u32 {
    u32::try_from(lines.len().max(2))
        .unwrap_or(u32::MAX / LINE / 2)
        .saturating_mul(LINE)
        .saturating_add(AROUND)
}

/// The first model is on top.
fn name_of(lines: &[Line<'_>], value: &SegmentValue<usize>) -> String {
    let at = match value {
        SegmentValue::CenterOf(at) | SegmentValue::Exact(at) => *at,
        SegmentValue::Last => return String::new(),
    };
    lines.iter().rev().nth(at).map(|line| short(line.name)).unwrap_or_default()
}

/// The quality of each model, with its interval if there is one, as SVG.
///
/// # Errors
/// A fault of ours.
pub fn quality(lines: &[Line<'_>], is_dark: bool) -> Result<String, String> {
    let mut out = String::new();
    draw_quality(&mut out, lines, &Look::of(is_dark)).map_err(|fault| fault.to_string())?;
    Ok(out)
}

fn draw_quality(out: &mut String, lines: &[Line<'_>], look: &Look) -> Drawn {
    let ends = lines.iter().flat_map(|line| {
        let (low, high) = line.interval.unwrap_or((100.0, 0.0));
        [Some(low), Some(high), line.quality].into_iter().flatten()
    });
    // Some games have scores beyond 0 to 100.
    let (low, high) = ends
        .filter(|end| end.is_finite())
        .fold((0.0_f64, 100.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    let root = SVGBackend::with_string(out, (WIDTH, height(lines))).into_drawing_area();
    let mut chart = framed(&root, lines, look, low..high, "quality score", 40)?;
    let [dot, ..] = look.colors;
    for (at, line) in lines.iter().rev().enumerate() {
        let Some(score) = line.quality.filter(|score| score.is_finite()) else { continue };
        let place = || SegmentValue::CenterOf(at);
        if let Some((from, to)) = line.interval {
            let stroke = dot.mix(0.45).stroke_width(5);
            chart.draw_series([PathElement::new(vec![(from, place()), (to, place())], stroke)])?;
        }
        chart.draw_series([Circle::new((score, place()), 5, dot.filled())])?;
        let style = ("sans-serif", 12).into_font().color(&look.ink).pos(Pos::new(HPos::Left, VPos::Center));
        let label = EmptyElement::at((score, place())) + Text::new(format!("{score:.1}"), (9, -9), style);
        chart.draw_series([label])?;
    }
    root.present()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str) -> [Line<'_>; 2] {
        let one =
            Line { name, counts: [3, 1, 1, 0, 0, 1, 0], quality: Some(57.5), interval: Some((40.0, 70.0)) };
        [one, Line { name: "two", counts: [0; 7], quality: None, interval: None }]
    }

    #[test]
    fn plots_show_names_and_numbers_as_text() {
        let hostile = lines("</text><script>alert(1)</script>\u{1b}\u{202e}");
        for is_dark in [false, true] {
            for svg in [outcomes(&hostile, is_dark).unwrap(), quality(&hostile, is_dark).unwrap()] {
                assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
                assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
                assert!(svg.contains("&lt;&#x2f;text&gt;") || svg.contains("&lt;/text&gt;"));
                assert!(svg.contains("two"));
            }
        }
        assert!(quality(&hostile, false).unwrap().contains("57.5"));
    }

    #[test]
    fn the_only_model_has_a_bar_within_the_plot() {
        let svg = outcomes(&lines("only")[..1], false).unwrap();
        let bar = svg.lines().find(|line| line.contains("#0072B2")).unwrap();
        let number = |name: &str| -> u32 {
            bar.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().parse().unwrap()
        };
        assert!(
            (1..LINE).contains(&number("height")) && number("y") + number("height") < height(&lines("only")),
            "{bar}"
        );
        assert!(svg.contains("only"));
    }

    #[test]
    fn a_plot_of_nothing_and_of_a_hundred_models_is_drawn() {
        assert!(outcomes(&[], false).is_ok() && quality(&[], true).is_ok());
        let many: Vec<Line<'_>> = (0..100).map(|_| lines("model")[0]).collect();
        assert_eq!(quality(&many, false).unwrap().matches("<circle").count(), 100);
        let wide = [
            Line { quality: Some(f64::NAN), ..lines("x")[0] },
            Line { quality: Some(-300.0), ..lines("y")[0] },
        ];
        assert_eq!(quality(&wide, false).unwrap().matches("<circle").count(), 1);
    }
}
