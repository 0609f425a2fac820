//! The graph as an SVG of its own: no fonts, no scripts; for light and dark pages.

use super::layout::{BOX, Band, GAP, LEFT, Layout, Place, TITLE};
use super::{Edge, Graph, Node, NodeKind};
use crate::StepKind;
use std::fmt::Write;

/// Colours are the page's: a viewer that prefers dark ones gets them.
const STYLE: &str = "\
.page{fill:#fff}.lane{fill:#f6f8fa}.title{fill:#57606a;font-size:12px;font-weight:bold}.name{fill:#57606a;font-size:12px}\
.box{fill:#fff;stroke:#57606a;stroke-width:1.2}.pivot{stroke-width:3}.listener{stroke-dasharray:1.5 3;stroke-linecap:round}\
.step{fill:#1f2328;font-size:12px;font-weight:bold}.says{fill:#0757ba;font-size:9.5px}.refuses{fill:#b93a04;font-size:9.5px}\
.note{fill:#57606a;font-size:10px}.ahead{stroke:#0757ba;stroke-width:1.4;fill:none}.tip{fill:#0757ba}.start{fill:#0757ba}\
.back{stroke:#b93a04;stroke-width:1.4;fill:none;stroke-dasharray:5 3}.backtip{fill:#b93a04}.undo{stroke:#b93a04;stroke-dasharray:5 3}\
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.lane{fill:#161b22}.title,.name,.note{fill:#9198a1}\
.box{fill:#0d1117;stroke:#9198a1}.undo{stroke:#ff8a5c}.step{fill:#f0f6fc}.says,.tip,.start{fill:#6cb6ff}.refuses,.backtip{fill:#ff8a5c}\
.ahead{stroke:#6cb6ff}.back{stroke:#ff8a5c}}";

const LEGEND: f64 = 26.0;
/// Where failures go down.
const TRUNK: f64 = LEFT - 18.0;

impl Graph {
    /// As an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let layout = Layout::of(self);
        let (width, height) = (layout.width, layout.height + LEGEND);
        let mut svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='system-ui,sans-serif' role='img'>\n\
             <title>Who reacts to whom</title>\n<style>{STYLE}</style>\n\
             <defs><marker id='a' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto-start-reverse'>\
             <path class='tip' d='M0 0.5L8 4L0 7.5z'/></marker>\
             <marker id='b' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto-start-reverse'>\
             <path class='backtip' d='M0 0.5L8 4L0 7.5z'/></marker></defs>\n\
             <rect class='page' width='{width}' height='{height}' rx='8'/>\n"
        );
        for band in &layout.bands {
            lanes(&mut svg, band, width);
        }
        for edge in &self.edges {
            arrow(&mut svg, self, &layout, edge);
        }
        trunk(&mut svg, self, &layout);
        for (node, place) in self.nodes.iter().zip(&layout.places) {
            draw(&mut svg, node, place);
        }
        legend(&mut svg, layout.height + 8.0);
        svg + "</svg>\n"
    }
}

fn lanes(svg: &mut String, band: &Band, width: f64) {
    let _ =
        writeln!(svg, "<text class='title' x='{LEFT}' y='{}'>{}</text>", band.top + TITLE - 9.0, escaped(band.title));
    for lane in &band.lanes {
        let (y, height) = (lane.top + 2.0, lane.height - 4.0);
        let _ = writeln!(
            svg,
            "<rect class='lane' x='6' y='{y}' width='{}' height='{height}' rx='6'/><text class='name' x='14' y='{}'>{}</text>",
            width - 12.0,
            y + height / 2.0 + 4.0,
            escaped(&lane.participant)
        );
    }
}

fn draw(svg: &mut String, node: &Node, place: &Place) {
    let Place { x, y, width, height, .. } = *place;
    let (class, name) = match node.kind {
        NodeKind::Step(StepKind::Pivot) => ("box pivot", node.name.as_str()),
        NodeKind::Step(StepKind::Listener) => ("box listener", node.name.as_str()),
        NodeKind::Step(_) => ("box", node.name.as_str()),
        NodeKind::Undo => ("box undo", "undo"),
        NodeKind::Failures => ("box undo", node.name.as_str()),
    };
    let _ = writeln!(svg, "<rect class='{class}' x='{x}' y='{y}' width='{width}' height='{height}' rx='6'/>");
    if node.on.is_none() && matches!(node.kind, NodeKind::Step(_)) {
        let _ = writeln!(svg, "<circle class='start' cx='{x}' cy='{}' r='4.5'/>", y + height / 2.0);
    }
    let mut lines = vec![("step", name.to_owned())];
    if node.kind == NodeKind::Failures {
        lines.push(("note", "to everybody".to_owned()));
        lines.push(("note", "who can undo".to_owned()));
    }
    lines.extend((!node.undoes.is_empty()).then(|| ("refuses", node.undoes.join(", "))));
    lines.extend(node.says.iter().map(|event| ("says", format!("\u{2192} {event}"))));
    lines.extend(node.refuses.iter().map(|event| ("refuses", format!("\u{2717} {event}"))));
    let mut baseline = y + height / 2.0 - 7.0 * (lines.len() - 1) as f64 + 4.0;
    for (class, line) in lines {
        let _ = writeln!(svg, "<text class='{class}' x='{}' y='{baseline}'>{}</text>", x + 10.0, escaped(&line));
        baseline += 14.0;
    }
}

