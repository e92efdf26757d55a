//! `sealwright gateway queue …`

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
            std::io::Write::write_all(&mut std::io::stdout(), &octets)?;
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
    if options.data.json {
        println!("{}", serde_json::to_string_pretty(messages)?);
        return Ok(());
    }
    if messages.is_empty() {
        println!("There is no such message.");
        return Ok(());
    }
    println!("{:24}  {:20}  {:>9}  SENDER", "ID", "CAME", "OCTETS");
    for message in messages {
        let sender = if message.sender.is_empty() {
            "(notification)"
        } else {
            &message.sender
        };
        println!(
            "{:24}  {:20}  {:>9}  {sender}",
            message.id, message.received_at, message.octets
        );
        for recipient in &message.recipients {
            let reply = recipient
                .last_reply
                .as_deref()
                .map(|reply| format!(": {reply}"))
                .unwrap_or_default();
            println!("    {:9}  {}{reply}", recipient.state, recipient.address);
        }
    }
    Ok(())
}

fn show(message: &ListedMessage, data: &Data) -> Result<(), Failure> {
    if data.json {
        println!("{}", serde_json::to_string_pretty(message)?);
        return Ok(());
    }
    println!("Message:  {}", message.id);
    println!("Came:     {}", message.received_at);
    println!("Sender:   <{}>", message.sender);
    println!(
        "Body:     {} octets, from octet {} of {}",
        message.octets, message.body_offset, message.body_object
    );
    for recipient in &message.recipients {
        println!("\nRecipient: <{}>", recipient.address);
        println!(
            "  State:    {} since {}, {} attempts",
            recipient.state, recipient.updated_at, recipient.attempts
        );
        if let Some(node) = &recipient.node {
            println!("  Leased:   by node {node}");
        } else if let Some(at) = &recipient.next_attempt_at {
            println!("  Next:     {at}");
        }
        if let Some(reply) = &recipient.last_reply {
            println!("  Answer:   {reply}");
        }
    }
    Ok(())
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
            "nothing to be done for {}: no recipient is in a state for that",
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
