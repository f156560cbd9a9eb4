//! Which settings are legal, and how those that are not are refused.

use super::*;

#[test]
fn the_defaults_are_legal() {
    let settings = Settings::default();
    settings.check().unwrap();
    assert_eq!(settings.listen().unwrap().port(), 9292);
    assert_eq!(settings.public_url(), None);
}

#[test]
fn a_value_out_of_range_is_refused_by_name() {
    let mut settings = Settings::default();
    settings.store.zstd_level = -7;
    assert!(settings.check().unwrap_err().starts_with("store.zstd_level"));
    settings.store.zstd_level = 3;
    settings.bucket.operation_timeout_s = settings.bucket.request_timeout_s - 1;
    assert!(settings.check().unwrap_err().starts_with("bucket.operation_timeout_s"));
    settings.bucket = BucketSettings { local_dir: "cache".into(), ..BucketSettings::default() };
    assert!(settings.check().unwrap_err().contains("no absolute path"));
    settings.bucket = BucketSettings::default();
    settings.repair.copies = vec!["/mnt/copy".into(), "s3://other/box".into()];
    settings.check().unwrap();
    settings.repair.copies.push("copy".into());
    assert!(settings.check().unwrap_err().contains("\"copy\" is neither"));
    settings.repair.copies = vec!["/srv/images/".into()];
    settings.store.location = "/srv/images".into();
    assert!(settings.check().unwrap_err().contains("the store itself"));
    settings.repair = Repair { copies: vec!["/a".into(); 9] };
    assert!(settings.check().unwrap_err().starts_with("repair.copies: 9"));
    (settings.repair, settings.store.location) = (Repair::default(), String::new());
    settings.server.public_url = "images.example.org".into();
    assert!(settings.check().unwrap_err().contains("https://HOST"));
    settings.server.public_url = "https://images.example.org/".into();
    settings.check().unwrap();
    assert_eq!(settings.public_url(), Some("https://images.example.org"));
}
