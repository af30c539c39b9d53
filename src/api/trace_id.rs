//! The trace ids of a request, by W3C's and by AWS X-Ray's header. Pure. Anybody can send these headers, so only ids of the
//! right form are taken.

/// The trace id of a `traceparent`: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
pub(super) fn w3c_trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Later versions may append parts.
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2);
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    (is_valid && !is_zero(trace) && !is_zero(parent)).then_some(trace)
}

/// The trace id of an `X-Amzn-Trace-Id`: `Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1`.
pub fn xray_trace_id(header: &str) -> Option<&str> {
    let fields = header.split(';').map(str::trim);
    let root = fields
        .filter_map(|field| field.strip_prefix("Root="))
        .next()?;
    let mut parts = root.split('-');
    let (version, time, unique) = (parts.next()?, parts.next()?, parts.next()?);
    let is_valid =
        version == "1" && is_hex(time, 8) && is_hex(unique, 24) && parts.next().is_none();
    is_valid.then_some(root)
}

fn is_hex(text: &str, length: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_of_the_right_form_has_an_id() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let valid = format!("00-{trace}-{parent}-01");
        assert_eq!(w3c_trace_id(&valid), Some(trace));
        assert_eq!(
            w3c_trace_id(&format!("01-{trace}-{parent}-01-x")),
            Some(trace)
        );
        for invalid in [
            String::new(),
            format!("00-{trace}-{parent}"),
            format!("00-{trace}-{parent}-01-x"),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{trace}\n-{parent}-01"),
        ] {
            assert_eq!(w3c_trace_id(&invalid), None, "{invalid}");
        }
    }

    #[test]
    fn xray_header_of_the_right_form_has_an_id() {
        let root = "1-5759e988-bd862e3fe1be46a994272793";
        for valid in [
            format!("Root={root}"),
            format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1"),
            format!("Self=1-67891234-12456789abcdef012345678; Root={root}"),
        ] {
            assert_eq!(xray_trace_id(&valid), Some(root), "{valid}");
        }
        for invalid in [
            "",
            "Root=",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-x-y",
            root,
        ] {
            assert_eq!(xray_trace_id(invalid), None, "{invalid}");
        }
    }
}
