//! Makes an entity fit for any relay before it is signed, see RFC 8551 section 3.1.3.
//!
//! What a relay may convert, rewrap or strip is encoded here, recursively through multiparts and attached messages;
//! everything that is already fit goes through byte for byte. Signed and encrypted parts inside are never rewritten:
//! that would break them. The rules for each kind of content are in [`Writer::leaf`].

use super::canonical::{EightBitHeaders, Fitness, lines};
use super::content_type::Parameterized;
use super::entity::{Entity, Field, Multipart};
use super::header::ProtectionMark;
use super::{Budget, MimeError, base64, header, quoted_printable};

/// Writes the entity whose header is `content_fields` and whose body is `body`, as it will be signed.
///
/// A missing Content-Type gets the default of RFC 2045 section 5.2; preamble and epilogue of the outermost
/// multipart are dropped, since some readers include them in what they verify and others do not. `protected` are
/// fields that stand first, and the Content-Type says that they are there (RFC 9788 section 2.1.1).
///
/// # Errors
/// See [`MimeError`]: what cannot be understood is not rewritten.
pub(crate) fn transform(
    entity: &Entity<'_>,
    eight_bit: EightBitHeaders,
    protected: Option<Protected<'_>>,
    budget: &mut Budget,
) -> Result<Vec<u8>, MimeError> {
    let mut writer = Writer {
        out: Vec::with_capacity(entity.body.len() + 1024),
        eight_bit,
        protected,
        budget,
    };
    writer.entity(entity, Default::TextPlain, Position::Root)?;
    Ok(writer.out)
}

/// What the header of the root begins with, and how its Content-Type says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protected<'p> {
    pub(crate) fields: &'p [u8],
    pub(crate) mark: ProtectionMark,
}

struct Writer<'b> {
    out: Vec<u8>,
    eight_bit: EightBitHeaders,
    /// What the next header begins with, which is that of the root: taken when it is written.
    protected: Option<Protected<'b>>,
    budget: &'b mut Budget,
}

/// What a part without Content-Type is (RFC 2045 section 5.2, RFC 2046 section 5.1.5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Default {
    TextPlain,
    Message,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Root,
    Inside,
}

/// What the Content-Type of an entity asks of us.
enum Kind {
    /// Parts between delimiters.
    Multipart(Parameterized),
    /// multipart/signed and multipart/encrypted: RFC 1847 forbids to touch what is inside.
    Protected,
    /// An attached message whose children are converted, since it may not be encoded itself (RFC 2046 section 5.2.1).
    Message,
    /// Content that may be encoded: as quoted-printable if people read it, else as base64.
    Text,
    Data,
    /// Content that may not be encoded (RFC 2046 sections 5.2.2 and 5.2.3).
    Fixed(String),
    /// A Content-Type that does not parse: the content is kept if it is fit and refused if not.
    Unknown,
}

/// Content-Transfer-Encoding, see RFC 2045 section 6.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Encoding {
    SevenBit,
    EightBit,
    Binary,
    QuotedPrintable,
    Base64,
    Other(String),
}

/// What is done to the Content-Transfer-Encoding field.
#[derive(Clone, Copy)]
enum Relabel {
    Keep,
    As(&'static str),
}

impl Writer<'_> {
    fn part(&mut self, bytes: &[u8], default: Default) -> Result<(), MimeError> {
        self.budget.enter()?;
        self.entity(&Entity::split(bytes)?, default, Position::Inside)?;
        self.budget.leave();
        Ok(())
    }

    fn entity(&mut self, entity: &Entity<'_>, default: Default, position: Position) -> Result<(), MimeError> {
        let content_type = entity.only("Content-Type")?;
        let encoding = Encoding::of(entity.only("Content-Transfer-Encoding")?);
        match Kind::of(content_type, default, &encoding)? {
            Kind::Multipart(media) => self.multipart(entity, &media, &encoding, position),
            Kind::Protected => {
                if Fitness::of(entity.body).unfit {
                    return Err(MimeError::ProtectedPartNotSevenBit);
                }
                self.container_header(entity, "multipart/signed", &encoding)?;
                self.content(entity.body)
            }
            Kind::Message => {
                self.container_header(entity, "message/rfc822", &encoding)?;
                self.part(entity.body, Default::TextPlain)
            }
            kind => self.leaf(entity, &kind, &encoding, position),
        }
    }

