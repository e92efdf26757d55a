"""An ACME client that is not ours: `acme` (of certbot) and `dkimpy`, both from PyPI.

Reads what it needs as one line of JSON from standard input, gets certificates for mailboxes, asks when to renew them and
revokes one, and prints what happened as one line of JSON. The mailbox is a folder that a mail sink writes to; replies leave
by SMTP. When it wants a DNS record published it prints that as a line of JSON as well, and waits for a line back.
"""

import datetime
import glob
import hashlib
import json
import smtplib
import sys
import time

import dkim
import josepy as jose
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

EMAIL = messages.IdentifierType("email")
# RFC 8823 section 3.2.
SIGNED = [
    b"from", b"sender", b"reply-to", b"to", b"cc", b"subject", b"date", b"in-reply-to", b"references", b"message-id",
    b"content-type", b"content-transfer-encoding",
]


def connect(given, key, algorithm):
    network = client.ClientNetwork(key, alg=algorithm, verify_ssl=given["tls_root"])
    directory = client.ClientV2.get_directory(given["directory"], network)
    return client.ClientV2(directory, network)


def register(it, given, number):
    binding = messages.ExternalAccountBinding.from_data(
        it.net.key.public_key(), given["keys"][number]["key_id"], given["keys"][number]["mac_key"], it.directory
    )
    new = messages.NewRegistration.from_data(
        email="ada@example.com", terms_of_service_agreed=True, external_account_binding=binding
    )
    return it.new_account(new)


def wait_for_mail(given, token_seen):
    for _ in range(600):
        for path in sorted(glob.glob(given["mailbox"] + "/*.eml")):
            if path not in token_seen:
                with open(path, "rb") as file:
                    message = file.read()
                if message.endswith(b"\n"):
                    token_seen.add(path)
                    return message
        time.sleep(0.1)
    raise SystemExit("no challenge mail has come")


def header(message, name):
    import email

    return email.message_from_bytes(message)[name]


def reply_to(given, it, message, challenge):
    """Checks the challenge mail as RFC 8823 section 3.1 asks, and answers it."""
    record = given["dkim_record"].encode()
    name = given["dkim_name"].encode() + b"."
    assert dkim.verify(message, dnsfunc=lambda asked, timeout=5: record if asked == name else None), "the challenge is signed"
    assert header(message, "From") == challenge["from"], "it comes from where the challenge says"
    assert header(message, "Auto-Submitted") == "auto-generated; type=acme"
    subject = header(message, "Subject")
    prefix, token_part1 = subject.split(" ", 1)
    assert prefix == "ACME:", subject
    thumbprint = jose.encode_b64jose(it.net.key.thumbprint(hash_function=hashes.SHA256))
    key_authorization = token_part1 + challenge["token"] + "." + thumbprint
    digest = jose.encode_b64jose(hashlib.sha256(key_authorization.encode()).digest())
    lines = [
        "From: Ada Lovelace <ada@example.com>",
        "To: " + challenge["from"],
        "Subject: Re: " + subject,
        "Date: " + header(message, "Date"),
        "Message-ID: <reply-" + digest[:8].lower() + "@example.com>",
        "In-Reply-To: " + header(message, "Message-ID"),
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "-----BEGIN ACME RESPONSE-----",
        digest[:20],
        digest[20:],
        "-----END ACME RESPONSE-----",
        "",
    ]
    answer = "\r\n".join(lines).encode()
    with open(given["dkim_key"], "rb") as file:
        key = file.read()
    signature = dkim.sign(answer, b"mail", b"example.com", key, include_headers=SIGNED)
    with smtplib.SMTP(given["replies_host"], given["replies_port"]) as server:
        # An unsigned reply is refused by the server that receives it.
        try:
            server.sendmail("ada@example.com", [challenge["from"]], answer)
            raise SystemExit("an unsigned reply was accepted")
        except smtplib.SMTPDataError as refused:
            assert refused.smtp_code == 550, refused
        server.sendmail("ada@example.com", [challenge["from"]], signature + answer)


