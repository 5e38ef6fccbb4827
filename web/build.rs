//! Builds the files of the browser from `frontend/` with npm and esbuild, into OUT_DIR.

#![expect(clippy::disallowed_methods, reason = "the build starts npm and node, with fixed arguments")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    for path in [
        "src",
        "styles",
        "icons",
        "build.mjs",
        "icons.mjs",
        "package.json",
        "package-lock.json",
        "tsconfig.json",
    ] {
        println!("cargo:rerun-if-changed=frontend/{path}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    if let Err(fault) = build() {
        eprintln!("error: the web assets were not built: {fault}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let frontend = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("frontend");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    install(&frontend)?;
    run(Command::new(program("node")?).arg("build.mjs").arg(&out).current_dir(&frontend))
}

/// `npm ci`, when the lock file is another one than that of the last time.
fn install(frontend: &Path) -> Result<(), Box<dyn Error>> {
    let lock = fs::read_to_string(frontend.join("package-lock.json"))?;
    let stamp = frontend.join("node_modules/.installed-lock");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = Command::new(program("npm")?);
    // Install scripts are never run: esbuild does without its own.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]).current_dir(frontend);
    if env::var_os("npm_config_cache").is_none()
        && let Some(home) = env::home_dir()
    {
        npm.env("npm_config_cache", home.join(".cache/hms/npm"));
    }
    run(&mut npm)?;
    fs::write(stamp, lock)?;
    Ok(())
}

fn program(name: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).ok_or_else(|| {
        format!(
            "`{name}` is not on the PATH; install Node.js 20 or newer (Debian: apt-get install nodejs npm)"
        )
    })
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Err(format!("{:?} ended with {}\n{told}", command.get_program(), output.status).into())
}
