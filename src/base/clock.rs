//! Wall time, injected: the one door through which the product learns what time it is.

use std::fmt;

/// A moment in UTC, in whole microseconds since the Unix epoch.
///
/// Microseconds, because token expiry is compared with full precision while listings print
/// whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    /// Microseconds in one second.
    pub const SECOND: i64 = 1_000_000;

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(Self::SECOND)
    }

    /// The moment `seconds` later (earlier when negative); saturates at the ends of time.
    pub fn plus_seconds(self, seconds: i64) -> Time {
        Time(self.0.saturating_add(seconds.saturating_mul(Self::SECOND)))
    }

    /// `2026-11-24T10:00:00Z`: whole seconds, as the Image API prints times.
    pub fn rfc3339_seconds(self) -> String {
        format!("{}", self.civil().strftime("%Y-%m-%dT%H:%M:%SZ"))
    }

    /// `2026-11-24T10:00:00.123456Z`: six decimals, as the Identity API prints times.
    pub fn rfc3339_micros(self) -> String {
        format!("{}", self.civil().strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }

    /// Minutes since midnight on this machine's own clock, for what people plan by the hour.
    pub fn local_minute(self) -> u16 {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let local = moment.to_zoned(jiff::tz::TimeZone::system());
        u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs())
    }

    /// `Fri, 24 Nov 2026 10:00:00 GMT`: as HTTP's headers have it.
    pub fn http_date(self) -> String {
        format!("{}", self.civil().strftime("%a, %d %b %Y %H:%M:%S GMT"))
    }

    /// Reads an ISO 8601 time; one without an offset counts as UTC. `None` when it is no time.
    pub fn parse(text: &str) -> Option<Time> {
        let text = text.trim();
        if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
            return Some(Time(stamp.as_microsecond()));
        }
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Time(zoned.timestamp().as_microsecond()))
    }

    fn civil(self) -> jiff::civil::DateTime {
        jiff::Timestamp::from_microsecond(self.0)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .datetime()
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339_micros())
    }
}

/// A source of wall time. Steps in either direction are legal; callers must survive them.
pub trait Clock: Send + Sync {
    /// The current moment.
    fn now(&self) -> Time;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_the_protocols_want_them() {
        let time = Time(1_700_000_000_123_456);
        assert_eq!(time.rfc3339_seconds(), "2023-11-14T22:13:20Z");
        assert_eq!(time.rfc3339_micros(), "2023-11-14T22:13:20.123456Z");
        assert_eq!(time.http_date(), "Tue, 14 Nov 2023 22:13:20 GMT");
    }

    #[test]
    fn a_time_without_offset_is_utc() {
        let utc = Time::parse("2023-11-14T22:13:20Z").unwrap();
        assert_eq!(Time::parse("2023-11-14T22:13:20"), Some(utc));
        assert_eq!(Time::parse("2023-11-14T23:13:20+01:00"), Some(utc));
        assert_eq!(Time::parse("yesterday"), None);
    }
}
