//! Builds the console from `ui/` and lists its files for the crate to carry.
//!
//! A build never fails for the console's sake, unless `OMS_CONSOLE=require`: without npm, or
//! without its registry, the crate carries no files. `OMS_CONSOLE=skip` does not even try.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the console is made of; everything else under `ui/` is for its developers.
const SOURCES: [&str; 5] = [
    "ui/index.html",
    "ui/package-lock.json",
    "ui/package.json",
    "ui/src",
    "ui/vite.config.ts",
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=OMS_CONSOLE");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let asked = env::var("OMS_CONSOLE").unwrap_or_default();
    let built = match &*asked {
        "skip" => Err(None),
        _ => build(Path::new("ui"), &out.join("dist")).map_err(Some),
    };
    let list = match built {
        Ok(files) => list(&files),
        Err(reason) => {
            if let Some(reason) = reason {
                if asked == "require" {
                    println!("cargo::error=the console was not built: {reason}");
                    return ExitCode::FAILURE;
                }
                println!("cargo::warning=the console was not built: {reason}");
                // It is never there, so that the next build tries again.
                println!("cargo::rerun-if-changed=ui/once-more");
            }
            list(&[])
        }
    };
    match fs::write(out.join("files.rs"), list) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the list of files was not written: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Installs what the console needs, unless it is there, builds it, and finds its packed files.
fn build(ui: &Path, dist: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    // Two builds at once would tear each other's packages down.
    let lock = File::open(ui).map_err(|error| format!("{}: {error}", ui.display()))?;
    lock.lock().map_err(|error| error.to_string())?;
    let changed = |path: &Path| fs::metadata(path).and_then(|of| of.modified()).ok();
    let installed = changed(&ui.join("node_modules/.package-lock.json"));
    if installed < changed(&ui.join("package-lock.json")) || installed.is_none() {
        run(Command::new("npm").current_dir(ui).args([
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]))?;
    }
    run(Command::new("node")
        .current_dir(ui)
        .args(["node_modules/vite/bin/vite.js", "build", "--emptyOutDir"])
        .arg("--outDir")
        .arg(dist))?;
    let mut files = Vec::new();
    collect(dist, dist, &mut files)?;
    files.sort();
    Ok(files)
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.reverse();
    Err(format!("{name}, {}: {}", output.status, lines.join(" | ")))
}

/// The files that the build packed, by the paths that they are served under.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        if let Some(name) = name.strip_suffix(".gz") {
            files.push((name.to_owned(), path.clone()));
        }
    }
    Ok(())
}

fn list(files: &[(String, PathBuf)]) -> String {
    let mut list = format!(
        "/// Whether the console was built.\npub const BUILT: bool = {};\n\
         /// The files of the console.\npub static FILES: &[File] = &[\n",
        !files.is_empty()
    );
    for (name, path) in files {
        let mut hasher = DefaultHasher::new();
        fs::read(path).unwrap_or_default().hash(&mut hasher);
        let _ = writeln!(
            list,
            "File {{ path: {name:?}, content_type: {:?}, tag: \"{:016x}\", gzipped: include_bytes!({:?}) }},",
            content_type(name),
            hasher.finish(),
            path.display().to_string(),
        );
    }
    list.push_str("];\n");
    list
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
