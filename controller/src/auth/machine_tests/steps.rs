//! What can be done, and in which mixture it is tried.

use proptest::{collection::vec, prelude::*};

/// One of the two accounts.
pub(super) type Who = usize;

/// One of those there are, counted from the newest.
pub(super) type Pick = usize;

/// A password that is typed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Right,
    /// The one before.
    Before,
    OfTheOther,
    Wrong,
}

/// A code that is typed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code {
    /// Of the authenticator, so many steps from now.
    Shown(i64),
    /// One of all that were ever given out.
    Recovery(Pick),
    Wrong,
}

/// With what somebody confirms who they are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proof {
    Key(Key),
    Code(Who, Code),
}

/// What an admin does with an account.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    Lock,
    Unlock,
    Reset { totp: bool },
    Lower,
    Raise,
    EndSessions,
}

/// How long nothing is done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    /// Longer than a login waits for its code.
    Minutes,
    /// Longer than a browser may do nothing.
    QuarterHour,
    /// Longer than any session lasts.
    HalfDay,
    /// Longer than an invitation holds.
    Day,
}

/// One step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The password, in a browser.
    Enter {
        who: Who,
        key: Key,
    },
    /// The code of a login that waits; without one, of something that only looks like it.
    Code {
        of: Option<Pick>,
        whose: Who,
        code: Code,
    },
    /// All at once, over REST.
    Login {
        who: Who,
        key: Key,
        code: Option<(Who, Code)>,
    },
    Use {
        with: Pick,
    },
    Refresh {
        with: Pick,
        again: bool,
    },
    Confirm {
        with: Pick,
        by: Proof,
    },
    ChangePassword {
        with: Pick,
        key: Key,
    },
    BeginFactor {
        with: Pick,
    },
    EnableFactor {
        with: Pick,
        code: Code,
    },
    DisableFactor {
        with: Pick,
        key: Key,
    },
    NewCodes {
        with: Pick,
    },
    Logout {
        with: Pick,
    },
    Revoke {
        with: Pick,
        other: Pick,
    },
    Admin {
        who: Who,
        deed: Deed,
    },
    /// The newest link, or one of before, and a new password.
    Accept {
        who: Who,
        link: Pick,
    },
    Wait(Wait),
}

/// Whether each account begins with a second factor, and what is done then.
pub(super) fn sequence(longest: usize) -> impl Strategy<Value = ([bool; 2], Vec<Step>)> {
    let parts = prop_oneof![3 => step().prop_map(|step| vec![step]), 4 => who().prop_flat_map(story)];
    (any::<[bool; 2]>(), vec(parts, 1..=longest).prop_map(|parts| parts.concat()))
}

/// Mostly the first: things happen where they meet.
fn who() -> impl Strategy<Value = Who> {
    prop_oneof![3 => Just(0), 1 => Just(1)]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![3 => Just(0), 1 => 1..4usize]
}

