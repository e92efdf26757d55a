"""Opens messages in a real Thunderbird and prints, as JSON, what it shows outside of each message.

usage: reader.py JOB.json, with
  home, profile   folders; the profile may have an add-on and gets a mail folder
  messages        [{"name", "path", "unix", "first"}] in the order in which they are opened; "unix": stored with LF;
                  "first": what happens before: "hurry" (all are selected faster than anybody reads), "swedish" (the
                  user's language changes) or "without-host" (it is gone); "own": what Thunderbird comes to say of
                  signature and encryption
  popup           {name: words}: on whose button is clicked, and what its popup ends in
  output          a folder for screenshots

Every frame that Thunderbird draws is looked at: which message its header shows, and what the button says beside it.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

from marionette_driver.marionette import Marionette

PATIENCE = 60  # seconds; a step takes well under one on an idle machine
BUTTON = "verifier_sealwright-messageDisplayAction-toolbarbutton"
PREFERENCES = {
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "intl.locale.requested": "en-US",
    # A place for mail without an account anywhere.
    "mail.account.account1.server": "server1",
    "mail.accountmanager.accounts": "account1",
    "mail.accountmanager.localfoldersserver": "server1",
    "mail.server.server1.directory-rel": "[ProfD]Mail/Local Folders",
    "mail.server.server1.hostname": "Local Folders",
    "mail.server.server1.name": "Local Folders",
    "mail.server.server1.type": "none",
    "mail.server.server1.userName": "nobody",
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "network.manage-offline-status": False,
    "offline.startup_state": 3,
    "ui.prefersReducedMotion": 1,
    "accessibility.force_disabled": -1,
}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def write_folder(profile, messages):
    """An mbox with all messages, whose order their offsets keep."""
    folder = profile / "Mail" / "Local Folders"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "Cases", "wb") as mbox:
        for message in messages:
            content = Path(message["path"]).read_bytes()
            end = b"\n" if message.get("unix") else b"\r\n"
            content = content.replace(b"\r\n", end)
            mbox.write(b"From - Thu Jan  1 00:00:00 1970" + end + content + end)


def picture(frame_buffer, path):
    """The screen as PNG, from the XWD file that Xvfb keeps."""
    data = Path(frame_buffer).read_bytes()
    fields = struct.unpack(">25I", data[:100])
    header, width, height, order, line, colours = fields[0], fields[4], fields[5], fields[7], fields[12], fields[19]
    start = header + colours * 12
    rows = []
    for y in range(height):
        row = data[start + y * line : start + y * line + width * 4]
        blue, green, red = (row[0::4], row[1::4], row[2::4]) if order == 0 else (row[3::4], row[2::4], row[1::4])
        rgb = bytearray(width * 3)
        rgb[0::3], rgb[1::3], rgb[2::3] = red, green, blue
        rows.append(b"\0" + rgb)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    Path(path).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows), 9)) + chunk(b"IEND", b"")
    )


class Thunderbird:
    def __init__(self, job):
        self.output = Path(job["output"])
        self.output.mkdir(parents=True, exist_ok=True)
        profile = Path(job["profile"])
        port = free_port()
        preferences = PREFERENCES | {"marionette.port": port}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
        (profile / "user.js").write_text("\n".join(lines) + "\n")
        write_folder(profile, job["messages"])
        self.screen = Path(job["home"]) / "screen"
        self.screen.mkdir()
        self.display = subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-screen", "0", "1240x800x24", "-nolisten", "tcp", "-fbdir", self.screen],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        number = self.display.stdout.readline().decode().strip()
        environment = {name: value for name, value in os.environ.items() if name not in ("XDG_DATA_HOME", "WAYLAND_DISPLAY")}
        environment |= {"HOME": job["home"], "DISPLAY": f":{number}", "MOZ_ENABLE_WAYLAND": "0"}
        program = "/usr/lib/thunderbird/thunderbird"
        self.process = subprocess.Popen(
            [program if os.path.exists(program) else "thunderbird", "--marionette", "--remote-allow-system-access"]
            + ["--profile", profile, "--no-remote"],
            env=environment,
            stdout=open(self.output / "thunderbird.log", "wb"),
            stderr=subprocess.STDOUT,
        )
        self.marionette = Marionette(host="127.0.0.1", port=port)
        # Refused until it listens.
        self.until("Marionette listens", lambda: self.connects())
        self.marionette.set_context("chrome")
        self.marionette.timeout.script = 60
        self.until("the main window is there", lambda: self.run("return !!three() && !!three().threadTree"))
        self.run("main().moveTo(0, 0); main().resizeTo(1240, 800)")

    def connects(self):
        assert self.process.poll() is None, "Thunderbird ended"
        try:
            self.marionette.start_session()
            return True
        except Exception:
            return False

    def run(self, script, *arguments):
        return self.marionette.execute_script(HELPERS + script, script_args=arguments, sandbox="system", new_sandbox=True)

    def until(self, what, question):
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = question()
            if answer:
                return answer
            if time.monotonic() > deadline:
                self.shoot("timeout")
                raise TimeoutError(what)
            time.sleep(0.1)

    def shoot(self, name):
        picture(self.screen / "Xvfb_screen0", self.output / f"{name}.png")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.display.terminate()
        self.display.wait()


HELPERS = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const main = () => Services.wm.getMostRecentWindow("mail:3pane");
const three = () => main()?.document.getElementById("tabmail")?.currentAbout3Pane;
const about = () => three()?.messageBrowser?.contentWindow;
const button = () => about()?.document.getElementById("%s");
const shown = () => ({
    key: about()?.gMessage?.messageKey ?? null,
    subject: about()?.gMessage?.mime2DecodedSubject ?? null,
    label: button()?.getAttribute("label") ?? null,
    title: button()?.getAttribute("tooltiptext") ?? null,
    icon: button()?.getAttribute("style") ?? null,
    // What Thunderbird itself says of signature and encryption.
    signed: own("signedHdrIcon", /message-signed-(\\w+)/),
    encrypted: own("encryptedHdrIcon", /message-encrypted-(\\w+)/),
});
const own = (id, state) => {
    const icon = about()?.document.getElementById(id);
    return icon && !icon.hidden ? icon.getAttribute("src")?.match(state)?.[1] ?? null : null;
};
""" % BUTTON

