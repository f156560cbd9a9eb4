//! The real process: `tintype serve` on a directory, from its start to its end.

use std::error::Error;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::Connection;
use super::measure::processor_seconds;

pub const BINARY: &str = env!("CARGO_BIN_EXE_tintype");
/// How often a starting server is asked.
const ASK_INTERVAL: Duration = Duration::from_millis(1);
const START_MAX: Duration = Duration::from_secs(30);
/// How often a server that gets idle is looked at, how many looks in a row find it so, and how long that may take.
const IDLE_LOOK: Duration = Duration::from_secs(1);
const IDLE_LOOKS: u32 = 3;
const IDLE_MAX: Duration = Duration::from_secs(900);

/// What users that benches make sign in with.
pub const MEMBER_PASSWORD: &str = "bench-password-1";

/// Somebody who is no administrator.
pub struct Member {
    /// A token for the project.
    pub token: String,
    /// The project's id.
    pub project: String,
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// Time from its start to the first 200 on `/readyz`.
    pub ready_after: Duration,
}

/// A new data directory, for nobody else: below `BENCH_DIR`, else in the build's folder. It must
/// be on a real disk, since every figure counts the syncs.
pub fn new_dir() -> std::io::Result<TempDir> {
    let below = std::env::var_os("BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::Builder::new().prefix("bench-").permissions(Permissions::from_mode(0o700)).tempdir_in(below)
}

impl Server {
    /// Starts one on `dir` and waits until it is ready.
    pub fn start(dir: &Path) -> Result<Server, Box<dyn Error>> {
        Server::start_with(dir, &[])
    }

    /// As [`Server::start`], with settings from the environment.
    pub fn start_with(dir: &Path, environment: &[(&str, String)]) -> Result<Server, Box<dyn Error>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--data").arg(dir).arg("--listen").arg(address.to_string());
        command.env("TINTYPE_LOG_FILTER", "warn").stdout(Stdio::null());
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let start = Instant::now();
        let mut server = Server { child: command.spawn()?, address, ready_after: Duration::ZERO };
        while !is_ready(address) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server ended with {status}").into());
            }
            if start.elapsed() > START_MAX {
                return Err("the server does not get ready".into());
            }
            std::thread::sleep(ASK_INTERVAL);
        }
        server.ready_after = start.elapsed();
        Ok(server)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it does nothing of its own accord, such as keeping a snapshot of a catalog that was filled beside it.
    pub fn wait_until_idle(&self) -> Result<(), Box<dyn Error>> {
        let (start, mut quiet) = (Instant::now(), 0);
        while quiet < IDLE_LOOKS {
            if start.elapsed() > IDLE_MAX {
                return Err("the server does not get idle".into());
            }
            let before = processor_seconds(self.pid())?;
            std::thread::sleep(IDLE_LOOK);
            let is_quiet = processor_seconds(self.pid())? - before < IDLE_LOOK.as_secs_f64() / 20.0;
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    /// A new connection to it.
    pub fn connect(&self) -> std::io::Result<Connection> {
        Connection::open(self.address)
    }

    /// A token of the administrator.
    pub fn sign_in(&self, dir: &Path) -> Result<String, Box<dyn Error>> {
        let password = std::fs::read_to_string(dir.join("admin-password"))?;
        self.sign_in_as("admin", password.trim(), "admin")
    }

    /// A token of a user for a project, both of the domain `Default`.
    pub fn sign_in_as(&self, user: &str, password: &str, project: &str) -> Result<String, Box<dyn Error>> {
        let user = json!({"name": user, "domain": {"name": "Default"}, "password": password});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": project, "domain": {"name": "Default"}}},
        }});
        let answer = self.connect()?.post("/v3/auth/tokens", "", &body.to_string())?;
        answer.token.ok_or_else(|| format!("signing in ended with {}", answer.status).into())
    }

    /// Makes a user that is a member of a project of its own, both named `name`.
    pub fn new_member(&self, admin: &str, name: &str) -> Result<Member, Box<dyn Error>> {
        let mut connection = self.connect()?;
        let mut made = |kind: &str, body: Value| {
            connection.post(&format!("/v3/{kind}s"), admin, &json!({kind: body}).to_string())?;
            let answer: Value = serde_json::from_slice(connection.body())?;
            let id = answer[kind]["id"].as_str().map(str::to_owned);
            id.ok_or_else(|| Box::<dyn Error>::from(format!("making a {kind} was answered by {answer}")))
        };
        let project = made("project", json!({"name": name}))?;
        let user = made("user", json!({"name": name, "password": MEMBER_PASSWORD}))?;
        connection.get("/v3/roles?name=member", admin)?;
        let roles: Value = serde_json::from_slice(connection.body())?;
        let role = roles["roles"][0]["id"].as_str().ok_or("there is no role member")?;
        let grant = format!("/v3/projects/{project}/users/{user}/roles/{role}");
        connection.begin("PUT", &grant, admin, "", 0)?;
        match connection.answer()?.status {
            204 => Ok(Member { token: self.sign_in_as(name, MEMBER_PASSWORD, name)?, project }),
            status => Err(format!("granting a role ended with {status}").into()),
        }
    }

    /// Registers an image; gives the path of its data.
    pub fn new_image(&self, token: &str) -> Result<String, Box<dyn Error>> {
        let mut connection = self.connect()?;
        let record = r#"{"name": "bench", "disk_format": "raw", "container_format": "bare"}"#;
        let answer = connection.post("/v2/images", token, record)?;
        let image: Value = serde_json::from_slice(connection.body())?;
        match image["id"].as_str() {
            Some(id) => Ok(format!("/v2/images/{id}/file")),
            None => Err(format!("registering an image ended with {}", answer.status).into()),
        }
    }

    /// Ends it as systemd would.
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails where it was stopped already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn is_ready(address: SocketAddr) -> bool {
    Connection::open(address)
        .map_err(Into::into)
        .and_then(|mut connection| connection.get("/readyz", ""))
        .is_ok_and(|answer| answer.status == 200)
}

/// How long the same program takes to print its version: a start that opens nothing.
pub fn bare_start() -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    Command::new(BINARY).arg("--version").stdout(Stdio::null()).status()?;
    Ok(start.elapsed())
}
