//! Directives of one file as a tree that can be printed and read again.

#[cfg(test)]
use std::fmt::Write as _;

use super::lex::{Lexer, Place, SyntaxError, Token, Word};

/// nginx itself has no limit; nobody nests deeper on purpose.
const DEPTH_MAX: usize = 32;
/// Security case 59: more is no configuration that a person has written.
pub(crate) const DIRECTIVES_MAX: usize = 100_000;

/// A directive with what is in its block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Directive {
    /// Its name.
    pub(crate) name: Word,
    /// Its arguments.
    pub(crate) args: Vec<Word>,
    /// What follows it.
    pub(crate) body: Body,
}

/// What follows the arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// `;`
    None,
    /// `{ … }`
    Block(Vec<Directive>),
    /// The Lua of a `…_by_lua_block`, of which nothing is looked at.
    Lua(String),
}

impl Directive {
    /// The directives in its block.
    pub(crate) fn children(&self) -> &[Directive] {
        match &self.body {
            Body::Block(children) => children,
            _ => &[],
        }
    }

    /// An argument as nginx sees it; empty when there is none.
    pub(crate) fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", |w| w.value.as_str())
    }

    /// As it is written, on one line and without its block.
    pub(crate) fn head(&self) -> String {
        let words = std::iter::once(&self.name).chain(&self.args).map(|w| w.raw.as_str());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Calls for this one and all below it.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Directive)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}

/// What could be read of a file, and why not all of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parsed {
    /// The directives of its top level.
    pub(crate) directives: Vec<Directive>,
    /// What is wrong with its syntax. Reading stops there.
    pub(crate) error: Option<SyntaxError>,
}

/// Reads a file.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut builder = Builder::default();
    let mut lexer = Lexer::new(text);
    let error = builder.read(&mut lexer).err();
    Parsed { directives: builder.finish(), error }
}

#[derive(Default)]
struct Builder {
    /// Blocks that are open: the directive, and what came before it in its own block.
    open: Vec<(Word, Vec<Word>, Vec<Directive>)>,
    level: Vec<Directive>,
    words: Vec<Word>,
    count: usize,
}

impl Builder {
    fn read(&mut self, lexer: &mut Lexer<'_>) -> Result<(), SyntaxError> {
        while let Some(token) = lexer.next_token()? {
            match token {
                Token::Word(word) => self.words.push(word),
                Token::End(place) => self.end(place, Body::None)?,
                Token::Open(place) => self.block(place, lexer)?,
                Token::Close(place) => self.close(place)?,
            }
        }
        if let Some(word) = self.words.first() {
            return Err(error(place_of(word), format!("`{}` does not end with `;`", shown(&word.value))));
        }
        match self.open.last() {
            Some((name, ..)) => {
                Err(error(place_of(name), format!("the block of `{}` is never closed", shown(&name.value))))
            }
            None => Ok(()),
        }
    }

    fn end(&mut self, place: Place, body: Body) -> Result<(), SyntaxError> {
        let (name, args) = self.take_words(place, ";")?;
        self.level.push(Directive { name, args, body });
        Ok(())
    }

    fn take_words(&mut self, place: Place, mark: &str) -> Result<(Word, Vec<Word>), SyntaxError> {
        self.count += 1;
        if self.count > DIRECTIVES_MAX {
            return Err(error(place, format!("there are more than {DIRECTIVES_MAX} directives")));
        }
        let mut words = std::mem::take(&mut self.words).into_iter();
        let name = words.next().ok_or_else(|| error(place, format!("unexpected `{mark}`")))?;
        Ok((name, words.collect()))
    }

