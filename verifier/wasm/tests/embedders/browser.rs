//! A headless browser on a page of a folder, and what the page says.
//!
//! The page is served on a free port of the loopback interface and posts what it has to say to `/said`.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// Opens `page` of `folder` in the browser `program`, and gives what it posts.
pub(crate) fn said_by(program: &str, folder: &Path, page: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    let (tell, told) = mpsc::channel();
    let served = folder.to_owned();
    // The thread ends with the test's process; a browser keeps connections open for as long as it likes.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (served, tell) = (served.clone(), tell.clone());
            thread::spawn(move || answer(&stream, &served, &tell));
        }
    });
    let profile = tempfile::tempdir().expect("a temporary folder can be made");
    let child = Command::new(program)
        .args([
            "--headless=new",
            "--disable-gpu",
            "--no-first-run",
            "--disable-dev-shm-usage",
        ])
        // Chromium refuses to run as root with its sandbox, and has none in many containers; it sees only this page.
        .arg("--no-sandbox")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{address}/{page}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let _browser = Ended(child);
    told.recv_timeout(PATIENCE)
        .unwrap_or_else(|error| panic!("{program} did not tell what {page} says within {PATIENCE:?}: {error}"))
}

/// Ends the browser however the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Answers one request and closes the connection.
fn answer(stream: &TcpStream, folder: &Path, tell: &Sender<String>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = path.trim_start_matches('/');
    let (status, kind, content) = if method == "POST" && path == "said" {
        let said = String::from_utf8_lossy(&body).into_owned();
        // The test may have heard enough already.
        drop(tell.send(said));
        ("204 No Content", "text/plain", Vec::new())
    } else if let Ok(content) = fs::read(folder.join(path))
        && !path.contains("..")
    {
        ("200 OK", kind(path), content)
    } else {
        ("404 Not Found", "text/plain", Vec::new())
    };
    let length = content.len();
    let mut writer = stream;
    write!(
        writer,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    writer.write_all(&content)
}

/// Browsers start modules and WebAssembly only with the right media type.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html",
        Some("js" | "mjs") => "text/javascript",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// A browser starts within seconds; a machine that does much else may need longer.
const PATIENCE: Duration = Duration::from_secs(120);
