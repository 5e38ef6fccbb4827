//! Texts as people write them into .env files, and as they should not be.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    parse(text).map_err(|fault| fault.message)
}

/// The value of `A=` and this.
fn value(text: &str) -> String {
    let found = read(&format!("A={text}\nZ=z\n")).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(found[1], ("Z".into(), "z".into()), "{text}");
    found[0].1.clone()
}

fn refused(text: &str) -> String {
    read(text).expect_err(text)
}

#[test]
fn values_without_quotes_end_with_the_line_or_a_comment() {
    for (text, wanted) in [
        ("", ""),
        ("b", "b"),
        (" b ", "b"),
        ("\tb\t", "b"),
        ("b c", "b c"),
        ("b # c", "b"),
        ("b\t# c", "b"),
        (" # c", ""),
        ("b=c==", "b=c=="),
        ("postgres://u:p@h:5432/d?x=y&z=%20", "postgres://u:p@h:5432/d?x=y&z=%20"),
        ("{\"a\":1}", "{\"a\":1}"),
        ("it's", "it's"),
        ("5\"", "5\""),
        ("$", "$"),
        ("$HOME/x", "$HOME/x"),
        ("pa$$word", "pa$$word"),
        ("`id`", "`id`"),
        ("日本", "日本"),
    ] {
        assert_eq!(value(text), wanted, "{text:?}");
    }
}

#[test]
fn quotes_keep_what_is_in_them() {
    for (text, wanted) in [
        ("''", ""),
        ("\"\"", ""),
        ("'b'", "b"),
        ("\"b\"", "b"),
        ("  'b'  ", "b"),
        ("' b '", " b "),
        ("'b#c'", "b#c"),
        ("'b' # c", "b"),
        ("'b'#c", "b"),
        ("\"b # c\" # d", "b # c"),
        ("'b\"c'", "b\"c"),
        ("\"b'c\"", "b'c"),
        (r"'b\nc\'", r"b\nc\"),
        (r#""b\nc\td\re""#, "b\nc\td\re"),
        (r#""b\"c\\d\$e\'f""#, r#"b"c\d$e'f"#),
        ("'b\nc\n'", "b\nc\n"),
        ("\"b\n#c\nD=e\n\"", "b\n#c\nD=e\n"),
        ("'$Z ${Z}'", "$Z ${Z}"),
        (r#""\$Z""#, "$Z"),
    ] {
        assert_eq!(value(text), wanted, "{text:?}");
    }
}

#[test]
fn a_key_of_several_lines_comes_whole() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQ+/=\nAAAA==\n-----END PRIVATE KEY-----\n";
    let found = read(&format!("# keys\r\nexport KEY=\"{pem}\"\nB=1\n").replace('\n', "\r\n")).unwrap();
    assert_eq!(found, [("KEY".into(), pem.into()), ("B".into(), "1".into())]);
}

#[test]
fn what_says_nothing_is_passed_over() {
    let text = "\u{feff}# first\n\n  \t\nexport A=1\nexport\tB = 2\n   C=3\n#D=4\n  # E=5\nA=1";
    let found = read(text).unwrap();
    assert_eq!(found, [("A".into(), "1".into()), ("B".into(), "2".into()), ("C".into(), "3".into())]);
    assert_eq!(read("").unwrap(), []);
}

/// Security case 84: a fault tells the line, and nothing of what stands in it.
#[test]
fn faults_tell_the_line_and_no_value() {
    for (text, line, word) in [
        ("A=1\ngeheim", 2, "no `=`"),
        ("A=1\n\nexport B", 3, "no `=`"),
        ("geheim=x", 1, "no name"),
        ("=geheim", 1, "no name"),
        ("ge heim=x", 1, "no name"),
        ("A=b\nMIIEvQ+geheim==\n", 2, "no name"),
        ("exportA geheim=1", 1, "no name"),
        ("A='b\nc'\nB='geheim", 3, "not closed"),
        ("A=\"geheim\\\"", 1, "not closed"),
        ("A='geheim'geheim", 1, "after the closing quote"),
        ("A='it\\'s geheim'", 1, "after the closing quote"),
        ("A='b\nc' geheim", 2, "after the closing quote"),
        ("A=geheim#geheim", 1, "`#`"),
        ("A=#geheim", 1, "`#`"),
        ("A=geheim\\n", 1, "backslash"),
        ("A=\"geheim\\d\"", 1, "backslash"),
        ("A=\"b\nc\\geheim\"", 2, "backslash"),
        ("A=geheim1\nB=2\nA=geheim2", 3, "line 1"),
        ("A=geheim\nB=x$A", 2, "refers to A"),
        ("B=\"geheim ${A}\"\nA=geheim", 1, "refers to A"),
        ("A=1\nB=geheim\0", 2, "NUL"),
        ("A=1\nPATH=geheim", 2, "`PATH`"),
        ("LD_PRELOAD=geheim", 1, "loaded"),
    ] {
        let fault = refused(text);
        assert!(fault.starts_with(&format!("line {line}")) && fault.contains(word), "{text:?}: {fault}");
        assert!(!fault.contains("geheim"), "{text:?}: {fault}");
    }
    assert!(refused(&format!("A='{}'", "geheim".repeat(20_000))).contains("64 KiB"));
    assert!(refused(&"A=1\n".repeat(300_000)).contains("1 MiB"));
}

fn double_quoted(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "\\$")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    format!("\"{escaped}\"")
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), "[A-C='\"\\\\#\\n \\r${}xé]{0,60}"]) {
        if let Ok(found) = parse(&text) {
            for (name, value) in found {
                prop_assert!(EnvName::try_from(name.as_str()).is_ok() && !value.contains('\0'));
            }
        }
    }

    /// Security case 76: what is quoted comes out byte by byte.
    #[test]
    fn what_is_quoted_comes_out_as_it_went_in(values in prop::collection::vec("[^\\x00]{0,40}", 1..5)) {
        let text: String = values.iter().enumerate().map(|(n, v)| format!("A{n}={} # x\n", double_quoted(v))).collect();
        let found: Vec<String> = parse(&text).unwrap().into_iter().map(|(_, value)| value).collect();
        prop_assert_eq!(found, values);
    }

    #[test]
    fn single_quotes_change_nothing(value in "[^\\x00'\r]{0,60}") {
        prop_assert_eq!(parse(&format!("A='{value}'")).unwrap(), [("A".to_owned(), value)]);
    }
}