    fn multipart(
        &mut self,
        entity: &Entity<'_>,
        media: &Parameterized,
        encoding: &Encoding,
        position: Position,
    ) -> Result<(), MimeError> {
        if let Some(continued) = media
            .parameters
            .iter()
            .find(|parameter| parameter.name.starts_with("boundary*"))
        {
            // RFC 2231 forms of the boundary are legal and read by almost nobody.
            return Err(MimeError::BoundaryInvalid {
                boundary: String::from_utf8_lossy(&continued.value).into_owned(),
            });
        }
        let boundary = media.parameter("boundary").ok_or(MimeError::BoundaryMissing)?;
        container_label(&media.value, encoding)?;
        let multipart = Multipart::split(entity.body, boundary)?;
        let default = if media.value == "multipart/digest" {
            Default::Message
        } else {
            Default::TextPlain
        };
        self.container_header(entity, &media.value, encoding)?;
        if position == Position::Inside && !multipart.preamble.is_empty() && is_clean(multipart.preamble) {
            self.content(multipart.preamble)?;
            self.out.extend_from_slice(b"\r\n");
        }
        for part in multipart.parts {
            self.delimiter(boundary, b"\r\n");
            self.part(part, default)?;
            self.out.extend_from_slice(b"\r\n");
        }
        self.delimiter(boundary, b"--");
        match (position, multipart.epilogue) {
            (Position::Root, _) => self.out.extend_from_slice(b"\r\n"),
            (Position::Inside, None) => {}
            (Position::Inside, Some(epilogue)) => {
                self.out.extend_from_slice(b"\r\n");
                let delimiter = [b"--", boundary].concat();
                if is_clean(epilogue) && !lines(epilogue).any(|(_, line)| line.starts_with(&delimiter)) {
                    self.content(epilogue)?;
                }
            }
        }
        Ok(())
    }

    /// A part without parts.
    fn leaf(
        &mut self,
        entity: &Entity<'_>,
        kind: &Kind,
        encoding: &Encoding,
        position: Position,
    ) -> Result<(), MimeError> {
        let body = entity.body;
        let fitness = Fitness::of(body);
        let decoded = match encoding {
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => {
                let encodable = match kind {
                    Kind::Text | Kind::Data => true,
                    Kind::Fixed(media_type) if fitness.unfit => {
                        return Err(MimeError::PartNotEncodable {
                            media_type: media_type.clone(),
                        });
                    }
                    Kind::Unknown if fitness.unfit => return Err(MimeError::ContentTypeMalformed),
                    _ => false,
                };
                (encodable && (fitness.unfit || fitness.fragile)).then(|| body.to_vec())
            }
            // Lines of more than 76 columns are not legal here, and relays rewrap them.
            Encoding::QuotedPrintable
                if fitness.unfit || fitness.fragile || ends_in_soft_break(body) || has_wide_lines(body) =>
            {
                Some(quoted_printable::decode(body).ok_or(MimeError::EncodingBroken {
                    encoding: "quoted-printable",
                })?)
            }
            Encoding::Base64 if fitness.unfit || fitness.fragile || has_wide_lines(body) => {
                Some(base64::decode(body).ok_or(MimeError::EncodingBroken { encoding: "base64" })?)
            }
            Encoding::Other(encoding) if fitness.unfit => {
                return Err(MimeError::EncodingUnknown {
                    encoding: encoding.clone(),
                });
            }
            _ => None,
        };
        let Some(decoded) = decoded else {
            let relabel = match encoding {
                Encoding::EightBit | Encoding::Binary => Relabel::As("7bit"),
                _ => Relabel::Keep,
            };
            self.header(entity, relabel, missing_type(entity, position, &fitness, body))?;
            return self.content(body);
        };
        let readable = matches!(kind, Kind::Text) && *encoding != Encoding::Base64 && !Fitness::of(&decoded).binary;
        let (label, encoded) = if readable {
            ("quoted-printable", quoted_printable::encode(&decoded))
        } else {
            ("base64", base64::encode(&decoded))
        };
        self.header(
            entity,
            Relabel::As(label),
            missing_type(entity, position, &fitness, body),
        )?;
        self.content(&encoded)
    }

    /// The header of a part that has parts.
    fn container_header(
        &mut self,
        entity: &Entity<'_>,
        media_type: &str,
        encoding: &Encoding,
    ) -> Result<(), MimeError> {
        let relabel = container_label(media_type, encoding)?;
        self.header(entity, relabel, None)
    }

