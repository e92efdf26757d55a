//! `/v1/orders`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use ca_api::{Problem, TierWish};

use crate::accounts::Caller;
use crate::app::App;
use crate::http::extract::JsonBody;
use crate::http::problem::HttpProblem;
use crate::orders::{self, NewOrder, Order, OrderState, TierChoice};
use crate::plans;

pub(super) async fn place_order(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(new): JsonBody<ca_api::NewOrder>,
) -> Result<(StatusCode, Json<ca_api::Order>), HttpProblem> {
    let order = NewOrder {
        mailbox: new.mailbox,
        tier: match new.tier {
            TierWish::Best => TierChoice::Best,
            TierWish::Exactly(tier) => TierChoice::Exactly(tier),
        },
        generation: new.generation,
        key_use: new.key_use,
        certificate_request: new.certificate_request,
        idempotency_key: idempotency_key(&headers).map_err(HttpProblem::malformed)?,
    };
    let order = orders::place(&app, &caller, order).await?;
    Ok((StatusCode::CREATED, Json(on_the_wire(order))))
}

pub(super) async fn show_order(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ca_api::Order>, HttpProblem> {
    Ok(Json(on_the_wire(orders::find(&app, &caller, &id).await?)))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let mut values = headers.get_all("Idempotency-Key").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(key) => Ok(Some(key.to_owned())),
            Err(_) => Err("the Idempotency-Key is not visible ASCII"),
        },
        (Some(_), Some(_)) => Err("there is more than one Idempotency-Key"),
    }
}

fn on_the_wire(order: Order) -> ca_api::Order {
    let wished = match order.tier {
        TierChoice::Best => TierWish::Best,
        TierChoice::Exactly(tier) => TierWish::Exactly(tier),
    };
    let (state, tier, certificate_serial, chain_pem, problem) = match order.state {
        OrderState::Pending { problem } => (ca_api::OrderState::Pending, wished, None, None, problem),
        OrderState::Issuing => (ca_api::OrderState::Pending, wished, None, None, None),
        OrderState::Valid {
            serial,
            tier,
            chain_pem,
        } => (
            ca_api::OrderState::Valid,
            TierWish::Exactly(tier),
            Some(serial),
            Some(chain_pem),
            None,
        ),
        OrderState::Invalid { problem } => (ca_api::OrderState::Invalid, wished, None, None, Some(problem)),
    };
    ca_api::Order {
        id: order.id,
        state,
        mailbox: order.mailbox,
        tier,
        generation: order.generation,
        key_use: order.key_use,
        certificate_serial,
        chain_pem,
        problem: problem.map(|detail| why(state, detail)),
        created_at: order.created_at,
        updated_at: order.updated_at,
    }
}

/// What stands in the way of an order, as a problem document within it.
fn why(state: ca_api::OrderState, detail: String) -> Problem {
    let (name, title) = match state {
        ca_api::OrderState::Pending if plans::is_problem(&detail) => ("plan-limit", "The plan does not include it"),
        ca_api::OrderState::Invalid => ("order-refused", "The order was refused"),
        ca_api::OrderState::Pending | ca_api::OrderState::Valid => {
            ("evidence-insufficient", "The evidence does not suffice yet")
        }
    };
    Problem {
        kind: format!("{}{name}", Problem::PREFIX),
        title: title.to_owned(),
        status: StatusCode::CONFLICT.as_u16(),
        detail,
        section: None,
        lint: None,
        request_id: None,
    }
}
