//! Writes every sample page and the assets as static files: `cargo run -p hms-web --example gallery -- OUTDIR`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: gallery OUTDIR")?);
    fs::create_dir_all(folder.join("static"))?;
    for asset in hms_web::assets::ASSETS {
        fs::write(folder.join("static").join(asset.path), asset.bytes)?;
    }
    for (name, html) in hms_web::pages::samples() {
        fs::write(folder.join(format!("{name}.html")), html)?;
    }
    println!("{}", folder.display());
    Ok(())
}
