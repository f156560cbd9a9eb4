//! Records on the wire, key by key.

use serde_json::json;

use super::*;
use crate::base::Time;
use crate::model::{Digests, ImageId, SecureHash, Status};

/// A queued image with something awkward in every text.
pub fn sample() -> Image {
    let created_at = Time::parse("2026-03-01T10:00:00Z").unwrap();
    Image {
        id: ImageId::parse("0c6d3a5e-58a7-4c1b-9d0f-5b1e7a2c9f10").unwrap(),
        name: Some("na\"me\n€".into()),
        status: Status::Queued,
        visibility: Visibility::Shared,
        protected: false,
        hidden: true,
        owner: Some("p1".into()),
        container_format: None,
        disk_format: Some("raw".into()),
        min_disk_gib: 3,
        min_ram_mib: 0,
        size_bytes: None,
        virtual_size_bytes: None,
        verdict: None,
        digests: None,
        content: None,
        tags: ["b".to_owned(), "a".to_owned()].into(),
        properties: [("os_\"distro".to_owned(), "debian".to_owned())].into(),
        created_at,
        updated_at: created_at.plus_seconds(7),
        upload: None,
        active_at: None,
        place: Default::default(),
        copies: Vec::new(),
    }
}

#[test]
fn a_record_prints_every_base_key_and_its_properties() {
    let printed: Value =
        serde_json::from_slice(&super::image(&sample(), &Stores::default(), &Beside::default())).unwrap();
    assert_eq!(
        printed,
        json!({
            "id": "0c6d3a5e-58a7-4c1b-9d0f-5b1e7a2c9f10", "name": "na\"me\n€", "status": "queued",
            "visibility": "shared", "protected": false, "os_hidden": true, "owner": "p1",
            "size": null, "virtual_size": null, "checksum": null, "os_hash_algo": null,
            "os_hash_value": null, "container_format": null, "disk_format": "raw", "min_ram": 0,
            "min_disk": 3, "tags": ["a", "b"], "created_at": "2026-03-01T10:00:00Z",
            "updated_at": "2026-03-01T10:00:07Z",
            "self": "/v2/images/0c6d3a5e-58a7-4c1b-9d0f-5b1e7a2c9f10",
            "file": "/v2/images/0c6d3a5e-58a7-4c1b-9d0f-5b1e7a2c9f10/file",
            "schema": "/v2/schemas/image", "os_\"distro": "debian",
        })
    );
}

#[test]
fn digests_print_in_lower_case_hex() {
    let (md5, sha512, sha256) = ("ab".repeat(16), "cd".repeat(64), "ef".repeat(32));
    for (digests, checksum, algorithm, value) in [
        (
            (Some([0xab; 16]), Some(SecureHash::Sha512([0xcd; 64]))),
            json!(md5),
            json!("sha512"),
            json!(sha512),
        ),
        (
            (Some([0xab; 16]), Some(SecureHash::Sha256([0xef; 32]))),
            json!(md5),
            json!("sha256"),
            json!(sha256),
        ),
        ((None, Some(SecureHash::Sha256([0xef; 32]))), json!(null), json!("sha256"), json!(sha256)),
        ((None, None), json!(null), json!(null), json!(null)),
    ] {
        let mut image = sample();
        image.digests = Some(Digests { md5: digests.0, secure: digests.1, blake3: [0; 32] });
        let printed: Value =
            serde_json::from_slice(&super::image(&image, &Stores::default(), &Beside::default())).unwrap();
        assert_eq!(printed["checksum"], checksum);
        assert_eq!(printed["os_hash_algo"], algorithm);
        assert_eq!(printed["os_hash_value"], value);
    }
}

#[test]
fn a_page_has_next_only_where_there_may_be_more() {
    let page: Value = serde_json::from_slice(&image_page(
        &[sample(), sample()],
        &Stores::default(),
        &[(); 2].map(|()| Beside::default()),
        "/v2/images",
        None,
    ))
    .unwrap();
    assert_eq!(page["images"].as_array().unwrap().len(), 2);
    assert!(page.get("next").is_none());
    let page: Value =
        serde_json::from_slice(&image_page(&[], &Stores::default(), &[], "/f", Some("/n"))).unwrap();
    assert_eq!(page, json!({"images": [], "first": "/f", "next": "/n", "schema": "/v2/schemas/images"}));
}

#[test]
fn a_create_takes_what_callers_may_set() {
    let new = read_new_image(json!({
        "id": "0C6D3A5E-58A7-4C1B-9D0F-5B1E7A2C9F10", "name": "n", "tags": ["a", "a"],
        "visibility": "private", "hw_bus": "virtio", "os_hash_algo": "sha512", "min_disk": 3,
    }))
    .unwrap();
    assert_eq!(new.id, Some(sample().id));
    assert!(new.changes.contains(&Change::Set(Field::Tags(["a".to_owned()].into()))));
    assert_eq!(new.changes.len(), 5);
}

#[test]
fn a_create_refuses_what_callers_may_not_set() {
    for key in ["status", "checksum", "size", "self", "schema", "stores", "locations", "deleted"] {
        let refusal = read_new_image(json!({ key: "x" })).unwrap_err();
        assert_eq!(refusal.status.as_u16(), 403, "{key}");
    }
    for body in [
        json!([]),
        json!({"id": "x"}),
        json!({"prop": 1}),
        json!({"prop": null}),
        json!({"min_ram": -1}),
        json!({"min_ram": "1"}),
        json!({"protected": "true"}),
        json!({"visibility": "none"}),
        json!({"tags": "a"}),
        json!({"name": 7}),
    ] {
        assert_eq!(read_new_image(body.clone()).unwrap_err().status.as_u16(), 400, "{body}");
    }
}
