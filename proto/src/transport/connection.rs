//! A connection with its place: it ends when the place is given to somebody else, and when its peer stops reading, or does
//! not take its answers. One whose peer never stops sending waits for the others now and then.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{arrears::Arrears, places::Place};

/// How long bytes, or a piece of an answer, may wait for a peer that takes none.
const STALL: Duration = Duration::from_secs(30);

/// So much is read of it before others have their turn.
const TURN: usize = 32 * 1024;

/// A stream that has a place, and what is known of its peer.
#[derive(Debug)]
pub struct Connection<S, P = ()> {
    stream: S,
    pub(super) peer: P,
    place: Place,
    arrears: Arrears,
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Read since it last waited.
    read: usize,
}

impl<S, P> Connection<S, P> {
    /// The stream in its place.
    pub fn new(stream: S, peer: P, place: Place) -> Self {
        Self { stream, peer, place, arrears: Arrears::default(), stall: STALL, stalled: None, read: 0 }
    }

    /// Where it is told which answers wait to be sent.
    pub fn arrears(&self) -> Arrears {
        self.arrears.clone()
    }

    /// A peer has to answer a PING now and then: that is when this is looked at.
    fn check_arrears(&self) -> io::Result<()> {
        match self.arrears.have_waited(self.stall) {
            true => Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not take its answers")),
            false => Ok(()),
        }
    }

    fn poll_lost(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.place.poll_lost(cx) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "its place was needed")),
            Poll::Pending => Ok(()),
        }
    }

    /// Writes are waited for, but not for ever.
    fn poll_out<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Connection<S, P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_lost(cx)?;
        self.check_arrears()?;
        if self.read >= TURN {
            self.read = 0;
            // Whoever waits comes before it is polled again.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read = if read.is_ready() { self.read + buf.filled().len() - before } else { 0 };
        read
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Connection<S, P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_out(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_out(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.poll_out(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_out(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::transport::{Limits, Places};

    const SOMEBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Security case 101.
    #[tokio::test]
    async fn a_connection_ends_when_its_place_is_needed() {
        let places = Places::new(Limits { per_address: 1, ..Limits::default() });
        let (ours, _theirs) = duplex(64);
        let mut connection = Connection::new(ours, (), places.take(SOMEBODY).unwrap());
        let reading = tokio::spawn(async move { connection.read_u8().await });
        let _newer = places.take(SOMEBODY).unwrap();
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    /// Security case 98.
    #[tokio::test]
    async fn a_connection_ends_when_its_peer_does_not_take_an_answer() {
        let place = Places::new(Limits::default()).take(SOMEBODY).unwrap();
        let (ours, mut theirs) = duplex(64);
        let mut connection = Connection::new(ours, (), place);
        let _answer = connection.arrears().watch(bytes::Bytes::from_static(b"answer"));
        theirs.write_all(&[1]).await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), 1);
        connection.stall = Duration::ZERO;
        theirs.write_all(&[2]).await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// Security case 97.
    #[tokio::test]
    async fn a_connection_that_always_has_more_lets_others_have_their_turn() {
        let place = Places::new(Limits::default()).take(SOMEBODY).unwrap();
        let (ours, mut theirs) = duplex(4 * TURN);
        let mut connection = Connection::new(ours, (), place);
        theirs.write_all(&vec![0; 3 * TURN]).await.unwrap();
        let mut turns = Vec::new();
        let mut all = 0;
        while all < 3 * TURN {
            let mut turn = 0;
            // What is polled is over when it has to wait.
            std::future::poll_fn(|cx| {
                let mut bytes = [0; 2048];
                while turn < 3 * TURN {
                    let mut buf = ReadBuf::new(&mut bytes);
                    match Pin::new(&mut connection).poll_read(cx, &mut buf) {
                        Poll::Ready(read) => read.unwrap(),
                        Poll::Pending => break,
                    }
                    turn += buf.filled().len();
                }
                Poll::Ready(())
            })
            .await;
            turns.push(turn);
            all += turn;
        }
        assert_eq!(turns, [TURN; 3]);
    }

    /// Security case 98.
    #[tokio::test]
    async fn a_connection_ends_when_its_peer_does_not_read() {
        let place = Places::new(Limits::default()).take(SOMEBODY).unwrap();
        let (ours, _theirs) = duplex(64);
        let mut connection = Connection::new(ours, (), place);
        connection.stall = Duration::from_millis(10);
        let stalled = connection.write_all(&[0; 65]).await.unwrap_err();
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
    }
}
