//! The chain under every kind of tampering, retention, the bound of refusals, and queries.

use std::ops::{Bound, ControlFlow};

use super::budget::{ALL_MAX, CALLER_MAX, WINDOW_S};
use super::*;
use crate::db::Rows;
use crate::db::Table;
use crate::model::identity::Scope;
use crate::model::trace::Interface;
use crate::model::trace::{GENESIS, Trace};
use crate::service::images::{Change, Field, NewImage};
use crate::service::testing::{self, ManualClock};
use crate::service::{Caller, ErrorKind, Source};

const AUDIT: Table = Table::facts("audit-1");
const ANCHOR: Table = Table::facts("audit-anchor-1");

fn box_with(records: usize) -> (Service, Arc<ManualClock>, Actor) {
    let (service, clock) = testing::service();
    let admin = service.local_admin().unwrap();
    for number in 0..records {
        service.record(&admin, Act::on(Operation::Check, number)).unwrap();
    }
    (service, clock, admin)
}

fn row(service: &Service, seq: u64) -> Option<Vec<u8>> {
    service.db.read().unwrap().get(&AUDIT, &seq.to_be_bytes()).unwrap()
}

/// Changes rows behind the product's back.
fn tamper(service: &Service, change: impl Fn(&WriteTxn) + Send + 'static) {
    service
        .db
        .write(move |txn| {
            change(txn);
            Ok::<_, Error>(())
        })
        .unwrap();
}

fn flaws(service: &Service, kept: Option<TraceHead>) -> Vec<String> {
    let verified = service.verify_audit(&service.local_admin().unwrap(), kept).unwrap();
    assert_eq!(verified.flaws.len() as u64, verified.flaws_total);
    verified.flaws.iter().map(ToString::to_string).collect()
}

fn all(service: &Service) -> Vec<Trace> {
    let query = Query { limit: RECORDS_MAX, oldest_first: true, ..Query::default() };
    service.audit_traces(&service.local_admin().unwrap(), &query).unwrap().traces
}

#[test]
fn a_chain_as_it_was_written_has_no_flaw() {
    let (service, _, admin) = box_with(5);
    let verified = service.verify_audit(&admin, None).unwrap();
    assert_eq!((verified.records, verified.flaws_total), (6, 0));
    assert_eq!(verified.head, service.audit_head().unwrap());
    let traces = all(&service);
    assert_eq!((traces[0].seq, traces[0].before), (1, GENESIS));
    assert!(traces.windows(2).all(|two| two[1].before == two[0].hash && two[1].seq == two[0].seq + 1));
    assert_eq!(flaws(&service, Some(traces[2].head())), [""; 0]);
    let stranger = Actor { roles: ["manager".to_owned()].into(), ..admin };
    assert_eq!(service.verify_audit(&stranger, None).unwrap_err().kind, ErrorKind::Forbidden);
}

#[test]
fn p2_an_edit_of_any_byte_of_any_record_is_found_and_named() {
    let (service, _, _) = box_with(3);
    for seq in 1..=4 {
        let honest = row(&service, seq).unwrap();
        for at in (0..honest.len()).step_by(7) {
            let mut edited = honest.clone();
            edited[at] ^= 1;
            tamper(&service, move |txn| txn.put(&AUDIT, &seq.to_be_bytes(), &edited).unwrap());
            let found = flaws(&service, None);
            let named = format!("record {seq} ");
            assert!(found.iter().any(|flaw| flaw.contains(&named)), "byte {at} of {seq}: {found:?}");
        }
        tamper(&service, move |txn| txn.put(&AUDIT, &seq.to_be_bytes(), &honest).unwrap());
        assert_eq!(flaws(&service, None), [""; 0]);
    }
}

