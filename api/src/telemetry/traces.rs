//! A trace that goes on where the program hands something over: from a caller's request, and from
//! the transaction that wrote an event to those who are sent it, on whichever node.
//!
//! It is carried as the W3C `traceparent` says: <https://www.w3.org/TR/trace-context/>.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

impl TraceParent {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`. A later version may append fields and is read alike,
    /// as the specification asks.
    pub fn read(text: &str) -> Option<Self> {
        let mut fields = text.trim().split('-');
        let (version, trace, span, flags) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let sane = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_hex(span, 16)
            && is_hex(flags, 2)
            && (version != "00" || fields.next().is_none());
        if !sane {
            return None;
        }
        let parent = TraceParent {
            trace: TraceId::from_hex(trace).ok()?,
            span: SpanId::from_hex(span).ok()?,
            flags: TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        };
        (parent.trace != TraceId::INVALID && parent.span != SpanId::INVALID).then_some(parent)
    }

    /// As it is written in a header, and kept beside an event.
    pub fn write(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags.to_u8())
    }

    /// Where the code that runs stands; none if nobody takes traces.
    pub fn current() -> Option<Self> {
        let context = Span::current().context();
        let here = context.span().span_context().clone();
        here.is_valid().then(|| TraceParent {
            trace: here.trace_id(),
            span: here.span_id(),
            flags: here.trace_flags(),
        })
    }

    /// Whether somebody keeps this trace.
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// Makes a span go on from here.
    pub fn adopt(&self, span: &Span) {
        let here = SpanContext::new(self.trace, self.span, self.flags, true, TraceState::NONE);
        // Refused only where the span has begun or nobody takes traces: then there is none to tie.
        let _ = span.set_parent(Context::new().with_remote_span_context(here));
    }

    /// The trace's identifier.
    pub fn trace_id(&self) -> String {
        self.trace.to_string()
    }

    /// The span's identifier.
    pub fn span_id(&self) -> String {
        self.span.to_string()
    }
}

/// A span from here to where it is dropped, for what is made of an event for those who follow it:
/// it goes on from where the event was written. Nothing if nobody keeps that trace.
pub fn delivery(written: Option<&str>, event: &str, seq: i64) -> Span {
    let Some(written) = written.and_then(TraceParent::read) else {
        return Span::none();
    };
    let span = tracing::info_span!(parent: None, "delivery", event, seq);
    written.adopt(&span);
    span
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_traceparent_is_none() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = TraceParent::read(good).expect("a traceparent");
        assert!(read.is_sampled());
        assert_eq!(read.write(), good);
        assert_eq!(read.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(read.span_id(), "b7ad6b7169203331");
        // A later version may say more.
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        assert!(
            !TraceParent::read(later)
                .expect("a traceparent")
                .is_sampled()
        );
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::read(bad), None, "{bad}");
        }
    }
}
