//! Which of the two media types an answer has.
//!
//! `application/graphql-response+json` is preferred, and chosen for a wildcard and for a missing
//! `Accept`, as the GraphQL-over-HTTP draft asks since 2025. `application/json` is for clients
//! that name it and not the other (or rank it higher): they read 200 as "well-formed".

use actix_web::http::header::{ACCEPT, HeaderMap};

use super::refusal::Refusal;

/// The media type of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: a request error has a status of its own.
    GraphQl,
    /// `application/json`: a well-formed request is answered with 200, whatever its document.
    Json,
}

impl Media {
    /// The `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Media::GraphQl => "application/graphql-response+json; charset=utf-8",
            Media::Json => "application/json; charset=utf-8",
        }
    }

    /// The media type that the client likes best of those that we have, else 406.
    pub fn negotiate(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut ranges = Vec::new();
        for value in headers.get_all(ACCEPT) {
            // A header that is no text names nothing that we have.
            let value = value.to_str().unwrap_or("?");
            ranges.extend(value.split(',').filter_map(Range::parse));
        }
        if ranges.is_empty() {
            return Ok(Media::GraphQl);
        }
        let graphql = quality(&ranges, "graphql-response+json");
        let json = quality(&ranges, "json");
        if graphql == 0 && json == 0 {
            Err(Refusal::not_acceptable())
        } else if graphql >= json {
            Ok(Media::GraphQl)
        } else {
            Ok(Media::Json)
        }
    }
}

/// One range of an `Accept` header, its quality in thousandths.
struct Range {
    kind: String,
    subtype: String,
    utf8: bool,
    quality: u16,
}

impl Range {
    /// Reads `type/subtype;charset=utf-8;q=0.5`. An empty element is no range; one that cannot be
    /// read matches nothing.
    fn parse(element: &str) -> Option<Self> {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let (kind, subtype) = name.split_once('/').unwrap_or((name, ""));
        let mut range = Range {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            utf8: true,
            quality: 1000,
        };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            if key.trim().eq_ignore_ascii_case("q") {
                range.quality = thousandths(value);
            } else if key.trim().eq_ignore_ascii_case("charset") {
                range.utf8 = value.eq_ignore_ascii_case("utf-8");
            }
        }
        Some(range)
    }

    /// How exactly the range names `application/<subtype>`; `None` when it does not.
    fn matches(&self, subtype: &str) -> Option<u8> {
        match (self.kind.as_str(), self.subtype.as_str()) {
            _ if !self.utf8 => None,
            ("application", found) if found == subtype => Some(2),
            ("application", "*") => Some(1),
            ("*", "*") => Some(0),
            _ => None,
        }
    }
}

/// The quality of `application/<subtype>`: that of the most exact range that names it.
fn quality(ranges: &[Range], subtype: &str) -> u16 {
    ranges
        .iter()
        .filter_map(|range| Some((range.matches(subtype)?, range.quality)))
        .max()
        .map_or(0, |(_, quality)| quality)
}

/// A quality such as `0.25` in thousandths; what cannot be read is 0.
fn thousandths(value: &str) -> u16 {
    match value.parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn negotiated(accept: &str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).expect("a value"));
        Media::negotiate(&headers).ok()
    }

    #[test]
    fn the_best_liked_media_type_is_chosen() {
        use Media::{GraphQl, Json};
        for (accept, expected) in [
            ("*/*", Some(GraphQl)),
            ("application/*", Some(GraphQl)),
            ("", Some(GraphQl)),
            ("application/json", Some(Json)),
            ("Application/JSON; Charset=\"UTF-8\"", Some(Json)),
            ("application/graphql-response+json", Some(GraphQl)),
            (
                "application/json, application/graphql-response+json",
                Some(GraphQl),
            ),
            (
                "application/graphql-response+json;q=0.5, application/json",
                Some(Json),
            ),
            (
                "application/graphql-response+json;q=0, */*;q=0.1",
                Some(Json),
            ),
            ("application/json, */*;q=0.1", Some(Json)),
            ("text/html, application/xhtml+xml, */*;q=0.8", Some(GraphQl)),
            ("text/html", None),
            ("application/json;charset=utf-16", None),
            ("*/*;q=0", None),
            ("application/json;q=nonsense", None),
        ] {
            assert_eq!(negotiated(accept), expected, "{accept:?}");
        }
        assert_eq!(Media::negotiate(&HeaderMap::new()).ok(), Some(GraphQl));
    }
}
