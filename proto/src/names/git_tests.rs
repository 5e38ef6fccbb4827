//! Corpora of addresses, branches and commits, ordinary and hostile.

use proptest::prelude::*;

use super::*;
use crate::names::corpus_line as unescaped;

#[test]
fn ordinary_repositories_are_told_apart() {
    let of = |text: &str| GitUrl::try_from(text).map(|u| (u.transport(), u.server().to_owned())).unwrap();
    assert_eq!(of("https://github.com/acme/cigar.git"), (Transport::Https, "github.com".into()));
    assert_eq!(of("https://git.example.org:8443/acme/cigar"), (Transport::Https, "git.example.org".into()));
    assert_eq!(of("git@github.com:acme/cigar.git"), (Transport::Ssh, "github.com".into()));
    assert_eq!(of("git@10.0.0.7:/srv/git/cigar.git"), (Transport::Ssh, "10.0.0.7".into()));
    assert_eq!(of("ssh://git@git.example.org:2222/acme/cigar"), (Transport::Ssh, "git.example.org".into()));
    assert_eq!(of("file:///srv/git/cigar.git"), (Transport::File, String::new()));
}

/// Each with a path, so that nothing but the host is what is wrong, or right.
fn urls(hosts: &[&str]) -> Vec<String> {
    let forms = |host: &&str| {
        [
            format!("https://{host}/a/b.git"),
            format!("ssh://git@{host}/a/b.git"),
            format!("git@{host}:a/b.git"),
        ]
    };
    hosts.iter().flat_map(forms).collect()
}

