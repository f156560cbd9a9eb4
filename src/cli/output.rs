//! How results are printed: tables for people, JSON for scripts, always on standard output.

use std::io::Write;

use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::failure::Failure;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Print the result as JSON.
    pub json: bool,
}

/// A column of a listing: its heading and the member it shows.
pub type Column = (&'static str, &'static str);

impl Output {
    /// Prints a list of objects: some members as a table, or everything as JSON.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn rows(self, objects: &[Value], columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return self.value(&Value::from(objects.to_vec()));
        }
        let mut table = Builder::new();
        table.push_record(columns.iter().map(|(heading, _)| *heading));
        for object in objects {
            table.push_record(columns.iter().map(|(_, member)| cell(member, &object[*member])));
        }
        self.line(&table.build().with(Style::sharp()).to_string())
    }

    /// Prints a list of objects as a table below a heading; nothing where there are none. For pages of several tables.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn section(self, heading: &str, objects: &[Value], columns: &[Column]) -> Result<(), Failure> {
        if objects.is_empty() {
            return Ok(());
        }
        self.line(&format!("\n{heading}"))?;
        self.rows(objects, columns)
    }

    /// Prints a list of objects as comma-separated values (RFC 4180), some members of each.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn csv(self, objects: &[Value], columns: &[Column]) -> Result<(), Failure> {
        let mut sheet = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let heading = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let rows =
            objects.iter().map(|object| columns.iter().map(|(_, member)| plain(&object[*member])).collect());
        for row in std::iter::once(heading).chain(rows) {
            let row: Vec<String> = row;
            sheet.write_record(&row).map_err(|error| Failure::failed(error.to_string()))?;
        }
        let bytes = sheet.into_inner().map_err(|error| Failure::failed(error.to_string()))?;
        let mut out = std::io::stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(|e| Failure::output(&e))
    }

    /// Prints one object: its members as a table, or as JSON.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn record(self, object: &Value) -> Result<(), Failure> {
        if self.json {
            return self.value(object);
        }
        let mut table = Builder::new();
        for (member, value) in object.as_object().into_iter().flatten() {
            if !matches!(member.as_str(), "links" | "self" | "file" | "schema") {
                table.push_record([member.clone(), cell(member, value)]);
            }
        }
        self.line(&table.build().with(Style::sharp().remove_horizontals()).to_string())
    }

    /// Prints what a command did: a sentence, or the facts as JSON.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn done(self, sentence: &str, facts: &Value) -> Result<(), Failure> {
        if self.json { self.value(facts) } else { self.line(sentence) }
    }

    /// Prints a sentence below a table; nothing where all is JSON.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn remark(self, sentence: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.line(sentence) }
    }

    fn value(self, value: &Value) -> Result<(), Failure> {
        self.line(&format!("{value:#}"))
    }

    fn line(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|e| Failure::output(&e))
    }
}

/// A value as a spreadsheet reads it. A text that a spreadsheet would compute gets a quote before it, as OWASP has
/// it for CSV injection.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as a table shows it; byte counts get a unit a person can read.
fn cell(member: &str, value: &Value) -> String {
    let is_bytes = member.ends_with("_bytes") || matches!(member, "size" | "virtual_size");
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => printable(text),
        Value::Number(number) => match number.as_u64() {
            Some(bytes) if is_bytes => format!("{bytes} ({})", human_bytes(bytes)),
            _ => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(|v| cell("", v)).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Text without what could steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `1.5 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spreadsheet_computes_no_name() {
        for (value, shown) in [
            (json!("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")"),
            (json!("-1+1"), "'-1+1"),
            (json!("@a"), "'@a"),
            (json!("web, old"), "web, old"),
            (json!(null), ""),
            (json!(5), "5"),
        ] {
            assert_eq!(plain(&value), shown);
        }
    }

    #[test]
    fn byte_counts_are_readable() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(3 << 29), "1.5 GiB");
        assert_eq!(cell("size", &Value::from(1024)), "1024 (1.0 KiB)");
        assert_eq!(cell("min_disk", &Value::from(1024)), "1024");
        assert_eq!(cell("damaged", &serde_json::json!([])), "none");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(cell("name", &Value::from("a\u{1b}[2Jb")), "a\u{fffd}[2Jb");
    }
}
