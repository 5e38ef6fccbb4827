//! Words of nginx syntax, cut exactly as nginx cuts them (ngx_conf_read_token), with where each stands.

use std::borrow::Cow;

/// A word of a directive.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// As nginx sees it: without quotes, escapes resolved.
    pub(crate) value: String,
    /// As it is written.
    pub(crate) raw: String,
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// What a text is cut into.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A word.
    Word(Word),
    /// `;`
    End(Place),
    /// `{`
    Open(Place),
    /// `}`
    Close(Place),
}

/// Where something stands, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Line.
    pub(crate) line: u32,
    /// Column, in characters.
    pub(crate) column: u32,
}

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SyntaxError {
    /// Where it was noticed, or where what is wrong began.
    pub(crate) place: Place,
    /// In words.
    pub(crate) message: String,
}

/// Cuts a text into tokens.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    place: Place,
}

impl<'a> Lexer<'a> {
    /// At the beginning of the text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, place: Place { line: 1, column: 1 } }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    fn skip_space(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' => drop(self.bump()),
                '#' => while self.bump().is_some_and(|c| c != '\n') {},
                _ => return,
            }
        }
    }

    /// The next token; `None` at the end.
    pub(crate) fn next_token(&mut self) -> Result<Option<Token>, SyntaxError> {
        self.skip_space();
        let place = self.place;
        let token = match self.peek() {
            None => return Ok(None),
            Some(';') => Token::End(place),
            Some('{') => Token::Open(place),
            Some('}') => Token::Close(place),
            Some(quote @ ('"' | '\'')) => return self.quoted(quote).map(Some),
            Some(_) => return Ok(Some(self.bare())),
        };
        self.bump();
        Ok(Some(token))
    }

    /// A word without quotes. `${` does not open a block, and a backslash takes the next character along.
    fn bare(&mut self) -> Token {
        let (from, place) = (self.at, self.place);
        let mut after_dollar = false;
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' => break,
                '{' if !after_dollar => break,
                '\\' => {
                    self.bump();
                }
                _ => {}
            }
            // As nginx has it: no brace after `${` opens a block, however many there are.
            after_dollar = c == '$' || (after_dollar && c == '{');
            self.bump();
        }
        self.word(from, place, 0)
    }

    fn quoted(&mut self, quote: char) -> Result<Token, SyntaxError> {
        let (from, place) = (self.at, self.place);
        self.bump();
        loop {
            match self.bump() {
                None => {
                    return Err(SyntaxError { place, message: format!("this {quote} is never closed") });
                }
                Some('\\') => {
                    self.bump();
                }
                Some(c) if c == quote => break,
                Some(_) => {}
            }
        }
        let after = self.place;
        // `)` is left to begin a word of its own, as `if ($x = "y")` is written.
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | ';' | '{' | ')') => Ok(self.word(from, place, 1)),
            Some(c) => Err(SyntaxError {
                place: after,
                message: format!("unexpected `{}` after a quoted text", c.escape_debug()),
            }),
        }
    }

    fn word(&self, from: usize, place: Place, quotes: usize) -> Token {
        let raw = &self.text[from..self.at];
        let inner = &raw[quotes..raw.len() - quotes];
        Token::Word(Word {
            value: unescape(inner).into_owned(),
            raw: raw.to_owned(),
            line: place.line,
            column: place.column,
        })
    }

    /// What is written up to the `}` that closes a block of Lua, whose `{` was read. Braces in its strings and comments
    /// do not count.
    pub(crate) fn lua(&mut self) -> Result<String, SyntaxError> {
        let (from, place) = (self.at, self.place);
        let mut depth = 1;
        while let Some(c) = self.bump() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                '"' | '\'' => self.lua_string(c),
                '-' if self.peek() == Some('-') => while self.bump().is_some_and(|c| c != '\n') {},
                _ => {}
            }
            if depth == 0 {
                return Ok(self.text[from..self.at - 1].to_owned());
            }
        }
        Err(SyntaxError { place, message: "this block of Lua is never closed".to_owned() })
    }

    fn lua_string(&mut self, quote: char) {
        while let Some(c) = self.bump() {
            match c {
                '\\' => drop(self.bump()),
                c if c == quote => return,
                _ => {}
            }
        }
    }
}

/// Backslashes as nginx takes them: before quotes and backslashes they vanish, `\t \r \n` are characters, others stay.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let replaced = match (c, chars.peek()) {
            ('\\', Some(next @ ('"' | '\'' | '\\'))) => Some(*next),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        out.push(replaced.unwrap_or(c));
        if replaced.is_some() {
            chars.next();
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text);
        let mut out = Vec::new();
        while let Some(token) = lexer.next_token().unwrap() {
            out.push(match token {
                Token::Word(w) => w.value,
                Token::End(_) => ";".into(),
                Token::Open(_) => "{".into(),
                Token::Close(_) => "}".into(),
            });
        }
        out
    }

    #[test]
    fn words_are_cut_as_nginx_cuts_them() {
        assert_eq!(words("a  b;c\t{d\r\n;}"), ["a", "b", ";", "c", "{", "d", ";", "}"]);
        assert_eq!(
            words("log_format x '$a \"$b\"' \"it's\";"),
            ["log_format", "x", "$a \"$b\"", "it's", ";"]
        );
        assert_eq!(words("set $a ${b}c;"), ["set", "$a", "${b}c", ";"]);
        assert_eq!(words("a b#c; # d;\ne;"), ["a", "b#c", ";", "e", ";"]);
        assert_eq!(words(r#"l\oad "l\oad" a\ b \"x;"#), [r"l\oad", r"l\oad", r"a\ b", "\"x", ";"]);
        assert_eq!(words("rewrite ^/(.*)}$ /$1;"), ["rewrite", "^/(.*)}$", "/$1", ";"]);
        assert_eq!(words("\u{feff}user x;")[0], "\u{feff}user");
    }

    #[test]
    fn errors_say_where() {
        let mut lexer = Lexer::new("a\n  \"bc");
        lexer.next_token().unwrap();
        let error = lexer.next_token().unwrap_err();
        assert_eq!(error.place, Place { line: 2, column: 3 });
        assert!(Lexer::new("\"a\"b").next_token().is_err());
    }
}
