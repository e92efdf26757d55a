//! Conversations over sockets.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::ProtocolError;
use crate::conversation::{Conversation, Event, Mail, Message, Peer, Verdict};
use crate::frame::Frames;
use crate::response::{Answer, write_progress};

/// Makes a session for everybody who connects to the mail server.
pub trait Service: Send + Sync + 'static {
    type Session: Session;

    fn connect(&self, peer: Peer) -> Self::Session;
}

/// Sees the messages of one who is connected to the mail server.
pub trait Session: Send {
    /// A message begins. Anything but [`Answer::Continue`] ends it, as far as the filter is concerned.
    fn mail(&mut self, mail: Mail) -> impl Future<Output = Answer> + Send;

    /// A message is complete. The mail server is told every [`Settings::progress`] that work goes on.
    fn message(&mut self, message: Message) -> impl Future<Output = Verdict> + Send;
}

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// In octets, header and body together.
    pub max_message_size: usize,
    /// At a time; more wait.
    pub max_connections: usize,
    /// Between two reports that a message is still being worked on. Postfix gives up after 300 s without one.
    pub progress: Duration,
    /// A connection on which nothing is said for so long is closed.
    pub idle: Duration,
}

impl Settings {
    pub const fn new(max_message_size: usize) -> Self {
        Self {
            max_message_size,
            // Twice the processes that Postfix starts by default.
            max_connections: 200,
            progress: Duration::from_secs(10),
            // What libmilter waits.
            idle: Duration::from_secs(7210),
        }
    }
}

/// Where a filter listens: `unix:/PATH` or `inet:ADDRESS:PORT`, as in Postfix's smtpd_milters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// A loopback address: the protocol authenticates nobody, and whoever reaches the socket may have mail signed.
    Loopback(SocketAddr),
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    #[error(
        "{text:?} is not where a milter listens; write it like \"unix:/run/sealwright/milter.sock\" or \"inet:127.0.0.1:8891\""
    )]
    Malformed { text: String },
    #[error(
        "{address} is not a loopback address; the milter protocol authenticates nobody, so it may not leave this machine"
    )]
    NotLoopback { address: IpAddr },
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let malformed = || InvalidEndpoint::Malformed { text: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path.to_owned()))
            } else {
                Err(malformed())
            };
        }
        let address: SocketAddr = text
            .strip_prefix("inet:")
            .and_then(|address| address.parse().ok())
            .ok_or_else(malformed)?;
        if !address.ip().to_canonical().is_loopback() {
            return Err(InvalidEndpoint::NotLoopback { address: address.ip() });
        }
        Ok(Self::Loopback(address))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Loopback(address) => write!(f, "inet:{address}"),
        }
    }
}

/// A filter that cannot listen.
#[derive(Debug, Error)]
#[error("could not listen on {endpoint}")]
pub struct ServerError {
    pub endpoint: Endpoint,
    #[source]
    pub source: io::Error,
}

