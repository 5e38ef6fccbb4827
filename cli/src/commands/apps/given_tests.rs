//! What the flags of `hmsctl apps add` and `edit` become.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Format};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    given: Given,
}

fn given(line: &str) -> Given {
    Line::try_parse_from(format!("x {line}").split(' ').map(|word| word.trim_matches('\''))).unwrap().given
}

fn session() -> Session {
    let cli = Cli::try_parse_from(["hmsctl", "status"]).unwrap();
    let session = Session::new(cli.global);
    assert_eq!(session.out.format, Format::Table);
    session
}

fn after(settings: &AppSettings, line: &str) -> AppSettings {
    let mut settings = settings.clone();
    given(line).put(&session(), &mut settings).unwrap();
    settings
}

#[test]
fn only_what_is_given_is_changed() {
    let first = after(
        &AppSettings::default(),
        "--host asterra --git-url git@a.org:x --workers 2 --threads 1:5 --release-tasks db:migrate,cache:clear --env A=b=c --memory-max 512M \
         --preload --gems system --enabled true",
    );
    let spec = first.spec.clone().unwrap();
    assert_eq!((first.host.as_str(), spec.git_url.as_str(), first.enabled), ("asterra", "git@a.org:x", true));
    assert_eq!(
        (spec.workers, spec.threads_min, spec.threads_max, spec.memory_max_bytes),
        (2, 1, 5, 512 << 20)
    );
    assert_eq!(spec.release_tasks, ["db:migrate", "cache:clear"]);
    assert_eq!(spec.environment["A"], "b=c");
    assert_eq!((spec.preload, spec.gems()), (true, Gems::System));
    let second = after(&first, "--release-tasks '' --unset-env A --preload=false --threads 8");
    let spec = second.spec.unwrap();
    assert!(spec.release_tasks.is_empty() && spec.environment.is_empty() && !spec.preload);
    assert_eq!((spec.threads_min, spec.threads_max, spec.workers), (8, 8, 2));
    assert!(given("--unset-env B").put(&session(), &mut first.clone()).is_err());
}

#[test]
fn whether_anything_is_given_is_known() {
    assert!(Line::try_parse_from(["x"]).unwrap().given.is_empty());
    assert!(!given("--workers 0").is_empty() && !given("--env A=b").is_empty());
}

#[test]
fn a_file_of_ones_own_is_read_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("puma.rb");
    std::fs::write(&file, "workers 2\n").unwrap();
    let with = after(&AppSettings::default(), &format!("--override puma={}", file.display()));
    assert_eq!(with.spec.as_ref().unwrap().overrides["puma"], "workers 2\n");
    assert!(after(&with, "--override puma=").spec.unwrap().overrides.is_empty());
    assert!(given("--override nginx=x").put(&session(), &mut AppSettings::default()).is_err());
}

#[test]
fn sizes_are_binary() {
    for (text, bytes) in
        [("0", 0), ("33554432", 32 << 20), ("512M", 512 << 20), ("2GiB", 2 << 30), ("64 kb", 64 << 10)]
    {
        assert_eq!(memory(text), Ok(bytes), "{text}");
    }
    for bad in ["", "M", "1.5G", "-1", "1T", "1X", "99999999999G"] {
        assert!(memory(bad).is_err(), "{bad}");
    }
}
