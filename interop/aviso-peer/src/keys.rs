//! Makes resume keys.

use std::io::{BufRead, Write};

use aviso::AvisoClient;
use aviso::state::ResumeKey;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::Result;

#[derive(Deserialize)]
struct Input {
    url: String,
    event: String,
    filter: Value,
    fingerprint: Option<String>,
}

pub(crate) fn run() -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let input: Input = serde_json::from_str(&line?)?;
        let exact = input.url.parse().ok().map(|url| of_the_original(&input, &url)).transpose()?;
        let client = client_url(&input).map(|url| of_the_original(&input, &url)).transpose()?;
        let Input { url, event, filter, fingerprint } = &input;
        let ours = tidemark_core::checkpoint::ResumeKey::derive_exact(
            url,
            event,
            filter,
            fingerprint.as_deref(),
        );
        let [exact, client] = [exact, client].map(|hex| hex.unwrap_or_else(|| "-".to_owned()));
        writeln!(
            out,
            "{exact} {client} {}",
            ours.map_or_else(|_| "-".to_owned(), |key| key.hex())
        )?;
    }
    Ok(out.flush()?)
}

/// The URL as the original's client has it, once it is built; none if it refuses.
fn client_url(input: &Input) -> Option<Url> {
    let client = AvisoClient::builder().base_url(&input.url).build().ok()?;
    Some(client.base_url().clone())
}

fn of_the_original(input: &Input, url: &Url) -> Result<String> {
    let Input { event, filter, fingerprint, .. } = input;
    Ok(ResumeKey::new(url, event, filter, fingerprint.as_deref())?.as_hex())
}
