//! HTTP/2 frames (RFC 9113) and header blocks (RFC 7541), byte by byte, right or wrong.

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Type of a frame: a piece of a body.
pub(crate) const DATA: u8 = 0x0;
/// A header block, or its beginning.
pub(crate) const HEADERS: u8 = 0x1;
/// The end of a stream, by either side.
pub(crate) const RST_STREAM: u8 = 0x3;
/// What the sender can take.
pub(crate) const SETTINGS: u8 = 0x4;
/// Wants to be answered.
pub(crate) const PING: u8 = 0x6;
/// The end of the connection.
pub(crate) const GOAWAY: u8 = 0x7;
/// How much more may be sent.
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
/// More of a header block.
pub(crate) const CONTINUATION: u8 = 0x9;

/// On SETTINGS and PING: this is an answer.
pub(crate) const ACK: u8 = 0x1;
/// On HEADERS and DATA: nothing follows on this stream.
pub(crate) const END_STREAM: u8 = 0x1;
/// On HEADERS and CONTINUATION: the header block is complete.
pub(crate) const END_HEADERS: u8 = 0x4;

/// The setting of how much may be sent on a new stream.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// A frame of any type, with any flags.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload is short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// SETTINGS with one setting, or with none.
pub(crate) fn settings(setting: Option<(u16, u32)>) -> Vec<u8> {
    let payload = setting.map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &payload.unwrap_or_default())
}

/// A request line and what else is said about it, as literals that no table remembers.
pub(crate) fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let line = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "hms")];
    line.iter().chain(more).flat_map(|(name, value)| literal(0x00, name, value)).collect()
}

/// A header that goes into the table of the other side.
pub(crate) fn remembered(name: &str, value: &str) -> Vec<u8> {
    literal(0x40, name, value)
}

/// Reference to the header that went into the table last.
pub(crate) const THE_LAST: u8 = 0x80 | 62;

fn literal(kind: u8, name: &str, value: &str) -> Vec<u8> {
    [&[kind][..], &text(name), &text(value)].concat()
}

/// Text, not compressed, after its length.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        length @ 0..127 => bytes.push(u8::try_from(length).expect("it is less than 127")),
        length => {
            bytes.push(0x7f);
            let mut rest = length - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).expect("it is less than 128") | 0x80);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).expect("it is less than 128"));
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_the_standard_says() {
        assert_eq!(text("ab"), b"\x02ab");
        assert_eq!(text(&"x".repeat(127))[..2], [0x7f, 0x00]);
        assert_eq!(text(&"x".repeat(1464))[..3], [0x7f, 0xb9, 0x0a]);
        assert_eq!(frame(PING, ACK, 7, &[1, 2]), [0, 0, 2, 6, 1, 0, 0, 0, 7, 1, 2]);
    }
}
