//! Parameters of a listing, as the reference reads them.

use super::*;

fn listing(query: &str) -> Listing {
    ListQuery::parse(query).unwrap_or_else(|refusal| panic!("{query}: {refusal:?}")).listing
}

fn names(query: &str) -> Option<Vec<String>> {
    listing(query).filters.names
}

#[test]
fn a_bare_listing_is_the_newest_25_with_accepted_shares() {
    let listing = listing("");
    assert_eq!(listing.limit, 25);
    assert_eq!(listing.sort, [(SortKey::CreatedAt, Direction::Descending)]);
    assert_eq!(listing.member_status, Some(MemberStatus::Accepted));
    assert_eq!(listing.filters, Filters::default());
}

#[test]
fn the_limit_is_capped_silently() {
    assert_eq!(listing("limit=5000").limit, 1000);
    assert_eq!(listing("limit=0").limit, 0);
}

#[test]
fn wrong_parameters_are_refused() {
    for bad in [
        "limit=-1",
        "limit=x",
        "marker=x",
        "sort=owner",
        "sort=name:up",
        "sort=name&sort_key=size",
        "sort_key=name&sort_key=size&sort_key=id&sort_dir=asc&sort_dir=asc",
        "sort_dir=up",
        "name=gt:x",
        "name=in:%22a",
        "name=in:a%22b",
        "name=in:%22a%22b",
        "created_at=gt:yesterday",
        "created_at=xx:2026-01-01T00:00:00Z",
        "size_min=x",
        "min_ram_max=-1",
        "protected=True",
        "os_hidden=yes",
        "visibility=none",
        "member_status=none",
        "changes-since=2026-01-01T00:00:00Z",
        "name=%ff",
    ] {
        assert!(ListQuery::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn lists_of_values_honour_quotes() {
    assert_eq!(names("name=in:a,%22b,c%22,d"), Some(vec!["a".into(), "b,c".into(), "d".into()]));
    assert_eq!(names("name=in:%22a:b%22"), Some(vec!["a:b".into()]));
    assert_eq!(names("name=a+b%20c"), Some(vec!["a b c".into()]));
    assert_eq!(names("name="), Some(vec![String::new()]));
}

#[test]
fn numbers_are_bounds_and_text_matches_none() {
    let filters = listing("size_min=1&size_max=9&min_disk=3&min_ram=gt:3").filters;
    assert_eq!(filters.size, NumberBounds { min: Some(1), max: Some(9) });
    assert_eq!(filters.min_disk, NumberBounds { min: Some(3), max: Some(3) });
    assert!(filters.min_ram.min > filters.min_ram.max);
}

#[test]
fn os_hidden_takes_the_capital_true_that_clients_send() {
    assert!(listing("os_hidden=True").filters.hidden);
    assert!(!listing("os_hidden=FALSE").filters.hidden);
}

#[test]
fn whatever_is_no_parameter_is_a_property() {
    let filters = listing("os_distro=debian&cpu_max=4&deleted=true").filters;
    let expected = [("os_distro", "debian"), ("cpu_max", "4")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(filters.properties, expected.into());
}

#[test]
fn directions_are_one_for_all_or_one_for_each() {
    use Direction::{Ascending, Descending};
    assert_eq!(
        listing("sort_key=name&sort_key=size&sort_dir=asc").sort,
        [(SortKey::Name, Ascending), (SortKey::Size, Ascending)]
    );
    assert_eq!(listing("sort=name:asc,size").sort, [(SortKey::Name, Ascending), (SortKey::Size, Descending)]);
    assert_eq!(listing("sort_dir=asc").sort, [(SortKey::CreatedAt, Ascending)]);
}

#[test]
fn times_compare_as_told() {
    let time = Time::parse("2026-01-02T03:04:05Z").unwrap();
    assert_eq!(listing("created_at=2026-01-02T03:04:05Z").filters.created_at, [(Comparison::Equal, time)]);
    assert_eq!(
        listing("updated_at=gte:2026-01-02T03%3A04%3A05Z").filters.updated_at,
        [(Comparison::GreaterOrEqual, time)]
    );
}

#[test]
fn links_keep_every_parameter_but_the_marker() {
    let id = "0c6d3a5e-58a7-4c1b-9d0f-5b1e7a2c9f10";
    let query = ListQuery::parse(&format!("tag=a&marker={id}&tag=b&name=in:%22x,y%22&limit=2")).unwrap();
    assert_eq!(query.first(), "/v2/images?tag=a&tag=b&name=in%3A%22x%2Cy%22&limit=2");
    let id = ImageId::parse(id).unwrap();
    assert_eq!(query.next(&id), format!("{}&marker={id}", query.first()));
    let bare = ListQuery::parse("").unwrap();
    assert_eq!((bare.first(), bare.next(&id)), ("/v2/images".into(), format!("/v2/images?marker={id}")));
}
