//! A small authoritative server on loopback, whose one zone is a signed root.
//!
//! It is for trying out and for tests: a certificate authority without the Internet asks it the way that it would ask the
//! Internet, over UDP and TCP, and validates what it says from the anchor down. Names that it knows nothing of have no
//! records, and it proves that with one NSEC record per question made on the spot ([RFC 4470], [RFC 9824]).
//!
//! [RFC 4470]: https://www.rfc-editor.org/rfc/rfc4470
//! [RFC 9824]: https://www.rfc-editor.org/rfc/rfc9824

use std::collections::BTreeMap;
use std::io;
use std::net::{self, IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use data_encoding::BASE64;
use hickory_net::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_net::proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG};
use hickory_net::proto::dnssec::{Algorithm, DnssecSigner, SigningKey};
use hickory_net::proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_net::proto::rr::rdata::{A, AAAA, CAA, CNAME, MX, NS, SMIMEA, SOA, TLSA, TXT};
use hickory_net::proto::rr::{DNSClass, Name as Labels, RData, Record, RecordSet, RecordType};
use hickory_net::runtime::{RuntimeProvider, Time, TokioRuntimeProvider};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;

use crate::config::{Limits, ResolverConfig, TrustAnchor};
use crate::name::Name;
use crate::record::{CertificateAssociation, CertificationAuthorityAuthorization};

/// How long every record of the local zone may be used, in seconds.
const TTL: u32 = 60;
/// How long a signature holds. It is made anew for each answer.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(3600);
/// The most a datagram may have ([RFC 9715 section 3.1]); more goes over TCP.
const DATAGRAM: usize = 1232;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct LocalAnswerer {
    address: SocketAddr,
    anchor: String,
    zone: ZoneHandle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Changes what a [`LocalAnswerer`] says while it runs. Clones are of the same zone.
#[derive(Clone, Debug, Default)]
pub struct ZoneHandle(Arc<RwLock<Zone>>);

#[derive(Debug, Default)]
struct Zone {
    records: BTreeMap<Name, Vec<LocalData>>,
    /// Below these, nothing is answered.
    silent: Vec<Name>,
    /// Zones of their own without signatures, which the root delegates without a DS record.
    unsigned: Vec<Name>,
}

/// One record of the local zone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalData {
    Address(IpAddr),
    Alias(Name),
    Text(String),
    Caa(CertificationAuthorityAuthorization),
    MailExchanger { preference: u16, exchange: Name },
    Tlsa(CertificateAssociation),
    Smimea(CertificateAssociation),
}