/// Security case 61.
#[test]
fn hostile_repositories_are_refused() {
    let mut hostile: Vec<String> =
        include_str!("corpus/hostile_git_urls.txt").lines().map(unescaped).collect();
    assert!(hostile.len() >= 100, "{}", hostile.len());
    hostile.extend(urls(&[
        "-oProxyCommand=id",
        "-x",
        "a b",
        "a\nb",
        "A.org",
        "a..b",
        ".a",
        "a.",
        "a_b",
        "ä.org",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "1.2.3",
        "256.1.1.1",
        "0177.0.0.1",
        "[::1]",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "a'b",
        "a\"b",
        "a\\b",
        "a%00b",
        "a\u{202e}b",
        "",
        "@",
        "a@b",
        "*",
        "~",
        "a,b",
    ]));
    hostile.push(format!("https://a.org/{}", "x".repeat(500)));
    for text in hostile {
        assert!(GitUrl::try_from(text.as_str()).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn ordinary_repositories_are_accepted() {
    let mut ordinary: Vec<String> = include_str!("corpus/git_urls.txt").lines().map(str::to_owned).collect();
    assert!(ordinary.len() >= 50, "{}", ordinary.len());
    ordinary.extend(urls(&[
        "a.org",
        "a",
        "git.example.org",
        "10.0.0.7",
        "xn--bcher-kva.example",
        "a-b.c-d.e1",
        "1a.org",
    ]));
    for text in ordinary {
        assert_eq!(GitUrl::try_from(text.as_str()).map_err(|e| e.to_string()).unwrap().as_str(), text);
    }
}

/// Security case 62.
#[test]
fn hostile_branches_are_refused() {
    let mut hostile: Vec<String> =
        include_str!("corpus/hostile_branches.txt").lines().map(unescaped).collect();
    assert!(hostile.len() >= 100, "{}", hostile.len());
    hostile.extend([String::new(), "a".repeat(201), "a".repeat(40), "0".repeat(64), "A".repeat(40)]);
    for text in hostile {
        assert!(BranchName::try_from(text.as_str()).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn ordinary_branches_are_accepted() {
    let ordinary: Vec<&str> = include_str!("corpus/branches.txt").lines().collect();
    assert!(ordinary.len() >= 50, "{}", ordinary.len());
    for text in ordinary {
        let branch = BranchName::try_from(text).map_err(|e| e.to_string()).unwrap();
        assert_eq!(branch.full(), format!("refs/heads/{text}"));
    }
}

/// Security case 63.
#[test]
fn a_commit_is_its_whole_id() {
    for good in ["1a2b3c4d".repeat(5), "0".repeat(64), "f".repeat(40)] {
        assert_eq!(CommitId::try_from(good.as_str()).unwrap().short(), &good[..7]);
    }
    let whole = "1a2b3c4d".repeat(5);
    for bad in [
        "",
        "HEAD",
        "main",
        "1a2b3c4",
        &whole[..39],
        &format!("{whole}0"),
        &whole.to_uppercase(),
        &format!("{whole}^"),
        &format!("{}~1", &whole[..38]),
        &format!("-{}", &whole[..39]),
        &format!(" {}", &whole[..39]),
        &format!("{}\n", &whole[..39]),
        &format!("{}g", &whole[..39]),
        &format!("{}é", &whole[..38]),
    ] {
        assert!(CommitId::try_from(bad).is_err(), "{bad:?} was accepted");
    }
}

/// Pieces of which hostile and ordinary texts are made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "https://",
            "ssh://",
            "file:///srv/git/",
            "git@",
            "a.org",
            "/",
            ":",
            "..",
            ".",
            "-",
            "@{",
            "@",
            "x",
            ".lock",
            "HEAD",
            "::",
            "%2f",
            "\\",
            "\n",
            "\u{202e}",
            "22",
            "refs/heads/",
            "--upload-pack=",
            "{",
            "$(id)",
            "~",
            "^",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_was_parsed_is_no_option_and_parses_again(text in pieces()) {
        if let Ok(url) = GitUrl::try_from(text.as_str()) {
            prop_assert_eq!(url.to_string().parse::<GitUrl>(), Ok(url.clone()));
            prop_assert!(!url.as_str().starts_with('-') && !url.server().starts_with('-'));
            prop_assert!(!url.as_str().contains("..") || url.as_str().split('/').all(|part| part != ".."));
            prop_assert_eq!(url.server().is_empty(), url.transport() == Transport::File);
        }
        if let Ok(branch) = BranchName::try_from(text.as_str()) {
            prop_assert_eq!(branch.to_string().parse::<BranchName>(), Ok(branch.clone()));
            prop_assert!(!branch.as_str().starts_with('-') && !branch.as_str().contains("..") && branch.as_str().is_ascii());
        }
        if let Ok(commit) = CommitId::try_from(text.as_str()) {
            prop_assert_eq!(commit.to_string().parse::<CommitId>(), Ok(commit.clone()));
        }
    }
}

/// Security case 78: what is refused is named, and the password in it is not.
#[test]
fn a_login_in_an_address_is_not_repeated() {
    for (text, told) in [
        ("https://git:canary@a.org/b", "https://[redacted]@a.org/b"),
        ("https://canary@a.org/b", "https://[redacted]@a.org/b"),
        ("https://git:can/ary@@a.org/b", "https://[redacted]@a.org/b"),
        ("ssh://git:canary@a.org/b", "ssh://[redacted]@a.org/b"),
        (
            "see https://x:canary@a.org, 'ftp://canary@b.org'",
            "see https://[redacted]@a.org, 'ftp://[redacted]@b.org'",
        ),
        ("ssh://git@a.org/b", "ssh://git@a.org/b"),
        ("git@a.org:b", "git@a.org:b"),
        ("https://a.org/b and c@d.org", "https://a.org/b and c@d.org"),
        ("a://", "a://"),
        ("://@", "://@"),
    ] {
        assert_eq!(without_logins(text), told);
    }
    let refused = GitUrl::try_from("https://git:canary@a.org/b").unwrap_err().to_string();
    assert!(refused.contains("a.org/b") && !refused.contains("canary"), "{refused}");
}
