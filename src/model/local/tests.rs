use super::*;

const ENOUGH: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Terminal {
    let command = Command::new("/bin/sh").args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
    spawn(command, Size::default()).unwrap()
}

async fn read_until(output: &mut dyn Output, seen: &mut String, end: impl Fn(&str) -> bool) {
    timeout(ENOUGH, async {
        while !end(seen) {
            match output.next().await {
                Some(Ok(TerminalEvent::Output(bytes))) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                other => panic!("{other:?} after {seen:?}"),
            }
        }
    })
    .await
    .unwrap();
}

async fn exit(output: &mut dyn Output) -> (String, Exit) {
    let mut seen = String::new();
    timeout(ENOUGH, async {
        loop {
            match output.next().await {
                Some(Ok(TerminalEvent::Output(bytes))) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                Some(Ok(TerminalEvent::Exit(exit))) => {
                    assert!(output.next().await.is_none());
                    return (seen, exit);
                }
                other => panic!("{other:?}"),
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn output_precedes_exit_status() {
    let mut terminal = sh("stty size; tty >/dev/null && echo yes; seq 1 20000 | tail -1; exit 7");
    let (seen, exit) = exit(&mut *terminal.output).await;
    assert_eq!(seen, "24 80\r\nyes\r\n20000\r\n");
    assert_eq!(exit, Exit::Code(7));
}

#[tokio::test]
async fn resize_and_ctrl_c_reach_the_job() {
    // Not a `read`: a signal that arrives between the shell's check and its `read` would wait for the next
    // line.
    let mut terminal =
        sh("trap 'stty size' WINCH; trap 'echo int; exit 3' INT; echo on; while :; do sleep 0.1; done");
    let mut seen = String::new();
    read_until(&mut *terminal.output, &mut seen, |seen| seen.contains("on\r\n")).await;
    terminal.control.resize(Size::new(100, 40).unwrap()).await.unwrap();
    terminal.input.write(Bytes::from_static(b"hello\n")).await.unwrap();
    read_until(&mut *terminal.output, &mut seen, |seen| {
        seen.contains("hello\r\n") && seen.contains("40 100")
    })
    .await;
    terminal.input.write(Bytes::from_static(b"\x03")).await.unwrap();
    let (_, exit) = exit(&mut *terminal.output).await;
    assert_eq!(exit, Exit::Code(3));
}

#[tokio::test]
async fn signal_is_reported_by_name() {
    let mut terminal = sh("echo on; exec sleep 1000");
    let mut seen = String::new();
    read_until(&mut *terminal.output, &mut seen, |seen| seen.contains("on")).await;
    terminal.control.signal(Signal::Term).await.unwrap();
    let (_, exit) = exit(&mut *terminal.output).await;
    assert_eq!(exit, Exit::Signal { name: "TERM".into(), core_dumped: false });
}

/// Starts a shell that ignores the hang-up, with a job in its own group; returns the session's leader too.
async fn stubborn() -> (Terminal, u32) {
    let mut terminal =
        sh("set -m; trap '' HUP TERM; sleep 1000 & echo pid $$ on; while :; do sleep 1000; done");
    let mut seen = String::new();
    read_until(&mut *terminal.output, &mut seen, |seen| seen.contains("on\r\n")).await;
    let leader = seen.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(processes::members(leader).len() >= 2, "the shell and its job");
    (terminal, leader)
}

async fn gone(leader: u32) {
    timeout(ENOUGH, async {
        while !processes::members(leader).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn close_kills_stubborn_shell() {
    let (mut terminal, leader) = stubborn().await;
    terminal.control.close().await;
    assert!(processes::members(leader).is_empty());
    assert!(matches!(exit(&mut *terminal.output).await.1, Exit::Signal { name, .. } if name == "KILL"));
}

#[tokio::test]
async fn drop_leaves_no_process_or_descriptor() {
    let (terminal, leader) = stubborn().await;
    let slave = std::fs::read_link(format!("/proc/{leader}/fd/0")).unwrap();
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut links = links.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    assert!(!links.any(|link| link == slave), "the slave is not held here");
    let index = format!("tty-index:\t{}", slave.file_name().unwrap().to_str().unwrap());
    let is_master_open = || {
        let fds = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
        let mut fds = fds.filter_map(|fd| std::fs::read_to_string(fd.path()).ok());
        fds.any(|info| info.lines().any(|line| line == index))
    };
    assert!(is_master_open());
    drop(terminal);
    gone(leader).await;
    // Another test may briefly reuse the same terminal number.
    timeout(ENOUGH, async {
        while is_master_open() || std::path::Path::new(&format!("/proc/{leader}")).exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("no descriptor and no zombie is left");
}

#[tokio::test]
async fn background_job_does_not_delay_exit() {
    let mut terminal = sh("trap '' HUP; sleep 1000 & echo pid $$; exit 0");
    let (seen, exit) = exit(&mut *terminal.output).await;
    assert_eq!(exit, Exit::Code(0));
    let leader = seen.split_whitespace().nth(1).unwrap().parse().unwrap();
    processes::send(&processes::members(leader), rustix::process::Signal::KILL);
    gone(leader).await;
}

#[tokio::test]
async fn missing_program_is_an_error() {
    let error = spawn(Command::new("/nonexistent/program"), Size::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn environment_is_not_inherited() {
    let mut terminal = sh("/usr/bin/env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=");
    assert_eq!(exit(&mut *terminal.output).await.0, "PATH=/usr/bin:/bin\r\n");
}