impl LocalAnswerer {
    /// Starts a server on a free port of 127.0.0.1 with a key of its own, on a thread of its own.
    pub fn start() -> io::Result<Self> {
        let signer = Signer::new().map_err(io::Error::other)?;
        let anchor = signer.anchor();
        let zone = ZoneHandle::default();
        let (stop, stopped) = oneshot::channel();
        let (udp, tcp) = bind()?;
        let address = udp.local_addr()?;
        let served = zone.clone();
        // With a runtime of its own it outlives that of whoever starts it, such as one test of many.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("local-dns".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    match (UdpSocket::from_std(udp), TcpListener::from_std(tcp)) {
                        (Ok(udp), Ok(tcp)) => serve(udp, tcp, served, Arc::new(signer), stopped).await,
                        (Err(error), _) | (_, Err(error)) => {
                            tracing::error!(%error, "the local DNS server cannot serve its port");
                        }
                    }
                });
            })?;
        Ok(Self {
            address,
            anchor,
            zone,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens, by UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The DNSKEY record of its root, in the form of a zone file.
    pub fn trust_anchor(&self) -> &str {
        &self.anchor
    }

    /// Asks this server only, and trusts its key only.
    pub fn resolver_config(&self) -> ResolverConfig {
        ResolverConfig {
            servers: vec![self.address],
            trust_anchor: TrustAnchor::Records(self.anchor.clone()),
            limits: Limits::default(),
        }
    }

    /// To change what it says.
    pub fn zone(&self) -> &ZoneHandle {
        &self.zone
    }
}

impl Drop for LocalAnswerer {
    fn drop(&mut self) {
        // Gone already when the thread has ended by itself.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl ZoneHandle {
    /// Replaces everything at a name; an empty list takes it away.
    pub fn set(&self, name: &Name, records: Vec<LocalData>) {
        let mut zone = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if records.is_empty() {
            zone.records.remove(name);
        } else {
            zone.records.insert(name.clone(), records);
        }
    }

    /// Answers nothing any more about a name and what is below it, as if its servers were down.
    pub fn silence(&self, name: &Name) {
        let mut zone = self.0.write().unwrap_or_else(PoisonError::into_inner);
        zone.silent.push(name.clone());
    }

    /// Makes a name a zone of its own without signatures, and the root prove that.
    pub fn delegate_unsigned(&self, name: &Name) {
        let mut zone = self.0.write().unwrap_or_else(PoisonError::into_inner);
        zone.unsigned.push(name.clone());
    }

    /// The records of a name and of which unsigned zone it is; `None` when it is to be silent.
    fn look_up(&self, name: &Name, kind: RecordType) -> Option<(Vec<LocalData>, Option<Name>)> {
        let zone = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let unsigned = zone.unsigned.iter().find(|unsigned| unsigned.covers(name)).cloned();
        // Whether a delegation is signed is known by the zone above it, which is not silent.
        let asks_above = kind == RecordType::DS && unsigned.as_ref() == Some(name);
        let silent = !asks_above && zone.silent.iter().any(|silent| silent.covers(name));
        (!silent).then(|| (zone.records.get(name).cloned().unwrap_or_default(), unsigned))
    }
}

impl LocalData {
    fn to_rdata(&self) -> RData {
        match self {
            Self::Address(IpAddr::V4(address)) => RData::A(A(*address)),
            Self::Address(IpAddr::V6(address)) => RData::AAAA(AAAA(*address)),
            Self::Alias(target) => RData::CNAME(CNAME(target.labels().clone())),
            Self::Text(text) => {
                let strings: Vec<&[u8]> = text.as_bytes().chunks(255).collect();
                RData::TXT(TXT::from_bytes(strings))
            }
            Self::Caa(caa) => {
                let mut rdata = CAA::new_issue(caa.critical, None, Vec::new());
                rdata.tag.clone_from(&caa.tag);
                rdata.value.clone_from(&caa.value);
                RData::CAA(rdata)
            }
            Self::MailExchanger { preference, exchange } => RData::MX(MX::new(*preference, exchange.labels().clone())),
            Self::Tlsa(association) => RData::TLSA(association.to_tlsa()),
            Self::Smimea(association) => {
                let TLSA {
                    cert_usage,
                    selector,
                    matching,
                    cert_data,
                    ..
                } = association.to_tlsa();
                RData::SMIMEA(SMIMEA::new(cert_usage, selector, matching, cert_data))
            }
        }
    }
}

/// The key of the zone. It protects nothing but a try-out on loopback and lives as long as the server.
struct Signer {
    key: DnssecSigner,
}

impl Signer {
    fn new() -> Result<Self, String> {
        let algorithm = Algorithm::ECDSAP256SHA256;
        let pkcs8 = EcdsaSigningKey::generate_pkcs8(algorithm).map_err(|error| error.to_string())?;
        let key = EcdsaSigningKey::from_pkcs8(&pkcs8, algorithm).map_err(|error| error.to_string())?;
        let public = key.to_public_key().map_err(|error| error.to_string())?;
        let dnskey = DNSKEY::new(true, true, false, public);
        Ok(Self {
            key: DnssecSigner::new(dnskey, Box::new(key), Labels::root(), SIGNATURE_LIFETIME),
        })
    }

    fn anchor(&self) -> String {
        use hickory_net::proto::dnssec::PublicKey;
        let dnskey = self.key.dnskey();
        let public = BASE64.encode(dnskey.public_key().public_bytes());
        format!(". {TTL} IN DNSKEY {} 3 13 {public}\n", dnskey.flags())
    }

    /// The records of one type at one name and the signature over them.
    fn signed(&self, name: &Labels, kind: RecordType, rdatas: Vec<RData>) -> Result<Vec<Record>, String> {
        let mut set = RecordSet::with_ttl(name.clone(), kind, TTL);
        let records: Vec<Record> = rdatas
            .into_iter()
            .map(|rdata| Record::from_rdata(name.clone(), TTL, rdata))
            .collect();
        set.set_records(records.clone());
        let seconds = i64::try_from(<TokioRuntimeProvider as RuntimeProvider>::Timer::current_time())
            .map_err(|error| error.to_string())?;
        // Somewhat in the past, since nobody's clock is exact.
        let inception = OffsetDateTime::from_unix_timestamp(seconds - 300).map_err(|error| error.to_string())?;
        let rrsig = RRSIG::from_rrset(&set, DNSClass::IN, inception, &self.key).map_err(|error| error.to_string())?;
        let mut records = records;
        let rrsig = RData::DNSSEC(DNSSECRData::RRSIG(rrsig));
        records.push(Record::from_rdata(name.clone(), TTL, rrsig));
        Ok(records)
    }
}

/// The same free port for UDP and TCP.
fn bind() -> io::Result<(net::UdpSocket, net::TcpListener)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..32 {
        let tcp = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        match net::UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok((udp, tcp));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn serve(udp: UdpSocket, tcp: TcpListener, zone: ZoneHandle, signer: Arc<Signer>, stop: oneshot::Receiver<()>) {
    let datagrams = async {
        let mut buffer = vec![0; 4096];
        loop {
            let Ok((length, from)) = udp.recv_from(&mut buffer).await else {
                continue;
            };
            if let Some(answer) = answer(&buffer[..length], &zone, &signer) {
                let bytes = match answer.to_vec() {
                    Ok(bytes) if bytes.len() <= DATAGRAM => Some(bytes),
                    Ok(_) => answer.truncate().to_vec().ok(),
                    Err(_) => None,
                };
                if let Some(bytes) = bytes {
                    // Whoever has gone does not need it.
                    let _ = udp.send_to(&bytes, from).await;
                }
            }
        }
    };
    let connections = async {
        loop {
            if let Ok((stream, _)) = tcp.accept().await {
                let (zone, signer) = (zone.clone(), Arc::clone(&signer));
                tokio::spawn(async move {
                    // Nobody is told why a connection ended.
                    let _ = tokio::time::timeout(Duration::from_secs(10), converse(stream, &zone, &signer)).await;
                });
            }
        }
    };
    tokio::select! {
        () = datagrams => (),
        () = connections => (),
        _ = stop => (),
    }
}

async fn converse(mut stream: TcpStream, zone: &ZoneHandle, signer: &Signer) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await?;
        let Some(answer) = answer(&buffer, zone, signer) else {
            return Ok(());
        };
        let bytes = answer.to_vec().map_err(io::Error::other)?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&bytes);
        stream.write_all(&framed).await?;
    }
}

