"""The installed wheel: reports, refusals, types. The environment names the folders of fixtures and expectations."""

import doctest
import json
import os
import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import sealwright

FIXTURES = Path(os.environ["SEALWRIGHT_FIXTURES"])
EXPECTATIONS = Path(os.environ["SEALWRIGHT_EXPECTATIONS"])
AT = int((EXPECTATIONS / "at").read_text())


def read(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


ROOT = read("root.pem")
CRLS = [read("root.crl"), read("issuing-crl.pem")]


class Reports(unittest.TestCase):
    def setUp(self) -> None:
        self.verifier = sealwright.Verifier(
            trust=[ROOT],
            crls=CRLS,
            intermediates=[read("issuing.cer")],
            ocsp_responses=[read("other.ocsp")],
        )

    def test_every_report_is_the_expected_one_byte_for_byte(self) -> None:
        messages = sorted(FIXTURES.glob("*.eml"))
        self.assertGreaterEqual(len(messages), 7)
        for path in messages:
            verdict = self.verifier.verify(path.read_bytes(), at=AT)
            self.assertEqual(verdict.to_json().encode(), (EXPECTATIONS / (path.stem + ".json")).read_bytes(), path)

    def test_the_attributes_say_what_the_report_says(self) -> None:
        message = read("v4.eml")
        verdict = self.verifier.verify(message, at=AT)
        self.assertEqual((verdict.status, verdict.tier), ("tier", "V4"))
        self.assertEqual(verdict.label, "V4 Carol Clark, Example Bank, Head of Payments, Identity Validated and Trusted")
        self.assertEqual(verdict.from_address, "carol@example.com")
        assert verdict.signer is not None and verdict.verified_bytes is not None and verdict.certificate is not None
        self.assertEqual(verdict.signer.address, "carol@example.com")
        self.assertEqual(verdict.signer.name, "Carol Clark")
        self.assertEqual(verdict.signer.organization, "Example Bank")
        self.assertEqual(verdict.signer.title, "Head of Payments")
        facts = (verdict.integrity, verdict.path, verdict.identity, verdict.revocation)
        self.assertEqual(facts, ("intact", "verified", "matches", "good"))
        self.assertIn(verdict.verified_bytes, message)
        self.assertTrue(verdict.certificate.startswith("-----BEGIN CERTIFICATE-----\n"))
        self.assertTrue(all(finding.severity != "error" and finding.detail for finding in verdict.findings))

    def test_what_was_changed_has_no_tier_and_no_bytes_to_show(self) -> None:
        verdict = self.verifier.verify(read("tampered.eml"), at=AT)
        self.assertEqual((verdict.status, verdict.tier, verdict.signer), ("broken", None, None))
        self.assertIsNone(verdict.verified_bytes)
        self.assertIsNone(verdict.certificate)
        self.assertEqual(verdict.findings[0].code, "message-digest-mismatch")
        self.assertEqual(repr(verdict.findings[0]), "<sealwright.Finding error message-digest-mismatch>")

    def test_layers_headers_and_badge_are_at_hand(self) -> None:
        verdict = self.verifier.verify(read("v4.eml"), at=AT)
        report = json.loads(verdict.to_json())
        self.assertEqual((verdict.encryption, verdict.header_protection), ("absent", report["header_protection"]))
        fields = [(field.name, field.value, field.outside, field.outside_values) for field in verdict.protected_headers]
        self.assertEqual(fields, [tuple(field.values()) for field in report["protected_headers"]])
        assert verdict.verified_bytes is not None
        self.assertEqual(len(verdict.verified_bytes), report["verified_length"])
        self.assertEqual(verdict.inner is None, report["inner"] is None)
        self.assertTrue(verdict.findings)
        for finding in verdict.findings:
            self.assertTrue(finding.meaning and finding.importance and finding.advice, finding)
        self.assertIn(f"<title>{verdict.label}</title>", verdict.badge)

    def test_words_are_written_in_the_language_asked_for(self) -> None:
        swedish = sealwright.Verifier(trust=[ROOT], language="sv-SE")
        verdict = swedish.verify(read("tampered.eml"), at=AT)
        self.assertEqual(verdict.label, "TRASIG SIGNATUR (innehållet har ändrats)")
        self.assertIn('lang="sv"', verdict.badge)
        self.assertEqual(verdict.findings[0].meaning, "Innehållet är inte det som signerades.")

    def test_threads_share_a_verifier(self) -> None:
        message = read("v3.eml")
        with ThreadPoolExecutor(4) as threads:
            labels = set(threads.map(lambda _: self.verifier.verify(message, at=AT).label, range(16)))
        self.assertEqual(labels, {"V3 Example Bank, Identity Validated and Trusted"})

    def test_any_bytes_and_any_time_are_answered(self) -> None:
        for message in (b"", b"\xff\x00", b"\r\n" * 1000, bytearray(b"From: a@example.org\r\n\r\n")):
            self.assertEqual(self.verifier.verify(message, at=AT).status, "not_signed")
        for at in (-(2**63), -1, 0, 2**63 - 1):
            self.assertEqual(self.verifier.verify(read("v1.eml"), at=at).status, "not_verified")


class Times(unittest.TestCase):
    def status(self, at: object) -> str:
        verifier = sealwright.Verifier(trust=[ROOT])
        return verifier.verify(read("v1.eml"), at=at).status  # type: ignore[arg-type]

    def test_the_zone_of_a_datetime_counts(self) -> None:
        moment = datetime.fromtimestamp(AT, timezone.utc)
        self.assertEqual(self.status(moment), "tier")
        self.assertEqual(self.status(moment.astimezone(timezone(timedelta(hours=9)))), "tier")
        self.assertEqual(self.status(datetime(1, 1, 1, tzinfo=timezone.utc)), "not_verified")
        self.assertEqual(self.status(datetime(9999, 12, 31, tzinfo=timezone.utc)), "not_verified")

    def test_what_is_no_point_in_time_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "no time zone"):
            self.status(datetime(2026, 11, 22))
        for at in (None, "2026-11-22", 1.5, timedelta(1)):
            with self.assertRaises(TypeError):
                self.status(at)
        for at in (2**63, -(2**63) - 1):
            with self.assertRaises(OverflowError):
                self.status(at)

    def test_a_time_must_be_given(self) -> None:
        with self.assertRaises(TypeError):
            sealwright.Verifier(trust=[]).verify(b"")  # type: ignore[call-arg]


