//! `tintype user`, `group`, `project` and `role`: one file each; here is what they share.

pub mod group;
pub mod project;
pub mod role;
pub mod user;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;

/// A kind of thing of the Identity API.
#[derive(Clone, Copy)]
struct Kind {
    one: &'static str,
    many: &'static str,
}

const USER: Kind = Kind { one: "user", many: "users" };
const PROJECT: Kind = Kind { one: "project", many: "projects" };
const GROUP: Kind = Kind { one: "group", many: "groups" };
const ROLE: Kind = Kind { one: "role", many: "roles" };

impl Kind {
    /// Everything of this kind.
    async fn list(self, client: &Client) -> Result<Vec<Value>, Failure> {
        self.listed(client, &format!("/{}", self.many)).await
    }

    /// The one thing with this id, or else with this name.
    async fn find(self, client: &Client, name: &str) -> Result<Value, Failure> {
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let mut found = self.listed(client, &format!("/{}?name={encoded}", self.many)).await?;
        match (found.pop(), found.len()) {
            (Some(thing), 0) => Ok(thing),
            (Some(_), _) => Err(Failure::failed(format!(
                "several {} are called \"{name}\"; name one by its id",
                self.many
            ))),
            (None, _) => self.show(client, name).await,
        }
    }

    async fn show(self, client: &Client, id: &str) -> Result<Value, Failure> {
        let encoded = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let mut body = client.get(Api::Identity, &format!("/{}/{encoded}", self.many)).await?;
        Ok(body[self.one].take())
    }

    async fn create(self, client: &Client, fields: Value) -> Result<Value, Failure> {
        let body = serde_json::json!({ self.one: fields });
        let reply = client.call_json(Method::POST, Api::Identity, &format!("/{}", self.many), &body).await?;
        Ok(reply.json().await?[self.one].take())
    }

    async fn delete(self, client: &Client, name: &str) -> Result<String, Failure> {
        let thing = self.find(client, name).await?;
        let id = id(&thing)?;
        client.call(Method::DELETE, Api::Identity, &format!("/{}/{id}", self.many)).await?;
        Ok(id.to_owned())
    }

    async fn listed(self, client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
        match client.get(Api::Identity, path).await?[self.many].take() {
            Value::Array(things) => Ok(things),
            _ => Err(Failure::failed(format!("the server's answer lists no {}", self.many))),
        }
    }
}

/// The id of the project with this id or name.
pub(super) async fn project_id(client: &Client, named: &str) -> Result<String, Failure> {
    Ok(id(&PROJECT.find(client, named).await?)?.to_owned())
}

fn id(thing: &Value) -> Result<&str, Failure> {
    thing["id"].as_str().ok_or_else(|| Failure::failed("the server's answer names no id"))
}
