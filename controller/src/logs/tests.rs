//! What is asked of logs becomes queries of hosts, and what they answer one order.

use super::*;

#[test]
fn a_stream_goes_on_at_a_place_or_at_a_moment() {
    let mut query = LogQuery { since_usec: 7, ..LogQuery::default() };
    after(&mut query, &Spot::time(3));
    assert_eq!((query.since_usec, query.after_cursor.as_str()), (7, ""));
    after(&mut query, &Spot::time(9));
    assert_eq!(query.since_usec, 9);
    after(&mut query, &Spot::place("s=1f".parse().unwrap()));
    assert_eq!(query.after_cursor, "s=1f");
}
