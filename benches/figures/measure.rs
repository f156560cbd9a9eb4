//! What is measured and how it is told: processor time and memory as the kernel counts them,
//! medians, and the rows of the table.

use std::error::Error;
use std::fmt::Display;

/// The kernel counts processor time in hundredths of a second, whatever its clock ticks.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a figure has to be.
pub enum Wanted {
    /// The ratio to the yardstick is at least this.
    RatioAtLeast(f64),
    /// The ratio to the yardstick is at most this.
    RatioAtMost(f64),
    /// The figure is below this many of its unit.
    Below(f64),
    /// The figure is at least this many of its unit.
    AtLeast(f64),
    /// The figure is at least the first, and at most the second many of its unit.
    Between(f64, f64),
    /// Nothing: it explains its neighbours.
    Nothing,
}

/// One figure, its yardstick from the same run, and the ratio of the two.
pub struct Row<'a> {
    /// What was measured.
    pub name: &'a str,
    /// The figure.
    pub figure: f64,
    /// Its unit and the yardstick's.
    pub unit: &'a str,
    /// What it is held against.
    pub yardstick: (&'a str, f64),
    /// Figure through yardstick; where rounds were paired, the median of their ratios.
    pub ratio: f64,
    /// What it has to be.
    pub wanted: Wanted,
}

impl Row<'_> {
    /// Prints the row: tab-separated, for `benches/run` to align.
    pub fn print(&self) {
        let Row { name, figure, unit, yardstick: (against, yardstick), ratio, .. } = self;
        let (wanted, holds) = match self.wanted {
            Wanted::RatioAtLeast(least) => (format!("ratio >= {least}"), Some(*ratio >= least)),
            Wanted::RatioAtMost(most) => (format!("ratio <= {most}"), Some(*ratio <= most)),
            Wanted::Below(most) => (format!("< {most} {unit}"), Some(*figure < most)),
            Wanted::AtLeast(least) => (format!(">= {least} {unit}"), Some(*figure >= least)),
            Wanted::Between(least, most) => {
                (format!("{least}-{most} {unit}"), Some((least..=most).contains(figure)))
            }
            Wanted::Nothing => ("-".into(), None),
        };
        let verdict = match holds {
            Some(true) => "holds",
            Some(false) => "FALLS SHORT",
            None => "-",
        };
        println!(
            "{name}\t{} {unit}\t{against}: {} {unit}\t{ratio:.2}\t{wanted}\t{verdict}",
            short(*figure),
            short(*yardstick)
        );
    }
}

/// Three digits are all that such figures are good for.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Figures and yardsticks of rounds in which they took turns.
#[derive(Default)]
pub struct Paired {
    figures: Vec<f64>,
    yardsticks: Vec<f64>,
    ratios: Vec<f64>,
}

impl Paired {
    /// Adds a round.
    pub fn add(&mut self, figure: f64, yardstick: f64) {
        self.figures.push(figure);
        self.yardsticks.push(yardstick);
        self.ratios.push(figure / yardstick);
    }

    /// Prints the row of their medians.
    pub fn print(self, name: &str, unit: &str, against: &str, wanted: Wanted) {
        Row {
            name,
            figure: median(self.figures),
            unit,
            yardstick: (against, median(self.yardsticks)),
            ratio: median(self.ratios),
            wanted,
        }
        .print();
    }
}

/// Tells what a row is made of.
pub fn note(text: impl Display) {
    eprintln!("  {text}");
}

/// The middle value; of an even number the upper one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that this part of all lie below: 0.99 for the 99th percentile.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Processor seconds a process has used, its own and the kernel's for it.
pub fn processor_seconds(pid: u32) -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; fields count from behind it.
    let fields = stat.rsplit(')').next().unwrap_or("");
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    Ok(ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND)
}

/// A line of `/proc/PID/status` that counts memory, such as `VmRSS`, in MiB.
pub fn memory_mib(pid: u32, line: &str) -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib: f64 = value.and_then(|text| text.split_whitespace().next()).ok_or("no such line")?.parse()?;
    Ok(kib / 1024.0)
}

/// A number from the environment, for quick looks and long runs.
pub fn setting(name: &str, default: u64) -> Result<u64, Box<dyn Error>> {
    match std::env::var(name) {
        Ok(text) => Ok(text.parse().map_err(|e| format!("{name}: {e}"))?),
        Err(_) => Ok(default),
    }
}
