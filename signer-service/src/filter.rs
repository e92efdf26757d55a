//! The milter: signs what passes through a Postfix or Sendmail, by telling it what to change.
//!
//! The mail server keeps the envelope, the queue and the delivery. A message has one content for all its recipients
//! here, so what is agreed with single recipients is not looked at.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use milter::conversation::{Mail, Message, Peer, Verdict};
use milter::response::{self, Answer, Modification};
use milter::server::{Service, Session};
use policies::signing::MaySign;
use smtp::Reply;

use crate::engine::{refusal_reply, treat};
use crate::gateway::Gateway;
use crate::mime::canonical::canonicalize;
use crate::mime::entity::{Entity, Field};
use crate::mime::signed::Smtputf8;
use crate::treatment::{Refusal, ReversePath};

/// Looks at the mail of those whom the configuration names, and leaves all other mail alone.
#[derive(Debug, Clone)]
pub struct Filter(Arc<Gateway>);

impl Filter {
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

impl Service for Filter {
    type Session = FilterSession;

    fn connect(&self, peer: Peer) -> FilterSession {
        FilterSession {
            gateway: self.0.clone(),
            address: peer.address,
            may_sign_for: Vec::new(),
            reverse_path: ReversePath::Address,
            smtputf8: Smtputf8::NotRequested,
        }
    }
}

/// One who is connected to the mail server.
#[derive(Debug)]
pub struct FilterSession {
    gateway: Arc<Gateway>,
    address: Option<IpAddr>,
    /// From the network that the sender is in and the name of the login, and from nothing else.
    may_sign_for: Vec<MaySign>,
    reverse_path: ReversePath,
    smtputf8: Smtputf8,
}

impl Session for FilterSession {
    async fn mail(&mut self, mail: Mail) -> Answer {
        let authorized = self.gateway.config.authorized_as(self.address, mail.login.as_deref());
        let Some(may_sign_for) = authorized else {
            // Mail that comes in, most likely: whether it may is for the mail server to say.
            return Answer::Accept;
        };
        self.may_sign_for = may_sign_for;
        self.reverse_path = if mail.reverse_path.is_empty() {
            ReversePath::Null
        } else {
            ReversePath::Address
        };
        self.smtputf8 = if mail.has_parameter("SMTPUTF8") {
            Smtputf8::Requested
        } else {
            Smtputf8::NotRequested
        };
        Answer::Continue
    }

