// What may be shown for a message: pure functions, tested in Node.

/** The version of the protocol between the add-on and its host. */
export const VERSION = 1;

/** Messages beyond this many bytes are not sent to the host, which refuses them as well. */
export const MESSAGE_LIMIT = 64 * 1024 * 1024;

const STATUSES = new Map([
    ["signed", "signed"],
    ["not_verified", "not-verified"],
    ["broken", "broken"],
    ["not_signed", "not-signed"],
]);
const TIERS = new Map([
    ["V1", "tier-v1"],
    ["V2", "tier-v2"],
    ["V3", "tier-v3"],
    ["V4", "tier-v4"],
]);
const PROBLEMS = new Set(["host-missing", "host-outdated", "too-large", "no-answer", "unreadable", "failed", "several"]);

/** Nothing is known yet. */
export const CHECKING = Object.freeze({ kind: "checking" });

/** Why there is no verdict. An unknown reason is shown as a failure. */
export function problem(name) {
    return Object.freeze({ kind: "unavailable", problem: PROBLEMS.has(name) ? name : "failed" });
}

/**
 * What a reply of the host says of a message. A tier is taken only from a reply that is consistent in itself: with the
 * status "tier", a known tier and a label that begins with it. Anything else about which there is doubt is a failure,
 * never a verdict.
 */
export function outcomeOf(reply) {
    if (reply === null || typeof reply !== "object") {
        return problem("failed");
    }
    if (reply.version !== VERSION) {
        return problem("host-outdated");
    }
    if (typeof reply.error === "string") {
        const known = { "too-large": "too-large", "unknown-version": "host-outdated" };
        return problem(Object.hasOwn(known, reply.error) ? known[reply.error] : "failed");
    }
    const verdict = reply.verdict;
    if (verdict === null || typeof verdict !== "object" || typeof verdict.label !== "string" || !verdict.label) {
        return problem("failed");
    }
    if (verdict.status === "tier") {
        const kind = TIERS.get(verdict.tier);
        if (!kind || !verdict.label.startsWith(`${verdict.tier} `)) {
            return problem("failed");
        }
        return Object.freeze({ kind, verdict });
    }
    const kind = STATUSES.get(verdict.status);
    if (!kind || verdict.tier !== null) {
        return problem("failed");
    }
    return Object.freeze({ kind, verdict });
}

/**
 * What the button in the message header shows: icon, visible label, and title for the pointer and screen readers.
 *
 * The label begins with the address that it is about. Thunderbird draws the next message without waiting for add-ons, so
 * a label may outlive its message by a moment, and must not be taken for one about somebody else.
 */
export function buttonOf(outcome, text) {
    const icon = `icons/${outcome.kind}.svg`;
    if (outcome.verdict) {
        const { from, label: words } = outcome.verdict;
        const label = from ? `${from}: ${words}` : words;
        return { icon, label: shortened(label, LABEL_LIMIT), title: text("buttonTitle", [label]) };
    }
    const label = outcome.problem ? text(messageKey(outcome.problem, "Label")) : text("checking");
    return { icon, label, title: text("buttonTitle", [label]) };
}

/** The key of a problem's text in _locales: "host-missing" and "Advice" make "hostMissingAdvice". */
export function messageKey(name, suffix) {
    return name.replace(/-(.)/g, (_, letter) => letter.toUpperCase()) + suffix;
}

/** At most `limit` characters, never half of one. */
export function shortened(words, limit) {
    const characters = [...words];
    return characters.length <= limit ? words : `${characters.slice(0, limit - 1).join("")}\u2026`;
}

/** Bytes as base64, in steps that no engine finds too many arguments. */
export function base64(bytes) {
    // A multiple of three, so that the pieces can be joined.
    const step = 3 * 8192;
    const pieces = [];
    for (let start = 0; start < bytes.length; start += step) {
        pieces.push(btoa(String.fromCharCode(...bytes.subarray(start, start + step))));
    }
    return pieces.join("");
}

/**
 * Which message each tab shows, so that an answer about one that is no longer shown goes nowhere.
 */
export class Turns {
    #turns = new Map();
    #last = 0;

    /** A tab shows something else from now on. */
    begin(tab) {
        this.#last += 1;
        this.#turns.set(tab, this.#last);
        return this.#last;
    }

    /** Whether the tab still shows what it did at that turn. */
    isCurrent(tab, turn) {
        return this.#turns.get(tab) === turn;
    }

    /** The tab was closed. */
    end(tab) {
        this.#turns.delete(tab);
    }
}

/** A label of three names at their caps is longer; the title and the popup have it whole. */
const LABEL_LIMIT = 110;
