//! The graph for Graphviz.

use super::{Graph, Node, NodeKind};
use crate::StepKind;
use std::fmt::Write;

impl Graph {
    /// In the language of Graphviz's `dot`.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = "digraph choreography {\n  rankdir=LR;\n  fontname=\"sans-serif\";\n".to_owned();
        text += "  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11];\n";
        text += "  edge [fontname=\"sans-serif\", fontsize=9];\n";
        for (n, participant) in self.participants().into_iter().enumerate() {
            let _ = writeln!(
                text,
                "  subgraph cluster_{n} {{\n    label={}; color=gray; style=dashed;",
                quoted(participant)
            );
            for (n, node) in self.nodes.iter().enumerate() {
                if node.participant.as_deref() == Some(participant) {
                    let _ = writeln!(text, "    n{n} [{}];", attributes(node));
                }
            }
            text += "  }\n";
        }
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.participant.is_none()) {
            let _ = writeln!(text, "  n{n} [{}];", attributes(node));
        }
        for edge in &self.edges {
            let label = quoted(&edge.event);
            let way = if edge.failure { ", style=dashed, color=\"#c2410c\", fontcolor=\"#c2410c\"" } else { "" };
            let _ = writeln!(text, "  n{} -> n{} [label={label}{way}];", edge.from, edge.to);
        }
        text + "}\n"
    }
}

fn attributes(node: &Node) -> String {
    let label = quoted(&node.label());
    match node.kind {
        NodeKind::Step(StepKind::Pivot) => format!("label={label}, penwidth=2.5"),
        NodeKind::Step(StepKind::Listener) => format!("label={label}, style=\"rounded,dotted\""),
        NodeKind::Undo => format!("label={label}, style=\"rounded,dashed\", color=\"#c2410c\""),
        NodeKind::Failures => format!("label={label}, shape=cds, color=\"#c2410c\""),
        NodeKind::Step(_) => format!("label={label}"),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
