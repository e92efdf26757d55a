// Watches which message is shown where, asks the host about its raw bytes and paints the button in the message header.

import { CHECKING, MESSAGE_LIMIT, Turns, base64, buttonOf, problem } from "./outcome.js";
import { Host } from "./host.js";

const host = new Host(name => messenger.runtime.connectNative(name));
const turns = new Turns();
// What is being found out, or was, of the message in each tab.
const examinations = new Map();
const text = (key, substitutions) => messenger.i18n.getMessage(key, substitutions);

// A selection is told before its message is on screen, a message in a tab or window of its own only then.
messenger.mailTabs.onSelectedMessagesChanged.addListener((tab, selected) => examine(tab.id, selected.messages));
messenger.messageDisplay.onMessagesDisplayed.addListener((tab, shown) => {
    if (!(shown.messages.length === 1 && examinations.get(tab.id)?.message === shown.messages[0].id)) {
        examine(tab.id, shown.messages);
    }
});
messenger.tabs.onRemoved.addListener(tab => {
    turns.end(tab);
    examinations.delete(tab);
});
// The popup asks for what is known of the message in its tab.
messenger.runtime.onMessage.addListener(question => {
    if (question?.ask !== "outcome" || !Number.isInteger(question.tab)) {
        return undefined;
    }
    return known(question.tab);
});
// Messages that were on screen before this add-on was.
for (const tab of await messenger.tabs.query({})) {
    if (["mail", "messageDisplay"].includes(tab.type)) {
        known(tab.id);
    }
}

/** What is known of the message in a tab; it is found out if this page was asleep when it was shown. */
async function known(tab) {
    if (!examinations.has(tab)) {
        try {
            const shown = await messenger.messageDisplay.getDisplayedMessages(tab);
            examine(tab, shown.messages);
        } catch {
            return problem("unreadable");
        }
    }
    return examinations.get(tab).outcome;
}

function examine(tab, messages) {
    const turn = turns.begin(tab);
    // What was said of the message before must not stand beside this one.
    paint(tab, turn, CHECKING);
    const [message] = messages;
    const outcome = messages.length === 1 ? verdict(message) : Promise.resolve(messages.length ? problem("several") : CHECKING);
    examinations.set(tab, { message: message?.id, outcome });
    outcome.then(settled => paint(tab, turn, settled));
}

async function verdict(message) {
    let bytes;
    try {
        if (message.size > MESSAGE_LIMIT) {
            return problem("too-large");
        }
        // The bytes as they are stored: not decoded, not decrypted, no line end changed.
        const file = await messenger.messages.getRaw(message.id, { data_format: "File", decrypt: false });
        if (file.size > MESSAGE_LIMIT) {
            return problem("too-large");
        }
        bytes = new Uint8Array(await file.arrayBuffer());
    } catch {
        return problem("unreadable");
    }
    return host.verify(base64(bytes), messenger.i18n.getUILanguage());
}

async function paint(tab, turn, outcome) {
    if (!turns.isCurrent(tab, turn)) {
        return;
    }
    const { icon, label, title } = buttonOf(outcome, text);
    const action = messenger.messageDisplayAction;
    await Promise.all([
        action.setIcon({ tabId: tab, path: icon }),
        action.setLabel({ tabId: tab, label }),
        action.setTitle({ tabId: tab, title }),
    ]);
}
