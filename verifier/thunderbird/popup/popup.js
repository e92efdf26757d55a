// Explains what the button says. Everything is put in as text, so nothing that a message holds can become markup.

import { messageKey } from "../outcome.js";

const text = (key, substitutions) => messenger.i18n.getMessage(key, substitutions);
const main = document.getElementById("main");
document.documentElement.lang = text("language");

const [tab] = await messenger.tabs.query({ active: true, currentWindow: true });
const outcome = await messenger.runtime.sendMessage({ ask: "outcome", tab: tab.id });
main.replaceChildren(...(outcome.verdict ? verdict(outcome.verdict) : noVerdict(outcome)), footer());

function verdict(of) {
    const badge = element("img", "", "badge");
    badge.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(of.badge)}`;
    // The heading says the same.
    badge.alt = "";
    const rows = [
        of.from && [text("from"), of.from],
        of.signer && [text("signedBy"), [of.signer.name, of.signer.title, of.signer.organization, of.signer.address].filter(Boolean).join(", ")],
        ...of.facts.map(fact => [fact.about, fact.sentence]),
        ...of.changed.map(field => [field.name, text("changedField", [field.signed, field.outside])]),
        of.inner && [text("inner"), of.inner],
    ].filter(Boolean);
    const list = element("dl");
    for (const [about, sentence] of rows) {
        list.append(element("dt", about), element("dd", sentence));
    }
    const nodes = [badge, element("h1", of.label), element("p", of.description), list];
    const serious = of.findings.filter(finding => finding.severity !== "notice");
    if (serious.length) {
        nodes.push(element("h2", text("findings")), findings(serious));
    }
    const notices = of.findings.filter(finding => finding.severity === "notice");
    if (notices.length) {
        const details = element("details");
        details.append(element("summary", text("notices", [String(notices.length)])), findings(notices));
        nodes.push(details);
    }
    if (of.problems.length) {
        nodes.push(element("h2", text("setup")), ...of.problems.map(sentence => element("p", sentence)));
    }
    return nodes;
}

function findings(all) {
    const list = element("ul");
    for (const finding of all) {
        const item = element("li", "", finding.severity);
        const first = element("p");
        first.append(element("span", `${text(finding.severity)}: `, "severity"), finding.meaning);
        item.append(first);
        if (finding.severity !== "notice") {
            item.append(element("p", finding.importance), element("p", text("advice", [finding.advice])));
        }
        item.append(element("p", `${finding.code}: ${finding.detail}`, "soft"));
        list.append(item);
    }
    return list;
}

function noVerdict(outcome) {
    if (!outcome.problem) {
        return [element("h1", text("checking"))];
    }
    const nodes = [
        element("h1", text(messageKey(outcome.problem, "Label"))),
        element("p", text(messageKey(outcome.problem, "Advice"))),
    ];
    if (["host-missing", "host-outdated"].includes(outcome.problem)) {
        const command = element("p");
        command.append(element("code", "sealwright thunderbird install --trust root.pem"));
        nodes.push(command);
    }
    return nodes;
}

function footer() {
    return element("footer", text("outside"));
}

function element(name, words, style) {
    const made = document.createElement(name);
    if (words) {
        made.textContent = words;
        made.dir = "auto";
    }
    if (style) {
        made.className = style;
    }
    return made;
}