#[test]
fn p2_a_record_made_anew_with_a_right_hash_of_its_own_is_found() {
    let (service, _, _) = box_with(3);
    let kept = service.audit_head().unwrap();
    let mut forged = all(&service)[1].content.clone();
    forged.user = "somebody-else".into();
    // As good as anybody can do it: the right predecessor, and a hash that fits.
    tamper(&service, move |txn| {
        let rows: Vec<_> =
            (2..=4u64).map(|seq| txn.get(&AUDIT, &seq.to_be_bytes()).unwrap().unwrap()).collect();
        for seq in 2..=4u64 {
            txn.remove(&AUDIT, &seq.to_be_bytes()).unwrap();
        }
        audit::append(txn, forged.clone()).unwrap();
        for (seq, row) in (3..=4u64).zip(&rows[1..]) {
            txn.put(&AUDIT, &seq.to_be_bytes(), row).unwrap();
        }
    });
    assert_eq!(flaws(&service, None), ["record 3 does not follow record 2: one of them was put there later"]);
    // The whole rest anew: only a head that was kept elsewhere tells.
    let (third, fourth) = (all(&service)[2].content.clone(), all(&service)[3].content.clone());
    tamper(&service, move |txn| {
        for seq in 3..=4u64 {
            txn.remove(&AUDIT, &seq.to_be_bytes()).unwrap();
        }
        audit::append(txn, third.clone()).unwrap();
        audit::append(txn, fourth.clone()).unwrap();
    });
    assert_eq!(flaws(&service, None), [""; 0]);
    let found = flaws(&service, Some(kept));
    assert!(
        found.len() == 1 && found[0].starts_with("record 4 is not the one whose hash was kept"),
        "{found:?}"
    );
}

#[test]
fn p2_a_removed_record_a_gap_and_a_swap_are_found_and_named() {
    let (service, _, _) = box_with(5);
    let (third, fourth) = (row(&service, 3).unwrap(), row(&service, 4).unwrap());
    tamper(&service, |txn| assert!(txn.remove(&AUDIT, &3u64.to_be_bytes()).unwrap()));
    assert_eq!(flaws(&service, None), ["record 3 is missing"]);
    tamper(&service, |txn| assert!(txn.remove(&AUDIT, &4u64.to_be_bytes()).unwrap()));
    assert_eq!(flaws(&service, None), ["records 3 to 4 are missing"]);
    tamper(&service, move |txn| {
        txn.put(&AUDIT, &3u64.to_be_bytes(), &fourth).unwrap();
        txn.put(&AUDIT, &4u64.to_be_bytes(), &third).unwrap();
    });
    let found = flaws(&service, None);
    assert!(
        found[0].starts_with("record 3 was changed") && found[1].starts_with("record 4 was"),
        "{found:?}"
    );
    // Closed up, so that no number is missing.
    tamper(&service, |txn| {
        let last = txn.get(&AUDIT, &6u64.to_be_bytes()).unwrap().unwrap();
        let fifth = txn.get(&AUDIT, &5u64.to_be_bytes()).unwrap().unwrap();
        for seq in 3..=6u64 {
            txn.remove(&AUDIT, &seq.to_be_bytes()).unwrap();
        }
        txn.put(&AUDIT, &3u64.to_be_bytes(), &fifth).unwrap();
        txn.put(&AUDIT, &4u64.to_be_bytes(), &last).unwrap();
    });
    assert!(flaws(&service, None)[0].starts_with("record 3 was changed"));
}

#[test]
fn p2_a_tail_that_was_cut_off_is_found_with_a_head_that_was_kept() {
    let (service, _, _) = box_with(5);
    let kept = service.audit_head().unwrap();
    tamper(&service, |txn| {
        for seq in 5..=6u64 {
            txn.remove(&AUDIT, &seq.to_be_bytes()).unwrap();
        }
    });
    assert_eq!(flaws(&service, None), [""; 0], "alone it cannot tell");
    assert_eq!(
        flaws(&service, Some(kept)),
        ["the chain ends at record 4, and was longer: records up to 6 are missing"]
    );
    // And with others in their place.
    let admin = service.local_admin().unwrap();
    for _ in 0..3 {
        service.record(&admin, Act::new(Operation::Check)).unwrap();
    }
    assert!(flaws(&service, Some(kept))[0].starts_with("record 6 is not the one whose hash was kept"));
}

