//! What holds for every part: alone it is one element with the id that it is sent to, and it is escaped.

use super::*;
use crate::events::Mode;
use crate::frame::SAMPLE_NOW_US;
use crate::pages::DashboardPage;
use crate::{Event, Fragment, Role, View};

const VIEW: View = View { role: Role::Admin, now_us: SAMPLE_NOW_US };

fn replacing() -> Vec<Fragment> {
    let hostile = DashboardPage::sample_hostile();
    let mut fragments = vec![
        hostile.lists(VIEW),
        hostile.attention.fragment(VIEW),
        Attention::default().fragment(VIEW),
        hostile.activity.fragment(VIEW),
        Activity::samples()[0].changed(VIEW),
        HostList { rows: vec![HostRow::sample()] }.fragment(VIEW),
        AddHost::sample_added().fragment(VIEW),
        SessionList { owner: None, rows: SessionRow::samples() }.fragment(VIEW),
        TokenList { owner: Some("maria".into()), rows: TokenRow::samples() }.fragment(VIEW),
        TokenList::default().fragment(VIEW),
        UserList { rows: UserRow::samples() }.fragment(VIEW),
        RunCard::sample_many().fragment(VIEW),
        RunCard::sample_in(JobState::Unknown).fragment(VIEW),
    ];
    fragments.extend(DeployRow::samples().iter().map(|row| row.fragment(VIEW)));
    let cards = [DeploymentCard::sample_running(), DeploymentCard::sample_undone()];
    fragments.extend(cards.iter().map(|card| card.fragment(VIEW)));
    fragments.extend([
        crate::pages::DeployPage::sample().list(VIEW),
        deployment_list_fragment(&DeploymentRow::samples(), true, VIEW),
        deployment_list_fragment(&[], false, VIEW),
        release_list_fragment("cigar", "asterra", Ok(&ReleaseRow::samples()), VIEW),
        release_list_fragment("cigar", "<script>", Err("<script>"), VIEW),
        SecretList::sample().fragment(VIEW),
    ]);
    let users =
        [UserCard::sample(), UserCard::sample_disabled(), UserCard::sample_own(), UserCard::sample_reset()];
    fragments.extend(users.iter().map(|card| card.fragment(VIEW)));
    fragments.extend([AddToken::sample(), AddToken::sample_made()].map(|add| add.fragment(VIEW)));
    fragments.extend([Invite::sample(), Invite::sample_invited()].map(|invite| invite.fragment(VIEW)));
    fragments.extend(
        [SecondFactor::sample_taking(), SecondFactor::sample_codes()].map(|factor| factor.fragment()),
    );
    fragments.extend(hostile.apps.iter().map(|app| app.fragment(VIEW)));
    fragments.extend(hostile.hosts.iter().map(|host| host.fragment(VIEW)));
    fragments
}

#[test]
fn a_part_is_one_element_with_its_id() {
    for fragment in replacing() {
        let head = fragment.html.split('>').next().unwrap_or_default();
        let id = format!(" id=\"{}\"", fragment.id);
        assert!(head.starts_with('<') && head.contains(&id), "{id} is not in {head}");
        assert_eq!(fragment.mode, Mode::Morph);
        assert!(!fragment.html.contains("<script"), "{} is not escaped", fragment.id);
    }
}

#[test]
fn the_wire_keeps_one_event_on_its_lines() {
    let text = "two\nlines\r\ndata: forged\n\nevent: session".to_owned();
    let row = LogRow { message: text, cursor: "s=1;i=2".into(), ..LogRow::default() };
    let feed = LogFeed {
        items: vec![LogItem::Row(Box::new(row))],
        after: "asterra:s=1;i=2".into(),
        ..LogFeed::default()
    };
    let wire = Event::lines(&feed).to_wire();
    let lines: Vec<&str> = wire.split('\n').collect();
    assert_eq!(lines.len(), 5, "{wire}");
    assert_eq!(lines[..2], ["event: lines", "id: asterra:s=1;i=2"]);
    assert!(lines[2].starts_with("data: {") && lines[2].ends_with('}'), "{wire}");
}

