// Tests of the add-on's logic, for `node --test`.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

import { Turns, VERSION, base64, buttonOf, messageKey, outcomeOf, problem, shortened } from "../outcome.js";
import { Host } from "../host.js";

const folder = new URL("..", import.meta.url);
const read = path => readFileSync(new URL(path, folder), "utf8");
const reply = changes => ({
    version: VERSION,
    id: 1,
    verdict: { status: "tier", tier: "V4", label: "V4 Carol, Bank, Head, Identity Validated and Trusted", ...changes },
});

test("every status and tier has a kind", () => {
    const kinds = ["V1", "V2", "V3", "V4"].map(tier => outcomeOf(reply({ tier, label: `${tier} x` })).kind);
    assert.deepEqual(kinds, ["tier-v1", "tier-v2", "tier-v3", "tier-v4"]);
    for (const [status, kind] of [["signed", "signed"], ["not_verified", "not-verified"], ["broken", "broken"], ["not_signed", "not-signed"]]) {
        assert.equal(outcomeOf(reply({ status, tier: null, label: "x" })).kind, kind);
    }
});

test("a reply in doubt is never a tier", () => {
    const doubtful = [
        null, undefined, 7, "V4", [], {},
        reply({ tier: "V5" }), reply({ tier: null }), reply({ tier: "v4" }), reply({ tier: ["V4"] }), reply({ tier: "constructor" }),
        reply({ tier: "V3" }), reply({ label: "" }), reply({ label: 4 }), reply({ label: "V4" }), reply({ label: " V4 x" }),
        reply({ status: "broken" }), reply({ status: "not_signed" }), reply({ status: "TIER" }), reply({ status: "__proto__" }),
        { ...reply({}), version: 2 }, { ...reply({}), version: "1" }, { ...reply({}), error: "internal" },
        { ...reply({}), error: "__proto__" }, { version: VERSION, id: 1, verdict: null },
    ];
    for (const one of doubtful) {
        const outcome = outcomeOf(one);
        assert.equal(outcome.kind, "unavailable", JSON.stringify(one));
        assert.equal(outcome.verdict, undefined);
    }
    assert.equal(outcomeOf({ ...reply({}), version: 2 }).problem, "host-outdated");
    assert.equal(outcomeOf({ version: VERSION, id: 1, error: "too-large" }).problem, "too-large");
    assert.equal(problem("made-up").problem, "failed");
});

test("the button has the whole label in its title", () => {
    const label = `V4 ${"n".repeat(200)}`;
    const button = buttonOf(outcomeOf(reply({ label })), (key, [words]) => `${key} ${words}`);
    assert.equal(button.icon, "icons/tier-v4.svg");
    assert.equal(button.title, `buttonTitle ${label}`);
    assert.equal([...button.label].length, 110);
    // It says whom it is about, wherever it stands.
    const about = buttonOf(outcomeOf(reply({ from: "carol@example.com" })), (key, [words]) => words);
    assert.equal(about.title, "carol@example.com: V4 Carol, Bank, Head, Identity Validated and Trusted");
    assert.equal(about.label, about.title);
    assert.equal(shortened("\u{1F600}".repeat(3), 2), "\u{1F600}\u2026");
    assert.equal(shortened("abc", 3), "abc");
});

test("base64 is that of all bytes at every length around its steps", () => {
    for (const length of [0, 1, 2, 3, 24575, 24576, 24577, 49153]) {
        const bytes = Uint8Array.from({ length }, (_, place) => (place * 31) % 256);
        assert.equal(base64(bytes), Buffer.from(bytes).toString("base64"));
    }
});

test("an answer for a message that is no longer shown goes nowhere", () => {
    const turns = new Turns();
    const first = turns.begin(1);
    const other = turns.begin(2);
    const second = turns.begin(1);
    assert.equal(turns.isCurrent(1, first), false);
    assert.equal(turns.isCurrent(1, second), true);
    assert.equal(turns.isCurrent(2, other), true);
    turns.end(1);
    assert.equal(turns.isCurrent(1, second), false);
});