/// Steps that single ones would seldom make in a row: in most of them something is tried again that held a moment ago.
fn story(who: Who) -> impl Strategy<Value = Vec<Step>> {
    let (with, key) = (0, Key::Right);
    let enter = Step::Enter { who, key };
    let type_in = move |of, code| Step::Code { of: Some(of), whose: who, code };
    let login = move |code| Step::Login { who, key, code: Some((who, code)) };
    let admin = move |deed| Step::Admin { who, deed };
    let (shown, accept) = (Code::Shown(0), Step::Accept { who, link: 0 });
    let begin = Step::BeginFactor { with };
    prop_oneof![
        3 => code().prop_map(move |code| vec![enter, type_in(0, code)]),
        // A step is good once, and has five tries.
        1 => (code(), code()).prop_map(move |(one, two)| vec![enter, type_in(0, one), type_in(0, two)]),
        1 => (4..6usize).prop_map(move |n| {
            [vec![enter], vec![type_in(0, Code::Wrong); n], vec![type_in(0, shown)]].concat()
        }),
        // A code is good once: what was shown is that of the step before, a moment later.
        1 => Just(vec![login(shown), login(Code::Shown(-1))]),
        1 => (0..12usize).prop_map(move |pick| vec![login(Code::Recovery(pick)), login(Code::Recovery(pick))]),
        1 => (0..12usize).prop_map(move |pick| {
            vec![login(shown), Step::NewCodes { with }, login(Code::Recovery(pick))]
        }),
        2 => code().prop_map(move |code| vec![login(code), begin, Step::EnableFactor { with, code: shown }]),
        // What waits does so for this factor and this password only.
        1 => Just(vec![login(shown), enter, Step::DisableFactor { with, key }, begin, type_in(0, shown)]),
        1 => code().prop_map(move |code| {
            vec![login(code), enter, Step::ChangePassword { with, key }, type_in(0, code)]
        }),
        1 => any::<bool>().prop_map(move |totp| {
            vec![enter, admin(Deed::Reset { totp }), accept, type_in(1, shown)]
        }),
        1 => (deed(), deed()).prop_map(move |(one, two)| vec![enter, admin(one), admin(two), type_in(0, shown)]),
        1 => deed().prop_map(move |deed| {
            let reset = admin(Deed::Reset { totp: false });
            vec![admin(Deed::Lock), reset, admin(deed), admin(Deed::Unlock), accept]
        }),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![6 => Just(Key::Right), 1 => Just(Key::Before), 1 => Just(Key::OfTheOther), 1 => Just(Key::Wrong)]
}

fn code() -> impl Strategy<Value = Code> {
    prop_oneof![
        5 => Just(Code::Shown(0)),
        3 => (-3..=3i64).prop_map(Code::Shown),
        3 => (0..12usize).prop_map(Code::Recovery),
        1 => Just(Code::Wrong),
    ]
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![key().prop_map(Proof::Key), (who(), code()).prop_map(|(who, code)| Proof::Code(who, code))]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        1 => Just(Deed::Lock),
        2 => Just(Deed::Unlock),
        2 => any::<bool>().prop_map(|totp| Deed::Reset { totp }),
        1 => Just(Deed::Lower),
        1 => Just(Deed::Raise),
        1 => Just(Deed::EndSessions),
    ]
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![Just(Wait::Minutes), Just(Wait::QuarterHour), Just(Wait::HalfDay), Just(Wait::Day)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (who(), key()).prop_map(|(who, key)| Step::Enter { who, key }),
        8 => (proptest::option::weighted(0.9, 0..3usize), who(), code())
            .prop_map(|(of, whose, code)| Step::Code { of, whose, code }),
        4 => (who(), key(), proptest::option::of((who(), code())))
            .prop_map(|(who, key, code)| Step::Login { who, key, code }),
        2 => pick().prop_map(|with| Step::Use { with }),
        2 => (pick(), any::<bool>()).prop_map(|(with, again)| Step::Refresh { with, again }),
        3 => (pick(), proof()).prop_map(|(with, by)| Step::Confirm { with, by }),
        2 => (pick(), key()).prop_map(|(with, key)| Step::ChangePassword { with, key }),
        3 => pick().prop_map(|with| Step::BeginFactor { with }),
        4 => (pick(), code()).prop_map(|(with, code)| Step::EnableFactor { with, code }),
        2 => (pick(), key()).prop_map(|(with, key)| Step::DisableFactor { with, key }),
        1 => pick().prop_map(|with| Step::NewCodes { with }),
        1 => pick().prop_map(|with| Step::Logout { with }),
        1 => (pick(), pick()).prop_map(|(with, other)| Step::Revoke { with, other }),
        5 => (who(), deed()).prop_map(|(who, deed)| Step::Admin { who, deed }),
        3 => (who(), pick()).prop_map(|(who, link)| Step::Accept { who, link }),
        2 => wait().prop_map(Step::Wait),
    ]
}