def request(address, key):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def obtain(it, given, seen):
    order = messages.NewOrder(identifiers=[messages.Identifier(typ=EMAIL, value="ada@example.com")])
    response = it._post(it.directory["newOrder"], order)
    body = messages.Order.from_json(response.json())
    authorization = it._post_as_get(body.authorizations[0]).json()
    challenge = authorization["challenges"][0]
    assert challenge["type"] == "email-reply-00", challenge
    reply_to(given, it, wait_for_mail(given, seen), challenge)
    # The response object of RFC 8823 is empty.
    it._post(challenge["url"], Empty())
    resource = messages.OrderResource(
        body=body,
        uri=response.headers["Location"],
        authorizations=[],
        csr_pem=request("ada@example.com", ec.generate_private_key(ec.SECP256R1())),
    )
    until = datetime.datetime.now() + datetime.timedelta(seconds=60)
    return it.finalize_order(resource, until).fullchain_pem


def authorize_domain(it, given):
    """Pre-authorization (RFC 8555 section 7.4.1) by dns-01, with the classes that certbot uses for it."""
    new = messages.NewAuthorization(identifier=messages.Identifier(typ=messages.IDENTIFIER_FQDN, value="example.com"))
    response = it._post(it.directory["newAuthz"], new)
    authorization = messages.Authorization.from_json(response.json())
    body = next(body for body in authorization.challenges if isinstance(body.chall, challenges.DNS01))
    assert any(isinstance(other.chall, challenges.HTTP01) for other in authorization.challenges)
    record = {"name": body.chall.validation_domain_name("example.com"), "value": body.chall.validation(it.net.key)}
    print(json.dumps({"publish": record}), flush=True)
    assert sys.stdin.readline().strip() == "published"
    it.answer_challenge(body, body.chall.response(it.net.key))
    for _ in range(100):
        status = it._post_as_get(response.headers["Location"]).json()["status"]
        if status != "pending":
            break
        time.sleep(0.1)
    assert status == "valid", status


def obtain_without_mail(it, address):
    order = messages.NewOrder(identifiers=[messages.Identifier(typ=EMAIL, value=address)])
    response = it._post(it.directory["newOrder"], order)
    body = messages.Order.from_json(response.json())
    assert body.status == messages.STATUS_READY, "the domain is authorized, so the order is ready"
    resource = messages.OrderResource(
        body=body,
        uri=response.headers["Location"],
        authorizations=[],
        csr_pem=request(address, ec.generate_private_key(ec.SECP256R1())),
    )
    until = datetime.datetime.now() + datetime.timedelta(seconds=60)
    return it.finalize_order(resource, until).fullchain_pem


class Empty(jose.JSONObjectWithFields):
    """`{}`."""


def main():
    given = json.loads(sys.stdin.readline())
    seen = set()
    keys = [
        (jose.JWKRSA(key=rsa.generate_private_key(65537, 2048)), jose.RS256),
        (jose.JWKEC(key=ec.generate_private_key(ec.SECP384R1())), jose.ES384),
    ]
    chains = []
    for number, (key, algorithm) in enumerate(keys):
        it = connect(given, key, algorithm)
        try:
            it.new_account(messages.NewRegistration.from_data(email="ada@example.com", terms_of_service_agreed=True))
            raise SystemExit("an account was made without a binding")
        except messages.Error as refused:
            assert refused.code == "externalAccountRequired", refused
        register(it, given, number)
        chains.append(obtain(it, given, seen))
        leaf = x509.load_pem_x509_certificate(chains[-1].encode())
        renewal, _ = it.renewal_time(chains[-1].encode())
        assert renewal is not None, "the server says when to renew"
        if number == 0:
            it.revoke(leaf, 4)
            try:
                it.revoke(leaf, 4)
                raise SystemExit("a certificate was revoked twice")
            except errors.ConflictError:
                pass
            except messages.Error as refused:
                assert refused.code == "alreadyRevoked", refused
        else:
            try:
                it.revoke(x509.load_pem_x509_certificate(chains[0].encode()), 0)
                raise SystemExit("a certificate of another account was revoked")
            except messages.Error as refused:
                assert refused.code == "unauthorized", refused
    authorize_domain(it, given)
    chains.append(obtain_without_mail(it, "grace@example.com"))
    print(json.dumps({"chains": chains}), flush=True)


main()
