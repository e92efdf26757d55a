//! Whether a zone can be proved to be unsigned although it does not answer.

use std::pin::Pin;

use futures_util::stream::{self, Stream};
use hickory_net::dnssec::DnssecDnsHandle;
use hickory_net::proto::dnssec::Proof;
use hickory_net::proto::op::{DnsRequest, DnsResponse, Message, Query};
use hickory_net::proto::rr::rdata::{NS, TXT};
use hickory_net::proto::rr::{Name as Labels, RData, Record, RecordType};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::xfer::FirstAnswer;
use hickory_net::{DnsHandle, NetError};

use crate::exchange::Exchange;
use crate::name::Name;
use crate::resolver::{Resolver, with_signatures};

/// Whether a name is in a zone without a chain of trust to the anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneSecurity {
    /// A signed zone above proves that it delegates this one without a DS record.
    ProvedInsecure {
        /// The delegation that is not signed.
        delegation: Name,
    },
    /// The zone is signed, or nobody can say. It must be treated as signed.
    NotProvedInsecure,
}

impl Resolver {
    /// Asks the zones above a name, whose own servers need not answer for this, whether it is unsigned.
    pub async fn zone_security(&self, name: &Name) -> ZoneSecurity {
        let work = async {
            let exchange = self.exchange();
            // From the top: each answer is signed by the zone above it.
            let mut above: Vec<Name> = std::iter::successors(Some(name.clone()), Name::parent).collect();
            above.reverse();
            for zone in above {
                if self.is_unsigned_delegation(&exchange, &zone).await {
                    return ZoneSecurity::ProvedInsecure { delegation: zone };
                }
            }
            ZoneSecurity::NotProvedInsecure
        };
        tokio::time::timeout(self.limits().time, work)
            .await
            .unwrap_or(ZoneSecurity::NotProvedInsecure)
    }

    /// Lets the validator judge a record without a signature at the name, as if there were a zone of its own: it is
    /// insecure exactly when the DS record is proved to be absent from a delegation.
    async fn is_unsigned_delegation(&self, exchange: &Exchange, zone: &Name) -> bool {
        let supposed = SupposedZone {
            exchange: exchange.clone(),
            zone: zone.labels().clone(),
        };
        let validator = DnssecDnsHandle::with_trust_anchor(supposed, self.anchors());
        let query = Query::query(zone.labels().clone(), RecordType::TXT);
        match validator.lookup(query, with_signatures()).first_answer().await {
            Ok(response) => {
                !response.answers.is_empty() && response.answers.iter().all(|record| record.proof == Proof::Insecure)
            }
            Err(_) => false,
        }
    }
}

/// Invents a record without a signature and the NS record of its zone; everything else is asked for.
#[derive(Clone)]
struct SupposedZone {
    exchange: Exchange,
    zone: Labels,
}

impl DnsHandle for SupposedZone {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let invented = match request.queries.first() {
            Some(query) if query.name == self.zone => match query.query_type {
                RecordType::TXT => Some(RData::TXT(TXT::new(Vec::new()))),
                RecordType::NS => Some(RData::NS(NS(self.zone.clone()))),
                _ => None,
            },
            _ => None,
        };
        let Some(rdata) = invented else {
            return self.exchange.send(request);
        };
        let (question, _) = request.into_parts();
        let mut message = Message::response(question.id, question.op_code);
        message.queries = question.queries;
        message.add_answer(Record::from_rdata(self.zone.clone(), 0, rdata));
        Box::pin(stream::once(async move {
            DnsResponse::from_message(message).map_err(NetError::from)
        }))
    }
}
