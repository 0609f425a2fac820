//! The choreography as a graph, and as pictures: [Mermaid](Graph::mermaid), [DOT](Graph::dot), [SVG](Graph::svg). The same maps give
//! the same text, byte for byte.

mod dot;
mod layout;
mod mermaid;
mod svg;

use crate::map::{Choreography, StepKind, unversioned};
use crate::{COMPENSATE, StepMap};

/// What a box of the picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A step.
    Step(StepKind),
    /// A participant's undo of all that it did.
    Undo,
    /// The fanout exchange of failures, which everybody hears who can undo.
    Failures,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Who acts; none for the exchange.
    pub participant: Option<String>,
    /// The step's name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// What it reacts to, without the version; none for a step on request.
    pub on: Option<String>,
    /// What it says.
    pub says: Option<String>,
    /// What it refuses with.
    pub refuses: Option<String>,
    /// Of an undo: the steps that it undoes.
    pub undoes: Vec<String>,
}

/// An arrow: somebody says an event, and somebody reacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// From this node.
    pub from: usize,
    /// To this one.
    pub to: usize,
    /// The event, without its version.
    pub event: String,
    /// Does it belong to the way back, when a saga has failed?
    pub failure: bool,
}

/// All steps of all participants, with the events between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The boxes.
    pub nodes: Vec<Node>,
    /// The arrows.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// Reads the graph off the maps.
    #[must_use]
    pub fn of(maps: &[Choreography]) -> Self {
        let mut nodes = Vec::new();
        for map in maps {
            nodes.extend(map.steps.iter().map(|step| Node::of(&map.participant, step)));
        }
        let fails = nodes.iter().any(|node: &Node| node.refuses.is_some());
        let failures = fails.then_some(nodes.len());
        if fails {
            nodes.push(Node::named(None, "saga.failures", NodeKind::Failures));
            nodes.extend(maps.iter().filter(|map| map.undoes).map(|map| {
                let says = map.answers.as_deref().map(unversioned).map(str::to_owned);
                let undoes = map.steps.iter().filter(|step| step.undo).map(|step| step.step.clone()).collect();
                Node { says, undoes, ..Node::named(Some(&map.participant), COMPENSATE, NodeKind::Undo) }
            }));
        }
        let mut graph = Self { nodes, edges: Vec::new() };
        graph.connect(failures);
        graph
    }

    fn connect(&mut self, failures: Option<usize>) {
        let mut edges = Vec::new();
        for (from, node) in self.nodes.iter().enumerate() {
            let Some(event) = &node.says else { continue };
            for (to, _) in self.nodes.iter().enumerate().filter(|(_, other)| other.on.as_ref() == Some(event)) {
                edges.push(Edge { from, to, event: event.clone(), failure: false });
            }
        }
        if let Some(bus) = failures {
            for (from, node) in self.nodes.iter().enumerate() {
                if let Some(event) = &node.refuses {
                    edges.push(Edge { from, to: bus, event: event.clone(), failure: true });
                }
                if node.kind == NodeKind::Undo {
                    edges.push(Edge { from: bus, to: from, event: String::new(), failure: true });
                }
            }
        }
        self.edges = edges;
        // The way back goes on where the answers lead.
        let mut after: Vec<usize> = (0..self.nodes.len()).filter(|n| self.nodes[*n].kind == NodeKind::Undo).collect();
        while let Some(node) = after.pop() {
            for edge in self.edges.iter_mut().filter(|edge| edge.from == node && !edge.failure) {
                edge.failure = true;
                after.push(edge.to);
            }
        }
    }

    /// Does this node belong to the way back alone?
    fn is_way_back(&self, node: usize) -> bool {
        let mut into = self.edges.iter().filter(|edge| edge.to == node).peekable();
        into.peek().is_some() && into.all(|edge| edge.failure)
    }

    /// The participants, in the order in which they first act.
    fn participants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.nodes.iter().filter_map(|node| node.participant.as_deref()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl Node {
    fn of(participant: &str, step: &StepMap) -> Self {
        let name = |event: &Option<String>| event.as_deref().map(unversioned).map(str::to_owned);
        let (on, says, refuses) = (name(&step.reacts_to), name(&step.says), name(&step.refuses));
        Self { on, says, refuses, ..Self::named(Some(participant), &step.step, NodeKind::Step(step.kind)) }
    }

    fn named(participant: Option<&str>, name: &str, kind: NodeKind) -> Self {
        let participant = participant.map(str::to_owned);
        Self { participant, name: name.to_owned(), kind, on: None, says: None, refuses: None, undoes: Vec::new() }
    }

    /// What people call it.
    fn label(&self) -> String {
        match self.kind {
            NodeKind::Undo => format!("undo {}", self.undoes.join(", ")),
            _ => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
