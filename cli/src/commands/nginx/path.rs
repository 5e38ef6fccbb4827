//! Names of configuration files, as people write them and as hosts send them.

use std::path::{Component, Path};

use hms_proto::fault::Fault;

/// A file below /etc/nginx: `sites-available/cigar`. Made of plain names, so that it stays below any folder it is put in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConfigPath(String);

/// The folder that everything is in.
const ROOT: &str = "/etc/nginx/";
/// Folders of a usual tree.
const FOLDERS: [&str; 6] =
    ["sites-available", "sites-enabled", "conf.d", "snippets", "modules-available", "modules-enabled"];
/// Files that a usual tree has beside its folders; every other bare name is that of a site.
const BARE: [&str; 11] = [
    "nginx.conf",
    "mime.types",
    "fastcgi.conf",
    "fastcgi_params",
    "proxy_params",
    "scgi_params",
    "uwsgi_params",
    "koi-utf",
    "koi-win",
    "win-utf",
    "dhparam.pem",
];

impl ConfigPath {
    /// What a host says, or a file in a folder: the whole path, plain names only.
    pub(super) fn whole(text: &str) -> Result<Self, Fault> {
        let plain = |name: &str| {
            !name.is_empty()
                && name != "."
                && name != ".."
                && name.len() <= 255
                && !name.contains(|c: char| c == '\\' || crate::output::escape::acts(c))
        };
        match text.len() <= 1024 && text.split('/').all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(Fault::invalid(format!("`{}` is not a path below /etc/nginx", short(text)))
                .hint("write it as `sites-available/cigar`, or the name of a site alone")),
        }
    }

    /// What people type: `cigar` is a site; `./x` is a file beside nginx.conf; /etc/nginx/ may stand in front.
    pub(super) fn typed(text: &str) -> Result<Self, Fault> {
        if let Some(rest) = text.strip_prefix(ROOT).or_else(|| text.strip_prefix("./")) {
            return Self::whole(rest);
        }
        match text.contains('/') || BARE.contains(&text) {
            true => Self::whole(text),
            false => Self::whole(text).and_then(|site| Self::whole(&format!("sites-available/{}", site.0))),
        }
    }

    /// Where a file of this machine belongs: told as `PATH=FILE`, or by the folder that it lies in.
    pub(super) fn of_local(file: &Path) -> Result<Self, Fault> {
        let names: Vec<&str> = file
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        match names.as_slice() {
            [.., name] if BARE.contains(name) => Self::whole(name),
            [.., folder, name] if FOLDERS.contains(folder) => Self::whole(&format!("{folder}/{name}")),
            _ => {
                let shown = file.display();
                Err(Fault::invalid(format!("it is not clear where {shown} belongs"))
                    .hint(format!("say it: sites-available/NAME={shown}")))
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name.
    pub(super) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// As short as it may be typed.
    pub(super) fn brief(&self) -> &str {
        match self.0.strip_prefix("sites-available/") {
            Some(site) if !site.contains('/') && !BARE.contains(&site) => site,
            _ => &self.0,
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

impl std::fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ConfigPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::typed(text).map_err(|fault| format!("{}: {}", fault.message, fault.hint))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_name_is_a_site() {
        let typed = |text| ConfigPath::typed(text).map(|p| p.0).unwrap();
        assert_eq!(typed("cigar"), "sites-available/cigar");
        assert_eq!(typed("nginx.conf"), "nginx.conf");
        assert_eq!(typed("./local.conf"), "local.conf");
        assert_eq!(typed("conf.d/a.conf"), "conf.d/a.conf");
        assert_eq!(typed("/etc/nginx/snippets/tls"), "snippets/tls");
        for text in
            ["cigar", "nginx.conf", "conf.d/a.conf", "sites-available/nginx.conf", "sites-available/a/b"]
        {
            let path = ConfigPath::typed(text).unwrap();
            assert_eq!(ConfigPath::typed(path.brief()).unwrap(), path);
        }
    }

    #[test]
    fn a_local_file_belongs_where_its_folder_says() {
        let of = |text: &str| ConfigPath::of_local(Path::new(text)).map(|p| p.0).ok();
        assert_eq!(of("/tmp/x/sites-available/cigar").as_deref(), Some("sites-available/cigar"));
        assert_eq!(of("backup/nginx.conf").as_deref(), Some("nginx.conf"));
        assert_eq!(of("cigar.conf"), None);
    }

    /// Security case 37.
    #[test]
    fn nothing_leads_out() {
        let hostile = [
            "",
            "/",
            "..",
            ".",
            "a/../../b",
            "../x",
            "a/..",
            "/etc/shadow",
            "a//b",
            "a/",
            "a\0b",
            "a\nb",
            "sites-available/../../shadow",
            "a\\..\\b",
            "/etc/nginx/../shadow",
            "./../x",
            "\u{202e}x",
            "/etc/nginx/",
        ];
        for text in hostile {
            assert!(ConfigPath::whole(text).is_err(), "{text:?}");
            assert!(ConfigPath::typed(text).is_err(), "{text:?}");
        }
        assert!(ConfigPath::whole(&"a".repeat(256)).is_err());
        assert!(ConfigPath::whole(&"a/".repeat(600)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_stays_below(text in "[a./\\\\~\\PC]{0,24}") {
            for path in [ConfigPath::whole(&text), ConfigPath::typed(&text)].into_iter().flatten() {
                let parts: Vec<_> = Path::new(path.as_str()).components().collect();
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|p| matches!(p, Component::Normal(_))), "{path}");
            }
        }
    }
}
