//! Makes the npm package of the verifier: `cargo run -p verifier-wasm --example package -- FOLDER`.

use std::path::PathBuf;
use std::process::ExitCode;

mod package;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: cargo run -p verifier-wasm --example package -- FOLDER");
        return ExitCode::from(2);
    };
    let folder = PathBuf::from(folder);
    match package::make(&folder) {
        Ok(octets) => {
            println!("{}: the WebAssembly has {octets} bytes", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
