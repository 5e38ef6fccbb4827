//! Prints the cursors of a folder of journal files, and what reading them cost: `cursors FOLDER [-u UNIT] [-r] [-n N] [-g TEXT]`.

use std::time::Instant;

use hms_journal::{Filter, Journal, Step};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).map(|at| args[at + 1].as_str());
    let filter = value("-u").map_or(Filter::All, Filter::unit);
    let backward = args.iter().any(|a| a == "-r");
    let most: usize = value("-n").map_or(usize::MAX, |n| n.parse().expect("a number"));
    let begun = Instant::now();
    let mut journal = Journal::open(vec![args[0].as_str().into()], filter);
    if backward {
        journal.seek_tail();
    }
    if let Some(cursor) = value("-c") {
        eprintln!("there: {}", journal.seek_cursor(&cursor.parse().expect("a cursor")));
    }
    if let Some(time) = value("-t") {
        journal.seek_time(time.parse().expect("a number"));
    }
    let (mut count, mut content) = (0, Vec::new());
    let quiet = args.iter().any(|a| a == "-q");
    while count < most {
        match if backward { journal.previous() } else { journal.next() } {
            Some(Step::Entry(entry)) => {
                if let Some(text) = value("-g") {
                    let message = journal.field(&entry, b"MESSAGE", &mut content).expect("a message");
                    if message.is_none_or(|m| memchr::memmem::find(m, text.as_bytes()).is_none()) {
                        continue;
                    }
                }
                if !quiet {
                    println!("{}", entry.cursor);
                }
                count += 1;
            }
            Some(Step::Damage(damage)) => eprintln!("{}: {}", damage.path.display(), damage.error),
            None => break,
        }
    }
    eprintln!("{count} entries in {:?}", begun.elapsed());
}