# Remembers what stands beside what, from frame to frame. A task that a frame has ordered runs after it is drawn.
WATCH = """
const win = about();
if (!win.sealwrightFrames) {
    win.sealwrightFrames = [];
    const words = id => win.document.getElementById(id)?.textContent.trim().replace(/\\s+/g, " ") ?? "";
    const look = () => {
        const frame = JSON.stringify([words("expandedfromBox") + " | " + words("expandedsubjectBox"), button()?.getAttribute("tooltiptext")]);
        if (win.sealwrightFrames.at(-1) !== frame) win.sealwrightFrames.push(frame);
        win.requestAnimationFrame(() => win.setTimeout(look, 0));
    };
    look();
}
"""

SPOKEN = """
const service = Cc["@mozilla.org/accessibilityService;1"].getService(Ci.nsIAccessibilityService);
const browser = [main(), about()].map(one => one.document.querySelector(".webextension-popup-browser")).find(one => one);
if (!browser) return null;
// Not before people see it as well.
const panel = browser.closest("panel");
if (panel.state != "open" || panel.getBoundingClientRect().width < 200) return "";
const names = [];
const visit = node => {
    if (!node.childCount && node.name?.trim()) names.push(node.name.trim());
    for (let child = node.firstChild; child; child = child.nextSibling) visit(child);
};
const root = service.getAccessibleFor(browser);
if (root) visit(root);
return names.join(" ");
"""


ADDON = """
    return (async () => {
    const { AddonManager } = ChromeUtils.importESModule("resource://gre/modules/AddonManager.sys.mjs");
    const addon = await AddonManager.getAddonByID("verifier@sealwright");
    if (!addon) return null;
"""


def allow(thunderbird):
    """An add-on that a program put into the profile waits until the user allows it, as is done here."""
    waiting = thunderbird.until("the add-on is in the profile", lambda: thunderbird.run(ADDON + "return [addon.userDisabled, addon.appDisabled] })()"))
    assert waiting == [True, False], f"the add-on waits for the user: {waiting}"
    thunderbird.run(ADDON + "await addon.enable(); return true })()")
    thunderbird.until("the add-on runs", lambda: thunderbird.run(ADDON + "return addon.isActive })()"))


