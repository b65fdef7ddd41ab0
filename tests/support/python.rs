//! Programs that others wrote in Python, each in a folder of its own below the temporary ones.

use std::path::PathBuf;
use std::process::Command;

/// A Python that has a package, `localstripe` of `1.15.10`; why there is none.
pub async fn with(package: &'static str, version: &'static str) -> Result<PathBuf, String> {
    let installed = tokio::task::spawn_blocking(move || install(package, version)).await;
    installed.map_err(|error| error.to_string())?
}

fn install(package: &str, version: &str) -> Result<PathBuf, String> {
    let home = std::env::temp_dir().join(format!("oms-{package}-{version}"));
    let python = home.join("bin/python");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    let import = format!("import {package}");
    if run(Command::new(&python).args(["-c", &import])).is_err() {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&home))?;
        let wanted = format!("{package}=={version}");
        let pip = ["-m", "pip", "install", "--quiet", &wanted];
        run(Command::new(&python).args(pip))?;
    }
    Ok(python)
}
