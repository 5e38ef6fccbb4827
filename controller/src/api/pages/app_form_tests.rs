//! What is shown of settings is read back, faults are put beside their fields, and two edits are put together.

use super::*;

fn settings() -> AppSettings {
    let spec = AppSpec {
        key: "cigar".into(),
        git_url: "https://git.example.org/cigar.git".into(),
        release_tasks: vec!["db:migrate".into()],
        environment: [
            ("PLAIN".to_owned(), "info".to_owned()),
            ("BLANKS".to_owned(), " two words # no comment ".to_owned()),
            ("QUOTES".to_owned(), "it's \"here\" $HOME \\ \r".to_owned()),
            ("LINES".to_owned(), "one\ntwo\n".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]
        .into(),
        overrides: [("puma".to_owned(), "workers 2\n".to_owned())].into(),
        memory_max_bytes: (512 << 20) + 1,
        workers: 2,
        ..AppSpec::default()
    };
    AppSettings {
        key: "cigar".into(),
        host: "asterra".into(),
        name: "Cigar".into(),
        enabled: true,
        backup_retention_days: 30,
        version: "7".into(),
        spec: Some(app::complete(spec).unwrap()),
        ..AppSettings::default()
    }
}

#[test]
fn what_is_shown_is_read_back_as_it_was() {
    let given = settings();
    let mut values = values(&given);
    values.insert("version".into(), "7".into());
    let (read, wrong) = read(&values, &given);
    assert!(wrong.is_empty(), "{wrong:?}");
    let mut wanted = given;
    wanted.spec.get_or_insert_default().key.clear();
    assert_eq!(read, wanted);
}

#[test]
fn every_field_of_the_form_is_filled_and_read() {
    let all = values(&settings());
    for (name, _) in settings_fields() {
        assert!(all.contains_key(name), "{name} is not filled in");
    }
    assert_eq!(settings_fields().count(), all.len(), "the form lacks a field");
}

#[test]
fn what_cannot_be_read_is_told_beside_its_field() {
    let mut typed = values(&settings());
    typed.insert("workers".into(), "two".into());
    typed.insert("environment".into(), "no name".into());
    let (_, wrong) = read(&typed, &settings());
    let names: Vec<_> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["workers", "environment"]);
}

/// Security case 61: what is refused is shown where it was typed.
#[test]
fn a_fault_is_put_beside_the_field_that_it_is_about() {
    for (name, value) in [
        ("git_url", "ext::sh -c id"),
        ("branch", "--upload-pack=x"),
        ("root", "/etc"),
        ("release_tasks", "db:migrate; id"),
        ("shared_paths", "../etc"),
        ("database_name", "a\"b"),
    ] {
        let mut typed = values(&settings());
        typed.insert(name.into(), value.into());
        let (read, wrong) = read(&typed, &settings());
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        let spec = AppSpec { key: "cigar".into(), ..read.spec.clone().unwrap() };
        let fault = app::complete(spec).unwrap_err();
        assert_eq!(blamed(&fault, &read), Some(name), "{}", fault.message);
        assert!(!said(&fault, name).starts_with(name), "{}", said(&fault, name));
    }
    let other = Fault::new(hms_proto::fault::FaultKind::Internal, "nothing of the form");
    assert_eq!(blamed(&other, &settings()), None);
}

#[test]
fn two_edits_are_put_together_and_a_clash_shows_both() {
    let base = values(&settings());
    let with = |changes: &[(&str, &str)]| {
        let mut values = base.clone();
        values.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        values
    };
    let mine = with(&[("workers", "3"), ("branch", "next"), ("overrides.puma", "workers 2\r\n")]);
    let theirs = with(&[("workers", "4"), ("health_path", "/well")]);
    let mut form = SettingsForm::new("cigar", &[], &mine);
    merge(&mut form, &base, &mine, &theirs);
    let mut field = |name: &str| {
        let field = form.field_mut(name).unwrap();
        (field.value.clone(), field.theirs.clone())
    };
    assert_eq!(field("workers"), ("3".into(), Some("4".into())), "both changed it");
    assert_eq!(field("branch"), ("next".into(), None), "only I changed it");
    assert_eq!(field("health_path"), ("/well".into(), None), "only they changed it");
    assert_eq!(field("overrides.puma").1, None, "the ends of lines are no change");
}