    async fn message(&mut self, message: Message) -> Verdict {
        let queue_id = message.queue_id.clone();
        match self.changes(message).await {
            Ok(modifications) => {
                tracing::info!(queue_id, changes = modifications.len(), "a message goes on");
                Verdict::Deliver(modifications)
            }
            Err(reply) => {
                tracing::info!(queue_id, code = reply.code(), "a message was not let through");
                Verdict::Refuse(answer(&reply))
            }
        }
    }
}

impl FilterSession {
    async fn changes(&self, message: Message) -> Result<Vec<Modification>, Reply> {
        if message.is_too_large {
            let limit = self.gateway.config.max_message_size;
            return Err(Reply::new(
                552,
                Some([5, 3, 4]),
                format!("The message is larger than {limit} octets, the most that is signed here"),
            ));
        }
        let original = message
            .to_bytes()
            .map_err(|problem| Reply::new(554, Some([5, 6, 0]), problem.to_string()))?;
        drop(message);
        let original = canonicalize(&original).into_owned();
        let wanted = treat(
            &self.gateway,
            original.clone(),
            self.reverse_path,
            self.smtputf8,
            &self.may_sign_for,
        )
        .await?;
        let split = |bytes| Entity::split(bytes).map_err(|problem| refusal_reply(&Refusal::Mime(problem)));
        Ok(difference(&split(&original)?, &split(&wanted)?))
    }
}

/// What makes `wanted` of `original`: both in the order of their fields, which is kept as far as there is a way to
/// say so.
///
/// Fields that are there already stay. One that has another of its name to take the place of is changed, one above
/// all that stay is inserted there, and any other is added below all. The work grows with the message, not faster.
pub(crate) fn difference(original: &Entity<'_>, wanted: &Entity<'_>) -> Vec<Modification> {
    let mut occurrences: HashMap<String, u32> = HashMap::new();
    let mut same: HashMap<&[u8], VecDeque<usize>> = HashMap::new();
    let mut numbered = Vec::with_capacity(original.fields.len());
    for (position, field) in original.fields.iter().enumerate() {
        let occurrence = occurrences.entry(field.name().to_ascii_lowercase()).or_default();
        *occurrence += 1;
        numbered.push((field, *occurrence));
        same.entry(field.raw()).or_default().push_back(position);
    }
    // 1. What stays.
    let mut stays = vec![false; numbered.len()];
    let mut new = Vec::new();
    let mut next = 0;
    for field in &wanted.fields {
        let position = same.get_mut(field.raw()).and_then(|positions| {
            while positions.front().is_some_and(|position| *position < next) {
                positions.pop_front();
            }
            positions.pop_front()
        });
        match position {
            Some(position) => {
                stays[position] = true;
                next = position + 1;
            }
            None => new.push((field, next == 0)),
        }
    }
    // 2. What takes another's place, and what has none.
    let mut free: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (position, (field, _)) in numbered.iter().enumerate().filter(|(position, _)| !stays[*position]) {
        free.entry(field.name().to_ascii_lowercase())
            .or_default()
            .push_back(position);
    }
    let anything_stays = stays.contains(&true);
    let mut modifications = Vec::new();
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (field, is_first) in new {
        let (name, value) = (field.name().as_bytes().to_vec(), value(field));
        let replaced = free
            .get_mut(&field.name().to_ascii_lowercase())
            .and_then(VecDeque::pop_front);
        match replaced {
            Some(position) => {
                stays[position] = true;
                let occurrence = numbered[position].1;
                modifications.push(Modification::ChangeField {
                    occurrence,
                    name,
                    value,
                });
            }
            None if is_first && anything_stays => above.push(Modification::InsertField { name, value }),
            None => below.push(Modification::AddField { name, value }),
        }
    }
    // 3. What goes, the last first, so that the numbers of those before it hold.
    for (position, (field, occurrence)) in numbered.iter().enumerate().rev() {
        if !stays[position] {
            modifications.push(Modification::DeleteField {
                occurrence: *occurrence,
                name: field.name().as_bytes().to_vec(),
            });
        }
    }
    // Each is put above the one before it.
    modifications.extend(above.into_iter().rev());
    modifications.extend(below);
    if original.body != wanted.body {
        modifications.push(Modification::ReplaceBody(wanted.body.to_vec()));
    }
    modifications
}

/// What follows the colon, without the line break at the end.
fn value(field: &Field<'_>) -> Vec<u8> {
    let value = &field.raw()[field.name().len() + 1..];
    value.strip_suffix(b"\r\n").unwrap_or(value).to_vec()
}

pub(crate) fn answer(reply: &Reply) -> Answer {
    let class = reply.code() / 100;
    let enhanced = reply.enhanced().unwrap_or([class, 0, 0]);
    match response::Reply::new(reply.code(), enhanced, reply.text()) {
        Some(reply) => Answer::Reply(reply),
        None if class == 5 => Answer::Reject,
        None => Answer::TemporaryFailure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays the changes against the fields of `original` as a mail server does.
    fn played(original: &[u8], modifications: &[Modification]) -> Vec<u8> {
        let entity = Entity::split(original).unwrap();
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = entity
            .fields
            .iter()
            .map(|field| (field.name().as_bytes().to_vec(), value(field)))
            .collect();
        let mut body = entity.body.to_vec();
        let find = |fields: &[(Vec<u8>, Vec<u8>)], name: &[u8], occurrence: u32| {
            let mut named = (0..fields.len()).filter(|at| fields[*at].0.eq_ignore_ascii_case(name));
            named.nth(usize::try_from(occurrence).unwrap() - 1).unwrap()
        };
        for modification in modifications.iter().cloned() {
            match modification {
                Modification::AddField { name, value } => fields.push((name, value)),
                Modification::InsertField { name, value } => fields.insert(0, (name, value)),
                Modification::ChangeField {
                    occurrence,
                    name,
                    value,
                } => {
                    let at = find(&fields, &name, occurrence);
                    fields[at] = (name, value);
                }
                Modification::DeleteField { occurrence, name } => {
                    let at = find(&fields, &name, occurrence);
                    fields.remove(at);
                }
                Modification::ReplaceBody(new) => body = new,
            }
        }
        let mut message = Vec::new();
        for (name, value) in fields {
            message.extend([&name, &b":"[..], &value, b"\r\n"].concat());
        }
        [&message, &b"\r\n"[..], &body].concat()
    }

    #[track_caller]
    fn check(original: &str, wanted: &str, count: usize) {
        let [original, wanted] = [original, wanted].map(|text| text.replace('\n', "\r\n").into_bytes());
        let modifications = difference(&Entity::split(&original).unwrap(), &Entity::split(&wanted).unwrap());
        assert_eq!(
            String::from_utf8(played(&original, &modifications)).unwrap(),
            String::from_utf8(wanted).unwrap()
        );
        assert_eq!(modifications.len(), count, "{modifications:?}");
    }

    #[test]
    fn only_what_differs_is_changed() {
        check("A: 1\nB: 2\n\nbody\n", "A: 1\nB: 2\n\nbody\n", 0);
        check("A: 1\nB: 2\n\nbody\n", "A: 1\nB: 2\n\nother\n", 1);
        check(
            "A: 1\n\nbody\n",
            "A: 1\nMIME-Version: 1.0\nContent-Type: x/y\n\nbody\n",
            2,
        );
        check(
            "A: 1\nContent-Type: a/b;\n c=d\nContent-ID: <1>\nB: 2\n\n",
            "A: 1\nContent-Type: x/y\nB: 2\n\n",
            2,
        );
    }

    #[test]
    fn fields_of_one_name_are_told_apart() {
        check(
            "Received: a\nReceived: b\nReceived: a\nX: y\n\n",
            "Received: a\nReceived: a\nX: y\n\n",
            1,
        );
        check("X: 1\nx: 2\nX: 3\nx: 4\n\n", "x: 2\nx: 4\n\n", 2);
        check("X: 1\nX: 2\nX: 3\n\n", "X: 1\nX: 9\nX: 3\n\n", 1);
        check("X: 1\nX: 1\n\n", "\n", 2);
    }

    #[test]
    fn new_fields_stand_above_or_below() {
        check("A: 1\n\n", "S: 1\nT: 2\nA: 1\n\n", 2);
        check("\nbody\n", "S: 1\nT: 2\n\nbody\n", 2);
        check("A: 1\nBcc: x\n\n", "S: 1\nA: 1\nZ: 2\n\n", 3);
    }

    #[test]
    fn a_field_without_a_blank_is_not_given_one() {
        check("A:1\nB:\n 2\n\n", "A:1\nB:\n 2\nC:3\n\n", 1);
        let entity = Entity::split(b"B:\r\n 2\r\n").unwrap();
        assert_eq!(value(&entity.fields[0]), b"\r\n 2");
    }

    #[test]
    fn a_header_of_a_hundred_thousand_fields_takes_no_time() {
        let original = "X: y\nX: z\n".repeat(50_000) + "\n";
        let wanted = "X: z\n".repeat(50_000) + "\n";
        let [original, wanted] = [original, wanted].map(|text| text.replace('\n', "\r\n").into_bytes());
        let modifications = difference(&Entity::split(&original).unwrap(), &Entity::split(&wanted).unwrap());
        assert_eq!(modifications.len(), 50_000);
    }

    #[test]
    fn replies_keep_their_class() {
        let mut out = Vec::new();
        answer(&Reply::refused([5, 7, 1], "not 100 % yours")).write(&mut out);
        assert_eq!(out[4..], *b"y550 5.7.1 not 100 %% yours\0");
        let mut out = Vec::new();
        answer(&Reply::new(452, None, "full")).write(&mut out);
        assert_eq!(out[4..], *b"y452 4.0.0 full\0");
        assert_eq!(answer(&Reply::new(250, None, "fine")), Answer::TemporaryFailure);
    }
}