/// Neighbours are joined directly; what has further to go leaves its lane along the bottom.
fn arrow(svg: &mut String, graph: &Graph, layout: &Layout, edge: &Edge) {
    let (from, to) = (layout.places[edge.from], layout.places[edge.to]);
    let (class, tip) = if edge.failure { ("back", "b") } else { ("ahead", "a") };
    let (out, into) = (from.x + from.width, to.x - 2.0);
    let middle = |place: &Place| place.y + place.height / 2.0;
    let kind = |n: usize| graph.nodes[n].kind;
    let path = if kind(edge.to) == NodeKind::Failures {
        let (side, beside) = (from.y + from.height - 9.0, from.x - GAP / 3.0);
        let _ = writeln!(svg, "<path class='back' d='M{} {side}H{beside}V{}H{TRUNK}'/>", from.x, along(&from));
        return;
    } else if kind(edge.from) == NodeKind::Failures {
        format!("M{out} {y}H{into}", y = middle(&to))
    } else if to.column == from.column + 1 {
        let (y, to_y, half) = (middle(&from), middle(&to), GAP / 2.0);
        format!("M{out} {y}C{} {y} {} {to_y} {into} {to_y}", out + half, into - half)
    } else {
        let (beside, bottom, before) = (out + GAP / 3.0, from.gutter - 11.0, to.x - GAP * 2.0 / 3.0);
        format!("M{out} {}H{beside}V{bottom}H{before}V{}H{into}", middle(&from), middle(&to))
    };
    let title = if edge.event.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(&edge.event)) };
    let _ = writeln!(svg, "<path class='{class}' marker-end='url(#{tip})' d='{path}'>{title}</path>");
}

/// All failures go down one line at the very left, to the exchange.
fn trunk(svg: &mut String, graph: &Graph, layout: &Layout) {
    let is_bus = |edge: &&Edge| graph.nodes[edge.to].kind == NodeKind::Failures;
    let top = graph.edges.iter().filter(is_bus).map(|edge| along(&layout.places[edge.from])).fold(f64::MAX, f64::min);
    let Some(to) = graph.edges.iter().find(is_bus).map(|edge| layout.places[edge.to]) else { return };
    let (y, into) = (to.y + to.height / 2.0, to.x - 2.0);
    let _ = writeln!(svg, "<path class='back' marker-end='url(#b)' d='M{TRUNK} {top}V{y}H{into}'/>");
}

/// Where failures leave a lane: along its bottom.
fn along(place: &Place) -> f64 {
    place.gutter - 7.0
}

fn legend(svg: &mut String, y: f64) {
    let text = y + 4.0;
    let line = |x: f64, class: &str, tip: &str| {
        format!("<path class='{class}' marker-end='url(#{tip})' d='M{x} {y}H{}'/>", x + 26.0)
    };
    let square = |x: f64, class: &str| {
        format!("<rect class='box {class}' x='{x}' y='{}' width='20' height='12' rx='3'/>", y - 6.0)
    };
    let word = |x: f64, what: &str| format!("<text class='note' x='{x}' y='{text}'>{what}</text>");
    let start = format!("<circle class='start' cx='{}' cy='{y}' r='4.5'/>", LEFT + 716.0);
    let parts = [
        line(LEFT, "ahead", "a"),
        word(LEFT + 32.0, "says, on success"),
        line(LEFT + 150.0, "back", "b"),
        word(LEFT + 182.0, "failure, and the way back"),
        square(LEFT + 340.0, "pivot"),
        word(LEFT + 366.0, "point of no return"),
        square(LEFT + 500.0, "listener"),
        word(LEFT + 526.0, "listens, no saga waits for it"),
        start,
        word(LEFT + 726.0, "begins on request"),
    ];
    let _ = writeln!(svg, "{}", parts.concat());
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}

/// Boxes of the picture are as high as three lines of text.
const _: () = assert!(BOX.1 >= 3.0 * 14.0 + 4.0);