class Port {
    sent = [];
    messages = [];
    ends = [];
    onMessage = { addListener: listener => this.messages.push(listener) };
    onDisconnect = { addListener: listener => this.ends.push(listener) };
    postMessage(message) {
        this.sent.push(message);
    }
    answer(message) {
        this.messages.forEach(listener => listener(message));
    }
    end() {
        this.ends.forEach(listener => listener(this));
    }
}

function connected() {
    const ports = [];
    const timers = [];
    const host = new Host(() => ports[ports.push(new Port()) - 1], {
        set: call => timers.push(call) - 1,
        clear: handle => { timers[handle] = null; },
    });
    return { host, ports, timers };
}

test("answers find their questions in any order", async () => {
    const { host, ports, timers } = connected();
    const first = host.verify("QQ==", "en");
    const second = host.verify("Qg==", "sv");
    assert.deepEqual(ports[0].sent[1], { version: 1, id: 2, kind: "verify", language: "sv", message: "Qg==" });
    ports[0].answer({ ...reply({ status: "broken", tier: null, label: "BROKEN" }), id: 2 });
    ports[0].answer({ ...reply({}), id: 99 });
    ports[0].answer(reply({}));
    assert.equal((await second).kind, "broken");
    assert.equal((await first).kind, "tier-v4");
    assert.deepEqual(timers, [null, null]);
});

test("a missing, ending, silent or confused host gives a problem and no verdict", async () => {
    const none = new Host(() => { throw new Error("No such native application"); });
    assert.equal((await none.verify("", "en")).problem, "host-missing");

    const { host, ports, timers } = connected();
    const unanswered = host.verify("", "en");
    ports[0].end();
    assert.equal((await unanswered).problem, "host-missing");

    const again = host.verify("", "en");
    assert.equal(ports.length, 2);
    ports[1].answer(reply({ id: 2 }));
    timers.at(-1)();
    assert.equal((await again).problem, "no-answer");

    const cut = host.verify("", "en");
    ports[1].end();
    assert.equal((await cut).problem, "failed");

    const confused = host.verify("", "en");
    ports[2].answer({ ...reply({}), id: null });
    assert.equal((await confused).problem, "failed", "a verdict without a number is nobody's");
});

test("both languages have the same texts with the same places, and every text that is asked for", () => {
    const english = JSON.parse(read("_locales/en/messages.json"));
    const swedish = JSON.parse(read("_locales/sv/messages.json"));
    assert.deepEqual(Object.keys(english), Object.keys(swedish));
    for (const key of Object.keys(english)) {
        assert.deepEqual(english[key].placeholders, swedish[key].placeholders, key);
    }
    for (const name of ["host-missing", "host-outdated", "too-large", "no-answer", "unreadable", "failed", "several"]) {
        for (const suffix of ["Label", "Advice"]) {
            assert.ok(english[messageKey(name, suffix)], messageKey(name, suffix));
        }
    }
    for (const file of ["background.js", "popup/popup.js", "outcome.js"]) {
        for (const [, key] of read(file).matchAll(/\btext\("(\w+)"/g)) {
            assert.ok(english[key], `${file}: ${key}`);
        }
    }
    for (const [, key] of read("manifest.json").matchAll(/__MSG_(\w+)__/g)) {
        assert.ok(english[key], key);
    }
});

test("every kind has an icon, and nothing is put in as markup", () => {
    const icons = readdirSync(new URL("icons", folder)).sort();
    assert.deepEqual(icons, ["broken", "checking", "not-signed", "not-verified", "signed", "tier-v1", "tier-v2", "tier-v3", "tier-v4", "unavailable"].map(kind => `${kind}.svg`));
    for (const file of ["background.js", "host.js", "outcome.js", "popup/popup.js"]) {
        assert.doesNotMatch(read(file), /innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|XMLHttpRequest/, file);
    }
});
