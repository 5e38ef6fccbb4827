//! The files of the browser: scripts, styles and fonts, built from `frontend/` and held in the binary.

use std::fmt;

/// One file, with its name after its content, so that a browser may keep it for ever.
#[derive(Clone, Copy)]
pub struct Asset {
    /// As in the sources: `app.js`.
    pub name: &'static str,
    /// As under `/static/`: `app-V3ZK4QXY.js`.
    pub path: &'static str,
    /// Its media type.
    pub mime: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// The same, gzipped, where that is smaller.
    pub gzip: Option<&'static [u8]>,
}

impl Asset {
    /// A strong entity tag: the name says what is in it.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.path)
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Asset").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What every response for an asset carries.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// All files.
pub static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.in"));

/// The file at `/static/{path}`.
pub fn get(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The address of a file of the sources, for templates: `asset("app.js")`.
pub fn asset(name: &str) -> String {
    let path = ASSETS.iter().find(|asset| asset.name == name).map_or(name, |asset| asset.path);
    format!("/static/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_templates_name_is_there() {
        for name in ["app.js", "theme.js", "app.css", "icon.svg", "configs.js", "configs.css"] {
            let url = asset(name);
            let path = url.strip_prefix("/static/").expect("assets live under /static/");
            assert!(get(path).is_some(), "{name} was not built");
            assert_ne!(path, name, "{name} has no hash in its name");
        }
        assert!(get("../Cargo.toml").is_none());
    }

    #[test]
    fn the_first_page_fits_its_budget() {
        let first = ASSETS.iter().filter(|asset| !asset.name.starts_with("configs."));
        let wire: usize = first.map(|asset| asset.gzip.unwrap_or(asset.bytes).len()).sum();
        assert!(wire < 135_000, "{wire} bytes of assets leave too little of 150 kB for the page itself");
    }

    #[test]
    fn the_editor_fits_its_budget() {
        let editor = ASSETS.iter().filter(|asset| asset.name.starts_with("configs."));
        let wire: usize = editor.map(|asset| asset.gzip.unwrap_or(asset.bytes).len()).sum();
        assert!(wire < 150_000, "{wire} bytes of the editor");
    }
}
