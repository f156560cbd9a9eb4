//! A master key from a command: a program run without a shell, whose standard output is the key.
//!
//! Invariants: it ends within a bounded time, with everything it started; what it prints is held in
//! memory that is wiped, and is never repeated in an error.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::{BYTES_MAX, KEY_VARIABLE, read_short};

/// Longest time a command may take: a key service behind a network, not a person at a keyboard.
const TIME_MAX: Duration = Duration::from_secs(30);

/// What the command printed; the error says what is wrong with it.
pub(super) fn output(command: &[String]) -> Result<Zeroizing<Vec<u8>>, String> {
    output_within(command, TIME_MAX)
}

fn output_within(command: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
    let (program, arguments) = command.split_first().ok_or_else(|| "it is empty".to_owned())?;
    let child = Command::new(program)
        .args(arguments)
        .env_remove(KEY_VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Whatever it starts belongs to a group of its own, so that all of it can be ended.
        .process_group(0)
        .spawn()
        .map_err(|cause| format!("cannot run {program}: {cause}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (send, receive) = sync_channel(1);
    let waiting = std::thread::Builder::new().name("key-command".into()).spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = send.send(finish(child));
    });
    let outcome = match waiting {
        Ok(_) => receive.recv_timeout(limit),
        Err(cause) => return Err(format!("cannot wait for {program}: {cause}")),
    };
    match outcome {
        Ok(Ok((_, status))) if !status.success() => {
            Err(format!("{program} failed ({status}); what it says is on standard error"))
        }
        Ok(Ok((printed, _))) if printed.len() > BYTES_MAX => {
            Err(format!("{program} printed more than {BYTES_MAX} bytes, which is no key"))
        }
        Ok(Ok((printed, _))) => Ok(printed),
        Ok(Err(cause)) => Err(format!("cannot read what {program} prints: {cause}")),
        Err(_) => {
            // The thread that waits for it sees it end.
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            Err(format!("{program} took longer than {} s", limit.as_secs_f32()))
        }
    }
}

/// What the child printed, and how it ended.
fn finish(mut child: Child) -> io::Result<(Zeroizing<Vec<u8>>, ExitStatus)> {
    let printed = match child.stdout.take() {
        Some(mut pipe) => read_short(&mut pipe),
        None => Ok(Zeroizing::default()),
    };
    // The pipe is closed by now: who prints on without end, ends.
    let status = child.wait()?;
    Ok((printed?, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(String::from).into()
    }

    fn refused(command: &[String], limit: Duration) -> String {
        output_within(command, limit).unwrap_err()
    }

    #[test]
    fn standard_output_is_taken_and_nothing_goes_through_a_shell() {
        let command = ["printf", "%s", "$HOME; a b"].map(String::from);
        assert_eq!(&**output(&command).unwrap(), b"$HOME; a b");
    }

    #[test]
    fn a_command_that_fails_says_how() {
        assert!(refused(&shell("echo hush; exit 3"), TIME_MAX).contains("exit status: 3"));
        assert!(!refused(&shell("echo hush; exit 3"), TIME_MAX).contains("hush"));
        assert!(refused(&["/no/such/program".into()], TIME_MAX).contains("cannot run /no/such/program"));
        assert!(refused(&[], TIME_MAX).contains("empty"));
    }

    #[test]
    fn a_command_that_hangs_or_prints_without_end_is_ended() {
        let hanging = shell("sleep 1000 & wait");
        assert!(refused(&hanging, Duration::from_millis(50)).contains("took longer"));
        assert!(refused(&shell("exec >&-; sleep 1000"), Duration::from_millis(50)).contains("took longer"));
        assert!(refused(&shell("trap '' PIPE; yes; exit 0"), TIME_MAX).contains("more than 4096 bytes"));
    }
}