/// Listens for mail servers.
#[derive(Debug)]
pub struct Server<S> {
    listener: Listener,
    endpoint: Endpoint,
    settings: Settings,
    service: Arc<S>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl<S: Service> Server<S> {
    /// Takes the address. A Unix socket that nobody listens on any more is replaced; user and group may write to the
    /// new one, so that a mail server in the group of its folder can connect.
    ///
    /// # Errors
    /// The address is taken, or its folder missing.
    pub async fn bind(endpoint: &Endpoint, settings: Settings, service: S) -> Result<Self, ServerError> {
        let failed = |source| ServerError {
            endpoint: endpoint.clone(),
            source,
        };
        let (listener, endpoint) = match endpoint {
            Endpoint::Unix(path) => (Listener::Unix(bind_unix(path).await.map_err(failed)?), endpoint.clone()),
            Endpoint::Loopback(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                (Listener::Tcp(listener), Endpoint::Loopback(address))
            }
        };
        Ok(Self {
            listener,
            endpoint,
            settings,
            service: Arc::new(service),
        })
    }

    /// Where it listens, with the port the system has chosen.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Serves until `shutdown` is ready; then lets messages end that are under way, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopping) = watch::channel(());
        let permits = Arc::new(Semaphore::new(self.settings.max_connections));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let permit = tokio::select! {
                () = &mut shutdown => break,
                permit = permits.clone().acquire_owned() => permit,
            };
            let connection = Connection {
                settings: self.settings.clone(),
                service: self.service.clone(),
                stopping: stopping.clone(),
            };
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.accept(connection, &mut connections, permit) => accepted,
            };
            if let Err(error) = accepted {
                // Too many open files, most likely: it passes when connections end.
                tracing::warn!(%error, "a mail server could not be let in");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            while connections.try_join_next().is_some() {}
        }
        drop(stop);
        let drained = tokio::time::timeout(LONGEST_DRAIN, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!("mail servers did not end their messages in time");
        }
        if let Endpoint::Unix(path) = &self.endpoint
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, path = %path.display(), "the socket could not be removed");
        }
    }

    async fn accept(
        &self,
        connection: Connection<S>,
        connections: &mut JoinSet<()>,
        permit: impl Send + 'static,
    ) -> io::Result<()> {
        match &self.listener {
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                connections.spawn(async move {
                    connection.serve(stream).await;
                    drop(permit);
                });
            }
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Packets are small and each waits for the one before: without this every message takes 40 ms longer.
                stream.set_nodelay(true)?;
                connections.spawn(async move {
                    connection.serve(stream).await;
                    drop(permit);
                });
            }
        }
        Ok(())
    }
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        match tokio::net::UnixStream::connect(path).await {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Why a connection ended before its time.
#[derive(Debug, Error)]
enum Broken {
    #[error("the connection to the mail server was lost")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("the mail server hung up in the middle of a packet")]
    CutOff,
    #[error("the mail server has said nothing for {} seconds", .0.as_secs())]
    Idle(Duration),
}

struct Connection<S> {
    settings: Settings,
    service: Arc<S>,
    stopping: watch::Receiver<()>,
}

impl<S: Service> Connection<S> {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        if let Err(error) = self.converse(stream).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "a milter connection was ended");
        }
    }

    async fn converse(mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin + Send) -> Result<(), Broken> {
        let mut conversation = Conversation::new(self.settings.max_message_size);
        let mut frames = Frames::default();
        let mut session = None;
        let mut out = Vec::new();
        loop {
            while let Some(frame) = frames.next_frame()? {
                match (conversation.receive(frame, &mut out)?, &mut session) {
                    (Event::Nothing | Event::Aborted, _) => {}
                    (Event::Connected(peer), session) => *session = Some(self.service.connect(peer)),
                    (Event::Mail(mail), Some(session)) => {
                        let answer = session.mail(mail).await;
                        conversation.answer(&answer, &mut out);
                    }
                    (Event::Message(message), Some(session)) => {
                        let verdict = self.verdict(session, message, &mut stream, &mut out).await?;
                        if let Err(error) = conversation.finish(&verdict, &mut out) {
                            tracing::warn!(%error, "a message was refused because it cannot be changed");
                        }
                    }
                    // The conversation lets no message begin before somebody is connected.
                    (Event::Mail(_) | Event::Message(_), None) => return Ok(()),
                    (Event::Quit, _) => {
                        stream.write_all(&out).await?;
                        return Ok(());
                    }
                }
            }
            if !out.is_empty() {
                stream.write_all(&out).await?;
                out.clear();
                // A body that was large once is not kept for as long as the mail server stays.
                out.shrink_to(KEPT_BUFFER);
            }
            let buffer = frames.receive_buffer();
            buffer.shrink_to(KEPT_BUFFER);
            buffer.reserve(READ_SIZE);
            let read = tokio::select! {
                read = tokio::time::timeout(self.settings.idle, stream.read_buf(buffer)) => read,
                // Between messages nobody is harmed.
                _ = stopped(&mut self.stopping), if conversation.is_idle() => return Ok(()),
            };
            let read = read.map_err(|_| Broken::Idle(self.settings.idle))??;
            if read == 0 {
                return if frames.is_within_frame() {
                    Err(Broken::CutOff)
                } else {
                    Ok(())
                };
            }
        }
    }

    /// Waits for the session, and tells the mail server meanwhile that it is worth waiting.
    async fn verdict(
        &self,
        session: &mut S::Session,
        message: Message,
        stream: &mut (impl AsyncWrite + Unpin),
        out: &mut Vec<u8>,
    ) -> Result<Verdict, Broken> {
        let mut verdict = pin!(session.message(message));
        loop {
            match tokio::time::timeout(self.settings.progress, &mut verdict).await {
                Ok(verdict) => return Ok(verdict),
                Err(_) => {
                    write_progress(out);
                    stream.write_all(out).await?;
                    out.clear();
                }
            }
        }
    }
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Ready when the sender is gone.
async fn stopped(stopping: &mut watch::Receiver<()>) -> Option<Infallible> {
    while stopping.changed().await.is_ok() {}
    None
}

