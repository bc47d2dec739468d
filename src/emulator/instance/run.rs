//! Runs the process of a session channel and copies its bytes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::{InstanceContext, MARKER, pipes};
use crate::model::local::{self, Command};
use crate::model::{Control, Exit, Input, Output, Size, Terminal, TerminalEvent};

/// SSH's number of the stderr stream (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// The parameters of a process.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) user: &'a str,
    pub(super) peer: std::net::SocketAddr,
    pub(super) env: &'a HashMap<String, String>,
    /// `TERM` and the size, if the client requested a PTY.
    pub(super) pty: Option<&'a (String, Size)>,
    /// The command line; `None` is the login shell.
    pub(super) command: Option<&'a str>,
}

/// Starts a process with the environment of an instance's user.
pub(super) fn start(shared: &InstanceContext, start: &Start<'_>) -> std::io::Result<Terminal> {
    let shell = &shared.builtin.shell;
    let name = shell.file_name().unwrap_or(shell.as_os_str());
    let mut command = Command::new(shell);
    match start.command {
        Some(line) => command = command.args(["-c", line]),
        None => {
            let mut arg0 = OsString::from("-");
            arg0.push(name);
            command.arg0 = Some(arg0);
        }
    }
    command.cwd = Some(shared.home.clone());
    let text = |value: &str| OsString::from(value);
    command = command
        .env([
            ("PATH", text("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
            ("HOME", shared.home.clone().into()),
            ("USER", text(start.user)),
            ("LOGNAME", text(start.user)),
            ("SHELL", shell.clone().into()),
            ("SSH_CONNECTION", text(&format!("{} {} 127.0.0.1 22", start.peer.ip(), start.peer.port()))),
        ])
        .env(start.env)
        .env(&shared.builtin.env)
        .env([(MARKER, &shared.marker)]);
    match start.pty {
        Some((term, size)) => local::spawn(command.env([("TERM", term)]), *size),
        None => pipes::spawn(command),
    }
}

/// The parts of a running process.
pub(super) struct Parts {
    pub(super) input: Box<dyn Input>,
    pub(super) output: Box<dyn Output>,
    pub(super) control: Arc<dyn Control>,
    /// Set when the process has exited.
    pub(super) ended: Arc<AtomicBool>,
}

/// Copies bytes in both directions until the process exits, the client closes the channel, or `stop`.
pub(super) async fn carry(
    parts: Parts,
    reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    handle: Handle,
    stop: CancellationToken,
) {
    let Parts { input, mut output, control, ended } = parts;
    let id = writer.id();
    let feeding = feed(input, reader);
    let showing = show(&mut *output, &writer);
    tokio::pin!(feeding, showing);
    let exit = tokio::select! {
        exit = &mut showing => exit,
        () = &mut feeding => None,
        () = stop.cancelled() => None,
    };
    if let Some(exit) = exit {
        send_exit(&handle, id, exit).await;
    }
    ended.store(true, Ordering::Release);
    let _ = handle.close(id).await;
    // Closing is awaited so that this task outlives the process.
    control.close().await;
}

/// Copies the client's bytes to the process. Returns when the client has closed the channel or is gone.
async fn feed(mut input: Box<dyn Input>, mut reader: ChannelReadHalf) {
    let mut is_open = true;
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } if is_open => is_open = input.write(data).await.is_ok(),
            ChannelMsg::Eof => {
                let _ = input.end().await;
            }
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}

/// Copies the process's bytes to the client and returns its exit. `None` when the client is gone.
async fn show(output: &mut dyn Output, writer: &ChannelWriteHalf<Msg>) -> Option<Exit> {
    let mut out = writer.make_writer();
    let mut err = writer.make_writer_ext(Some(STDERR));
    loop {
        let sent = match output.next().await {
            Some(Ok(TerminalEvent::Output(bytes))) => write(&mut out, &bytes).await,
            Some(Ok(TerminalEvent::Stderr(bytes))) => write(&mut err, &bytes).await,
            Some(Ok(TerminalEvent::Exit(exit))) => return Some(exit),
            Some(Err(_)) | None => return Some(Exit::Unknown),
        };
        if sent.is_err() {
            return None;
        }
    }
}

async fn write<W: tokio::io::AsyncWrite + Unpin>(writer: &mut W, bytes: &Bytes) -> std::io::Result<()> {
    writer.write_all(bytes).await
}

async fn send_exit(handle: &Handle, id: ChannelId, exit: Exit) {
    let _ = handle.eof(id).await;
    match exit {
        Exit::Code(code) => {
            let _ = handle.exit_status_request(id, code).await;
        }
        Exit::Signal { name, core_dumped } => {
            let signal = signal_of(&name);
            let _ = handle.exit_signal_request(id, signal, core_dumped, String::new(), String::new()).await;
        }
        Exit::Unknown => {}
    }
}

fn signal_of(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}
