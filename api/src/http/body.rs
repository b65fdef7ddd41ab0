//! Reading a request body: capped after decompression, and within a time.
//!
//! actix decompresses only in its own extractors, and those feed the decompressor whole network
//! chunks, so that a bomb has grown before anyone counts. Here it is fed crumbs.

use std::time::Duration;

use actix_web::dev::Decompress;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ContentEncoding, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::stream::{self, Stream, StreamExt};

use super::refusal::Refusal;

/// How many bytes the decompressor gets at a time. Deflate expands at most 1,032 times, so a crumb
/// becomes at most 264 KiB before the next look at the total.
const CRUMB_BYTES: usize = 256;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// The decompressed body, of at most `allowed` bytes.
pub(super) async fn read(
    headers: &HeaderMap,
    payload: Payload,
    allowed: usize,
) -> Result<Bytes, Refusal> {
    let encoding = encoding(headers)?;
    // A length that is too large already is not worth waiting for. Compressed bytes are fewer
    // than plain ones, so the cap holds for them too.
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > allowed) {
        return Err(Refusal::too_large("body", allowed));
    }
    let collected = match encoding {
        ContentEncoding::Identity => {
            tokio::time::timeout(PATIENCE, collect(payload, allowed)).await
        }
        encoding => {
            let plain = Decompress::new(Box::pin(crumbs(payload)), encoding);
            tokio::time::timeout(PATIENCE, collect(plain, allowed)).await
        }
    };
    collected.unwrap_or_else(|_| Err(Refusal::too_slow()))
}

/// How the body is compressed. Brotli is not taken: it expands without a bound, and one crumb of
/// it could fill the memory.
fn encoding(headers: &HeaderMap) -> Result<ContentEncoding, Refusal> {
    let mut values = headers.get_all(CONTENT_ENCODING);
    let Some(value) = values.next() else {
        return Ok(ContentEncoding::Identity);
    };
    let name = value.to_str().unwrap_or_default().trim();
    let known = [
        ("identity", ContentEncoding::Identity),
        ("gzip", ContentEncoding::Gzip),
        ("deflate", ContentEncoding::Deflate),
    ];
    known
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .filter(|_| values.next().is_none())
        .map(|(_, encoding)| encoding)
        .ok_or_else(Refusal::encoding)
}

/// The same bytes in pieces of at most [`CRUMB_BYTES`].
fn crumbs(payload: Payload) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    payload.flat_map(|chunk| {
        let mut rest = chunk.map(Some);
        stream::iter(std::iter::from_fn(move || match &mut rest {
            Ok(Some(bytes)) if bytes.len() > CRUMB_BYTES => Some(Ok(bytes.split_to(CRUMB_BYTES))),
            _ => std::mem::replace(&mut rest, Ok(None)).transpose(),
        }))
    })
}

async fn collect(
    mut chunks: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    allowed: usize,
) -> Result<Bytes, Refusal> {
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::malformed("The request body could not be read."))?;
        if body.len() + chunk.len() > allowed {
            return Err(Refusal::too_large("body", allowed));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
