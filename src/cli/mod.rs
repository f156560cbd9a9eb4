//! The command line: one file per command, one client, one way to print and to fail.
//!
//! Owns arguments, results on standard output, and exit statuses. Must not decide anything the
//! server decides: every command but `serve`, `init`, `settings` and `rebuild` is requests that any client could send.

mod access_key;
mod audit;
mod cache;
mod check;
mod client;
mod completions;
mod custom_key;
mod damage;
mod destination;
mod events;
mod failure;
mod following;
mod gc;
mod identity;
mod image;
mod init;
mod interruption;
mod job;
mod key;
mod lifetime;
mod lines;
mod metadefs;
mod nbd;
mod openapi;
mod output;
mod policy;
mod progress;
mod quota;
mod rebuild;
mod scrub;
mod serve;
mod settings;
mod stats;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use client::Target;
use failure::Failure;
use output::Output;

/// Machine images on one box: stored once, durable, behind the OpenStack Image API.
#[derive(Parser)]
#[command(name = "tintype", version, about, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    /// Data directory of a box on this machine; commands act as its local administrator
    #[arg(long, global = true, env = "TINTYPE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Settings file (config/tintype.toml shows every key)
    #[arg(long, global = true, env = "TINTYPE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Cloud of clouds.yaml to talk to, and not to the box that TINTYPE_DATA names
    #[arg(long, global = true, value_name = "NAME")]
    os_cloud: Option<String>,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Where commands go: with --data DIR to the server running on DIR, or to the closed store where none
runs; else over HTTP with --os-cloud, OS_* variables or clouds.yaml, as any OpenStack client.

Exit status: 0 done, 1 failed or refused, 2 wrong arguments or settings, 3 not found,
4 server not reached or credentials not taken, 5 master key missing, 6 master key wrong, 7 deleted
meanwhile, or its key revoked, 130 interrupted (Ctrl-C).";

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Make a box without running it
    Init(init::Init),
    /// Print the settings that a server started like this has, without secrets
    Settings(settings::Settings),
    /// Make a lost catalog anew from the store alone
    Rebuild(rebuild::Rebuild),
    /// Print a shell's completion script
    Completions(completions::Completions),
    /// Print the OpenAPI description of everything that a server answers
    Openapi(openapi::Openapi),
    #[command(flatten)]
    Ask(Ask),
}

/// Commands that are requests to a box.
#[derive(Subcommand)]
enum Ask {
    /// Images
    #[command(subcommand)]
    Image(image::Image),
    /// Users
    #[command(subcommand)]
    User(identity::user::User),
    /// Groups of users
    #[command(subcommand)]
    Group(identity::group::Group),
    /// Projects
    #[command(subcommand)]
    Project(identity::project::Project),
    /// Roles and who has them
    #[command(subcommand)]
    Role(identity::role::Role),
    /// Policies: what members of groups may do
    #[command(subcommand)]
    Policy(policy::Policy),
    /// What projects may have, and what they have
    #[command(subcommand)]
    Quota(quota::Quota),
    /// Metadata definitions: what may be said about images and other resources
    #[command(subcommand)]
    Metadefs(metadefs::Metadefs),
    /// Disks of images over NBD
    #[command(subcommand)]
    Nbd(nbd::Nbd),
    /// Keys that programs sign their requests with
    #[command(subcommand)]
    AccessKey(access_key::AccessKey),
    /// Keys of projects that images are sealed with by choice
    #[command(subcommand)]
    CustomKey(custom_key::CustomKey),
    /// Keys of a sealed box
    #[command(subcommand)]
    Key(key::Key),
    /// Who did what: the record of it
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The cache on local disk, where data lies in a bucket
    #[command(subcommand)]
    Cache(cache::Cache),
    /// Verify everything that is stored
    Check(check::Check),
    /// Compare stored objects with what was written; repairs and heals what it can
    Scrub(scrub::Scrub),
    /// What is known to be damaged
    #[command(subcommand)]
    Damage(damage::Damage),
    /// What happened to stored data lately: damage, healing, scrubs, keys
    Events(events::Events),
    /// Give back the space of what was deleted
    Gc(gc::Gc),
    /// Long work of the box
    #[command(subcommand)]
    Job(job::Job),
    /// What is stored, and what deduplication saves
    Stats(stats::Stats),
}