/// The answer to one message; `None` when there is none to give.
fn answer(bytes: &[u8], zone: &ZoneHandle, signer: &Signer) -> Option<Message> {
    let question = Message::from_vec(bytes).ok()?;
    let [query] = &question.queries[..] else { return None };
    if question.message_type != MessageType::Query || question.op_code != OpCode::Query {
        return None;
    }
    let mut response = Message::response(question.id, OpCode::Query);
    response.queries.clone_from(&question.queries);
    response.metadata.authoritative = true;
    response.metadata.recursion_desired = question.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.checking_disabled = question.checking_disabled;
    response.set_edns(Edns::new()).edns.as_mut()?.enable_dnssec();
    let (data, unsigned) = zone.look_up(&Name::from_labels(query.name.to_lowercase()), query.query_type)?;
    let question = Question {
        name: &query.name,
        kind: query.query_type,
        unsigned: unsigned.as_ref().map(Name::labels),
    };
    if let Err(error) = fill(&mut response, &question, &data, signer) {
        response.metadata.response_code = ResponseCode::ServFail;
        tracing::warn!(error, "the local DNS server cannot answer");
    }
    Some(response)
}

struct Question<'a> {
    name: &'a Labels,
    kind: RecordType,
    /// The apex of the unsigned zone that the name is in.
    unsigned: Option<&'a Labels>,
}

fn fill(response: &mut Message, question: &Question<'_>, data: &[LocalData], signer: &Signer) -> Result<(), String> {
    let Question { name, kind, unsigned } = *question;
    let mut all: Vec<RData> = data.iter().map(LocalData::to_rdata).collect();
    // The record of an unsigned delegation is the zone's own, and that it has no DS record is said by the root.
    let is_delegation = unsigned == Some(name);
    if is_delegation {
        all.push(RData::NS(NS(name.clone())));
    }
    if name.is_root() {
        all.push(RData::DNSSEC(DNSSECRData::DNSKEY(signer.key.to_dnskey())));
        all.push(RData::SOA(soa()));
    }
    let signed = |owner: &Labels, kind: RecordType, rdatas: Vec<RData>| match unsigned {
        Some(_) if !(is_delegation && question.kind == RecordType::DS) => Ok(rdatas
            .into_iter()
            .map(|rdata| Record::from_rdata(owner.clone(), TTL, rdata))
            .collect()),
        _ => signer.signed(owner, kind, rdatas),
    };
    for wanted in [kind, RecordType::CNAME] {
        let found: Vec<RData> = all
            .iter()
            .filter(|rdata| rdata.record_type() == wanted)
            .cloned()
            .collect();
        if !found.is_empty() {
            response.insert_answers(signed(name, wanted, found)?);
            return Ok(());
        }
    }
    if let Some(apex) = unsigned
        && !(is_delegation && kind == RecordType::DS)
    {
        response.insert_authorities(signed(apex, RecordType::SOA, vec![RData::SOA(soa())])?);
        return Ok(());
    }
    let mut denial = signer.signed(&Labels::root(), RecordType::SOA, vec![RData::SOA(soa())])?;
    // The next name after `name` is the one with a label of a single zero octet before it.
    let next = match name.prepend_label([0_u8].as_slice()) {
        Ok(next) => next,
        Err(_) => Labels::root(),
    };
    // The root knows no more of a delegation than that it is one.
    let types: Vec<RecordType> = all
        .iter()
        .map(RData::record_type)
        .filter(|kind| !is_delegation || *kind == RecordType::NS)
        .collect();
    let nsec = RData::DNSSEC(DNSSECRData::NSEC(NSEC::new_cover_self(next, types)));
    denial.extend(signer.signed(name, RecordType::NSEC, vec![nsec])?);
    response.insert_authorities(denial);
    Ok(())
}

fn soa() -> SOA {
    SOA::new(Labels::root(), Labels::root(), 1, 3600, 600, 86_400, TTL)
}
