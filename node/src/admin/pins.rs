//! Pins over the admin socket.

use axum::Json;
use axum::extract::{Path, Query, State};
use pinfold_store::meta::pin_row::{PinClass, PinState, PinTerms};
use pinfold_store::namespace::pins::{AskedPin, PinLine};
use pinfold_store::types::Cid;
use pinfold_store::unixfs::digest_of;
use serde::Deserialize;

use super::api::{Answer, Api, blocking, rfc3339};
use super::error::ApiError;
use super::wire;

/// Pins in one request, and in one answer.
const MOST: usize = 1000;

/// Which pins `GET /v1/pins` shows.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// From here on, as `next` had it.
    from: Option<String>,
    /// Of this state.
    state: Option<String>,
}

fn cid(text: &str) -> Result<Cid, ApiError> {
    let cid: Cid = text.parse().map_err(|e| ApiError::bad_request(format!("`{text}` is no CID: {e}")))?;
    digest_of(&cid)?;
    Ok(cid)
}

fn view(line: PinLine) -> wire::Pin {
    let row = line.row;
    let terms = row.as_ref().and_then(|row| row.told.as_ref()).map(|(_, terms)| terms.clone());
    wire::Pin {
        cid: line.cid.to_string(),
        state: line.view.state.word().to_owned(),
        pinned: line.view.pinned,
        of: line.view.of,
        attempts: row.as_ref().map_or(0, |row| row.attempts),
        error: line.view.error,
        wanted_since: row.as_ref().map(|row| rfc3339(row.wanted_since)),
        name: terms.as_ref().map(|terms| terms.name.clone()),
        replication_min: terms.as_ref().map(|terms| terms.replication_min),
        replication_max: terms.as_ref().map(|terms| terms.replication_max),
        asked_by: line.asked.map(|ask| ask.by),
    }
}

/// `GET /v1/pins`.
pub(super) async fn list(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Answer<wire::Pins> {
    let mut from = [0; 32];
    if let Some(text) = &wanted.from {
        hex::decode_to_slice(text, &mut from).map_err(|_| ApiError::bad_request("`from` is what `next` said"))?;
    }
    let state = match wanted.state.as_deref() {
        None => None,
        Some(word) => match PinState::ALL.into_iter().find(|state| state.word() == word) {
            Some(state) => Some(state),
            None => return Err(ApiError::bad_request(format!("there is no state `{word}`"))),
        },
    };
    let (lines, next) = blocking(move || api.namespace.pin_lines(&from, state, MOST)).await??;
    Ok(Json(wire::Pins { pins: lines.into_iter().map(view).collect(), next: next.map(hex::encode) }))
}

/// `GET /v1/pins/{cid}`.
pub(super) async fn status(State(api): State<Api>, Path(text): Path<String>) -> Answer<wire::Pin> {
    let cid = cid(&text)?;
    let line = blocking(move || api.namespace.pin_line(&cid)).await??;
    line.map(|line| Json(view(line))).ok_or_else(|| ApiError::not_found(format!("nobody wants {text} pinned")))
}

/// `POST /v1/pins`.
pub(super) async fn add(State(api): State<Api>, Json(request): Json<wire::AddPins>) -> Answer<wire::PinCount> {
    if request.pins.len() > MOST {
        return Err(ApiError::bad_request(format!("at most {MOST} pins at once")));
    }
    let read = |pin: wire::AddPin| {
        let class = match pin.class.as_deref() {
            None => PinClass::default(),
            Some(word) => PinClass::ALL
                .into_iter()
                .find(|class| class.word() == word)
                .ok_or_else(|| ApiError::bad_request(format!("there is no class `{word}`")))?,
        };
        let (min, max) = (pin.replication_min.unwrap_or(-1), pin.replication_max.or(pin.replication_min).unwrap_or(-1));
        let numbers = (1..=1000).contains(&min) && (min..=1000).contains(&max);
        if (min, max) != (-1, -1) && !numbers {
            return Err(ApiError::bad_request(
                "replication is -1 for all, or at least 1 and not less than its minimum",
            ));
        }
        let name = pin.name.unwrap_or_else(|| "pinfold".to_owned());
        if name.len() > 255 {
            return Err(ApiError::bad_request("a pin's name has at most 255 bytes"));
        }
        let terms = PinTerms { name, replication_min: min, replication_max: max };
        Ok(AskedPin { cid: cid(&pin.cid)?, class, terms })
    };
    let asked = request.pins.into_iter().map(read).collect::<Result<Vec<_>, ApiError>>()?;
    let count = asked.len() as u64;
    api.namespace.ask_pins(&api.caller(), asked).await?;
    Ok(Json(wire::PinCount { pins: count }))
}

/// `POST /v1/pins/remove`.
pub(super) async fn remove(State(api): State<Api>, Json(request): Json<wire::RemovePins>) -> Answer<wire::PinCount> {
    if request.cids.len() > MOST {
        return Err(ApiError::bad_request(format!("at most {MOST} pins at once")));
    }
    let cids = request.cids.iter().map(|text| cid(text)).collect::<Result<Vec<_>, _>>()?;
    let pins = api.namespace.unask_pins(&api.caller(), cids).await?;
    Ok(Json(wire::PinCount { pins }))
}
