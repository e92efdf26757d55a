//! One question and its answer, over UDP and, when it does not fit, over TCP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use hickory_net::DnsHandle;
use hickory_net::NetError;
use hickory_net::proto::dnssec::rdata::DNSSECRData;
use hickory_net::proto::op::{DnsRequest, DnsResponse, Message, MessageType, Query, ResponseCode};
use hickory_net::proto::rr::{RData, Record, RecordType};
use hickory_net::runtime::TokioRuntimeProvider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::answer::Failure;
use crate::config::Limits;
use crate::name::Name;

/// How many datagrams that do not answer our question are read before a try is given up. Each is a guess of somebody
/// who does not know our question's number, port and spelling.
const STRAY_DATAGRAMS: usize = 16;

/// Where the validator of one look-up asks its questions.
#[derive(Clone)]
pub(crate) struct Exchange {
    servers: Arc<[SocketAddr]>,
    limits: Limits,
    spent: Arc<Mutex<Spent>>,
}

/// What a look-up has cost up to now, and what went wrong on the way.
#[derive(Debug, Default)]
struct Spent {
    questions: u32,
    /// Of the first question that got no answer: the validator only sees that a signature could not be checked.
    failure: Option<Failure>,
}

impl Exchange {
    pub(crate) fn new(servers: Arc<[SocketAddr]>, limits: Limits) -> Self {
        Self {
            servers,
            limits,
            spent: Arc::default(),
        }
    }

    /// The first question that got no answer, if any.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.spent().failure.clone()
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, Spent> {
        // Nothing panics while it is held.
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, mut message: Message) -> Result<DnsResponse, NetError> {
        let Some(query) = message.queries.first().cloned() else {
            return Err(NetError::from("a question without a name"));
        };
        let name = Name::from_labels(query.name.clone());
        let too_much = {
            let mut spent = self.spent();
            spent.questions += 1;
            spent.questions > self.limits.questions
        };
        if too_much {
            let limit = self.limits.questions;
            return Err(self.fail(Failure::TooMuchWork { name, limit }));
        }
        message.metadata.recursion_desired = true;
        // Without this a validating server keeps an answer that it finds bogus to itself, and says SERVFAIL, which is
        // also what it says when nobody answers ([RFC 4035 section 3.2.2]).
        message.metadata.checking_disabled = true;
        let mut failure = Failure::Timeout { name: name.clone() };
        for server in self
            .servers
            .iter()
            .cycle()
            .take(usize::try_from(self.limits.tries).unwrap_or(usize::MAX))
        {
            match self.try_server(*server, &mut message, &query).await {
                Ok(response) => match response.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return only_the_answer(response, &query),
                    code => {
                        failure = Failure::Refused {
                            name: name.clone(),
                            code: code.to_str().to_owned(),
                        };
                    }
                },
                Err(Problem::Silent) => {}
                Err(Problem::Unreachable(error)) => {
                    failure = Failure::Unreachable {
                        name: name.clone(),
                        reason: format!("{server}: {error}"),
                    };
                }
                Err(Problem::Malformed(reason)) => {
                    failure = Failure::Malformed {
                        name: name.clone(),
                        reason,
                    };
                }
            }
        }
        Err(self.fail(failure))
    }

    fn fail(&self, failure: Failure) -> NetError {
        let text = failure.to_string();
        self.spent().failure.get_or_insert(failure);
        NetError::Msg(text)
    }

    async fn try_server(
        &self,
        server: SocketAddr,
        message: &mut Message,
        query: &Query,
    ) -> Result<DnsResponse, Problem> {
        message.metadata.id = rand::random();
        // A guess must hit the spelling as well as the number and the port (draft-vixie-dnsext-dns0x20).
        message.queries.clone_from(&vec![query.clone()]);
        message.queries[0].name.randomize_label_case();
        let bytes = message
            .to_vec()
            .map_err(|error| Problem::Malformed(format!("the question cannot be written: {error}")))?;
        let time = self.limits.time_of_a_try;
        match timed(time, over_udp(server, &bytes, message)).await? {
            Received::Whole(response) => Ok(response),
            // Truncated, or spelt otherwise by a server that does not keep the spelling: TCP cannot be guessed into.
            Received::AskOverTcp => timed(time, over_tcp(server, &bytes, message)).await,
        }
    }
}

impl DnsHandle for Exchange {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let exchange = self.clone();
        Box::pin(stream::once(async move {
            let (message, _) = request.into_parts();
            exchange.ask(message).await
        }))
    }
}

