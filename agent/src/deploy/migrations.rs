//! Migrations of the database, as far as their files tell: which there are, and which may destroy what an older release needs.

use std::{
    io::{self, Read as _},
    path::Path,
};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};

const FOLDER: &str = "db/migrate";
/// No app has as many; nor is a migration as long.
const MOST: usize = 20_000;
const LONGEST: u64 = 1024 * 1024;
/// Methods of ActiveRecord::Migration after which the release before may not find what it needs.
const DESTRUCTIVE: [&str; 20] = [
    "drop_table",
    "drop_join_table",
    "remove_column",
    "remove_columns",
    "remove_reference",
    "remove_references",
    "remove_belongs_to",
    "remove_timestamps",
    "rename_column",
    "rename_table",
    "rename_enum",
    "rename_enum_value",
    "drop_enum",
    "change_column",
    "change_column_null",
    "change_table",
    "execute",
    "exec_query",
    "delete_all",
    "IrreversibleMigration",
];
/// Short forms, on a table: `t.remove :name`.
const ON_TABLE: [&str; 4] = ["t.remove", "t.rename", "t.change", "t.remove_timestamps"];

/// A migration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Migration {
    /// The name of its file.
    pub(crate) name: String,
    /// Whether it may destroy what an older release needs.
    pub(crate) is_destructive: bool,
}

/// The migrations of a release, by name. Its files are the app's: no link among them is followed.
pub(crate) fn read(release: &Path) -> io::Result<Vec<Migration>> {
    let root = rustix::fs::open(release, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let folder = match rustix::fs::openat2(&root, FOLDER, flags | OFlags::DIRECTORY, Mode::empty(), inside) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut found = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type() != FileType::RegularFile || !is_migration(&name) {
            continue;
        }
        if found.len() == MOST {
            return Err(io::Error::other(format!("there are more than {MOST} files in {FOLDER}")));
        }
        let file = rustix::fs::openat2(&folder, name.as_str(), flags, Mode::empty(), inside)?;
        let mut text = Vec::new();
        std::fs::File::from(file).take(LONGEST).read_to_end(&mut text)?;
        found.push(Migration { name, is_destructive: is_destructive(&String::from_utf8_lossy(&text)) });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// `20261125101502_add_size.rb`, in characters that can be shown anywhere.
fn is_migration(name: &str) -> bool {
    name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_digit())
        && name.ends_with(".rb")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b))
}

/// Whether what it does when it is run (not when it is undone) may destroy something. In doubt, it may.
fn is_destructive(text: &str) -> bool {
    let code = without_down(text);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    code.split(|c: char| !word(c)).any(|token| {
        let method = token.rsplit('.').next().unwrap_or_default();
        DESTRUCTIVE.contains(&method) || ON_TABLE.contains(&token)
    })
}

/// The code without comments, and without its `def down`: that is the way back.
fn without_down(text: &str) -> String {
    let mut kept = String::new();
    let mut down: Option<usize> = None;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        match down {
            Some(at) => {
                if indent <= at && code.starts_with("end") {
                    down = None;
                }
            }
            None if code.starts_with("def down") || code.starts_with("def self.down") => {
                down = (!code.ends_with("end")).then_some(indent);
            }
            None if code.starts_with('#') => {}
            None => {
                kept.push_str(line);
                kept.push('\n');
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_destroy_something_is_told_from_what_adds() {
        let change = |body: &str| {
            is_destructive(&format!(
                "class A < ActiveRecord::Migration[6.1]\n  def change\n    {body}\n  end\nend\n"
            ))
        };
        for harmless in [
            "create_table :boxes do |t|\n      t.string :name\n    end",
            "add_column :boxes, :size, :integer",
            "add_index :boxes, :size, algorithm: :concurrently",
            "add_reference :boxes, :owner",
            "# remove_column :boxes, :size",
            "change_column_default :boxes, :size, from: nil, to: 0",
            "remove_index :boxes, :size",
            "drop_table_note = 1",
        ] {
            assert!(!change(harmless), "{harmless}");
        }
        for method in DESTRUCTIVE {
            assert!(change(&format!("{method} :boxes, :size")), "{method}");
        }
        for destructive in [
            "change_table(:boxes) { |t| t.remove :size }",
            "connection.execute('DROP TABLE boxes')",
            "Box.delete_all",
        ] {
            assert!(change(destructive), "{destructive}");
        }
    }

    #[test]
    fn the_way_back_does_not_count() {
        let text = "class A < ActiveRecord::Migration[6.1]\n  def up\n    add_column :a, :b, :text\n  end\n\n  \
                    def down\n    remove_column :a, :b\n  end\nend\n";
        assert!(!is_destructive(text));
        assert!(is_destructive(&text.replace("add_column", "remove_column")));
        assert!(is_destructive("def down; end\ndrop_table :a\n"));
    }

    /// Security case 69.
    #[test]
    fn links_among_migrations_are_not_followed() {
        let release = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(read(release.path()).unwrap().is_empty());
        std::fs::create_dir(release.path().join("db")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), release.path().join("db/migrate")).unwrap();
        std::fs::write(elsewhere.path().join("1_a.rb"), "x").unwrap();
        assert!(read(release.path()).unwrap().is_empty());
        std::fs::remove_file(release.path().join("db/migrate")).unwrap();
        std::fs::create_dir(release.path().join("db/migrate")).unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(release.path().join("db/migrate").join(name), text).unwrap()
        };
        file("2_b.rb", "drop_table :a");
        file("1_a.rb", "create_table :a");
        file("note.txt", "");
        std::os::unix::fs::symlink("/etc/passwd", release.path().join("db/migrate/3_c.rb")).unwrap();
        let found = read(release.path()).unwrap();
        let seen: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.is_destructive)).collect();
        assert_eq!(seen, [("1_a.rb", false), ("2_b.rb", true)]);
    }
}
