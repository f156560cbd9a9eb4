//! Disks of stored images: what a guest sees of them, and what is shared by who has them open.

use std::sync::Arc;

use super::super::looking::tests::{qcow2, uploaded, uploaded_in};
use crate::disk::Extent;
use crate::service::ErrorKind;
use crate::service::images::{Change, DISK_PROPERTY, Existing};
use crate::service::testing::{member, service};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_and_a_raw_image_read_as_the_guest_sees_them() {
    let (service, _) = service();
    let mut data = qcow2();
    data[3 * 4096..].fill(7);
    let disk = [vec![7; 4096], vec![0; 3 * 4096]].concat();
    for (format, data) in [("qcow2", data), ("raw", disk.clone())] {
        let (image, outcome) = uploaded(&service, format, data).await;
        outcome.unwrap();
        let open = service.open_disk(&member("p"), &image.id).unwrap();
        assert_eq!((open.image.id, open.disk.size_bytes()), (image.id, disk.len() as u64), "{format}");
        let mut read = vec![1; disk.len()];
        open.disk.read_at(0, &mut read).unwrap();
        assert_eq!(read, disk, "{format}");
        let extents = [0, 4096].map(|at| open.disk.extent_at(at).unwrap());
        let (data, zeros) =
            (Extent { bytes: 4096, is_zero: false }, Extent { bytes: 3 * 4096, is_zero: true });
        assert_eq!(extents, [data, zeros], "{format}");
        assert!(open.disk.read_at(disk.len() as u64, &mut [0]).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_same_image_open_shares_its_disk() {
    let (service, _) = service();
    let (image, _) = uploaded(&service, "qcow2", qcow2()).await;
    let first = service.open_disk(&member("p"), &image.id).unwrap();
    let second = service.open_disk(&member("p"), &image.id).unwrap();
    assert!(Arc::ptr_eq(&first.disk, &second.disk));
    let strange = service.open_disk(&member("q"), &image.id).err().unwrap();
    assert_eq!(strange.kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_in_an_archive_is_read_inspected_and_leaves_as_any_other() {
    use crate::disk::ova;
    use crate::disk::writing::Form;
    let (service, _) = service();
    let mut data = qcow2();
    data[3 * 4096..].fill(7);
    let disk = [vec![7; 4096], vec![0; 3 * 4096]].concat();
    let archive = ova::fixture(&data);
    let (image, outcome) = uploaded_in(&service, "ova", "qcow2", archive.clone()).await;
    outcome.unwrap();
    let open = service.open_disk(&member("p"), &image.id).unwrap();
    assert_eq!(open.disk.size_bytes(), disk.len() as u64);
    let mut read = vec![1; disk.len()];
    open.disk.read_at(0, &mut read).unwrap();
    assert!(read == disk);
    let extents = [0, 4096].map(|at| open.disk.extent_at(at).unwrap().is_zero);
    assert_eq!(extents, [false, true]);
    // Its places are those of the archive: a raw image of the same disk shares them.
    let (raw, outcome) = uploaded(&service, "raw", disk.clone()).await;
    outcome.unwrap();
    let changes = service.changes(&member("p"), &image.id, &raw.id, 0, true).unwrap();
    assert_eq!(changes.found, []);
    let export = service.open_export(&member("p"), &image.id, Form::Raw).await.unwrap();
    let mut made = vec![1; disk.len()];
    export.read_at(0, &mut made).unwrap();
    assert!(made == disk);
    let inspection = service.inspect_image(&member("p"), &image.id).unwrap().1;
    assert_eq!((inspection.container, inspection.size_bytes), (Some("ova"), disk.len() as u64));
}

/// Chooses a disk of a machine.
pub(in super::super) fn chosen(number: &str) -> Change {
    let (name, value) = (DISK_PROPERTY.to_owned(), number.to_owned());
    Change::SetProperty { name, value, existing: Existing::Any }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_machine_with_several_disks_the_one_is_read_that_the_record_chooses() {
    use crate::disk::ova;
    use crate::disk::writing::Form;
    let (service, _) = service();
    let (first, second) = (vec![1; 5000], vec![2; 7000]);
    let archive = ova::machine_fixture(&[("boot.img", &first), ("data.img", &second)]);
    let (image, outcome) = uploaded_in(&service, "ova", "raw", archive).await;
    outcome.unwrap();
    let refusal = service.open_disk(&member("p"), &image.id).err().unwrap();
    assert_eq!(refusal.kind, ErrorKind::UnsupportedContent);
    let told = ["2 disks (1 boot.img, 2 data.img)", "tintype_disk"];
    assert!(told.iter().all(|word| refusal.message.contains(word)), "{}", refusal.message);
    let choose = |number: &str| {
        let change = chosen(number);
        service.update_image(&member("p"), &image.id, vec![change]).unwrap();
    };
    let mut tags = Vec::new();
    for (number, data) in [("1", &first), ("2", &second)] {
        choose(number);
        let export = service.open_export(&member("p"), &image.id, Form::Raw).await.unwrap();
        let mut made = vec![0; export.size_bytes().unwrap() as usize];
        export.read_at(0, &mut made).unwrap();
        assert!(made[..data.len()] == data[..], "disk {number}");
        tags.push(export.tag());
        let inspection = service.inspect_image(&member("p"), &image.id).unwrap().1;
        assert_eq!(inspection.size_bytes, data.len() as u64);
    }
    assert_ne!(tags[0], tags[1]);
    // A wrong choice is refused when it is made, and counts for nothing.
    for wrong in ["0", "3", "-1", "first", ""] {
        let refusal = service.update_image(&member("p"), &image.id, vec![chosen(wrong)]).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Invalid, "{wrong}: {}", refusal.message);
        if wrong == "3" {
            assert!(refusal.message.contains("2 disks (1 boot.img, 2 data.img)"), "{}", refusal.message);
        }
        let open = service.open_disk(&member("p"), &image.id).unwrap();
        assert_eq!(open.disk.size_bytes(), second.len() as u64, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_chosen_while_the_data_comes_is_looked_for_when_it_is_read() {
    use crate::disk::ova;
    use crate::service::images::{Field, NewImage};
    let (service, _) = service();
    let fields = [Field::DiskFormat(Some("raw".into())), Field::ContainerFormat(Some("ova".into()))];
    let mut changes: Vec<Change> = fields.into_iter().map(Change::Set).collect();
    changes.push(chosen("1"));
    let image = service.create_image(&member("p"), NewImage { id: None, changes }).unwrap();
    let upload = service.begin_upload(&member("p"), &image.id, None).unwrap();
    service.update_image(&member("p"), &image.id, vec![chosen("2")]).unwrap();
    let archive = ova::machine_fixture(&[("boot.img", &[1; 5000])]);
    upload.receive(futures::stream::iter([Ok(archive.into())])).await.unwrap();
    let refusal = service.open_disk(&member("p"), &image.id).err().unwrap();
    assert_eq!(refusal.kind, ErrorKind::Invalid, "{}", refusal.message);
    // Who may not change the image learns nothing of it.
    let stranger = service.update_image(&member("q"), &image.id, vec![chosen("9")]).unwrap_err();
    assert_eq!(stranger.kind, ErrorKind::NotFound);
    // A link in a format is refused as a download in it is, and one to the archive itself is not.
    let form = crate::disk::writing::Form::Raw;
    let refusal = service.expect_leaves_as(&member("p"), &image.id, form).await.unwrap_err();
    assert_eq!(refusal.kind, ErrorKind::Invalid, "{}", refusal.message);
    service.update_image(&member("p"), &image.id, vec![chosen("1")]).unwrap();
    service.expect_leaves_as(&member("p"), &image.id, form).await.unwrap();
    service.expect_leaves_as(&member("q"), &image.id, form).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_bare_disk_is_not_read_as_one() {
    use crate::service::images::{Field, NewImage};
    let (service, _) = service();
    let fields = [Field::DiskFormat(Some("vmdk".into())), Field::ContainerFormat(Some("docker".into()))];
    let new = NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() };
    let image = service.create_image(&member("p"), new).unwrap();
    let empty = service.open_disk(&member("p"), &image.id).err().unwrap();
    assert_eq!(empty.kind, ErrorKind::UnsupportedContent);
}

#[test]
fn b3_a_disk_with_large_tables_keeps_no_other_out() {
    let room = |others: &[u64], own| super::expect_room(others.iter().copied(), own, 100).is_ok();
    assert!(room(&[], 1000) && room(&[0, 100], 1000), "one larger than all the memory there is");
    assert!(!room(&[101], 101), "not two of them");
    assert!(
        room(&[1000, 60], 40) && !room(&[1000, 60], 41),
        "small ones beside it have what they always have"
    );
    assert!(room(&[1000, 100], 0), "a raw disk takes nothing");
}
