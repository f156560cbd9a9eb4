//! Deciding: whether a caller may do something, among a thousand policies that somebody wrote.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use tintype::base::Time;
use tintype::model::ImageId;
use tintype::model::policy::Reach;
use tintype::service::rights::{Action, Asked, Document, Holding, Resource, Rulebook, Verdict};

use super::Outcome;
use super::measure::{Row, Wanted, median, note, setting};

const POLICIES: usize = 1000;
/// Decisions between two looks at the clock.
const TURN: u32 = 2000;

/// Measures decisions under policies of every kind, and where each of them speaks of what is asked.
pub fn run() -> Outcome {
    let mixed = |at: usize| {
        let kinds = ["ims:images:*", "ims:*:get*", "identity:users:list", "ecs:*:*", "ims:images:delete"];
        let (kind, effect) = (kinds[at % kinds.len()], if at % 7 == 3 { "Deny" } else { "Allow" });
        let narrow = match at % 3 {
            0 => format!(r#","Condition":{{"StringEquals":{{"g:UserName":["user-{at}"]}}}}"#),
            1 => format!(r#","Resource":["ims:*:*:image:{at:08x}*"]"#),
            _ => format!(r#","Condition":{{"StringStartWith":{{"g:ProjectName":["team-{at}-"]}}}}"#),
        };
        format!(
            r#"{{"Version":"1.1","Statement":[{{"Effect":"{effect}","Action":["{kind}"]{narrow}}},
                {{"Effect":"Allow","Action":["obs:*:*"]}}]}}"#
        )
    };
    let all_speak = |at: usize| {
        format!(
            r#"{{"Version":"1.1","Statement":[{{"Effect":"Deny","Action":["ims:images:get"],
                "Condition":{{"StringEquals":{{"g:UserName":["user-{at}"]}}}}}}]}}"#
        )
    };
    // What no name tells beforehand: the time, and which image.
    let all_look = |at: usize| {
        format!(
            r#"{{"Version":"1.1","Statement":[{{"Effect":"Deny","Action":["ims:images:get"],"Resource":["ims:*:*:image:{at:08x}*"],
                "Condition":{{"DateLessThan":{{"g:CurrentTime":["2040-01-01T00:00:00Z"]}}}}}}]}}"#
        )
    };
    let one = book(1, &all_look)?;
    let yardstick = ("one policy", decision_us(&one)?);
    for (name, policies) in [
        ("a decision among 1,000 policies", book(POLICIES, &mixed)?),
        ("a decision, each of 1,000 policies denies it to somebody else", book(POLICIES, &all_speak)?),
        ("a decision, each of 1,000 policies denies it for another image", book(POLICIES, &all_look)?),
    ] {
        let figure = decision_us(&policies)?;
        Row { name, figure, unit: "us", yardstick, ratio: figure / yardstick.1, wanted: Wanted::Below(10.0) }
            .print();
    }
    Ok(())
}

fn book(count: usize, text: &dyn Fn(usize) -> String) -> Result<Rulebook, Box<dyn Error>> {
    let started = Instant::now();
    let mut holdings = Vec::with_capacity(count);
    for at in 0..count {
        holdings.push(Holding {
            policy: format!("{at:032x}").as_str().into(),
            name: format!("policy {at}"),
            group: "group".into(),
            reach: Reach::All,
            document: Arc::new(Document::parse(&text(at))?),
            is_in_reach: true,
        });
    }
    let book = Rulebook::new(holdings, &asked());
    note(format!(
        "{count} policies read and put together in {:.1} ms",
        started.elapsed().as_secs_f64() * 1e3
    ));
    Ok(book)
}

/// Microseconds of one decision that no policy takes, so that all of them are looked at.
fn decision_us(book: &Rulebook) -> Result<f64, Box<dyn Error>> {
    let image = ImageId::parse("67e55044-10b1-426f-9247-bb680e5fe0c8").ok_or("no id")?;
    let asked = asked();
    let mut rounds = Vec::new();
    for _ in 0..setting("BENCH_ROUNDS", 5)? {
        let started = Instant::now();
        for _ in 0..TURN {
            let verdict = book.decide(
                black_box(Action::ImagesGet),
                Resource::Image { id: &image, owner: None },
                "default",
                black_box(&asked),
            );
            if black_box(verdict) != Verdict::Silent {
                return Err("a policy spoke of what is none of its business".into());
            }
        }
        rounds.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(TURN));
    }
    Ok(median(rounds))
}

fn asked() -> Asked {
    Asked {
        at: Time(1_700_000_000_000_000),
        user: "u".into(),
        user_name: "ann".into(),
        domain_name: "Default".into(),
        project_name: Some("lab".into()),
        source: None,
    }
}