#[test]
fn p2_the_store_tells_of_a_tail_that_was_cut_off() {
    let (service, _, admin) = box_with(5);
    service.store.ship().unwrap();
    let facts = service.db.read().unwrap();
    drop(facts);
    // Not journaled, as somebody does it who opens the file with another program.
    tamper(&service, |txn| {
        let change =
            crate::db::Change { table: "audit-1".into(), key: 6u64.to_be_bytes().into(), value: None };
        txn.replay(&change).unwrap();
    });
    let checked = service.check(&admin, &mut |_| ()).unwrap();
    assert!(
        checked.description.damage.iter().any(|text| text.contains("audit-1")),
        "{:?}",
        checked.description
    );
}

#[test]
fn a_front_that_was_taken_away_is_told_from_one_that_was_pruned() {
    let (service, clock, admin) = box_with(5);
    let keep = Keep { days: 10, records_max: 1_000_000 };
    assert_eq!(service.prune_audit(keep).unwrap(), 0);
    clock.step_seconds(12 * 86_400);
    service.record(&admin, Act::new(Operation::Check)).unwrap();
    assert_eq!(service.prune_audit(keep).unwrap(), 6);
    assert_eq!(service.prune_audit(keep).unwrap(), 0);
    let traces = all(&service);
    let told: Vec<_> = traces.iter().map(|trace| (trace.seq, trace.content.operation.as_str())).collect();
    assert_eq!(told, [(7, "check"), (8, "pruneAudit")]);
    assert_eq!(traces[1].content.message, "records 1 to 6 were removed: they were old enough");
    assert_eq!(flaws(&service, None), [""; 0]);
    let kept = TraceHead { seq: 3, hash: [0; 32] };
    assert_eq!(flaws(&service, Some(kept)), ["record 3, whose hash was kept, was pruned: keep a newer head"]);
    // Somebody prunes on their own, and forges the anchor.
    let seventh = traces[0].head();
    tamper(&service, move |txn| {
        txn.remove(&AUDIT, &7u64.to_be_bytes()).unwrap();
        let mut anchor = txn.get(&ANCHOR, b"one").unwrap().unwrap();
        anchor[1..9].copy_from_slice(&seventh.seq.to_le_bytes());
        anchor[9..].copy_from_slice(&seventh.hash);
        txn.put(&ANCHOR, b"one", &anchor).unwrap();
    });
    let found = flaws(&service, None);
    assert!(found.len() == 1 && found[0].contains("the last pruning, record 8, left it at 6:"), "{found:?}");
}

#[test]
fn records_have_a_most_and_the_chain_goes_on_after_the_oldest_are_gone() {
    let (service, _, _) = box_with(39);
    let keep = Keep { days: 0, records_max: 20 };
    assert_eq!(service.prune_audit(keep).unwrap(), 22, "down to nine tenths");
    let traces = all(&service);
    assert_eq!((traces.len(), traces[0].seq), (19, 23));
    assert!(traces[18].content.message.ends_with("there were too many"));
    assert_eq!(flaws(&service, None), [""; 0]);
    assert_eq!(service.prune_audit(keep).unwrap(), 0);
}

#[test]
fn p2_a_damaged_newest_record_does_not_stop_the_box() {
    let (service, _, admin) = box_with(2);
    tamper(&service, |txn| txn.put(&AUDIT, &3u64.to_be_bytes(), b"rot").unwrap());
    service.record(&admin, Act::new(Operation::Check)).unwrap();
    let found = flaws(&service, None);
    assert!(found[0].starts_with("record 3 was changed"), "{found:?}");
    assert_eq!(service.audit_head().unwrap().seq, 4);
}

