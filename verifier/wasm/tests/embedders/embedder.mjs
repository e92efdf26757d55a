// What the package says and refuses, the same in Node and in a browser. The caller hands in how files are read.

const NAMES = ["v1", "v2", "v3", "v4", "tampered", "other-sender", "unsigned"];

function expect(condition, what) {
    if (!condition) throw new Error(`expected: ${what}`);
}

function refuses(call, because) {
    try {
        call();
    } catch (error) {
        expect(error instanceof Error && error.message.includes(because), `${JSON.stringify(because)} in ${error}`);
        return;
    }
    throw new Error(`not refused: ${because}`);
}

/** Throws unless every expectation is met; says how many messages were examined. */
export async function examineEverything({ Verifier, version }, fixture, expectation) {
    const text = async (name) => new TextDecoder().decode(await expectation(name));
    const at = new Date(Number(await text("at")) * 1000);
    const root = await fixture("root.pem");
    const message = Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await fixture(`${name}.eml`)])));

    // 1. Reports, byte for byte.
    const verifier = new Verifier();
    verifier.trust(root, "tiers");
    verifier.addCrls(await fixture("root.crl"));
    verifier.addCrls(await fixture("issuing-crl.pem"));
    verifier.addIntermediates(await fixture("issuing.cer"));
    verifier.addOcspResponse(await fixture("other.ocsp"));
    for (const name of NAMES) {
        const verdict = verifier.verify(message[name], at);
        const expected = await text(`${name}.json`);
        expect(verdict.toJSONText() === expected, `${name}: ${expected}, not ${verdict.toJSONText()}`);
        const report = verdict.report;
        expect(JSON.stringify(report) === JSON.stringify(JSON.parse(expected)), `${name}: the report as an object`);
        expect(verdict.label === report.label && verdict.status === report.status, `${name}: label and status`);
        expect((verdict.tier ?? null) === report.tier, `${name}: tier`);
        expect((verdict.tier !== undefined) === (verdict.status === "tier"), `${name}: a tier exactly then`);
        expect(verdict.badge.startsWith("<svg ") && verdict.badge.includes(`<title>${verdict.label}</title>`), `${name}: badge`);
        expect((verdict.inner ?? null) === report.inner, `${name}: no layer inside`);
        expect((verdict.verifiedBytes?.length ?? null) === report.verified_length, `${name}: the length`);
        expect(report.findings.every(({ meaning, importance, advice }) => meaning && importance && advice), `${name}: explained`);
        expect((verdict.verifiedBytes !== undefined) === (report.integrity === "intact"), `${name}: bytes`);
        verdict.free();
    }
    const carol = verifier.verify(message.v4, at);
    const whole = new TextDecoder().decode(message.v4);
    expect(carol.verifiedBytes instanceof Uint8Array, "bytes are bytes");
    expect(whole.includes(new TextDecoder().decode(carol.verifiedBytes)), "the verified bytes are in the message");
    expect(carol.report.signer.title === "Head of Payments", "the title");

    // 2. Refusals, which change nothing.
    const bytes = (...octets) => new Uint8Array(octets);
    refuses(() => verifier.trust(bytes(), "tiers"), "no certificate was found");
    refuses(() => verifier.trust(bytes(0xff, 0xfe), "tiers"), "neither PEM nor DER");
    refuses(() => verifier.trust(bytes(0x30, 1, 2), "tiers"), "cannot be read");
    refuses(() => verifier.trust(root, "everything"), "tiers or signatures_only");
    refuses(() => verifier.trust(root, ""), "tiers or signatures_only");
    refuses(() => verifier.addCrls(root), "no certificate revocation list");
    refuses(() => verifier.addCrls(bytes(0x30, 1, 2)), "list");
    refuses(() => verifier.addOcspResponse(bytes(0x30, 1, 2)), "OCSP");
    refuses(() => verifier.addOcspResponse(root), "OCSP");
    refuses(() => verifier.addIntermediates(bytes(1)), "no certificate");
    refuses(() => verifier.setUnsettledRevocation("keep_tier", "keep"), "keep_tier or withhold_tier");
    refuses(() => verifier.setUnsettledRevocation("", "keep_tier"), "keep_tier or withhold_tier");
    refuses(() => verifier.setLanguage("de"), "en and sv are");
    refuses(() => verifier.verify(message.v1, new Date(NaN)), "invalid");
    for (const wrong of ["text", undefined, null, 5, {}, [1, 2], new ArrayBuffer(4), new Uint16Array(4)]) {
        refuses(() => verifier.verify(wrong, at), "Uint8Array");
        refuses(() => verifier.trust(wrong, "tiers"), "Uint8Array");
        refuses(() => verifier.addCrls(wrong), "Uint8Array");
        refuses(() => verifier.addIntermediates(wrong), "Uint8Array");
        refuses(() => verifier.addOcspResponse(wrong), "Uint8Array");
    }
    refuses(() => verifier.verify(message.v1, 0), "");
    expect(verifier.verify(message.v4, at).toJSONText() === carol.toJSONText(), "the same after refusals");

    // 3. Any bytes and any time are answered.
    for (let end = 0; end < message.v1.length; end += 211) {
        expect(verifier.verify(message.v1.subarray(0, end), at).tier === undefined, `cut at ${end}`);
    }
    for (const time of [-8.64e15, -1, 0, 8.64e15]) {
        expect(verifier.verify(message.v1, new Date(time)).status === "not_verified", `at ${time}`);
    }
    expect(verifier.verify(bytes(), at).status === "not_signed", "nothing");

    // 4. What the embedder decides.
    const other = new Verifier();
    expect(other.verify(message.v1, at).status === "not_verified", "nobody is trusted");
    other.trust(root, "signatures_only");
    expect(other.verify(message.v1, at).status === "signed", "signatures only");
    const careful = new Verifier();
    careful.trust(root, "tiers");
    expect(careful.verify(message.v1, at).tier === "V1", "the default keeps a tier that nobody could check");
    careful.setUnsettledRevocation("withhold_tier", "withhold_tier");
    expect(careful.verify(message.v1, at).status === "signed", "a careful embedder does not");
    careful.setMaximumMessageSize(100);
    expect(careful.verify(message.v1, at).report.findings[0].code === "message-too-large", "the size");
    const swedish = new Verifier();
    swedish.setLanguage("sv-SE");
    const broken = swedish.verify(message.tampered, at);
    expect(broken.label === "TRASIG SIGNATUR (innehållet har ändrats)", "another language");
    expect(broken.badge.includes('lang="sv"') && broken.report.status === "broken", "only words differ");
    expect(/^\d+\.\d+\.\d+/.test(version()), "a version");
    return NAMES.length;
}
