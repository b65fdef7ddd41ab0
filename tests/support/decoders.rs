//! Programs of others that read what is printed: poppler for the text, zxing-cpp for the codes.

use std::path::Path;
use std::process::{Command, Stdio};

/// Where `.ci/test` puts the decoders.
const DECODERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/decoders/venv/bin/python");

/// Says why what is printed cannot be read back here, if it cannot.
fn missing() -> Option<&'static str> {
    for program in ["pdftoppm", "pdftotext"] {
        let mut version = Command::new(program);
        let version = version
            .arg("-v")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if version.status().is_err() {
            return Some("pdftoppm and pdftotext are not installed (Debian: poppler-utils)");
        }
    }
    let install = "run `python3 -m venv tests/decoders/venv && \
        tests/decoders/venv/bin/pip install -r tests/decoders/requirements.txt` first";
    (!Path::new(DECODERS).exists()).then_some(install)
}

/// Whether what is printed can be read back here. That it cannot is said, and is an error where
/// `OMS_REQUIRE_DECODERS` asks for them.
pub fn are_there() -> bool {
    let Some(missing) = missing() else {
        return true;
    };
    let required = std::env::var_os("OMS_REQUIRE_DECODERS").is_some();
    assert!(!required, "{missing}");
    eprintln!("skipped: {missing}");
    false
}

/// What a program that must succeed says.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// What a public reader of PDFs finds in a document.
pub fn words(pdf: &Path) -> String {
    let text = said(
        Command::new("pdftotext")
            .args(["-enc", "UTF-8", "-layout"])
            .arg(pdf)
            .arg("-"),
    );
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a public decoder finds on the first page as a label printer would print it.
pub fn scanned(pdf: &Path) -> Vec<(String, String)> {
    let image = pdf.with_extension("");
    let print = ["-r", "203", "-gray", "-png", "-singlefile"];
    said(Command::new("pdftoppm").args(print).arg(pdf).arg(&image));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/decoders/scan.py");
    let found = said(
        Command::new(DECODERS)
            .arg(script)
            .arg(image.with_extension("png")),
    );
    let found = found.lines().filter_map(|line| line.split_once('\t'));
    found
        .map(|(kind, text)| (kind.to_owned(), text.to_owned()))
        .collect()
}