#[test]
fn times_never_go_back_even_when_the_clock_does() {
    let (service, clock, admin) = box_with(1);
    clock.step_seconds(-1000);
    service.record(&admin, Act::new(Operation::Check)).unwrap();
    let traces = all(&service);
    assert!(traces[2].content.time < traces[1].content.time);
    assert!(traces[2].content.recorded_at >= traces[1].content.recorded_at);
    assert_eq!(flaws(&service, None), [""; 0]);
}

#[test]
fn p2_a_change_that_is_refused_leaves_neither_itself_nor_a_record_of_it() {
    let (service, _, admin) = box_with(0);
    let new = NewImage { id: None, changes: vec![Change::Set(Field::Name(Some("one".into())))] };
    let image = service.create_image(&admin, new).unwrap();
    let before = service.audit_head().unwrap();
    let again = NewImage { id: Some(image.id), changes: Vec::new() };
    assert_eq!(service.create_image(&admin, again).unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(service.audit_head().unwrap(), before);
    let trace = all(&service).pop().unwrap().content;
    assert_eq!((trace.operation.as_str(), trace.resource_name.as_str()), ("createImage", "one"));
    assert_eq!((trace.resource_id, trace.user_name.as_str()), (image.id.to_string(), "local-administrator"));
}

/// An origin of a refused request, as the protocols make them.
fn refused_by(user: &str) -> Arc<Origin> {
    let origin = Origin::new(Interface::Image, Source::Process, "req-1".into(), "DELETE /v2/images/x".into());
    origin.set_caller(Caller { user: user.into(), domain: "default".into(), project: Some("p".into()) });
    Arc::new(origin)
}

#[test]
fn p2_no_caller_fills_the_disk_with_refusals() {
    let (service, clock, _) = box_with(0);
    let refuse = |user: &str, times: u64| {
        for _ in 0..times {
            let origin = refused_by(user);
            origin.set_body("x".repeat(100_000));
            let refused = Refused {
                operation: Some(Operation::DeleteImage),
                message: "y".repeat(100_000),
                resource_id: "z".repeat(100_000),
                code: "403".into(),
                ..Refused::default()
            };
            service.record_refusal(&origin, refused).unwrap();
        }
    };
    refuse("a", 10 * CALLER_MAX);
    let traces = all(&service);
    assert_eq!(traces.len() as u64, 1 + CALLER_MAX);
    assert!(traces[1..].iter().all(|trace| trace.content.rating == Rating::Warning));
    assert!(row(&service, 2).unwrap().len() < 2048, "{}", row(&service, 2).unwrap().len());
    for user in 0..1000 {
        refuse(&format!("u{user}"), 1);
    }
    assert!(all(&service).len() as u64 <= 1 + ALL_MAX);
    clock.step_seconds(WINDOW_S);
    refuse("b", 1);
    let told = all(&service);
    let summed = &told[told.len() - 2].content;
    assert_eq!(summed.operation, "skipRefusals");
    assert!(summed.message.contains("user a: 540"), "{}", summed.message);
    assert_eq!(told.last().unwrap().content.operation, "deleteImage");
    assert_eq!(flaws(&service, None), [""; 0]);
}

#[test]
fn pages_hold_everything_once_in_both_orders() {
    let (service, _, admin) = box_with(24);
    for oldest_first in [false, true] {
        let mut query = Query { limit: 7, oldest_first, ..Query::default() };
        let (mut seqs, mut pages) = (Vec::new(), 0);
        loop {
            let page = service.audit_traces(&admin, &query).unwrap();
            seqs.extend(page.traces.iter().map(|trace| trace.seq));
            pages += 1;
            let Some(next) = page.next else { break };
            query.after = Some(next);
        }
        let mut expected: Vec<u64> = (1..=25).collect();
        if !oldest_first {
            expected.reverse();
        }
        assert_eq!((seqs, pages), (expected, 4));
    }
}

#[test]
fn what_is_looked_for_is_found_by_each_field() {
    let (service, clock, admin) = box_with(0);
    let early = service.now();
    clock.step_seconds(100);
    let new = NewImage { id: None, changes: vec![Change::Set(Field::Name(Some("one".into())))] };
    let image = service.create_image(&admin, new).unwrap();
    clock.step_seconds(100);
    let late = service.now();
    service.record(&admin, Act::on(Operation::Check, "x").rated(Rating::Incident)).unwrap();
    let found = |query: Query| -> Vec<u64> {
        let page = service.audit_traces(&admin, &Query { limit: 10, ..query }).unwrap();
        page.traces.iter().map(|trace| trace.seq).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found(Query { operation: some("createImage"), ..Query::default() }), [2]);
    assert_eq!(found(Query { user: some("local-administrator"), ..Query::default() }), [3, 2]);
    assert_eq!(found(Query { resource_id: Some(image.id.to_string()), ..Query::default() }), [2]);
    assert_eq!(found(Query { resource_name: some("one"), ..Query::default() }), [2]);
    assert_eq!(found(Query { resource_type: some("box"), ..Query::default() }), [3, 1]);
    assert_eq!(found(Query { service: some("IMS"), ..Query::default() }), [2]);
    assert_eq!(found(Query { rating: Some(Rating::Incident), ..Query::default() }), [3]);
    assert_eq!(found(Query { from: Some(early), ..Query::default() }), [3, 2]);
    assert_eq!(found(Query { from: Some(early), to: Some(late), ..Query::default() }), [2]);
    assert_eq!(found(Query { to: Some(early), ..Query::default() }), [1]);
    assert_eq!(found(Query { from: Some(service.now()), ..Query::default() }), [0u64; 0]);
}

#[test]
fn p2_records_of_other_projects_are_not_told_apart_from_none() {
    let (service, _, admin) = box_with(0);
    let of = |project: &str, roles: &[&str]| Actor {
        user: "u".into(),
        scope: Some(Scope::Project(project.into())),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..Actor::system()
    };
    let member = of("mine", &["member", "reader"]);
    let image = service.create_image(&member, NewImage::default()).unwrap();
    service.delete_image(&admin, &image.id).unwrap();
    service.create_image(&of("other", &["member", "reader"]), NewImage::default()).unwrap();
    let query = Query { limit: 10, ..Query::default() };
    assert_eq!(service.audit_traces(&member, &query).unwrap_err().kind, ErrorKind::Forbidden);
    let manager = of("mine", &["manager", "member", "reader"]);
    let seen: Vec<_> = service.audit_traces(&manager, &query).unwrap().traces;
    // What an administrator did to the project's image from elsewhere is the project's business.
    assert_eq!(seen.iter().map(|trace| trace.seq).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(service.audit_trace(&manager, 3).unwrap().content.operation, "deleteImage");
    assert_eq!(service.audit_trace(&manager, 4).unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(service.audit_trace(&manager, 99).unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn an_audit_row_takes_bounded_room() {
    let (service, _, admin) = box_with(0);
    let origin = Origin::new(Interface::Ims, Source::Socket, "r".repeat(9000), "c".repeat(9000));
    origin.set_body("b".repeat(90_000));
    let admin = Actor { origin: Arc::new(origin), ..admin };
    let act = Act::on(Operation::Check, "i".repeat(9000)).named("n".repeat(9000)).saying("ö".repeat(9000));
    service.record(&admin, act).unwrap();
    let mut longest = 0;
    let all = (Bound::Unbounded, Bound::Unbounded);
    let read = service.db.read().unwrap();
    read.scan(&AUDIT, all, false, &mut |_, value| {
        longest = longest.max(value.len());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(longest < 4608, "{longest}");
}
