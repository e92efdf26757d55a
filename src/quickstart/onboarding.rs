//! Four senders, validated over the same API and by the same mails as in production.

use std::time::Duration;

use ca_api::cases::{Authority, Employment, IndividualIdentity, OrganizationIdentity};
use ca_api::{
    AccountKind, CaseState, ChallengeState, Client, ConstructedAddress, Decision, NewAccount, NewCase, NewChallenge,
    NewDecision, NewEvidence, NewPrincipal, Plan, PlanChange, Role, Subject,
};
use policies::mailbox::{Domain, Mailbox};
use smtp::sink::Sink;

use super::Problem;
use super::mails::Author;
use super::progress::Progress;

/// The four senders and what each may expect of its label.
pub(crate) const SENDERS: [Sender; 4] = [
    Sender {
        author: Author {
            name: "Alice",
            address: "alice@example.org",
        },
        validated: "her mailbox",
    },
    Sender {
        author: Author {
            name: "Bob Brown",
            address: "bob@example.net",
        },
        validated: "his mailbox and his identity",
    },
    Sender {
        author: Author {
            name: "Example Bank",
            address: "notices@example.com",
        },
        validated: "its domain and the organization",
    },
    Sender {
        author: Author {
            name: "Carol Clark",
            address: "carol@example.com",
        },
        validated: "her organization and her employment",
    },
];

/// Who sends, and what was validated about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) author: Author<'static>,
    pub(crate) validated: &'static str,
}

/// What a gateway needs to order certificates for an account: its token, and whom it is for.
#[derive(Debug)]
pub(crate) struct Onboarded {
    /// A name for the token file.
    pub(crate) name: &'static str,
    pub(crate) gateway_token: String,
    pub(crate) domains: Vec<&'static str>,
    pub(crate) mailboxes: Vec<&'static str>,
}

/// The people at work: who acts with which token.
#[derive(Debug)]
pub(crate) struct Onboarding<'a> {
    api_url: &'a str,
    tls_root_pem: &'a str,
    operator: Client,
    sink: &'a Sink,
}

impl<'a> Onboarding<'a> {
    /// Prepares to act as the operator, whose token `ca init` made.
    pub(crate) fn new(
        api_url: &'a str,
        tls_root_pem: &'a str,
        operator_token: &str,
        sink: &'a Sink,
    ) -> Result<Self, Problem> {
        let operator = Client::new(api_url, tls_root_pem.as_bytes(), operator_token)?;
        Ok(Self {
            api_url,
            tls_root_pem,
            operator,
            sink,
        })
    }

