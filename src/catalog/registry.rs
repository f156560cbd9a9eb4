//! Services, endpoints and regions that administrators registered beside the box's own, which are nowhere kept.
//!
//! Invariant: no endpoint outlives its service. There are few of each: listings read all of them.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::records::registry::{EndpointRecord, RegionRecord, ServiceRecord};
use crate::db::codec::{self, Record, Unreadable};
use crate::db::{Rows, Table, WriteTxn};
use crate::model::registry::{Endpoint, Region, RegisteredService};

/// Id.
const SERVICES: Table = Table::facts("services-1");
/// Id.
const ENDPOINTS: Table = Table::facts("endpoints-1");
/// Id.
const REGIONS: Table = Table::facts("regions-1");
/// All three; nothing follows from them.
pub(super) const FACTS: [Table; 3] = [SERVICES, ENDPOINTS, REGIONS];

/// The service with this id.
///
/// # Errors
/// When the database fails.
pub fn service(rows: &impl Rows, id: &str) -> Result<Option<RegisteredService>, Error> {
    let record = rows.record::<ServiceRecord>(&SERVICES, id.as_bytes())?;
    Ok(record.map(|record| record.into_service(id.to_owned())))
}

/// Every service, by id.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn services(rows: &impl Rows) -> Result<Vec<RegisteredService>, Error> {
    all(rows, &SERVICES, ServiceRecord::into_service)
}

/// Adds a service, or changes it.
///
/// # Errors
/// When the database fails.
pub fn put_service(txn: &WriteTxn, service: &RegisteredService) -> Result<(), Error> {
    Ok(txn.put_record(&SERVICES, service.id.as_bytes(), &ServiceRecord::from(service))?)
}

/// Removes a service with its endpoints; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete_service(txn: &WriteTxn, id: &str) -> Result<bool, Error> {
    for endpoint in endpoints(txn)?.into_iter().filter(|endpoint| endpoint.service == id) {
        delete_endpoint(txn, &endpoint.id)?;
    }
    Ok(txn.remove(&SERVICES, id.as_bytes())?)
}

/// The endpoint with this id.
///
/// # Errors
/// When the database fails.
pub fn endpoint(rows: &impl Rows, id: &str) -> Result<Option<Endpoint>, Error> {
    let record = rows.record::<EndpointRecord>(&ENDPOINTS, id.as_bytes())?;
    Ok(record.map(|record| record.into_endpoint(id.to_owned())))
}

/// Every endpoint, by id.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn endpoints(rows: &impl Rows) -> Result<Vec<Endpoint>, Error> {
    all(rows, &ENDPOINTS, EndpointRecord::into_endpoint)
}

/// Adds an endpoint, or changes it.
///
/// # Errors
/// When the database fails.
pub fn put_endpoint(txn: &WriteTxn, endpoint: &Endpoint) -> Result<(), Error> {
    Ok(txn.put_record(&ENDPOINTS, endpoint.id.as_bytes(), &EndpointRecord::from(endpoint))?)
}

/// Removes an endpoint; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete_endpoint(txn: &WriteTxn, id: &str) -> Result<bool, Error> {
    Ok(txn.remove(&ENDPOINTS, id.as_bytes())?)
}

/// The region with this id.
///
/// # Errors
/// When the database fails.
pub fn region(rows: &impl Rows, id: &str) -> Result<Option<Region>, Error> {
    let record = rows.record::<RegionRecord>(&REGIONS, id.as_bytes())?;
    Ok(record.map(|record| record.into_region(id.to_owned())))
}

/// Every region, by id.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn regions(rows: &impl Rows) -> Result<Vec<Region>, Error> {
    all(rows, &REGIONS, RegionRecord::into_region)
}

/// Adds a region, or changes it.
///
/// # Errors
/// When the database fails.
pub fn put_region(txn: &WriteTxn, region: &Region) -> Result<(), Error> {
    Ok(txn.put_record(&REGIONS, region.id.as_bytes(), &RegionRecord::from(region))?)
}

/// Removes a region; says whether there was one. That nothing is in it is the caller's to see to.
///
/// # Errors
/// When the database fails.
pub fn delete_region(txn: &WriteTxn, id: &str) -> Result<bool, Error> {
    Ok(txn.remove(&REGIONS, id.as_bytes())?)
}

fn all<R: Record, T>(rows: &impl Rows, table: &Table, of: fn(R, String) -> T) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    rows.scan(table, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        found.push((key.to_vec(), codec::decode::<R>(value)));
        ControlFlow::Continue(())
    })?;
    let mut things = Vec::with_capacity(found.len());
    for (id, record) in found {
        let id = String::from_utf8(id);
        let id = id.map_err(|_| Unreadable { name: R::NAME, reason: "its id is not text".into() })?;
        things.push(of(record?, id));
    }
    Ok(things)
}