    fn block(&mut self, place: Place, lexer: &mut Lexer<'_>) -> Result<(), SyntaxError> {
        if self.words.first().is_some_and(|w| w.value.ends_with("_by_lua_block")) {
            let lua = lexer.lua()?;
            return self.end(place, Body::Lua(lua));
        }
        let (name, args) = self.take_words(place, "{")?;
        if self.open.len() >= DEPTH_MAX {
            return Err(error(place, format!("blocks are nested deeper than {DEPTH_MAX}")));
        }
        self.open.push((name, args, std::mem::take(&mut self.level)));
        Ok(())
    }

    fn close(&mut self, place: Place) -> Result<(), SyntaxError> {
        if let Some(word) = self.words.first() {
            let message = format!("`{}` does not end with `;` before this `}}`", shown(&word.value));
            return Err(error(place_of(word), message));
        }
        if self.open.is_empty() {
            return Err(error(place, "unexpected `}`: no block is open".to_owned()));
        }
        self.fold();
        Ok(())
    }

    fn fold(&mut self) {
        if let Some((name, args, before)) = self.open.pop() {
            let block = std::mem::replace(&mut self.level, before);
            self.level.push(Directive { name, args, body: Body::Block(block) });
        }
    }

    /// Closes what a syntax error left open.
    fn finish(mut self) -> Vec<Directive> {
        while !self.open.is_empty() {
            self.fold();
        }
        self.level
    }
}

fn place_of(word: &Word) -> Place {
    Place { line: word.line, column: word.column }
}

fn error(place: Place, message: String) -> SyntaxError {
    SyntaxError { place, message }
}

/// A word as it may be shown: short, and with nothing that moves a cursor.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

/// Prints directives so that reading them again gives the same tree.
#[cfg(test)]
pub(crate) fn print(directives: &[Directive], depth: usize, out: &mut String) {
    for directive in directives {
        let indent = "    ".repeat(depth);
        let _ = write!(out, "{indent}{}", directive.head());
        match &directive.body {
            Body::None => out.push_str(";\n"),
            Body::Lua(lua) => {
                let _ = writeln!(out, " {{{lua}}}");
            }
            Body::Block(children) => {
                out.push_str(" {\n");
                print(children, depth + 1, out);
                let _ = writeln!(out, "{indent}}}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> (u32, u32, String) {
        let error = parse(text).error.unwrap();
        (error.place.line, error.place.column, error.message)
    }

    #[test]
    fn a_syntax_error_names_its_place() {
        assert_eq!(problem("a;\n  b c\n}").0, 2);
        assert_eq!(problem("http {\n server {\n }\n"), (1, 1, "the block of `http` is never closed".into()));
        assert_eq!(problem("a;\n}\n"), (2, 1, "unexpected `}`: no block is open".into()));
        assert_eq!(problem("a {\n ;\n}"), (2, 2, "unexpected `;`".into()));
        assert_eq!(problem("x \"y"), (1, 3, "this \" is never closed".into()));
        assert!(problem(&"a{".repeat(40)).2.contains("nested"));
        assert!(problem(&"a;".repeat(DIRECTIVES_MAX + 1)).2.contains("more than"));
    }

    #[test]
    fn lua_is_one_piece() {
        let parsed = parse("content_by_lua_block { local t = {a = '}'} -- }\n }\nroot /srv;");
        assert_eq!(parsed.directives.len(), 2);
        assert!(matches!(&parsed.directives[0].body, Body::Lua(lua) if lua.contains("'}'")));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|[{};\"'\\\\#$\n\r\t ]){0,200}") {
            parse(&text);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            parse(&String::from_utf8_lossy(&bytes));
        }

        /// Security cases 51 and 52.
        #[test]
        fn a_printed_tree_reads_the_same(text in "([a-z$]{1,3}|\"[^\"\\\\]{0,3}\"|\\\\.|[;{}#\n ]){0,60}") {
            let first = parse(&text);
            if first.error.is_none() {
                let mut printed = String::new();
                print(&first.directives, 0, &mut printed);
                let second = parse(&printed);
                prop_assert_eq!(second, first, "{}", printed);
            }
        }
    }
}