class Refusals(unittest.TestCase):
    def test_what_cannot_be_used_names_the_argument(self) -> None:
        for argument, bad, because in [
            ("trust", [ROOT, b"junk"], r"trust\[1\]: no certificate"),
            ("trust", [read("root.crl")], r"trust\[0\]: "),
            ("signatures_only", [b"\xff"], r"signatures_only\[0\]: .* neither PEM nor DER"),
            ("intermediates", [b""], r"intermediates\[0\]: no certificate"),
            ("crls", [ROOT], r"crls\[0\]: no certificate revocation list"),
            ("crls", [read("issuing.cer")], r"crls\[0\]: "),
            ("ocsp_responses", [read("other.ocsp"), b""], r"ocsp_responses\[1\]: "),
            ("ocsp_responses", [read("root.crl")], r"ocsp_responses\[0\]: .*OCSP"),
            ("not_checked", "keep", r"not_checked: .* keep_tier or withhold_tier"),
            ("unknown", "", r"unknown: .* keep_tier or withhold_tier"),
            ("language", "de", r"language: .* en and sv are"),
        ]:
            with self.subTest(argument), self.assertRaisesRegex(ValueError, because):
                sealwright.Verifier(**{"trust": [], argument: bad})  # type: ignore[arg-type]

    def test_other_types_are_refused(self) -> None:
        unusable: list[dict[str, object]] = [
            {},
            {"trust": None},
            {"trust": ROOT},
            {"trust": ["text"]},
            {"trust": [[48, 3]]},
            {"trust": [], "maximum_message_size": "big"},
            {"trust": [], "unheard_of": 1},
        ]
        for arguments in unusable:
            with self.subTest(arguments), self.assertRaises(TypeError):
                sealwright.Verifier(**arguments)  # type: ignore[arg-type]
        with self.assertRaises(OverflowError):
            sealwright.Verifier(trust=[], maximum_message_size=-1)
        with self.assertRaises(TypeError):
            sealwright.Verifier(trust=[]).verify("text", at=0)  # type: ignore[arg-type]

    def test_nothing_can_be_changed_afterwards(self) -> None:
        verdict = sealwright.Verifier(trust=[]).verify(read("v1.eml"), at=AT)
        with self.assertRaises(AttributeError):
            verdict.tier = "V4"  # type: ignore[misc]
        for made in ("Verdict", "Signer", "Finding", "ProtectedField"):
            with self.assertRaises(TypeError):
                getattr(sealwright, made)()

    def test_what_the_embedder_decides_is_followed(self) -> None:
        message = read("v1.eml")
        believed = sealwright.Verifier(trust=[], signatures_only=[ROOT])
        self.assertEqual(believed.verify(message, at=AT).status, "signed")
        careful = sealwright.Verifier(trust=[ROOT], not_checked="withhold_tier")
        self.assertEqual(careful.verify(message, at=AT).status, "signed")
        small = sealwright.Verifier(trust=[ROOT], maximum_message_size=100)
        self.assertEqual(small.verify(message, at=AT).findings[0].code, "message-too-large")
        self.assertEqual(sealwright.Verifier(trust=[]).verify(message, at=AT).status, "not_verified")


class Documentation(unittest.TestCase):
    def test_the_examples_in_the_documentation_strings(self) -> None:
        attempted = failed = 0
        for documented in (sealwright.Verifier, sealwright.Verifier.verify, sealwright.Verdict):
            text = documented.__doc__
            assert text is not None
            test = doctest.DocTestParser().get_doctest(text, {}, documented.__name__, None, None)
            self.assertTrue(test.examples, documented)
            results = doctest.DocTestRunner().run(test)
            attempted, failed = attempted + results.attempted, failed + results.failed
        self.assertGreaterEqual(attempted, 10)
        self.assertEqual(failed, 0)

    def test_everything_public_is_documented(self) -> None:
        for name in ("Verifier", "Verdict", "Signer", "Finding", "ProtectedField"):
            thing = getattr(sealwright, name)
            self.assertTrue(thing.__doc__, name)
            self.assertEqual(thing.__module__, "sealwright")
            for attribute in vars(thing):
                if not attribute.startswith("_"):
                    self.assertTrue(getattr(thing, attribute).__doc__, f"{name}.{attribute}")


if __name__ == "__main__":
    unittest.main()
