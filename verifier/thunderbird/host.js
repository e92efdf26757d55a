// The connection to the host, `sealwright thunderbird-host`: questions by number, answers in any order.

import { VERSION, outcomeOf, problem } from "./outcome.js";

/** What the host is called in its manifest, which `sealwright thunderbird install` writes. */
export const HOST = "sealwright.verifier";

/** A mail of 50 MB takes well under a second; a machine may be busy. */
const PATIENCE_MILLISECONDS = 60_000;

export class Host {
    #connect;
    #timers;
    #port = null;
    #last = 0;
    #waiting = new Map();

    /** `connect` opens a port (runtime.connectNative); timers are handed in so that tests need not wait. */
    constructor(connect, timers = { set: (call, delay) => setTimeout(call, delay), clear: handle => clearTimeout(handle) }) {
        this.#connect = connect;
        this.#timers = timers;
    }

    /** What the host says of a message in base64. Always answers, with a problem if need be. */
    verify(message, language) {
        let port;
        try {
            port = this.#open();
        } catch {
            return Promise.resolve(problem("host-missing"));
        }
        this.#last += 1;
        const id = this.#last;
        return new Promise(resolve => {
            const timer = this.#timers.set(() => this.#settle(id, problem("no-answer")), PATIENCE_MILLISECONDS);
            this.#waiting.set(id, { resolve, timer });
            try {
                port.postMessage({ version: VERSION, id, kind: "verify", language, message });
            } catch {
                this.#settle(id, problem("failed"));
            }
        });
    }

    #open() {
        if (this.#port) {
            return this.#port;
        }
        const port = this.#connect(HOST);
        let hasAnswered = false;
        port.onMessage.addListener(reply => {
            hasAnswered = true;
            if (reply && Number.isInteger(reply.id)) {
                this.#settle(reply.id, outcomeOf(reply));
            } else {
                // It could not tell which question it failed at, so none can be told to be answered.
                this.#settleAll(outcomeOf(reply));
            }
        });
        port.onDisconnect.addListener(() => {
            if (this.#port === port) {
                this.#port = null;
                // A host that is not there, or ends before it said anything, is not set up.
                this.#settleAll(problem(hasAnswered ? "failed" : "host-missing"));
            }
        });
        this.#port = port;
        return port;
    }

    #settle(id, outcome) {
        const waiting = this.#waiting.get(id);
        if (waiting) {
            this.#waiting.delete(id);
            this.#timers.clear(waiting.timer);
            waiting.resolve(outcome);
        }
    }

    #settleAll(outcome) {
        // An answer to no question in particular is no verdict on any message.
        const safe = outcome.verdict ? problem("failed") : outcome;
        for (const id of [...this.#waiting.keys()]) {
            this.#settle(id, safe);
        }
    }
}
