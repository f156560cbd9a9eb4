//! `POST gc`: space is given back, or, with `dry_run=true`, it is told what that would do.

use axum::extract::{Query, Request, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::{permitted, work};
use crate::api::context::ApiState;
use crate::service::Error;
use crate::service::images::{RecipePlan, Which};
use crate::service::reclaim::{Collected, Foreseen, figures, settled_figures};
use crate::service::rights::Action;
use crate::store::{Compare, Plan, PlannedPack, Wish};

/// Packs of a plan that are listed one by one.
const PACKS_LISTED_MAX: usize = 1000;

/// What is asked for; by default only what is dead as a whole is deleted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    dry_run: bool,
    dedup: bool,
    compact: bool,
    recompress: bool,
    recipes: bool,
}

pub(super) async fn gc(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let asked = asked(request.uri())?;
    let actor = permitted(&state, request, Action::StoreReclaim).await?;
    let wish = Wish {
        dedup: asked.dedup.then_some(Compare::All),
        compact: asked.compact,
        recompress: asked.recompress,
    };
    Ok(work::respond(state, move |service, tell| {
        if asked.dry_run {
            return Ok(plan_body(&service.plan_reclaim(&actor, wish, asked.recipes)?));
        }
        let recipes = asked.recipes.then_some(Which::All);
        Ok(collected_body(&service.reclaim(&actor, wish, recipes, tell)?))
    }))
}

fn asked(uri: &Uri) -> Result<Asked, Error> {
    match Query::try_from_uri(uri) {
        Ok(Query(asked)) => Ok(asked),
        Err(_) => Err(Error::invalid(
            "gc takes dry_run, dedup, compact, recompress and recipes, each true or false",
        )),
    }
}

fn collected_body(collected: &Collected) -> Value {
    let mut body = json!({"job": collected.job.to_string()});
    if let Some(members) = body.as_object_mut() {
        members.extend(figures(collected).into_iter().map(|(name, figure)| (name, figure.into())));
        if !collected.unreadable.is_empty() {
            members.insert("unreadable".to_owned(), collected.unreadable.clone().into());
        }
    }
    body
}

fn plan_body(foreseen: &Foreseen) -> Value {
    let Plan { delete, compact, duplicates, recompress } = &foreseen.packs;
    let sum = |packs: &[PlannedPack], of: fn(&PlannedPack) -> u64| packs.iter().map(of).sum::<u64>();
    let known: Vec<PlannedPack> = delete.iter().chain(compact).cloned().collect();
    let actions = [("delete", delete), ("compact", compact), ("recompress", recompress)];
    let listed = actions.iter().flat_map(|(action, packs)| packs.iter().map(|pack| pack_body(action, pack)));
    let mut body = json!({
        "delete_packs": delete.len(),
        "compact_packs": compact.len(),
        "recompress_packs": recompress.len(),
        "recompress_bytes": sum(recompress, |pack| pack.object_bytes),
        "written_bytes": sum(&known, |pack| pack.written_bytes),
        "returned_bytes": sum(&known, |pack| pack.object_bytes - pack.written_bytes),
        "packs": listed.take(PACKS_LISTED_MAX).collect::<Vec<_>>(),
    });
    if let (Some(found), Some(members)) = (duplicates, body.as_object_mut()) {
        members.insert("duplicate_chunks".into(), found.chunks.into());
        members.insert("duplicate_bytes".into(), found.bytes.into());
    }
    if let (Some(RecipePlan { streams, packed_bytes, settled }), Some(members)) =
        (foreseen.recipes, body.as_object_mut())
    {
        let tried = [("recipes_to_try", streams), ("recipe_plain_bytes", packed_bytes)];
        let figures = tried.into_iter().chain(settled_figures(&settled));
        members.extend(figures.map(|(name, figure)| (name.to_owned(), figure.into())));
    }
    body
}

fn pack_body(action: &str, pack: &PlannedPack) -> Value {
    json!({
        "pack": pack.pack,
        "action": action,
        "object_bytes": pack.object_bytes,
        "written_bytes": pack.written_bytes,
        "live_ratio": pack.live_ratio,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::images::Kept;
    use crate::store::Shared;

    #[test]
    fn only_known_switches_are_taken() {
        let asked = |query: &str| asked(&format!("/tintype/v1/gc{query}").parse().unwrap());
        assert!(
            asked("").is_ok_and(|asked| !(asked.dry_run || asked.dedup || asked.compact || asked.recompress))
        );
        assert!(asked("?compact=true&dry_run=true").is_ok_and(|asked| asked.dry_run && asked.compact));
        assert!(asked("?dedup=true").is_ok_and(|asked| asked.dedup && !asked.compact));
        assert!(asked("?recipes=true").is_ok_and(|asked| asked.recipes && !asked.compact));
        assert!(asked("?compact=perhaps").is_err());
        assert!(asked("?everything=true").is_err());
    }

    #[test]
    fn a_plan_tells_what_comes_back_and_what_it_costs() {
        let pack = |pack, object_bytes, written_bytes| PlannedPack {
            pack,
            object_bytes,
            written_bytes,
            live_ratio: None,
        };
        let plan = Plan {
            delete: vec![pack(1, 100, 0)],
            compact: vec![pack(2, 100, 30)],
            duplicates: Some(Shared { chunks: 3, bytes: 60_000, ..Shared::default() }),
            recompress: vec![pack(3, 50, 50)],
        };
        let recipes =
            RecipePlan { streams: 2, packed_bytes: 9, settled: Kept { unfit: 1, ..Kept::default() } };
        let body = plan_body(&Foreseen { packs: plan, recipes: Some(recipes) });
        assert_eq!(body["returned_bytes"], 170);
        assert_eq!(body["written_bytes"], 30);
        assert_eq!(body["recompress_bytes"], 50);
        assert_eq!(body["packs"][1]["action"], "compact");
        assert_eq!((&body["duplicate_chunks"], &body["duplicate_bytes"]), (&json!(3), &json!(60_000)));
        assert_eq!((&body["recipes_to_try"], &body["recipe_plain_bytes"]), (&json!(2), &json!(9)));
        assert_eq!((&body["recipes_unfit"], &body["recipes_not_packed"]), (&json!(1), &json!(0)));
        let nothing = plan_body(&Foreseen { packs: Plan::default(), recipes: None });
        assert_eq!((nothing.get("duplicate_bytes"), nothing.get("recipes_to_try")), (None, None));
    }
}
