//! Plots as SVG text. Pure; no scripts, no fonts of its own, fits into a page or stands alone.

use std::fmt::Write;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 8.0;

/// A line over time.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// What it is.
    pub name: &'a str,
    /// A CSS colour.
    pub colour: &'a str,
    /// One value for each second.
    pub values: &'a [u64],
}

/// A moment on the time axis.
#[derive(Debug, Clone)]
pub struct Mark {
    /// From here, in seconds.
    pub from: f64,
    /// To here, in seconds.
    pub to: f64,
    /// What it was; shown by browsers that point at it.
    pub name: String,
}

/// Lines over seconds, with marks along the bottom. `unit` follows each number on the left, such as `/s`.
#[must_use]
pub fn over_time(series: &[Series<'_>], marks: &[Mark], unit: &str) -> String {
    let longest = series.iter().map(|it| it.values.len()).max().unwrap_or(0);
    let last_mark = marks.iter().map(|mark| mark.to).fold(0.0, f64::max);
    let seconds = (longest as f64).max(last_mark).max(1.0);
    let highest = series.iter().flat_map(|it| it.values).copied().max().unwrap_or(0).max(1) as f64;
    let x = |second: f64| LEFT + second / seconds * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / highest * (HEIGHT - BOTTOM - TOP);
    let mut svg = open();
    for mark in marks {
        let (from, to) = (x(mark.from), x(mark.to).max(x(mark.from) + 1.0));
        let _ = write!(
            svg,
            "<rect x='{from:.1}' y='{TOP}' width='{:.1}' height='{:.1}' fill='#d33' opacity='0.13'><title>{}</title></rect>",
            to - from,
            HEIGHT - BOTTOM - TOP,
            escaped(&mark.name)
        );
    }
    axis(&mut svg, highest, &y, unit);
    for step in 0..=6 {
        let second = seconds * f64::from(step) / 6.0;
        let _ = write!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='middle'>{second:.0} s</text>",
            x(second),
            HEIGHT - 10.0
        );
    }
    for (n, it) in series.iter().enumerate() {
        let points: Vec<String> = it
            .values
            .iter()
            .enumerate()
            .map(|(second, value)| format!("{:.1},{:.1}", x(second as f64 + 0.5), y(*value as f64)))
            .collect();
        let _ = write!(
            svg,
            "<polyline points='{}' fill='none' stroke='{}' stroke-width='1.4'/><text x='{:.1}' y='24' fill='{}'>{}</text>",
            points.join(" "),
            it.colour,
            LEFT + 12.0 + 130.0 * n as f64,
            it.colour,
            escaped(it.name)
        );
    }
    svg + "</svg>"
}

/// How times are spread, on a logarithmic scale: the share of them that was not longer.
#[must_use]
pub fn spread(milliseconds: &[u64]) -> String {
    let mut sorted: Vec<f64> = milliseconds.iter().map(|ms| (*ms).max(1) as f64).collect();
    sorted.sort_by(f64::total_cmp);
    let longest = sorted.last().copied().unwrap_or(1.0).max(10.0);
    let decades = longest.log10().ceil();
    let x = |ms: f64| LEFT + ms.log10() / decades * (WIDTH - LEFT - RIGHT);
    let y = |percent: f64| HEIGHT - BOTTOM - percent / 100.0 * (HEIGHT - BOTTOM - TOP);
    let mut svg = open();
    axis(&mut svg, 100.0, &y, " %");
    let mut decade = 0.0;
    while decade <= decades {
        let ms = 10_f64.powf(decade);
        let label = if ms < 1_000.0 { format!("{ms:.0} ms") } else { format!("{:.0} s", ms / 1_000.0) };
        let _ = write!(
            svg,
            "<line x1='{0:.1}' x2='{0:.1}' y1='{TOP}' y2='{1:.1}' stroke='#ddd'/><text x='{0:.1}' y='{2:.1}' text-anchor='middle'>{label}</text>",
            x(ms),
            HEIGHT - BOTTOM,
            HEIGHT - 10.0
        );
        decade += 1.0;
    }
    let share = |n: usize| (n + 1) as f64 / sorted.len() as f64 * 100.0;
    let points: Vec<String> =
        sorted.iter().enumerate().map(|(n, ms)| format!("{:.1},{:.1}", x(*ms), y(share(n)))).collect();
    let _ = write!(svg, "<polyline points='{}' fill='none' stroke='#06c' stroke-width='1.4'/>", points.join(" "));
    svg + "</svg>"
}

fn open() -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-size='11' font-family='sans-serif'>"
    )
}

fn axis(svg: &mut String, highest: f64, y: &dyn Fn(f64) -> f64, unit: &str) {
    for quarter in 0..=4 {
        let value = highest * f64::from(quarter) / 4.0;
        let at = y(value);
        let _ = write!(
            svg,
            "<line x1='{LEFT}' x2='{:.1}' y1='{at:.1}' y2='{at:.1}' stroke='#ddd'/><text x='{:.1}' y='{:.1}' text-anchor='end'>{value:.0}{unit}</text>",
            WIDTH - RIGHT,
            LEFT - 4.0,
            at + 4.0
        );
    }
}

/// Text that is safe between tags and in attributes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every coordinate that is drawn, in pairs.
    fn points(svg: &str) -> Vec<(f64, f64)> {
        let lists = svg.split("points='").skip(1).filter_map(|rest| rest.split('\'').next());
        let pair = |text: &str| {
            let (x, y) = text.split_once(',')?;
            Some((x.parse().ok()?, y.parse().ok()?))
        };
        lists.flat_map(|list| list.split(' ').filter_map(pair).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn everything_that_is_drawn_is_inside_of_the_picture() {
        let marks = [Mark { from: 1.0, to: 90.0, name: "a <b>".to_owned() }];
        let placed = Series { name: "placed", colour: "#06c", values: &[0, 5, 100, 3] };
        let plots =
            [over_time(&[placed], &marks, "/s"), spread(&[1, 20, 300, 400_000]), spread(&[]), over_time(&[], &[], "")];
        for svg in &plots {
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
            assert!(points(svg).iter().all(|(x, y)| (0.0..=WIDTH).contains(x) && (0.0..=HEIGHT).contains(y)), "{svg}");
        }
        assert!(plots[0].contains("a &lt;b&gt;"));
        assert_eq!(points(&plots[0]).len(), 4);
    }

    #[test]
    fn a_higher_value_is_drawn_higher_and_a_longer_time_further_right() {
        let values = Series { name: "v", colour: "#000", values: &[1, 9] };
        let line = points(&over_time(&[values], &[], "/s"));
        assert!(line[0].1 > line[1].1 && line[0].0 < line[1].0);
        let spread = points(&spread(&[10, 1_000]));
        assert!(spread[0].0 < spread[1].0 && spread[0].1 > spread[1].1);
    }
}
