//! The milter for incoming mail: what it would label, it tells a mail server to write.

use std::sync::Arc;

use milter::conversation::{Mail, Message, Peer, Verdict};
use milter::response::{Answer, Modification};
use milter::server::{Service, Session};
use smtp::Reply;

use super::{Opening, labelled};
use crate::engine::{refusal_reply, reply};
use crate::filter::{answer, difference};
use crate::gateway::Gateway;
use crate::mime::canonical::canonicalize;
use crate::mime::entity::Entity;
use crate::treatment::Refusal;

/// Labels all mail that it is shown.
#[derive(Debug, Clone)]
pub(crate) struct InboundFilter(Arc<Gateway>);

impl InboundFilter {
    pub(crate) const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

impl Service for InboundFilter {
    type Session = Self;

    fn connect(&self, _peer: Peer) -> Self {
        self.clone()
    }
}

impl Session for InboundFilter {
    async fn mail(&mut self, _mail: Mail) -> Answer {
        Answer::Continue
    }

    async fn message(&mut self, message: Message) -> Verdict {
        match self.changes(message).await {
            Ok(modifications) => Verdict::Deliver(modifications),
            Err(reply) => {
                tracing::info!(code = reply.code(), "an incoming message was not let through");
                Verdict::Refuse(answer(&reply))
            }
        }
    }
}

impl InboundFilter {
    async fn changes(&self, message: Message) -> Result<Vec<Modification>, Reply> {
        if message.is_too_large {
            let limit = self.0.config.max_message_size;
            return Err(Reply::new(
                552,
                Some([5, 3, 4]),
                format!("The message is larger than {limit} octets, the most that is verified here"),
            ));
        }
        let original = message
            .to_bytes()
            .map_err(|problem| Reply::new(554, Some([5, 6, 0]), problem.to_string()))?;
        drop(message);
        let original = canonicalize(&original).into_owned();
        let copies = labelled(&self.0, &original, &[], Opening::Never).await;
        let Some(only) = copies.map_err(|error| reply(&error))?.pop() else {
            return Err(Reply::try_later(
                [4, 3, 0],
                "The message could not be labelled; try again later",
            ));
        };
        let split = |bytes| Entity::split(bytes).map_err(|problem| refusal_reply(&Refusal::Mime(problem)));
        Ok(difference(&split(&original)?, &split(&only.message)?))
    }
}