/// Runs the command of this process's arguments.
pub fn run() -> ExitCode {
    let arguments = arguments_of(std::env::args_os()).unwrap_or_else(|refusal| refusal.exit());
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// What a command line says; of a cloud and a data directory it names one, or one by itself and the environment the other.
fn arguments_of<T: Into<OsString> + Clone>(
    line: impl IntoIterator<Item = T>,
) -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    let matches = command.try_get_matches_from_mut(line)?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    if arguments.os_cloud.is_some() {
        if matches.value_source("data") == Some(ValueSource::CommandLine) {
            let why = "--data and --os-cloud name two boxes: leave one of them out";
            return Err(command.error(ErrorKind::ArgumentConflict, why));
        }
        arguments.data = None;
    }
    Ok(arguments)
}

fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    let target = Target { data: arguments.data, config: arguments.config, cloud: arguments.os_cloud };
    let output = Output { json: arguments.json };
    match arguments.command {
        Command::Serve(serve) => serve.run(&target, output),
        Command::Init(init) => init.run(&target, output),
        Command::Settings(settings) => settings.run(&target, output),
        Command::Rebuild(rebuild) => rebuild.run(&target, output),
        Command::Completions(completions) => completions.run(),
        Command::Openapi(openapi) => openapi.run(),
        Command::Ask(command) => {
            let command = match command {
                Ask::Key(key) => match key.run_closed(&target, output)? {
                    Some(key) => Ask::Key(key),
                    None => return Ok(()),
                },
                command => command,
            };
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(|e| Failure::failed(e.to_string()))?;
            let outcome = runtime.block_on(ask(command, &target, output));
            // A thread that waits for standard input, or for somebody at the other end of a pipe, is not waited for.
            runtime.shutdown_background();
            outcome
        }
    }
}

async fn ask(command: Ask, target: &Target, output: Output) -> Result<(), Failure> {
    let client = target.connect().await?;
    let outcome = match command {
        Ask::Image(image) => image.run(&client, output).await,
        Ask::User(user) => user.run(&client, target, output).await,
        Ask::Group(group) => group.run(&client, output).await,
        Ask::Project(project) => project.run(&client, output).await,
        Ask::Role(role) => role.run(&client, output).await,
        Ask::Policy(policy) => policy.run(&client, output).await,
        Ask::Quota(quota) => quota.run(&client, output).await,
        Ask::Metadefs(metadefs) => metadefs.run(&client, output).await,
        Ask::Nbd(nbd) => nbd.run(&client, output).await,
        Ask::AccessKey(key) => key.run(&client, output).await,
        Ask::CustomKey(key) => key.run(&client, output).await,
        Ask::Key(key) => key.run(&client, target, output).await,
        Ask::Audit(audit) => audit.run(&client, output).await,
        Ask::Cache(cache) => cache.run(&client, output).await,
        Ask::Check(check) => check.run(&client, output).await,
        Ask::Scrub(scrub) => scrub.run(&client, output).await,
        Ask::Damage(damage) => damage.run(&client, output).await,
        Ask::Events(events) => events.run(&client, output).await,
        Ask::Gc(gc) => gc.run(&client, output).await,
        Ask::Job(job) => job.run(&client, output).await,
        Ask::Stats(stats) => stats.run(&client, output).await,
    };
    // The command's own failure matters more than the close's.
    let closed = tokio::task::spawn_blocking(move || client.close()).await;
    outcome.and(closed.unwrap_or_else(|e| Err(Failure::failed(e.to_string()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_data_directory_may_stand_before_or_after_the_command() {
        for line in [["tintype", "--data", "d", "stats"], ["tintype", "stats", "--data", "d"]] {
            assert_eq!(arguments_of(line).ok().unwrap().data, Some("d".into()));
        }
    }

    #[test]
    fn a_line_names_one_box() {
        let cloud = arguments_of(["tintype", "--os-cloud", "c", "stats"]).ok().unwrap();
        assert_eq!((cloud.os_cloud.as_deref(), cloud.data), (Some("c"), None));
        for line in [
            ["tintype", "--data", "d", "--os-cloud", "c", "stats"],
            ["tintype", "stats", "--data", "d", "--os-cloud", "c"],
            ["tintype", "--os-cloud", "c", "stats", "--data", "d"],
        ] {
            let refusal = arguments_of(line).err().unwrap();
            assert!(refusal.to_string().contains("name two boxes") && refusal.exit_code() == 2, "{refusal}");
        }
    }
}
