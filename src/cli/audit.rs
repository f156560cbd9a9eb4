//! `tintype audit`: who did what, whether the record of it is whole, and its way out of the box.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::lines;
use super::output::Output;

/// Records of one request.
const PAGE: usize = 1000;

/// The record of what was done.
#[derive(Subcommand)]
pub enum Audit {
    /// The newest records, newest first
    List(List),
    /// One record
    Show(Show),
    /// Look at the whole chain: every record is what was written, and none is missing
    Verify(Verify),
    /// Write records as lines of JSON, oldest first
    Export(Export),
    /// Where the chain ends: keep this elsewhere, and give it to verify later
    Head,
}

/// What is looked for.
#[derive(Args)]
pub struct Filter {
    /// Done by the user with this id or name
    #[arg(long)]
    user: Option<String>,
    /// Done in this project, or to something of it
    #[arg(long)]
    project: Option<String>,
    /// Done to the thing with this id
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// Done to this kind of thing
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// With this name, as createImage
    #[arg(long)]
    name: Option<String>,
    /// That ended so: normal, warning (refused or failed) or incident
    #[arg(long)]
    rating: Option<String>,
    /// Of this request
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Recorded at this time or later, as 2026-11-24T10:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Recorded before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// Arguments of `audit list`.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// Arguments of `audit show`.
#[derive(Args)]
pub struct Show {
    /// Its number, or its id
    record: String,
}

/// Arguments of `audit verify`.
#[derive(Args)]
pub struct Verify {
    /// A head that was kept elsewhere, SEQ:HASH: the chain must still have that record
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<String>,
}

/// Arguments of `audit export`.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    filter: Filter,
    /// File to write, which must not be there yet; standard output by default
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Audit {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses, or the chain is not whole.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Audit::List(List { filter, limit }) => list(client, output, &filter, limit).await,
            Audit::Show(Show { record }) => {
                let path = format!("/audit/records/{}", encoded(&record));
                output.record(&client.get(Api::Native, &path).await?)
            }
            Audit::Verify(Verify { head }) => verify(client, output, head).await,
            Audit::Export(export) => export.run(client, output).await,
            Audit::Head => {
                let answer = client.get(Api::Native, "/audit/head").await?;
                output.done(answer["head"].as_str().unwrap_or_default(), &answer)
            }
        }
    }
}

impl Filter {
    /// As a query, to which more can be added.
    fn query(&self) -> String {
        let pairs = [
            ("user", &self.user),
            ("project", &self.project),
            ("resource", &self.resource),
            ("type", &self.kind),
            ("name", &self.name),
            ("rating", &self.rating),
            ("request", &self.request),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let mut query = String::new();
        for (name, value) in pairs {
            if let Some(value) = value {
                query += &format!("&{name}={}", encoded(value));
            }
        }
        query
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Visits the pages of a listing until it ends or `visit` says that there is enough.
async fn pages(
    client: &Client,
    query: &str,
    page: usize,
    mut visit: impl FnMut(Vec<Value>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let place = after.map(|seq: u64| format!("&after={seq}")).unwrap_or_default();
        let path = format!("/audit/records?limit={page}{query}{place}");
        let mut answer = client.get(Api::Native, &path).await?;
        let Value::Array(records) = answer["records"].take() else {
            return Err(Failure::failed("the server's answer has no list of records"));
        };
        let goes_on = visit(records)?;
        after = answer["next"].as_u64();
        if after.is_none() || !goes_on {
            return Ok(());
        }
    }
}

async fn list(client: &Client, output: Output, filter: &Filter, limit: usize) -> Result<(), Failure> {
    let mut found = Vec::new();
    pages(client, &filter.query(), limit.clamp(1, PAGE), |records| {
        found.extend(records);
        Ok(found.len() < limit)
    })
    .await?;
    found.truncate(limit);
    let columns = [
        ("Seq", "seq"),
        ("When", "recorded_at"),
        ("Who", "user_name"),
        ("From", "source"),
        ("What", "name"),
        ("Resource", "resource_id"),
        ("Name", "resource_name"),
        ("Rating", "rating"),
        ("Detail", "message"),
    ];
    output.rows(&found, &columns)
}

async fn verify(client: &Client, output: Output, head: Option<String>) -> Result<(), Failure> {
    let query = head.map(|head| format!("?head={}", encoded(&head))).unwrap_or_default();
    let verified = lines::follow(client, &format!("/audit/verify{query}")).await?;
    let flaws = verified["flaws_total"].as_u64().unwrap_or(0);
    let head = verified["head"].as_str().unwrap_or_default();
    let records = &verified["records"];
    let sentence = match flaws {
        0 => {
            format!("{records} records are what was written, and none is missing.\nThe chain ends at {head}")
        }
        _ => {
            let named = verified["flaws"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let named: Vec<_> = named.map(super::output::printable).collect();
            format!("{}\nThe chain ends at {head}", named.join("\n"))
        }
    };
    output.done(&sentence, &verified)?;
    match flaws {
        0 => Ok(()),
        1 => Err(Failure::failed("the audit chain is not what was written: 1 flaw")),
        _ => Err(Failure::failed(format!("the audit chain is not what was written: {flaws} flaws"))),
    }
}

impl Export {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let query = format!("&order=oldest{}", self.filter.query());
        let mut written = 0usize;
        let mut out: Box<dyn Write + Send> = match &self.output {
            Some(path) => Box::new(create(path)?),
            None => Box::new(std::io::stdout()),
        };
        let place = self.output.clone();
        let failed = |error: &std::io::Error| match &place {
            Some(path) => Failure::file(path, error),
            None => Failure::output(error),
        };
        pages(client, &query, PAGE, |records| {
            for record in &records {
                writeln!(out, "{record}").map_err(|error| failed(&error))?;
            }
            written += records.len();
            Ok(true)
        })
        .await?;
        out.flush().map_err(|error| failed(&error))?;
        match &self.output {
            Some(path) => {
                let sentence = format!("wrote {written} records to {}", path.display());
                output.done(&sentence, &json!({"records": written, "file": path.display().to_string()}))
            }
            None => Ok(()),
        }
    }
}

fn create(path: &Path) -> Result<std::io::BufWriter<std::fs::File>, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map(std::io::BufWriter::new).map_err(|error| Failure::file(path, &error))
}
