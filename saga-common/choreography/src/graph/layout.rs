//! Where everything is in the picture: bands from top to bottom (success, failure, what is done on request), in each a lane for every
//! participant, and in each lane the steps from left to right, each to the right of whoever says what it reacts to.

use super::{Graph, NodeKind};
use std::collections::BTreeMap;

pub(super) const BOX: (f64, f64) = (132.0, 50.0);
/// Between two columns: room for the arrows.
pub(super) const GAP: f64 = 28.0;
/// Left of the first column: the lanes' names.
pub(super) const LEFT: f64 = 112.0;
pub(super) const TITLE: f64 = 30.0;
/// Above the boxes of a lane.
const ABOVE: f64 = 9.0;
/// Below each row of boxes: room for what has a long way to go.
const BELOW: f64 = 19.0;

/// A part of the picture that is read from left to right.
pub(super) struct Band {
    pub(super) title: &'static str,
    pub(super) top: f64,
    pub(super) lanes: Vec<Lane>,
}

/// One participant's strip in a band.
pub(super) struct Lane {
    pub(super) participant: String,
    pub(super) top: f64,
    pub(super) height: f64,
}

/// Where a node is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) column: usize,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    /// The bottom of its lane.
    pub(super) gutter: f64,
}

/// The picture.
pub(super) struct Layout {
    pub(super) bands: Vec<Band>,
    /// One for each node.
    pub(super) places: Vec<Place>,
    pub(super) width: f64,
    pub(super) height: f64,
}

const TITLES: [&str; 3] = ["success", "failure: everybody undoes", "on request"];

impl Layout {
    pub(super) fn of(graph: &Graph) -> Self {
        let bands = bands(graph);
        let columns = columns(graph, &bands);
        let nothing = Place { column: 0, x: 0.0, y: 0.0, width: BOX.0, height: BOX.1, gutter: 0.0 };
        let mut layout = Self { bands: Vec::new(), places: vec![nothing; graph.nodes.len()], width: 0.0, height: 0.0 };
        for (band, title) in TITLES.iter().enumerate() {
            let here: Vec<usize> = (0..graph.nodes.len()).filter(|n| bands[*n] == band).collect();
            if !here.is_empty() {
                layout.place(graph, &here, &columns, title);
            }
        }
        let right = layout.places.iter().map(|place| place.x + place.width).fold(0.0, f64::max);
        layout.width = right + 14.0;
        layout
    }

    /// Puts a band below the others.
    fn place(&mut self, graph: &Graph, here: &[usize], columns: &[usize], title: &'static str) {
        let mut band = Band { title, top: self.height, lanes: Vec::new() };
        let mut top = self.height + TITLE;
        for participant in graph.participants() {
            let of_lane = |n: &&usize| graph.nodes[**n].participant.as_deref() == Some(participant);
            let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
            for n in here.iter().filter(of_lane) {
                let row = rows.entry(columns[*n]).or_default();
                let y = top + ABOVE + *row as f64 * (BOX.1 + BELOW);
                self.places[*n] = Place { y, ..self.at(columns[*n]) };
                *row += 1;
            }
            let Some(most) = rows.values().max() else { continue };
            let height = ABOVE + *most as f64 * (BOX.1 + BELOW);
            for n in here.iter().filter(of_lane) {
                self.places[*n].gutter = self.places[*n].y + BOX.1 + BELOW;
            }
            band.lanes.push(Lane { participant: participant.to_owned(), top, height });
            top += height;
        }
        // The exchange is nobody's: it is as high as the lanes of all who hear it.
        let undos = || here.iter().filter(|n| graph.nodes[**n].kind == NodeKind::Undo).map(|n| self.places[*n]);
        let (first, last) =
            (undos().map(|it| it.y).fold(f64::MAX, f64::min), undos().map(|it| it.y).fold(0.0, f64::max));
        for n in here.iter().filter(|n| graph.nodes[**n].participant.is_none()) {
            let height = (last + BOX.1 - first).max(BOX.1);
            self.places[*n] =
                Place { y: first.min(last), height, gutter: last + BOX.1 + BELOW, ..self.at(columns[*n]) };
        }
        self.bands.push(band);
        self.height = top + 10.0;
    }

    fn at(&self, column: usize) -> Place {
        let x = LEFT + column as f64 * (BOX.0 + GAP);
        Place { column, x, y: 0.0, width: BOX.0, height: BOX.1, gutter: 0.0 }
    }
}

/// The band of each node: 0 what a starting step leads to, 1 the way back, 2 the rest.
fn bands(graph: &Graph) -> Vec<usize> {
    let mut success = vec![false; graph.nodes.len()];
    let mut next: Vec<usize> = (0..graph.nodes.len())
        .filter(|n| {
            let node = &graph.nodes[*n];
            node.on.is_none() && matches!(node.kind, NodeKind::Step(crate::StepKind::Compensatable))
        })
        .collect();
    while let Some(node) = next.pop() {
        if !std::mem::replace(&mut success[node], true) {
            next.extend(graph.edges.iter().filter(|edge| edge.from == node && !edge.failure).map(|edge| edge.to));
        }
    }
    let of = |n: usize| match graph.nodes[n].kind {
        NodeKind::Failures | NodeKind::Undo => 1,
        _ if success[n] => 0,
        _ if graph.is_way_back(n) => 1,
        _ => 2,
    };
    (0..graph.nodes.len()).map(of).collect()
}

/// The column of each node: one further than the furthest who says what it reacts to, within its band.
fn columns(graph: &Graph, bands: &[usize]) -> Vec<usize> {
    let mut columns = vec![0_usize; graph.nodes.len()];
    // As often as there are nodes, so that a circle ends.
    for _ in 0..graph.nodes.len() {
        let mut moved = false;
        for edge in graph.edges.iter().filter(|edge| bands[edge.from] == bands[edge.to]) {
            let further = (columns[edge.from] + 1).min(graph.nodes.len());
            if columns[edge.to] < further {
                columns[edge.to] = further;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    columns
}
