//! The hours of upkeep that may wait for them.

/// A time of the day, every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Minutes since midnight.
    open: u16,
    close: u16,
}

impl Window {
    /// Reads `HH:MM-HH:MM`; an empty text is no window.
    ///
    /// # Errors
    /// The text to show.
    pub fn parse(text: &str) -> Result<Option<Window>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let ends = text.split_once('-').and_then(|(open, close)| Some((minute(open)?, minute(close)?)));
        match ends {
            Some((open, close)) if open != close => Ok(Some(Window { open, close })),
            _ => {
                Err(format!("reclaim.window: \"{text}\" is not of the form HH:MM-HH:MM, such as 01:00-05:00"))
            }
        }
    }

    /// Whether it is open at this minute of the day.
    pub fn is_open(&self, minute: u16) -> bool {
        if self.open < self.close {
            (self.open..self.close).contains(&minute)
        } else {
            minute >= self.open || minute < self.close
        }
    }
}

/// Reads `HH:MM`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |digits: &str, end: u16| -> Option<u16> {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten().filter(|number| *number < end)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        Window::parse(text).unwrap().unwrap()
    }

    #[test]
    fn a_window_may_span_midnight() {
        let night = window("01:00-05:30");
        assert!(night.is_open(60) && night.is_open(329) && !night.is_open(330) && !night.is_open(59));
        let late = window("22:00-02:00");
        assert!(late.is_open(1439) && late.is_open(0) && !late.is_open(120) && !late.is_open(1319));
        assert_eq!(Window::parse(""), Ok(None));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in ["1:00-05:00", "01:00", "01:00-25:00", "01:60-02:00", "03:00-03:00", "a-b", "+1:00-02:00"]
        {
            assert!(Window::parse(text).is_err(), "{text}");
        }
    }
}
