//! Commits that go wrong, each in its own way.

use crate::repository::Change;

/// Puts what follows where only the web server runs it: tasks of rake load the app, too.
fn in_puma(code: &str) -> String {
    format!("if $PROGRAM_NAME.include?(\"puma\")\n  {code}\nend\n")
}

fn status(up: &str) -> String {
    format!("class StatusController < ApplicationController\n  def up\n    {up}\n  end\nend\n")
}

fn migration(name: &str, body: &str) -> String {
    format!(
        "class {name} < ActiveRecord::Migration[6.1]\n  def up\n    {body}\n  end\n\n  def down\n  end\nend\n"
    )
}

impl Change {
    /// The app ends with an exception while it starts.
    #[must_use]
    pub fn that_does_not_boot() -> Self {
        Self::version("no-boot").file("config/initializers/broken.rb", in_puma("raise \"this cannot boot\""))
    }

    /// The app starts, and is not well.
    #[must_use]
    pub fn that_is_unwell() -> Self {
        Self::version("unwell")
            .file("app/controllers/status_controller.rb", status("raise \"not well at all\""))
    }

    /// The app starts, and never answers.
    #[must_use]
    pub fn that_hangs() -> Self {
        Self::version("hangs").file("app/controllers/status_controller.rb", status("sleep 3600"))
    }

    /// The app is well every other time that it is asked.
    #[must_use]
    pub fn that_flaps() -> Self {
        let up = "@@asked = (defined?(@@asked) ? @@asked : 0) + 1\n    head(@@asked.odd? ? 200 : 503)";
        Self::version("flaps").file("app/controllers/status_controller.rb", status(up))
    }

    /// The app starts once, on trial, and then never again.
    #[must_use]
    pub fn that_boots_once() -> Self {
        let code = "mark = Rails.root.join(\"tmp/booted\")\n  raise \"once was enough\" if mark.exist?\n  mark.write(\"once\")";
        Self::version("once").file("config/initializers/broken.rb", in_puma(code))
    }

    /// A gem that the host does not have, and that is in the lock file.
    #[must_use]
    pub fn that_lacks_a_gem(gemfile: &str, lock: &str) -> Self {
        let locked = lock
            .replace("    pg (", "    no-such-gem (1.0.0)\n    pg (")
            .replace("  pg\n", "  no-such-gem\n  pg\n");
        Self::version("no-gem")
            .file("Gemfile", format!("{gemfile}gem \"no-such-gem\"\n"))
            .file("Gemfile.lock", locked)
    }

    /// A lock file that does not belong to the Gemfile.
    #[must_use]
    pub fn that_was_not_locked(gemfile: &str) -> Self {
        Self::version("not-locked").file("Gemfile", format!("{gemfile}gem \"no-such-gem\"\n"))
    }

    /// A task for the assets that fails.
    #[must_use]
    pub fn whose_assets_fail() -> Self {
        let task =
            "task \"assets:precompile\" => :environment do\n  abort \"the style sheet is ugly\"\nend\n";
        Self::version("no-assets").file("lib/tasks/broken.rake", task)
    }

    /// A migration that works, and one that fails half way.
    #[must_use]
    pub fn whose_migration_fails() -> Self {
        let good = migration("AddNote", "add_column :products, :note, :string");
        let bad =
            migration("AddHalf", "add_column :products, :half, :string\n    raise \"half way through\"");
        Self::version("half")
            .file("db/migrate/20260910090000_add_note.rb", good)
            .file("db/migrate/20260911090000_add_half.rb", bad)
    }

    /// A migration that takes away what older code may need.
    #[must_use]
    pub fn that_destroys(version: &str) -> Self {
        let remove = migration(
            "DropUpdatedAt",
            "change_column_null :products, :updated_at, true\n    remove_column :products, :cents_old",
        );
        let body = "add_column :products, :cents_old, :integer";
        Self::version(version)
            .file("db/migrate/20260920090000_add_cents_old.rb", migration("AddCentsOld", body))
            .file("db/migrate/20260921090000_drop_updated_at.rb", remove)
    }

    /// Fills the disk while it is built.
    #[must_use]
    pub fn that_fills_the_disk() -> Self {
        let task = "task \"fill\" do\n  File.open(\"public/full\", \"wb\") { |f| loop { f.write(\"x\" * 1_048_576) } }\nend\n";
        Self::version("full").file("lib/tasks/fill.rake", task)
    }
}