    /// Validates all four senders and returns what the gateway needs to enrol them.
    pub(crate) async fn run(&self, progress: &Progress) -> Result<Vec<Onboarded>, Problem> {
        let olivia = self.officer("Olivia Officer").await?;
        let oscar = self.officer("Oscar Officer").await?;

        progress.step("Alice confirms her mailbox");
        let (alice, alice_gateway) = self.account("Alice", Plan::Free).await?;
        self.confirm(&alice, NewChallenge::Mailbox(mailbox("alice@example.org")))
            .await?;

        progress.step("Bob confirms his mailbox, an officer checks his identity document");
        let (bob, bob_gateway) = self.account("Bob Brown", Plan::ProIndividual).await?;
        self.confirm(&bob, NewChallenge::Mailbox(mailbox("bob@example.net")))
            .await?;
        let identity = Subject::IndividualIdentity(IndividualIdentity {
            given_name: Some("Bob".to_owned()),
            surname: Some("Brown".to_owned()),
            mailbox: mailbox("bob@example.net"),
        });
        let passport = Paper {
            name: "passport.txt",
            method: "identity-document",
            content: "Passport X1234567, Brown, Bob, valid until 2031-05-01",
        };
        self.validate(&bob, identity, passport, &[&olivia]).await?;

        progress.step("Example Bank confirms its domain, two officers check the register and its representative");
        let (bank, bank_gateway) = self.account("Example Bank", Plan::ProOrganization).await?;
        let domain = NewChallenge::Domain {
            domain: domain("example.com"),
            via: ConstructedAddress::Postmaster,
        };
        self.confirm(&bank, domain).await?;
        let organization = Subject::OrganizationIdentity(OrganizationIdentity {
            legal_name: "Example Bank".to_owned(),
            country: "SE".to_owned(),
            state_or_province: None,
            locality: Some("Stockholm".to_owned()),
            organization_identifier: BANK.to_owned(),
        });
        let extract = Paper {
            name: "register.txt",
            method: "register-extract",
            content: "5560000001 Example Bank, Stockholm, status active",
        };
        self.validate(&bank, organization, extract, &[&olivia, &oscar]).await?;
        let authority = Subject::Authority(Authority {
            organization_identifier: BANK.to_owned(),
            representative: "Rita Representative".to_owned(),
        });
        let call = Paper {
            name: "call.txt",
            method: "reliable-method-of-communication",
            content: "Called the switchboard number of the register; the board confirmed Rita.",
        };
        self.validate(&bank, authority, call, &[&oscar]).await?;

        progress.step("Example Bank confirms that Carol works for it, an officer approves");
        let employment = Subject::Employment(Employment {
            organization_identifier: BANK.to_owned(),
            given_name: Some("Carol".to_owned()),
            surname: Some("Clark".to_owned()),
            title: Some("Head of Payments".to_owned()),
            mailbox: mailbox("carol@example.com"),
        });
        let roster = Paper {
            name: "roster.txt",
            method: "enterprise-registration-authority",
            content: "Carol Clark, Head of Payments, employed since 2019-02-01",
        };
        self.validate(&bank, employment, roster, &[&olivia]).await?;

        Ok(vec![
            Onboarded {
                name: "alice",
                gateway_token: alice_gateway,
                domains: vec![],
                mailboxes: vec!["alice@example.org"],
            },
            Onboarded {
                name: "bob",
                gateway_token: bob_gateway,
                domains: vec![],
                mailboxes: vec!["bob@example.net"],
            },
            Onboarded {
                name: "bank",
                gateway_token: bank_gateway,
                domains: vec!["example.com"],
                mailboxes: vec![],
            },
        ])
    }

    async fn officer(&self, name: &str) -> Result<Client, Problem> {
        let issued = self
            .operator
            .create_principal(&NewPrincipal {
                name: name.to_owned(),
                role: Role::Officer,
                account: None,
                expires_at: None,
            })
            .await?;
        self.client(&issued.token)
    }

    /// A new account on a plan, with a member, whose client is returned, and a gateway, whose token is.
    async fn account(&self, name: &str, plan: Plan) -> Result<(Client, String), Problem> {
        let kind = match plan {
            Plan::Free | Plan::ProIndividual => AccountKind::Individual,
            Plan::ProOrganization => AccountKind::Organization,
        };
        let account = self
            .operator
            .create_account(&NewAccount {
                name: name.to_owned(),
                kind,
            })
            .await?;
        self.operator.change_plan(&account.id, &PlanChange::to(plan)).await?;
        let principal = |name: &str, role| NewPrincipal {
            name: name.to_owned(),
            role,
            account: Some(account.id.clone()),
            expires_at: None,
        };
        let member = self
            .operator
            .create_principal(&principal(name, Role::Subscriber))
            .await?;
        let gateway = self
            .operator
            .create_principal(&principal(&format!("gateway of {name}"), Role::Gateway))
            .await?;
        Ok((self.client(&member.token)?, gateway.token))
    }

    fn client(&self, token: &str) -> Result<Client, Problem> {
        Ok(Client::new(self.api_url, self.tls_root_pem.as_bytes(), token)?)
    }