/// Leaves out what does not answer the question itself.
///
/// Additional records would be validated for nothing. With an alias come the records of its target, or the proof that
/// they are absent with the code for that; the target is a question of its own, and the validator would take the code and
/// the proof to be about the alias.
fn only_the_answer(response: DnsResponse, query: &Query) -> Result<DnsResponse, NetError> {
    let mut message = response.into_message();
    message.additionals.clear();
    if query.query_type != RecordType::CNAME {
        message.answers.retain(|record| record.name == query.name);
    }
    let is_alias = |record: &Record| record.record_type() == RecordType::CNAME;
    if !message.answers.is_empty() {
        // What proves that there is no closer name than a wildcard stays.
        message.authorities.retain(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::NSEC(_) | DNSSECRData::NSEC3(_)) => true,
            RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => {
                matches!(rrsig.input().type_covered, RecordType::NSEC | RecordType::NSEC3)
            }
            _ => false,
        });
        if message.answers.iter().any(is_alias) {
            message.metadata.response_code = ResponseCode::NoError;
            let name = &query.name;
            let expanded = message.answers.iter().any(|record| {
                matches!(&record.data, RData::DNSSEC(DNSSECRData::RRSIG(rrsig))
                    if rrsig.input().num_labels < name.num_labels())
            });
            if !expanded {
                message.authorities.clear();
            }
        }
    }
    DnsResponse::from_message(message).map_err(NetError::from)
}

/// Why one try came to nothing.
enum Problem {
    Silent,
    Unreachable(io::Error),
    Malformed(String),
}

enum Received {
    Whole(DnsResponse),
    AskOverTcp,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error)
    }
}

async fn timed<T>(time: Duration, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    timeout(time, work).await.unwrap_or(Err(Problem::Silent))
}

async fn over_udp(server: SocketAddr, bytes: &[u8], question: &Message) -> Result<Received, Problem> {
    // The system picks a random port for each question.
    let local = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(local).await?;
    // From now on the system drops what others than this server send.
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; 4096];
    for _ in 0..STRAY_DATAGRAMS {
        let length = socket.recv(&mut buffer).await?;
        let datagram = &buffer[..length];
        // What does not carry our number is not for us, readable or not.
        let is_response = datagram.get(2).is_some_and(|flags| flags & 0x80 != 0);
        if datagram.get(..2) != Some(&question.id.to_be_bytes()) || !is_response {
            continue;
        }
        let response = match DnsResponse::from_buffer(datagram.to_vec()) {
            Ok(response) => response,
            // The TC bit: the rest of a truncated answer may be cut off anywhere ([RFC 2181 section 9]).
            Err(_) if datagram.get(2).is_some_and(|flags| flags & 2 != 0) => return Ok(Received::AskOverTcp),
            Err(error) => return Err(Problem::Malformed(error.to_string())),
        };
        match fits(&response, question) {
            Fit::Exactly if response.truncation => return Ok(Received::AskOverTcp),
            Fit::Exactly => return Ok(Received::Whole(response)),
            Fit::ButForTheSpelling => return Ok(Received::AskOverTcp),
            Fit::Not => {}
        }
    }
    Err(Problem::Malformed(
        "other answers than to the question asked".to_owned(),
    ))
}

async fn over_tcp(server: SocketAddr, bytes: &[u8], question: &Message) -> Result<DnsResponse, Problem> {
    let length = u16::try_from(bytes.len()).map_err(|_| Problem::Malformed("the question is too long".to_owned()))?;
    let mut stream = TcpStream::connect(server).await?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    let response = DnsResponse::from_buffer(buffer).map_err(|error| Problem::Malformed(error.to_string()))?;
    match fits(&response, question) {
        Fit::Exactly | Fit::ButForTheSpelling if !response.truncation => Ok(response),
        Fit::Exactly | Fit::ButForTheSpelling => Err(Problem::Malformed("truncated over TCP".to_owned())),
        Fit::Not => Err(Problem::Malformed("an answer to another question".to_owned())),
    }
}

enum Fit {
    Exactly,
    ButForTheSpelling,
    Not,
}

/// Whether a message answers the question ([RFC 5452 section 9.1]).
fn fits(response: &DnsResponse, question: &Message) -> Fit {
    let same = response.id == question.id
        && response.message_type == MessageType::Response
        && response.op_code == question.op_code;
    match (&response.queries[..], &question.queries[..]) {
        ([answered], [asked])
            if same
                && answered.query_type == asked.query_type
                && answered.query_class == asked.query_class
                && answered.name == asked.name =>
        {
            if answered.name.eq_case(&asked.name) {
                Fit::Exactly
            } else {
                Fit::ButForTheSpelling
            }
        }
        // Some servers say no without repeating the question. That can only make us ask the next one.
        ([], [_]) if same && response.response_code != ResponseCode::NoError => match response.response_code {
            ResponseCode::NXDomain => Fit::Not,
            _ => Fit::Exactly,
        },
        _ => Fit::Not,
    }
}
