//! `tintype user …`. Passwords come from a file or are made up; never from the command line,
//! which other users of the machine can read.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::super::client::{Api, Client, Target};
use super::super::failure::Failure;
use super::super::output::Output;
use super::{PROJECT, USER, id};
use crate::base::OsEntropy;
use crate::base::limits::PASSWORD_BYTES_MAX;
use crate::daemon::data_dir::DataDir;
use crate::service::identity as service;

/// Commands on users.
#[derive(Subcommand)]
pub enum User {
    /// List users
    List,
    /// Show one user
    Show {
        /// Id or name
        user: String,
    },
    /// Make a user; prints the password where it made one
    Create {
        /// Its name
        name: String,
        /// File with the password, or - for standard input [default: one is made up]
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Default project (id or name)
        #[arg(long)]
        project: Option<String>,
    },
    /// Delete a user
    Delete {
        /// Id or name
        user: String,
    },
    /// Have a user's password taken again after too many failed sign-ins
    Unlock {
        /// Id or name
        user: String,
    },
    /// Give a user a new password and end its tokens; prints the password where it made one
    ResetPassword {
        /// Id or name
        user: String,
        /// File with the password, or - for standard input [default: one is made up]
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

impl User {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, target: &Target, output: Output) -> Result<(), Failure> {
        match self {
            User::List => {
                let columns =
                    [("ID", "id"), ("Name", "name"), ("Enabled", "enabled"), ("Domain", "domain_id")];
                output.rows(&USER.list(client).await?, &columns)
            }
            User::Show { user } => output.record(&USER.find(client, &user).await?),
            User::Create { name, password_file, project } => {
                let password = Password::take(password_file.as_deref())?;
                let mut fields = json!({"name": name, "password": password.text});
                if let Some(project) = project {
                    fields["default_project_id"] = id(&PROJECT.find(client, &project).await?)?.into();
                }
                let user = USER.create(client, fields).await?;
                output.record(&password.shown_with(user))
            }
            User::Delete { user } => {
                let id = USER.delete(client, &user).await?;
                output.done(&format!("Deleted user {id}"), &json!({"deleted": id}))
            }
            User::Unlock { user } => {
                let user = USER.find(client, &user).await?;
                let id = id(&user)?;
                client.call(Method::DELETE, Api::Native, &format!("/users/{id}/lock")).await?;
                output.done(&format!("Unlocked user {id}"), &json!({"unlocked": id}))
            }
            User::ResetPassword { user, password_file } => {
                let password = Password::take(password_file.as_deref())?;
                let user = USER.find(client, &user).await?;
                let body = json!({"user": {"password": password.text}});
                let path = format!("/users/{}", id(&user)?);
                let changed = client.call_json(Method::PATCH, Api::Identity, &path, &body).await?;
                let user = changed.json().await?["user"].take();
                keep_for_owner(target, &user, &password)?;
                output.record(&password.shown_with(user))
            }
        }
    }
}

/// A password, and whether it was made here.
struct Password {
    text: String,
    made: bool,
}

impl Password {
    fn take(file: Option<&Path>) -> Result<Password, Failure> {
        let Some(path) = file else {
            let text = service::Password::generate(&OsEntropy).expose().to_owned();
            return Ok(Password { text, made: true });
        };
        let mut text = String::new();
        let limit = PASSWORD_BYTES_MAX as u64 + 2;
        let read = if path == Path::new("-") {
            std::io::stdin().take(limit).read_to_string(&mut text)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
        };
        read.map_err(|e| Failure::file(path, &e))?;
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        if text.is_empty() {
            return Err(Failure::usage(format!("{}: holds no password", path.display())));
        }
        Ok(Password { text, made: false })
    }

    /// The user's record, with the password where nobody else knows it.
    fn shown_with(&self, mut user: Value) -> Value {
        if self.made {
            user["password"] = self.text.as_str().into();
        }
        user
    }
}

/// Keeps `DIR/admin-password` true when the first administrator of a local box gets a new one.
fn keep_for_owner(target: &Target, user: &Value, password: &Password) -> Result<(), Failure> {
    match &target.data {
        Some(data) if user["name"] == "admin" && user["domain_id"] == "default" => {
            Ok(DataDir::open(data)?.set_admin_password(&password.text)?)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_read_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, "s e\n").unwrap();
        let password = Password::take(Some(&path)).ok().unwrap();
        assert_eq!((password.text.as_str(), password.made), ("s e", false));
        assert!(password.shown_with(json!({})).get("password").is_none());
        std::fs::write(&path, "\n").unwrap();
        assert!(Password::take(Some(&path)).is_err());
    }

    #[test]
    fn a_password_made_here_is_shown_once() {
        let password = Password::take(None).ok().unwrap();
        assert!(password.text.len() >= 20);
        assert_eq!(password.shown_with(json!({}))["password"], password.text.as_str());
    }
}
