//! What something is done because of, as far as traces tell: an event, a request, a clock. Pure.

use super::context::TraceContext;

/// Work that is recorded as a span of its own: a child of what caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reaction {
    pub(crate) context: TraceContext,
    pub(crate) parent: u64,
}

impl Reaction {
    pub(crate) fn to(cause: &TraceContext) -> Self {
        Self { context: cause.child(), parent: cause.span_id }
    }
}

/// Where a message comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// What it carries.
    pub(crate) traceparent: Option<String>,
    /// The span that made it, if that is recorded here.
    pub(crate) made_by: Option<u64>,
}

/// The cause of what a handler does and says.
#[derive(Debug, Clone, Default)]
pub(crate) enum Cause {
    /// Nothing that is traced.
    #[default]
    Untraced,
    /// It carries a context, which nobody here records: it is passed on.
    PassedOn(String),
    /// It is recorded here.
    Recorded(Reaction),
}

impl Cause {
    pub(crate) fn recorded(&self) -> Option<&Reaction> {
        match self {
            Self::Recorded(reaction) => Some(reaction),
            Self::Untraced | Self::PassedOn(_) => None,
        }
    }

    /// For a message that is made because of it.
    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::Untraced => Origin::default(),
            Self::PassedOn(context) => Origin { traceparent: Some(context.clone()), made_by: None },
            Self::Recorded(reaction) => {
                let made = reaction.context.child();
                Origin { traceparent: Some(made.to_string()), made_by: Some(reaction.context.span_id) }
            }
        }
    }

    /// For what is done later, as a part of it.
    pub(crate) fn traceparent(&self) -> Option<String> {
        match self {
            Self::Untraced => None,
            Self::PassedOn(context) => Some(context.clone()),
            Self::Recorded(reaction) => Some(reaction.context.to_string()),
        }
    }
}