#[test]
fn signals_are_small() {
    assert_eq!(Event::beat(7).to_wire(), "event: beat\ndata: {\"now\":7}\n\n");
    assert_eq!(Event::session_ended().to_wire(), "event: session\ndata: {}\n\n");
    assert_eq!(Event::refused("a\nb").data, r#"{"message":"a\nb"}"#);
    assert_eq!(Fragment::remove("app-x").to_json(), r#"{"id":"app-x","html":"","mode":"remove"}"#);
}

#[test]
fn gaps_are_said_aloud() {
    let html = |count, from_us| {
        let host = "asterra".to_owned();
        log_rows_html(&[LogItem::Gap { host, reason: "vacuumed".into(), count, from_us, to_us: 0 }])
    };
    assert!(html(12, 0).contains("12 entries are missing here: journald has deleted them (asterra)"));
    assert!(html(0, 1_795_545_600_000_000).contains("(asterra, after 2026-11-24"));
    let away = LogItem::Away { host: "borealis".into(), since_us: 0, message: "no route".into() };
    assert!(log_rows_html(&[away]).contains("borealis cannot be read"));
}

#[test]
fn ids_are_made_of_names_without_mixing_them_up() {
    assert_eq!(slug("web-1.example.org"), "web-1.example.org");
    assert_ne!(slug("a b"), slug("a~20b"));
    assert!(!slug("<x y=\"z\">").contains(['<', ' ', '"']));
}

#[test]
fn actions_fit_the_state() {
    for (state, start, stop) in [
        (AppState::Running, false, true),
        (AppState::Starting, false, true),
        (AppState::Stopped, true, false),
        (AppState::Failed, true, false),
        (AppState::Unreachable, false, false),
        (AppState::NotInstalled, false, false),
    ] {
        let app = AppRow::sample_in("cigar", "asterra", state);
        assert_eq!((app.can_start(), app.can_stop()), (start, stop), "{state:?}");
    }
}

#[test]
fn rows_of_output_can_be_sent_again() {
    let mut terminal = Terminal::default();
    let first = output_rows_fragment(&terminal.push(b"one\n<b>tw"));
    let again = output_rows_fragment(&terminal.push(b"o\n"));
    assert_eq!((first.mode, first.id.as_str()), (Mode::Append, "output-rows"));
    assert!(
        first.html.contains("<li id=\"o-0\">one</li>")
            && first.html.contains("<li id=\"o-4\">&#60;b&#62;tw</li>")
    );
    assert_eq!(
        again.html.trim(),
        "<li id=\"o-4\">&#60;b&#62;two</li>",
        "the row that was unfinished, and no other"
    );
    assert_eq!(Event::output(&[], terminal.cursor()).id.as_deref(), Some("11.0"));
}

#[test]
fn an_answer_to_a_form_has_an_element_for_each_place_in_it() {
    let html = ScriptForm::sample_refused().answer(VIEW);
    for id in ["preview", "p-pattern-error", "p-unit-names", "cron-times"] {
        assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
    assert!(html.contains("500 is not in 1 to 200") && html.contains("two values do not fit"));
}

#[test]
fn an_unreachable_deployment_is_never_shown_as_ended() {
    let mut card = DeploymentCard::sample_running();
    card.row.state = JobState::Unknown;
    let html = card.fragment(VIEW).html;
    assert!(html.contains("the work may well go on") && html.contains("/cancel\""));
    assert!(!html.contains("class=\"failure"));
}

#[test]
fn output_is_divided_where_a_step_begins() {
    let step = |name: &str, state, offset| Step {
        name: name.into(),
        state,
        started_us: Some(1).filter(|_| state != StepState::Waiting),
        offset,
        ..Step::default()
    };
    let steps = [
        step("fetch", StepState::Done, 0),
        // It wrote nothing.
        step("checkout", StepState::Done, 4),
        step("bundle", StepState::Running, 4),
        step("trial", StepState::Running, 22),
        step("assets", StepState::Waiting, 0),
    ];
    let mut rows = Terminal::default().push(b"one\ntwo\n== a\n== trial\n== trial\n");
    mark_steps(&mut rows, &steps);
    let marks: Vec<_> = rows.iter().map(|row| (row.text(), row.step.as_str())).collect();
    let row = |text: &str, step| (text.to_owned(), step);
    // What a program writes itself is no announcement.
    assert_eq!(
        marks,
        [row("one", "Fetch"), row("two", "Install gems"), row("== a", ""), row("== trial", "Trial boot")]
    );
}

#[test]
fn an_unreachable_job_is_never_shown_as_ended() {
    let html = RunCard::sample_in(JobState::Unknown).fragment(VIEW).html;
    assert!(html.contains("the job may well be running") && html.contains("/cancel\""));
    assert!(!html.contains("exit status"));
}