    /// Asks for a challenge, reads the mail that arrives, opens the page it links to and types the number it names.
    async fn confirm(&self, subscriber: &Client, challenge: NewChallenge) -> Result<(), Problem> {
        let challenge = subscriber.create_challenge(&challenge).await?;
        let mail = self
            .sink
            .wait_for(
                |mail| {
                    mail.recipients
                        .iter()
                        .any(|to| to.address.eq_ignore_ascii_case(&challenge.sent_to))
                },
                MAIL_PATIENCE,
            )
            .await
            .map_err(|source| Problem::NoMail {
                address: challenge.sent_to.clone(),
                source,
            })?;
        let Letter { link, number } = Letter::read(&mail.content).ok_or_else(|| Problem::NoLink {
            address: challenge.sent_to.clone(),
        })?;

        let tls = keys::tls::client_config(keys::tls::Trust::Only(self.tls_root_pem.as_bytes()))?;
        let browser = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .no_proxy()
            .build()?;
        browser.get(&link).send().await?.error_for_status()?;
        // Looking at the page, as link scanners do, must not confirm anything.
        if subscriber.challenge(&challenge.id).await?.state != ChallengeState::Sent {
            return Err(Problem::ConfirmedByLooking {
                address: challenge.sent_to,
            });
        }
        let form = format!("code={number}");
        let posted = browser
            .post(&link)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await?;
        posted.error_for_status()?;
        match subscriber.challenge(&challenge.id).await?.state {
            ChallengeState::Answered => Ok(()),
            state => Err(Problem::NotConfirmed {
                address: challenge.sent_to,
                state: state.to_string(),
            }),
        }
    }

    /// Opens a case, attaches a paper, lets the first officer record what it shows and every officer approve.
    async fn validate(
        &self,
        applicant: &Client,
        subject: Subject,
        paper: Paper,
        officers: &[&Client],
    ) -> Result<(), Problem> {
        let case = applicant.open_case(&NewCase { subject }).await?;
        let document = applicant
            .add_document(&case.id, paper.name, "text/plain", paper.content.as_bytes().to_vec())
            .await?;
        let mut state = case.state;
        for (position, officer) in officers.iter().enumerate() {
            if position == 0 {
                let evidence = NewEvidence {
                    method: paper.method.to_owned(),
                    collected_at: None,
                    documents: vec![document.sha256],
                    note: format!("{} was checked", paper.name),
                };
                officer.record_evidence(&case.id, &evidence).await?;
            }
            let decision = NewDecision {
                decision: Decision::Approve,
                reason: format!("{} is in order", paper.name),
            };
            state = officer.decide(&case.id, &decision).await?.state;
        }
        match state {
            CaseState::Approved => Ok(()),
            other => Err(Problem::NotApproved {
                case: case.id,
                state: other.to_string(),
            }),
        }
    }
}

/// A document that a case rests on, and the method of the Baseline Requirements that it belongs to.
struct Paper {
    name: &'static str,
    method: &'static str,
    content: &'static str,
}

/// What a human reads out of a challenge mail.
struct Letter {
    link: String,
    number: String,
}

impl Letter {
    fn read(mail: &[u8]) -> Option<Self> {
        let mail = mail_parser::MessageParser::default().parse(mail)?;
        let text = mail.body_text(0)?;
        let link = text
            .split_whitespace()
            .find(|word| word.starts_with("https://") && word.contains("/confirm/"))?;
        // The number stands alone on its line.
        let is_number = |line: &&str| line.len() >= 6 && line.chars().all(|c| c.is_ascii_digit() || c == '-');
        let number = text.lines().map(str::trim).find(is_number)?;
        Some(Self {
            link: link.to_owned(),
            number: number.to_owned(),
        })
    }
}

fn mailbox(address: &'static str) -> Mailbox {
    Mailbox::parse(address).expect("the addresses in this file are valid")
}

fn domain(name: &'static str) -> Domain {
    Domain::parse(name).expect("the domains in this file are valid")
}

/// The registration number of the bank in the Swedish register of companies.
const BANK: &str = "NTRSE-556000-0001";
/// A mail over loopback arrives within milliseconds; this is for a machine that is busy.
const MAIL_PATIENCE: Duration = Duration::from_secs(20);
