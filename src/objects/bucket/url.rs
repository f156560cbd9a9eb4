//! Opening a bucket by its address: `s3://BUCKET/PREFIX`.

use std::path::Path as Folder;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::client::HttpConnector;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use tokio::runtime::Handle;

use super::counts::Counts;
use super::unfinished::S3Uploads;
use super::wire::Wire;
use super::{Bucket, BucketOptions, fault};
use crate::objects::Error;

/// Opens `s3://BUCKET/PREFIX`. `settings` are named as the `AWS_*` variables without that prefix, in
/// lower case (`endpoint`, `region`, `access_key_id`, `secret_access_key`), and win over them. Parts
/// of large objects are gathered in `folder`.
///
/// An `http://` endpoint is taken at its word: its traffic is not encrypted.
///
/// # Errors
/// [`Error::Invalid`] when the address or a setting cannot be understood, or what [`Bucket::new`]
/// says. Says nothing about whether the bucket answers.
pub fn open_url<'a>(
    url: &str,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    handle: Handle,
    folder: &Folder,
    options: BucketOptions,
) -> Result<Bucket, Error> {
    let (bucket, prefix) = split(url)?;
    let counts = Arc::new(Counts::default());
    let wire = Wire::new(counts.clone(), options.requests_max);
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    for (name, value) in settings {
        builder = builder.with_config(option_key(name)?, value);
    }
    let plain = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
        .iter()
        .filter_map(|key| builder.get_config_value(key))
        .any(|endpoint| endpoint.starts_with("http://"));
    if builder.get_config_value(&AmazonS3ConfigKey::CopyIfNotExists).is_none() {
        builder = builder.with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
    }
    let client = client_options(&options, plain);
    let unusable = |error| Error::Invalid(format!("{url} cannot be opened: {error}"));
    let store = builder
        // We delete one by one, and not every S3 has the bulk request.
        .with_disable_bulk_delete(true)
        .with_client_options(client.clone())
        .with_http_connector(wire.clone())
        // Tries are ours: they have one bound, are counted, and know what a second one may find.
        .with_retry(RetryConfig {
            max_retries: 0,
            backoff: BackoffConfig::default(),
            ..RetryConfig::default()
        })
        .build()
        .map_err(unusable)?;
    let uploads = S3Uploads { store: store.clone(), client: wire.connect(&client).map_err(unusable)? };
    Bucket::with_counts(Arc::new(store), Some(Arc::new(uploads)), prefix, handle, folder, options, counts)
}

/// How requests are made: what `AWS_*` variables say of proxies and the like, with times of our own.
fn client_options(options: &BucketOptions, plain: bool) -> ClientOptions {
    let mut client = ClientOptions::new();
    for (name, value) in std::env::vars() {
        let key = name.strip_prefix("AWS_").map(str::to_ascii_lowercase).and_then(|key| key.parse().ok());
        if let Some(AmazonS3ConfigKey::Client(key)) = key {
            client = client.with_config(key, value);
        }
    }
    if plain {
        client = client.with_allow_http(true);
    }
    client.with_connect_timeout(options.connect_timeout).with_timeout(options.request_timeout)
}

fn split(url: &str) -> Result<(&str, Path), Error> {
    let invalid = |fault: &str| Error::Invalid(format!("{url:?} is no bucket address: {fault}"));
    let rest = url.strip_prefix("s3://").ok_or_else(|| invalid("write it as s3://BUCKET/PREFIX"))?;
    if rest.contains('@') {
        // Not repeated: what stands before the '@' may be a secret.
        return Err(Error::Invalid(
            "a bucket address holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into(),
        ));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if bucket.is_empty() || !bucket.bytes().all(legal) {
        return Err(invalid("a bucket's name has letters, digits, '.', '-' and '_'"));
    }
    let prefix = Path::parse(prefix).map_err(|error| invalid(&error.to_string()))?;
    Ok((bucket, prefix))
}

fn option_key(name: &str) -> Result<AmazonS3ConfigKey, Error> {
    // The value stays out of the message: it may be a secret.
    name.parse().map_err(fault::of_bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open<const N: usize>(settings: [(&str, &str); N]) -> Result<Bucket, Error> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = BucketOptions::default();
        open_url("s3://images/box", settings, runtime.handle().clone(), folder.path(), options)
    }

    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        assert_eq!(split("s3://images").unwrap(), ("images", Path::ROOT));
        assert_eq!(split("s3://images/").unwrap(), ("images", Path::ROOT));
        assert_eq!(split("s3://images/box/one/").unwrap(), ("images", Path::from("box/one")));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_form_of_one() {
        for url in
            ["", "images", "https://images/x", "s3://", "s3:///x", "s3://key:secret@images/x", "s3://a/b//c"]
        {
            assert!(matches!(split(url), Err(Error::Invalid(_))), "{url}");
        }
    }

    #[test]
    fn credentials_in_an_address_are_not_repeated() {
        let error = split("s3://key:hush@images/x").unwrap_err().to_string();
        assert!(error.contains("AWS_SECRET_ACCESS_KEY") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn an_unknown_option_is_named_and_its_value_is_not() {
        let error = open([("secret_acess_key", "hush")]).unwrap_err().to_string();
        assert!(error.contains("secret_acess_key") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn a_bucket_prints_no_credentials() {
        let settings = [
            ("endpoint", "http://127.0.0.1:9"),
            ("region", "local"),
            ("access_key_id", "whoami"),
            ("secret_access_key", "hush"),
        ];
        let text = format!("{:?}", open(settings).unwrap());
        assert!(text.contains("box") && !text.contains("hush") && !text.contains("whoami"), "{text}");
    }
}