def read(thunderbird, job):
    keys = thunderbird.until(
        "the folder is read",
        lambda: thunderbird.run(
            """
            const folder = MailServices.accounts.localFoldersServer.rootFolder.subFolders.find(one => one.name == "Cases");
            if (!folder) return null;
            if (three().gFolder?.URI != folder.URI) { three().displayFolder(folder.URI); return null; }
            const headers = [...folder.messages].sort((a, b) => Number(a.messageKey) - Number(b.messageKey));
            return headers.length == arguments[0] ? headers.map(one => one.messageKey) : null;
            """,
            len(job["messages"]),
        ),
    )
    results = []
    before = None
    thunderbird.run(WATCH)
    for message, key in zip(job["messages"], keys):
        first = message.get("first")
        if first == "hurry":
            for _ in range(5):
                for other in keys:
                    select(thunderbird, other)
            before = None
        elif first == "swedish":
            swedish(thunderbird)
        elif first == "without-host":
            without_host(job)
        select(thunderbird, key)
        shown = thunderbird.until(f"the button speaks of {message['name']}", lambda: settled(thunderbird, key, before))
        before = shown["title"]
        # Thunderbird verifies at its own pace.
        own = message.get("own") or [None, None]
        thunderbird.until(
            f"Thunderbird's own icons of {message['name']} are {own}",
            lambda: own == [None, None] or [(now := thunderbird.run("return shown()"))["signed"], now["encrypted"]] == own,
        )
        shown |= {name: state for name, state in thunderbird.run("return shown()").items() if name in ("signed", "encrypted")}
        thunderbird.shoot(message["name"])
        if words := job["popup"].get(message["name"]):
            shown["popup"] = popup(thunderbird, message["name"], words)
        shown["header"] = json.loads(thunderbird.run("return about().sealwrightFrames.at(-1)"))[0]
        results.append({"name": message["name"], **shown})
    frames = [json.loads(frame) for frame in thunderbird.run("return about().sealwrightFrames")]
    return {"messages": results, "frames": frames}


def select(thunderbird, key):
    thunderbird.run(
        """
        const header = three().gFolder.GetMessageHeader(arguments[0]);
        three().threadTree.selectedIndex = three().gDBView.findIndexOfMsgHdr(header, true);
        """,
        key,
    )


def settled(thunderbird, key, before):
    """What is shown of the message, once it is of this one and says something final."""
    shown = thunderbird.run("return shown()")
    title = shown["title"]
    fresh = title and not any(word in title for word in ("Checking", "Kontrollerar")) and title != before
    return shown if shown["key"] == key and fresh else None


def popup(thunderbird, name, words):
    clicked = 0.0

    def spoken():
        nonlocal clicked
        found = thunderbird.run(SPOKEN)
        # A click while the header is being laid out opens nothing, for a person as well.
        if not found and time.monotonic() - clicked > 5:
            clicked = time.monotonic()
            thunderbird.run("button().click()")
        # All of it is there when the last line is.
        return found if found and words in found else None

    found = thunderbird.until(f"the popup of {name}", spoken)
    time.sleep(0.5)  # only for the picture: the panel fades in
    thunderbird.shoot(f"{name}-popup")
    thunderbird.run(
        """
        for (const panel of [...main().document.querySelectorAll("panel"), ...about().document.querySelectorAll("panel")])
            if (panel.state == "open") panel.hidePopup();
        """
    )
    return found


def swedish(thunderbird):
    """The user chooses Swedish; the add-on is started anew, as it would be with Thunderbird."""
    thunderbird.run('Services.locale.requestedLocales = ["sv-SE"]')
    thunderbird.until("Thunderbird speaks Swedish", lambda: thunderbird.run("return Services.locale.appLocaleAsBCP47 == 'sv-SE'"))
    thunderbird.run(ADDON + "await addon.disable(); await addon.enable(); return true })()")
    thunderbird.until("the add-on runs again", lambda: thunderbird.run(ADDON + "return addon.isActive })()"))


def without_host(job):
    """What Thunderbird starts is no longer there, and what it has started ends."""
    home = Path(job["home"])
    (home / ".mozilla/native-messaging-hosts/sealwright.verifier.json").unlink()
    settings = str(home / ".local/share/sealwright/thunderbird/settings.toml").encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if settings in arguments and b"thunderbird-host" in arguments:
            os.kill(int(process.name), signal.SIGTERM)


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    thunderbird = Thunderbird(job)
    try:
        allow(thunderbird)
        version = thunderbird.run("return Services.appinfo.version")
        print(json.dumps({"version": version, **read(thunderbird, job)}))
    finally:
        thunderbird.close()


main()
