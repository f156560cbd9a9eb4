//! Which addresses anything may be fetched from.
//!
//! Invariants: what is not plainly allowed is refused; an address is judged in the one form in which it is then
//! used, so that no reader of it sees another host than the filter did.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

use super::{Error, address};

/// Characters of an address that a refusal repeats.
const SHOWN_CHARS: usize = 200;
/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// What the operator allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterRules {
    /// `http`, `https`.
    pub schemes: Vec<String>,
    /// Ports that may be asked.
    pub ports: Vec<u16>,
    /// Hosts that may be asked, as an address writes them; empty for any.
    pub hosts: Vec<String>,
    /// Networks that may be asked although they are not the public internet's.
    pub networks: Vec<IpNet>,
}

/// The filter; by default it lets nothing pass.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: FilterRules,
}

impl Filter {
    /// A filter of these rules; hosts count without regard to case.
    pub fn new(mut rules: FilterRules) -> Filter {
        rules.hosts.iter_mut().for_each(|host| host.make_ascii_lowercase());
        Filter { rules }
    }

    /// Its rules.
    pub fn rules(&self) -> &FilterRules {
        &self.rules
    }

    /// Reads an address that something may be fetched from, as far as it can be told without asking anybody.
    ///
    /// # Errors
    /// [`Error::Refused`], with the address, but for its query and credentials, and the reason.
    pub fn read(&self, text: &str) -> Result<Url, Error> {
        let refuse = |why: &str| Err(refused(text, why));
        if text.len() > URL_BYTES_MAX {
            return refuse(&format!("it is longer than {URL_BYTES_MAX} bytes"));
        }
        let Ok(url) = Url::parse(text) else { return refuse("it is not of the form http://HOST/PATH") };
        if !self.rules.schemes.iter().any(|scheme| scheme == url.scheme()) {
            return refuse(&format!("its scheme is none of {}", self.rules.schemes.join(", ")));
        }
        let written = written_authority(text);
        if !url.username().is_empty() || url.password().is_some() || written.contains('@') {
            return refuse("it names a user, and credentials do not belong into an address");
        }
        let Some(host) = url.host() else { return refuse("it names no host") };
        if is_number(&host) && !is_written_plainly(written, &host) {
            return refuse("its host is a number in an unusual form; write it as usual");
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !self.rules.ports.contains(&port) {
            return refuse(&format!("port {port} is not among those that are allowed"));
        }
        let name = url.host_str().unwrap_or_default();
        if !self.rules.hosts.is_empty() && !self.rules.hosts.iter().any(|allowed| allowed == name) {
            return refuse(&format!("host {name} is not among those that are allowed"));
        }
        match host {
            Host::Ipv4(address) => self.expect_address(text, address.into()).map(|()| url),
            Host::Ipv6(address) => self.expect_address(text, address.into()).map(|()| url),
            Host::Domain(_) => Ok(url),
        }
    }

    /// Those of the addresses of a host that may be asked; one that may not, and all may not: a name that leads both in
    /// and out is up to something.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn expect_addresses(&self, url: &Url, found: &[SocketAddr]) -> Result<(), Error> {
        found.iter().try_for_each(|found| self.expect_address(url.as_str(), found.ip()))
    }

    fn expect_address(&self, text: &str, found: IpAddr) -> Result<(), Error> {
        let plain = address::plain(found);
        if address::is_public(plain) || self.rules.networks.iter().any(|network| network.contains(&plain)) {
            return Ok(());
        }
        Err(refused(text, "its host is in a network of its own, which the operator did not allow"))
    }
}

/// The reference's words, which its clients look for, and then ours.
fn refused(text: &str, why: &str) -> Error {
    let shown = without_secrets(text);
    let shown: String =
        shown.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    Error::Refused(format!("URI for web-download does not pass filtering: {shown} ({why})"))
}

/// What a caller wrote, or a server redirects to, without a query and credentials: others read refusals too.
fn without_secrets(text: &str) -> String {
    let place = text.split(['?', '#']).next().unwrap_or_default();
    let authority = written_authority(place);
    match authority.rsplit_once('@') {
        Some((user, _)) => place.replacen(&format!("{user}@"), "", 1),
        None => place.to_owned(),
    }
}

/// What stands between the scheme and the path, as the caller wrote it.
fn written_authority(text: &str) -> &str {
    let after = text.trim_start().split_once(':').map_or("", |(_, after)| after);
    let after = after.trim_start_matches(['/', '\\']);
    after.split(['/', '\\', '?', '#']).next().unwrap_or_default()
}

