//! `sealwright gateway queue …`

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use clap::{Args, Subcommand};
use policies::time::Clock;
use serde_json::json;

use super::{Data, Failure};
use crate::gateway::{Gateway, GatewayParts};
use crate::queue::RecipientState;
use crate::queue::admin::{Intervention, ListedMessage};

/// The mail that the gateway has taken charge of.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// List messages that are not delivered yet, the oldest first.
    List(List),
    /// Show one message, recipient by recipient, with what the other side said last.
    Show {
        #[command(flatten)]
        data: Data,
        #[arg(value_name = "ID")]
        id: String,
        /// Write the message itself, byte for byte as it is sent, to standard output. What was delivered is kept for
        /// queue.keep_sent_hours.
        #[arg(long, conflicts_with = "json")]
        message: bool,
    },
    /// Try messages now; lets go those that are held.
    Retry(Chosen),
    /// Keep messages from being tried until `retry`.
    Hold(Chosen),
    /// Give up messages; nobody is told.
    Drop(Chosen),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    data: Data,
    /// Those with a recipient in this state: queued, held, delivered, bounced or dropped.
    #[arg(long, value_name = "STATE")]
    state: Option<RecipientState>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
}

#[derive(Debug, Args)]
pub struct Chosen {
    #[command(flatten)]
    data: Data,
    /// The messages.
    #[arg(value_name = "ID", required_unless_present = "all")]
    id: Vec<String>,
    /// All messages that are not delivered yet.
    #[arg(long, conflicts_with = "id")]
    all: bool,
}

pub(super) async fn run(command: &Queue, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    match command {
        Queue::List(options) => {
            let gateway = open(&options.data, clock).await?;
            let messages = gateway.list_queue(options.state, options.limit).await?;
            list(&messages, options)
        }
        Queue::Show {
            data,
            id,
            message: true,
        } => {
            let gateway = open(data, clock).await?;
            let Some(octets) = gateway.queued_octets(id).await? else {
                return Err(format!(
                    "the message {id} is not kept any more, or never was here; queue.keep_sent_hours in gateway.toml keeps what was sent"
                )
                .into());
            };
            std::io::stdout().write_all(&octets)?;
            Ok(())
        }
        Queue::Show { data, id, .. } => {
            let gateway = open(data, clock).await?;
            let Some(message) = gateway.show_queued(id).await? else {
                return Err(format!("there is no message {id}; `queue list` shows those that wait").into());
            };
            show(&message, data)
        }
        Queue::Retry(chosen) => intervene(chosen, Intervention::Retry, clock).await,
        Queue::Hold(chosen) => intervene(chosen, Intervention::Hold, clock).await,
        Queue::Drop(chosen) => intervene(chosen, Intervention::Drop, clock).await,
    }
}

async fn open(data: &Data, clock: Arc<dyn Clock>) -> Result<Arc<Gateway>, Failure> {
    Ok(Gateway::open(&data.folder, GatewayParts::production(clock)).await?)
}

fn list(messages: &[ListedMessage], options: &List) -> Result<(), Failure> {
    let mut text = String::new();
    if options.data.json {
        writeln!(text, "{}", serde_json::to_string_pretty(messages)?)?;
        return print(&text);
    }
    if messages.is_empty() {
        match options.state {
            None => writeln!(text, "The queue is empty: all mail is delivered or was given up.")?,
            Some(state) => writeln!(text, "No message has a recipient that is {state}.")?,
        }
        return print(&text);
    }
    writeln!(text, "{:24}  {:20}  {:>9}  SENDER", "ID", "CAME", "OCTETS")?;
    for message in messages {
        let sender = if message.sender.is_empty() {
            "(notification)"
        } else {
            &message.sender
        };
        writeln!(
            text,
            "{:24}  {:20}  {:>9}  {sender}",
            message.id, message.received_at, message.octets
        )?;
        for recipient in &message.recipients {
            write!(text, "    {:9}  {}", recipient.state, recipient.address)?;
            if recipient.node.is_some() {
                write!(text, ", being tried")?;
            } else if let Some(at) = &recipient.next_attempt_at {
                write!(text, ", next {at}")?;
            }
            match &recipient.last_reply {
                Some(reply) => writeln!(text, ": {reply}")?,
                None => writeln!(text)?,
            }
        }
    }
    print(&text)
}

fn show(message: &ListedMessage, data: &Data) -> Result<(), Failure> {
    let mut text = String::new();
    if data.json {
        writeln!(text, "{}", serde_json::to_string_pretty(message)?)?;
        return print(&text);
    }
    writeln!(text, "Message:  {}", message.id)?;
    writeln!(text, "Came:     {}", message.received_at)?;
    writeln!(text, "Sender:   <{}>", message.sender)?;
    writeln!(
        text,
        "Body:     {} octets, from octet {} of {}",
        message.octets, message.body_offset, message.body_object
    )?;
    for recipient in &message.recipients {
        let attempts = match recipient.attempts {
            1 => "1 attempt".to_owned(),
            number => format!("{number} attempts"),
        };
        writeln!(text, "\nRecipient: <{}>", recipient.address)?;
        writeln!(
            text,
            "  State:    {} since {}, {attempts}",
            recipient.state, recipient.updated_at
        )?;
        if let Some(node) = &recipient.node {
            writeln!(text, "  Leased:   by node {node}")?;
        } else if let Some(at) = &recipient.next_attempt_at {
            writeln!(text, "  Next:     {at}")?;
        }
        if let Some(reply) = &recipient.last_reply {
            writeln!(text, "  Answer:   {reply}")?;
        }
    }
    print(&text)
}

/// Whoever reads only the beginning, as `head` does, has read enough.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn intervene(chosen: &Chosen, intervention: Intervention, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let gateway = open(&chosen.data, clock).await?;
    let ids = match chosen.all {
        true => {
            let open = gateway.list_queue(None, i64::MAX).await?;
            open.into_iter().map(|message| message.id).collect()
        }
        false => chosen.id.clone(),
    };
    let changed = gateway.intervene(ids, intervention).await?;
    let verb = match intervention {
        Intervention::Retry => "to be tried now",
        Intervention::Hold => "held",
        Intervention::Drop => "dropped",
    };
    if chosen.data.json {
        let changed: Vec<_> = changed
            .iter()
            .map(|(id, recipients)| json!({ "id": id, "recipients": recipients }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&changed)?);
    } else {
        for (id, recipients) in &changed {
            println!(
                "{id}: {recipients} {} {verb}",
                if *recipients == 1 { "recipient" } else { "recipients" }
            );
        }
    }
    let untouched: Vec<&str> = changed
        .iter()
        .filter(|(_, recipients)| *recipients == 0)
        .map(|(id, _)| id.as_str())
        .collect();
    if untouched.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "nothing to be done for {}: no such message waits, or none of its recipients is in a state for that; `queue show ID` tells",
            untouched.join(", ")
        )
        .into())
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sealwright gateway queue list --data /var/lib/sealwright-gateway
  sealwright gateway queue list --state bounced --json
  sealwright gateway queue show 6928a1c00123456789abcdef
  sealwright gateway queue show --message 6928a1c00123456789abcdef > as-sent.eml
  sealwright gateway queue hold 6928a1c00123456789abcdef
  sealwright gateway queue retry --all";
