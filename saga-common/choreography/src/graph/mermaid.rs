//! The graph for Mermaid, which GitHub and many wikis draw.

use super::{Graph, Node, NodeKind};
use crate::StepKind;
use std::fmt::Write;

impl Graph {
    /// As a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for participant in self.participants() {
            // `end` and the like are words of the language: ids are prefixed.
            let _ = writeln!(text, "  subgraph p_{}[\"{}\"]", id(participant), escaped(participant));
            for (n, node) in self.nodes.iter().enumerate() {
                if node.participant.as_deref() == Some(participant) {
                    let _ = writeln!(text, "    n{n}{}", shape(node));
                }
            }
            text += "  end\n";
        }
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.participant.is_none()) {
            let _ = writeln!(text, "  n{n}{}", shape(node));
        }
        for edge in &self.edges {
            let arrow = if edge.failure { "-.->" } else { "-->" };
            let label = if edge.event.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&edge.event)) };
            let _ = writeln!(text, "  n{} {arrow}{label} n{}", edge.from, edge.to);
        }
        text += "  classDef back stroke:#c2410c,stroke-dasharray:4 3\n";
        let back = |(n, node): (usize, &Node)| {
            (matches!(node.kind, NodeKind::Undo | NodeKind::Failures) || self.is_way_back(n)).then(|| format!("n{n}"))
        };
        let back: Vec<String> = self.nodes.iter().enumerate().filter_map(back).collect();
        if !back.is_empty() {
            let _ = writeln!(text, "  class {} back", back.join(","));
        }
        for (n, _) in self.edges.iter().enumerate().filter(|(_, edge)| edge.failure) {
            let _ = writeln!(text, "  linkStyle {n} stroke:#c2410c");
        }
        text
    }
}

fn shape(node: &Node) -> String {
    let label = escaped(&node.label());
    match node.kind {
        NodeKind::Step(StepKind::Pivot) => format!("{{{{\"{label}\"}}}}"),
        NodeKind::Step(StepKind::Listener) => format!("(\"{label}\")"),
        NodeKind::Failures => format!("[/\"{label}\"/]"),
        _ => format!("[\"{label}\"]"),
    }
}

fn id(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn escaped(text: &str) -> String {
    text.replace('"', "#quot;")
}