fn is_number(host: &Host<&str>) -> bool {
    matches!(host, Host::Ipv4(_) | Host::Ipv6(_))
}

/// Whether a host that is a number was written as that number usually is: no octal, no hexadecimal, no part left out.
fn is_written_plainly(written: &str, host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => {
            let name = written.split(':').next().unwrap_or_default();
            name == address.to_string()
        }
        Host::Ipv6(address) => {
            let inner =
                written.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(inner, _)| inner);
            inner.is_some_and(|inner| inner.parse() == Ok(*address))
        }
        Host::Domain(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(hosts: &[&str], networks: &[&str]) -> Filter {
        Filter::new(FilterRules {
            schemes: vec!["http".into(), "https".into()],
            ports: vec![80, 443],
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        })
    }

    #[test]
    fn s25_what_is_not_plainly_allowed_is_refused() {
        let filter = filter(&[], &[]);
        for good in [
            "http://mirror.example/a.img",
            "https://1.1.1.1/x",
            "https://[2606:4700::1]:443/",
            "HTTP://m.example",
        ] {
            assert!(filter.read(good).is_ok(), "{good}: {:?}", filter.read(good));
        }
        for (bad, why) in [
            ("", "form"),
            ("mirror.example/x", "form"),
            ("ftp://mirror.example/x", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("http://mirror.example:8080/x", "port 8080"),
            ("http://mirror.example:22/x", "port 22"),
            ("http://user@mirror.example/x", "user"),
            ("http://user:secret@mirror.example/x", "user"),
            ("http://@mirror.example/x", "user"),
            ("http://mirror.example\\@127.0.0.1/x", "form"),
            ("http://127.0.0.1/x", "network"),
            ("http://2130706433/x", "unusual"),
            ("http://0x7f000001/x", "unusual"),
            ("http://0177.0.0.1/x", "unusual"),
            ("http://127.1/x", "unusual"),
            ("http://127.0.0.1./x", "unusual"),
            ("http://１２７.0.0.1/x", "unusual"),
            ("http://[::1]/x", "network"),
            ("http://[::ffff:127.0.0.1]/x", "network"),
            ("http://[::ffff:7f00:1]/x", "network"),
            ("http://169.254.169.254/latest/meta-data", "network"),
            ("http://[fd00:ec2::254]/", "network"),
            ("http:///x", "network"),
        ] {
            let told = match filter.read(bad) {
                Err(Error::Refused(told)) => told,
                other => {
                    assert!(bad == "http:///x" || bad.contains('\\'), "{bad}: {other:?}");
                    continue;
                }
            };
            assert!(told.contains("does not pass filtering"), "{told}");
            if bad != "http:///x" && !bad.contains('\\') {
                assert!(told.contains(why), "{bad}: {told}");
            }
        }
    }

    #[test]
    fn a_refusal_repeats_neither_query_nor_credentials() {
        let filter = filter(&[], &[]);
        for bad in [
            "ftp://mirror.example/x?signature=secret",
            "http://mirror.example:22/x#secret",
            "http://127.0.0.1/x?secret",
            "http://user:secret@mirror.example/x",
            "http://secret@mirror.example/x?secret",
            "mirror.example/x?secret",
        ] {
            let told = filter.read(bad).unwrap_err().to_string();
            assert!(told.contains("/x") && !told.contains("secret"), "{bad}: {told}");
        }
    }

    #[test]
    fn s25_a_name_is_judged_by_every_address_it_has() {
        let filter = filter(&[], &["10.0.0.0/8"]);
        let url = filter.read("http://mirror.example/x").unwrap();
        let at = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect()
        };
        assert!(filter.expect_addresses(&url, &at(&["1.1.1.1", "10.2.3.4"])).is_ok());
        assert!(filter.expect_addresses(&url, &at(&["1.1.1.1", "127.0.0.1"])).is_err());
        assert!(filter.expect_addresses(&url, &at(&["::ffff:10.0.0.1"])).is_ok());
        assert!(filter.read("http://10.9.9.9/x").is_ok());
    }

    #[test]
    fn hosts_that_are_named_are_the_only_ones() {
        let filter = filter(&["Mirror.example", "xn--bcher-kva.example"], &[]);
        for good in ["http://mirror.example/x", "http://MIRROR.example/x", "http://bücher.example/"] {
            assert!(filter.read(good).is_ok(), "{good}");
        }
        for bad in ["http://other.example/x", "http://mirror.example.evil/x", "http://1.1.1.1/"] {
            assert!(filter.read(bad).is_err(), "{bad}");
        }
    }
}
