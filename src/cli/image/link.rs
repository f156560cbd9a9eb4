//! `tintype image link`, `links` and `unlink`: addresses for fetchers that send no token.

use clap::Args;
use clap::builder::PossibleValuesParser;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::lifetime;
use super::super::output::{Output, printable};
use crate::disk::writing::Form;
use crate::model::LinkId;

/// Arguments of `tintype image link`.
#[derive(Args)]
pub struct Link {
    /// Id, name, or family:NAME for the latest of a family (the link stays with that image)
    image: String,
    /// How long the link lives, such as 90s, 30m, 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime::seconds)]
    ttl: i64,
    /// Format that it gives the image in; as it is stored without
    #[arg(long, value_parser = PossibleValuesParser::new(Form::ALL.map(Form::as_str)))]
    format: Option<String>,
    /// Of an ISO, give its files below the address, as installers ask for them, and not the image
    #[arg(long, conflicts_with = "format")]
    tree: bool,
    /// Network that it may be used from, such as 10.0.0.0/8; from anywhere without
    #[arg(long, value_name = "CIDR")]
    net: Option<String>,
}

/// Arguments of `tintype image links`.
#[derive(Args)]
pub struct Links {
    /// Id or name of the image
    image: String,
}

/// Arguments of `tintype image unlink`.
#[derive(Args)]
pub struct Unlink {
    /// Id or name of the image
    image: String,
    /// Id of the link, as "image links" lists it, or its address
    link: String,
}

impl Link {
    /// Has the box make a link. Standard output has its address alone.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let id = super::id(&image)?;
        let tree = self.tree.then_some(true);
        let asked = json!({"ttl_s": self.ttl, "format": self.format, "tree": tree, "net": self.net});
        let path = format!("/images/{id}/links");
        let made = client.call_json(Method::POST, Api::Native, &path, &asked).await?.json().await?;
        let text = |member: &str| printable(made[member].as_str().unwrap_or_default());
        output.done(&text("url"), &made)?;
        if !output.json {
            let net =
                made["net"].as_str().map_or_else(String::new, |net| format!(", from {}", printable(net)));
            let what = if self.tree { "read the files of the image" } else { "download the image" };
            eprintln!("Good until {}{net}. Whoever has it may {what}.", text("expires_at"));
            eprintln!("End it before with: tintype image unlink {id} {}", text("id"));
            if !client.works_off_jobs() {
                eprintln!(
                    "No server runs on this box: the address leads somewhere while one is reached at {} (tintype serve; \
                     server.listen, server.public_url).",
                    host(&text("url"))
                );
            } else if leads_here(&text("url")) {
                eprintln!(
                    "The address leads to this machine alone: for fetchers elsewhere set server.public_url."
                );
            }
        }
        Ok(())
    }
}

impl Links {
    /// Lists the links to an image.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find(client, &self.image).await?;
        let answer = client.get(Api::Native, &format!("/images/{}/links", super::id(&image)?)).await?;
        let links = answer["links"].as_array().map_or(&[][..], Vec::as_slice);
        let columns = [
            ("ID", "id"),
            ("Format", "format"),
            ("From", "net"),
            ("User", "user_id"),
            ("Created", "created_at"),
            ("Expires", "expires_at"),
            ("First used", "first_used_at"),
        ];
        output.rows(links, &columns)
    }
}

impl Unlink {
    /// Ends a link.
    ///
    /// # Errors
    /// When an address leads to no link, or the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let link = id_of(&self.link).ok_or_else(|| {
            Failure::usage("that is no address of a link: name it by its id, as \"image links\" lists it")
        })?;
        let image = super::find(client, &self.image).await?;
        let path =
            format!("/images/{}/links/{}", super::id(&image)?, utf8_percent_encode(link, NON_ALPHANUMERIC));
        client.call(Method::DELETE, Api::Native, &path).await?;
        let facts: Value = json!({"revoked": link});
        output.done(&format!("Revoked link {}", printable(link)), &facts)
    }
}

/// The id of the link that is named; `None` for an address that leads to none. The signature in an address is a secret, and does
/// not leave for that.
fn id_of(named: &str) -> Option<&str> {
    if !named.contains('/') {
        return Some(named);
    }
    let behind = named.split("/links/").skip(1);
    let mut ids = behind.map(|behind| behind.split(['/', '?', '#']).next().unwrap_or_default());
    ids.find(|id| LinkId::parse(id).is_some())
}

/// Whether an address is one by which only this machine reaches itself.
fn leads_here(url: &str) -> bool {
    ["127.", "[::1]", "localhost"].iter().any(|local| host(url).starts_with(local))
}

/// The host of an address, with its port.
fn host(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_its_id_without_the_signature() {
        let id = "a5".repeat(16);
        assert_eq!(id_of("x"), Some("x"));
        for address in ["https://box", "http://proxy.example/links/x", "images.example"] {
            let address = format!("{address}/tintype/v1/links/{id}/SIGNATURE/disk.img");
            assert_eq!(id_of(&address), Some(id.as_str()), "{address}");
        }
        for other in ["https://box/tintype/v1/links", "https://box/links/SIGNATURE/x", "nbd://box/NAME"] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_address_of_this_machine_alone_is_known() {
        assert_eq!(host("http://127.0.0.1:9292/tintype/v1/x?y"), "127.0.0.1:9292");
        for local in ["http://127.0.0.1:9292/x", "https://localhost/x", "http://[::1]:80/x"] {
            assert!(leads_here(local), "{local}");
        }
        assert!(!leads_here("https://images.example/127.0.0.1"));
    }
}
