//! Each thing that can have changed, and the kind of restart that follows from it.

use super::*;

fn cluster() -> Need {
    Need { is_running: true, is_cluster: true, ..Need::default() }
}

fn single() -> Need {
    Need { is_cluster: false, ..cluster() }
}

fn auto(need: Need) -> RestartKind {
    choose(RestartKind::Auto, &need).unwrap().kind
}

#[test]
fn the_mildest_kind_that_does_it_is_chosen() {
    for (need, kind) in [
        (cluster(), RestartKind::None),
        (Need { code: true, ..cluster() }, RestartKind::Phased),
        (Need { code: true, ..single() }, RestartKind::Socket),
        (Need { code: true, preloads: true, ..cluster() }, RestartKind::Socket),
        (Need { code: true, gems: true, ..cluster() }, RestartKind::Socket),
        (Need { service: true, ..cluster() }, RestartKind::Socket),
        (Need { secrets: true, ..cluster() }, RestartKind::Socket),
        (Need { puma: true, ..cluster() }, RestartKind::Socket),
        (Need { socket: true, ..cluster() }, RestartKind::Full),
        (Need { is_running: false, ..cluster() }, RestartKind::Full),
        (Need { is_running: false, code: true, secrets: true, ..single() }, RestartKind::Full),
    ] {
        assert_eq!(auto(need), kind, "{need:?}");
    }
}

/// Pitfall P13: nothing old goes on unseen.
#[test]
fn a_kind_that_would_keep_something_old_is_refused_with_the_reason() {
    let refused = |wanted, need: Need| choose(wanted, &need).unwrap_err().message;
    let secrets = Need { code: true, secrets: true, ..cluster() };
    assert_eq!(
        refused(RestartKind::Phased, secrets),
        "a phased restart is refused: the app would keep its old secrets"
    );
    assert!(refused(RestartKind::Hot, secrets).contains("old secrets"));
    assert!(refused(RestartKind::None, Need { code: true, ..cluster() }).contains("old code"));
    assert!(refused(RestartKind::Phased, Need { code: true, ..single() }).contains("no workers"));
    assert!(
        refused(RestartKind::Phased, Need { code: true, preloads: true, ..cluster() })
            .contains("master loads")
    );
    assert!(refused(RestartKind::Phased, single()).contains("no workers"));
    assert!(refused(RestartKind::Socket, Need { socket: true, ..cluster() }).contains("old socket"));
    let fault = choose(RestartKind::Phased, &secrets).unwrap_err();
    assert_eq!(fault.hint, "Leave the kind of restart to HMS: it would be socket-preserving.");
}

#[test]
fn a_kind_that_does_it_may_be_asked_for() {
    for (wanted, need) in [
        (RestartKind::None, cluster()),
        (RestartKind::Phased, Need { code: true, ..cluster() }),
        (RestartKind::Phased, cluster()),
        (RestartKind::Hot, Need { code: true, gems: true, puma: true, ..single() }),
        (RestartKind::Socket, Need { code: true, ..cluster() }),
        (RestartKind::Full, Need { code: true, secrets: true, ..cluster() }),
    ] {
        assert_eq!(choose(wanted, &need).unwrap().kind, wanted, "{need:?}");
    }
    // What does not run has nothing old to keep.
    let stopped = Need { is_running: false, secrets: true, ..cluster() };
    assert_eq!(choose(RestartKind::Phased, &stopped).unwrap().kind, RestartKind::Full);
}