const READ_SIZE: usize = 64 * 1024;

const KEPT_BUFFER: usize = 256 * 1024;

/// A body is sent within seconds; a key operation may take some more.
const LONGEST_DRAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use tokio::net::{TcpStream, UnixStream};
    use tokio::sync::oneshot;

    use super::*;
    use crate::frame;

    /// Lets every message go on after a while, and refuses those of `refused@example.com`.
    struct Slow(Duration);

    struct SlowSession(Duration);

    impl Service for Slow {
        type Session = SlowSession;

        fn connect(&self, _peer: Peer) -> SlowSession {
            SlowSession(self.0)
        }
    }

    impl Session for SlowSession {
        async fn mail(&mut self, mail: Mail) -> Answer {
            if mail.reverse_path == "refused@example.com" {
                return Answer::Reject;
            }
            Answer::Continue
        }

        async fn message(&mut self, _message: Message) -> Verdict {
            tokio::time::sleep(self.0).await;
            Verdict::Deliver(Vec::new())
        }
    }

    fn settings() -> Settings {
        Settings {
            progress: Duration::from_millis(20),
            ..Settings::new(1000)
        }
    }

    async fn start(endpoint: &str, work: Duration) -> (Endpoint, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let endpoint = endpoint.parse().unwrap();
        let server = Server::bind(&endpoint, settings(), Slow(work)).await.unwrap();
        let endpoint = server.endpoint().clone();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        (endpoint, stop, task)
    }

    fn script(frames: &[&[u8]]) -> Vec<u8> {
        let mut stream = Vec::new();
        for frame in frames {
            frame::write(&mut stream, frame[0], &[&frame[1..]]);
        }
        stream
    }

    const OFFER: &[u8] = b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff";
    const MESSAGE: [&[u8]; 5] = [OFFER, b"Chost\0U", b"M<a@example.com>\0", b"N", b"E"];

    /// Says it all at once and reads until the filter hangs up.
    async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, said: &[u8]) -> String {
        stream.write_all(said).await.unwrap();
        let mut frames = Frames::default();
        stream.read_to_end(frames.receive_buffer()).await.unwrap();
        let mut codes = String::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            codes.push(char::from(frame[0]));
        }
        codes
    }

    #[tokio::test]
    async fn progress_is_reported_over_both_kinds_of_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("milter.sock");
        let said = script(&[&MESSAGE[..], &[b"Q"]].concat());
        let unix = format!("unix:{}", path.display());
        let (_, stop, task) = start(&unix, Duration::from_millis(110)).await;
        let codes = converse(UnixStream::connect(&path).await.unwrap(), &said).await;
        assert!(codes.starts_with("Ocpp") && codes.ends_with("pc"), "{codes}");
        stop.send(()).unwrap();
        task.await.unwrap();
        assert!(!path.exists(), "the socket goes with the server");

        let (endpoint, stop, task) = start("inet:127.0.0.1:0", Duration::ZERO).await;
        let Endpoint::Loopback(address) = endpoint else {
            panic!("{endpoint}");
        };
        let codes = converse(TcpStream::connect(address).await.unwrap(), &said).await;
        assert_eq!(codes, "Occ");
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_milter_conversation_is_hung_up_on() {
        let (endpoint, _stop, _task) = start("inet:127.0.0.1:0", Duration::ZERO).await;
        let Endpoint::Loopback(address) = endpoint else {
            panic!("{endpoint}");
        };
        for (said, answered) in [
            (b"EHLO mail.example\r\n".to_vec(), ""),
            (vec![0; 8], ""),
            (vec![0xff; 8], ""),
            (script(&[b"M<a@example.com>\0"]), ""),
            (script(&[OFFER, OFFER]), "O"),
            (script(&[OFFER, b"Z"]), "O"),
            (script(&[b"O\0\0\0\x01\0\0\x01\xff\0\x1f\xff\xff"]), ""),
        ] {
            let codes = converse(TcpStream::connect(address).await.unwrap(), &said).await;
            // What was agreed before the mistake may or may not get out before the connection ends.
            assert!(codes.is_empty() || codes == answered, "{said:?}: {codes}");
        }
    }

    #[tokio::test]
    async fn messages_end_before_the_server_does() {
        let (endpoint, stop, task) = start("inet:127.0.0.1:0", Duration::from_millis(150)).await;
        let Endpoint::Loopback(address) = endpoint else {
            panic!("{endpoint}");
        };
        let mut under_way = TcpStream::connect(address).await.unwrap();
        under_way.write_all(&script(&MESSAGE)).await.unwrap();
        // The first report of progress says that the message is being worked on.
        let mut frames = Frames::default();
        let mut codes = String::new();
        while !codes.contains('p') {
            under_way.read_buf(frames.receive_buffer()).await.unwrap();
            while let Some(frame) = frames.next_frame().unwrap() {
                codes.push(char::from(frame[0]));
            }
        }
        stop.send(()).unwrap();
        task.await.unwrap();
        assert!(converse(under_way, b"").await.ends_with('c'));
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_socket_is_taken_over_only_from_the_dead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("milter.sock");
        let endpoint = Endpoint::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let alive = Server::bind(&endpoint, settings(), Slow(Duration::ZERO)).await.unwrap();
        assert!(Server::bind(&endpoint, settings(), Slow(Duration::ZERO)).await.is_err());
        drop(alive);
        let file = folder.path().join("letter");
        std::fs::write(&file, "mine").unwrap();
        let taken = Server::bind(&Endpoint::Unix(file.clone()), settings(), Slow(Duration::ZERO)).await;
        assert!(taken.is_err() && std::fs::read(file).unwrap() == b"mine");
        let nowhere = Endpoint::Unix(folder.path().join("missing/milter.sock"));
        assert!(Server::bind(&nowhere, settings(), Slow(Duration::ZERO)).await.is_err());
    }

    #[test]
    fn endpoints_stay_on_this_machine() {
        for text in [
            "unix:/run/sealwright/milter.sock",
            "inet:127.0.0.1:8891",
            "inet:[::1]:0",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "unix:milter.sock",
            "/run/milter.sock",
            "inet:8891",
            "inet:localhost:8891",
            "127.0.0.1:8891",
        ] {
            assert!(
                matches!(text.parse::<Endpoint>(), Err(InvalidEndpoint::Malformed { .. })),
                "{text}"
            );
        }
        for text in ["inet:0.0.0.0:8891", "inet:192.0.2.1:8891", "inet:[::]:8891"] {
            assert!(
                matches!(text.parse::<Endpoint>(), Err(InvalidEndpoint::NotLoopback { .. })),
                "{text}"
            );
        }
    }
}
