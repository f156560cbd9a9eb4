//! Files made of images: what readers get, in what memory, and what is refused.

use futures::StreamExt;
use tokio::time::{Duration, timeout};

use super::super::looking::tests::uploaded;
use super::*;
use crate::service::testing::{member, rules, service, service_with};
use crate::service::{ErrorKind, Rules};

/// A disk of some MiB: noise, text and zeros.
fn disk() -> Vec<u8> {
    let noise = (0..900_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8);
    let mut disk: Vec<u8> = noise.collect();
    disk.resize(6 << 20, 0);
    disk.extend((0..2_000_000_u32).map(|at| (at / 1000) as u8));
    disk.resize(disk.len().next_multiple_of(512), 0);
    disk
}

async fn all(export: &Export) -> Vec<u8> {
    let size = export.size_bytes().unwrap_or(u64::MAX);
    let mut stream = export.stream(ByteRange::whole(size)).unwrap();
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}

async fn opened(service: &Service, id: &ImageId, form: Form) -> Export {
    let mut export = service.open_export(&member("p"), id, form).await.unwrap();
    if form == Form::Qcow2Compressed {
        export.measure(|_, _| ControlFlow::Continue(())).await.unwrap();
    }
    export
}

#[tokio::test(flavor = "multi_thread")]
async fn each_time_a_form_has_the_same_bytes_and_the_same_tag() {
    let (service, _) = service();
    let (image, outcome) = uploaded(&service, "raw", disk()).await;
    outcome.unwrap();
    let mut tags = Vec::new();
    for form in Form::ALL {
        let (one, other) = (opened(&service, &image.id, form).await, opened(&service, &image.id, form).await);
        assert!(all(&one).await == all(&other).await, "{}", form.as_str());
        assert_eq!(one.tag(), other.tag());
        tags.push(one.tag());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), Form::ALL.len(), "no two forms have the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vmdk_that_was_measured_is_the_one_that_went_out_in_one_pass() {
    let (service, _) = service();
    let (image, _) = uploaded(&service, "raw", disk()).await;
    let mut export = opened(&service, &image.id, Form::Vmdk).await;
    assert_eq!(export.size_bytes(), None);
    let streamed = all(&export).await;
    let mut steps = Vec::new();
    let step = |done, total| {
        steps.push((done, total));
        ControlFlow::Continue(())
    };
    export.measure(step).await.unwrap();
    let (last, size) = (steps.last().copied().unwrap(), export.size_bytes().unwrap());
    assert!(last.0 == last.1 && size == streamed.len() as u64);
    let reread = tokio::task::spawn_blocking(move || {
        let mut file = vec![0; size as usize];
        export.read_at(0, &mut file).unwrap();
        assert!(export.read_at(size, &mut [0]).is_err());
        file
    });
    assert!(reread.await.unwrap() == streamed);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_every_reader_still_gets_its_bytes() {
    let exports = ExportRules { ahead_bytes: 0, ..ExportRules::default() };
    let (service, _) = service_with(Rules { exports, ..rules() });
    let disk = disk();
    let (image, _) = uploaded(&service, "raw", disk.clone()).await;
    for form in Form::ALL {
        let file = all(&opened(&service, &image.id, form).await).await;
        assert!(form != Form::Raw || file == disk);
        assert!(!file.is_empty(), "{}", form.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_readers_that_do_not_read_keep_nobody_from_it() {
    let exports = ExportRules { ahead_bytes: 1 << 20, ..ExportRules::default() };
    let (service, _) = service_with(Rules { exports, ..rules() });
    let (image, _) = uploaded(&service, "raw", disk()).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        let export = opened(&service, &image.id, Form::Qcow2).await;
        let mut stream = export.stream(ByteRange::whole(export.size_bytes().unwrap())).unwrap();
        stream.next().await.unwrap().unwrap();
        idle.push(stream);
    }
    let export = opened(&service, &image.id, Form::Vdi).await;
    let file = timeout(Duration::from_secs(60), all(&export)).await.expect("it is not kept waiting");
    assert_eq!(file.len() as u64, export.size_bytes().unwrap());
    drop(idle);
    // What they held went back with them.
    let room = || service.exports.crew.free_bytes();
    timeout(Duration::from_secs(60), async {
        while room() < 1 << 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("all of it is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_memory_has_no_room_for_is_refused() {
    let exports = ExportRules { layout_bytes: 2048, ..ExportRules::default() };
    let (service, _) = service_with(Rules { exports, ..rules() });
    let (image, _) = uploaded(&service, "raw", [vec![7; 48 << 20], vec![0; 48 << 20]].concat()).await;
    let mut export = opened(&service, &image.id, Form::Vmdk).await;
    let refused = export.measure(|_, _| ControlFlow::Continue(())).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge);
    assert!(refused.message.contains("store.memory_bytes"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_read_the_data_gets_it_in_no_form() {
    let (service, _) = service();
    let (image, _) = uploaded(&service, "raw", vec![1; 4096]).await;
    for form in Form::ALL {
        let refused = service.open_export(&member("q"), &image.id, form).await.err().unwrap();
        assert_eq!(refused.kind, ErrorKind::NotFound, "{}", form.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_disk_is_no_vmdk_and_the_refusal_says_so() {
    let (service, _) = service();
    let (image, outcome) = uploaded(&service, "raw", Vec::new()).await;
    outcome.unwrap();
    let refused = service.open_export(&member("p"), &image.id, Form::Vmdk).await.err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("one sector"), "{}", refused.message);
    assert_eq!(opened(&service, &image.id, Form::Raw).await.size_bytes(), Some(0));
}