    /// Writes the fields, each in its place, and the empty line after them.
    fn header(&mut self, entity: &Entity<'_>, relabel: Relabel, content_type: Option<&str>) -> Result<(), MimeError> {
        let protected = self.protected.take();
        if let Some(protected) = protected {
            self.content(protected.fields)?;
        }
        let mut labelled = false;
        for field in &entity.fields {
            match relabel {
                Relabel::As(encoding) if field.is("Content-Transfer-Encoding") => {
                    self.field("Content-Transfer-Encoding", encoding);
                    labelled = true;
                }
                _ => {
                    let fitted = header::fit(field, self.eight_bit)?;
                    if let Some(protected) = protected
                        && field.is("Content-Type")
                    {
                        self.content(&header::with_header_protection(field, &fitted, protected.mark))?;
                    } else {
                        self.content(&fitted)?;
                    }
                }
            }
        }
        if let Some(content_type) = content_type {
            let mark = protected.map_or_else(String::new, |protected| format!("; {}", protected.mark.as_ref()));
            self.field("Content-Type", &format!("{content_type}{mark}"));
        }
        if let (Relabel::As(encoding), false) = (relabel, labelled) {
            self.field("Content-Transfer-Encoding", encoding);
        }
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn field(&mut self, name: &str, value: &str) {
        self.out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }

    fn delimiter(&mut self, boundary: &[u8], end: &[u8]) {
        self.out.extend_from_slice(&[b"--", boundary, end].concat());
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), MimeError> {
        self.budget.spend(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

impl Kind {
    fn of(content_type: Option<&Field<'_>>, default: Default, encoding: &Encoding) -> Result<Self, MimeError> {
        let media = match content_type {
            None if default == Default::Message => Parameterized {
                value: "message/rfc822".to_owned(),
                parameters: Vec::new(),
            },
            None => return Ok(Self::Text),
            Some(field) => {
                let value = field.value();
                match Parameterized::parse(&value).filter(|media| media.value.contains('/')) {
                    Some(media) => media,
                    // A reader that is more lenient than we are would find parts where we see none.
                    None if value
                        .get(..9)
                        .is_some_and(|start| start.eq_ignore_ascii_case(b"multipart")) =>
                    {
                        return Err(MimeError::ContentTypeMalformed);
                    }
                    None => return Ok(Self::Unknown),
                }
            }
        };
        Ok(match media.value.as_str() {
            "multipart/signed" | "multipart/encrypted" => Self::Protected,
            value if value.starts_with("multipart/") => Self::Multipart(media),
            "message/rfc822" if encoding.is_identity() => Self::Message,
            "message/partial" | "message/external-body" => Self::Fixed(media.value),
            // RFC 6532 section 3.7 lets message/global be encoded, so that it need not be converted.
            "message/global" | "message/rfc822" => Self::Data,
            value if value.starts_with("text/") || value.starts_with("message/") => Self::Text,
            _ => Self::Data,
        })
    }
}

impl Encoding {
    fn of(field: Option<&Field<'_>>) -> Self {
        let Some(field) = field else { return Self::SevenBit };
        let value = field.value();
        let Some(token) = Parameterized::parse(&value) else {
            return Self::Other(String::from_utf8_lossy(&value).into_owned());
        };
        match token.value.as_str() {
            "7bit" => Self::SevenBit,
            "8bit" => Self::EightBit,
            "binary" => Self::Binary,
            "quoted-printable" => Self::QuotedPrintable,
            "base64" => Self::Base64,
            _ => Self::Other(token.value),
        }
    }

    const fn is_identity(&self) -> bool {
        matches!(self, Self::SevenBit | Self::EightBit | Self::Binary)
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
            Self::Other(name) => name,
        })
    }
}

/// The label of a part that has parts: only 7bit, 8bit and binary are legal, and only 7bit is true afterwards.
fn container_label(media_type: &str, encoding: &Encoding) -> Result<Relabel, MimeError> {
    match encoding {
        Encoding::SevenBit => Ok(Relabel::Keep),
        Encoding::EightBit | Encoding::Binary => Ok(Relabel::As("7bit")),
        other => Err(MimeError::ContainerEncoded {
            media_type: media_type.to_owned(),
            encoding: other.to_string(),
        }),
    }
}

/// The Content-Type to write for an entity that has none.
///
/// RFC 2045 section 5.2 gives US-ASCII. 8-bit text is not that: it is UTF-8 if it can be, and of unknown charset
/// (RFC 1428) if not. A part that is fit and inside something else needs no label.
fn missing_type(entity: &Entity<'_>, position: Position, fitness: &Fitness, body: &[u8]) -> Option<&'static str> {
    if entity.fields.iter().any(|field| field.is("Content-Type")) {
        return None;
    }
    match (fitness.eight_bit, position) {
        (true, _) if str::from_utf8(body).is_ok() => Some("text/plain; charset=utf-8"),
        (true, _) => Some("text/plain; charset=unknown-8bit"),
        (false, Position::Root) => Some("text/plain; charset=us-ascii"),
        (false, Position::Inside) => None,
    }
}

fn is_clean(bytes: &[u8]) -> bool {
    let fitness = Fitness::of(bytes);
    !fitness.unfit && !fitness.fragile
}

fn has_wide_lines(body: &[u8]) -> bool {
    lines(body).any(|(_, line)| line.len() > 76)
}

/// Whether the last encoded line joins with a next one that is not there; relays rewrite that.
fn ends_in_soft_break(body: &[u8]) -> bool {
    body.strip_suffix(b"\r\n").unwrap_or(body).ends_with(b"=")
}
