"""Udfs of the views on purchases: in pandas, and the same for one event at a time in plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.featurestore.udfs.pandas_udf import PandasUdf
from headrace.schemas.feature_specs import ColumnSpec, StreamViewSpec, UdfSpec
from headrace.schemas.plan import Plan
from tests.support.purchases import purchases_plan
from tests.support.window_oracle import RowUdf

INPUTS = (
    ColumnSpec(name="user", kind="long"),
    ColumnSpec(name="shop", kind="string"),
    ColumnSpec(name="event_ms", kind="long"),
    ColumnSpec(name="amount", kind="double"),
    ColumnSpec(name="items", kind="long"),
    ColumnSpec(name="note", kind="string", nullable=False),
)
OUTPUTS = (
    ColumnSpec(name="amount", kind="double"),
    ColumnSpec(name="items", kind="long"),
    ColumnSpec(name="shop", kind="string"),
)


def by_user(df: Any) -> Any:
    """A filter, changed columns, rows in another order; raises on two items."""
    if (df["items"] == 2).any():
        raise ValueError("two items")
    df = df[df["amount"] != 0.005]
    df["amount"] = df["amount"] * 2
    df["items"] = df["items"] * 3
    df["shop"] = df["shop"].where(df["items"].isna(), df["shop"].str.upper())
    return df.sort_values("shop", ascending=False)


def by_user_row(event: dict) -> dict | None:
    if event["items"] == 2:
        raise ValueError
    if event["amount"] == 0.005:
        return None
    items = None if event["items"] is None else event["items"] * 3
    amount = None if event["amount"] is None else event["amount"] * 2
    if amount is not None and amount == amount and abs(round(amount * 100)) >= 2**47:
        raise ValueError("too great for a sum in hundredths")
    return {
        **event,
        "amount": amount,
        "items": items,
        "shop": event["shop"] if items is None else event["shop"].upper(),
    }


def by_shop(df: Any) -> Any:
    """A derived column, from the event time too, beside nothing else; infinite where there are no items."""
    df = df[df["user"] >= 0]
    hour = df["event_ms"].dt.microsecond // 1000 % 7
    return df.assign(net=df["amount"] / df["items"].astype("float64") + hour)[["net", "items"]]


def by_shop_row(event: dict) -> dict | None:
    if event["user"] < 0:
        return None
    amount, items = event["amount"], event["items"]
    net = None
    if amount is not None and items is not None and amount == amount:
        if items == 0 and amount != 0:
            raise ValueError("infinite, which no sum holds")
        net = None if items == 0 else amount / items + event["event_ms"] % 1000 % 7
    return {**event, "net": net}


PANDAS = {"by_user": by_user, "by_shop": by_shop}
ROWS: Mapping[str, RowUdf] = {"by_user": by_user_row, "by_shop": by_shop_row}


def udf_plan(project: str = "shop", **rules: Any) -> Plan:
    """The purchases with a udf for two of three views, one of them behind the shuffle."""
    plan = purchases_plan(project, **rules)
    views = {view.name: view for view in plan.stream_views}
    net = (ColumnSpec(name="net", kind="double"), OUTPUTS[1])
    changed = (
        views["by_user"].model_copy(update={"udf": UdfSpec(source="1", inputs=INPUTS, outputs=OUTPUTS)}),
        _of_net(views["by_shop"]).model_copy(
            update={"udf": UdfSpec(source="2", inputs=INPUTS[:-1], outputs=net)}
        ),
        views["by_both"],
    )
    return plan.model_copy(update={"stream_views": changed})


def _of_net(view: StreamViewSpec) -> StreamViewSpec:
    kept = [a for a in view.aggregations if a.column != "shop"]
    made = [a.model_copy(update={"column": "net"}) if a.column == "amount" else a for a in kept]
    return view.model_copy(update={"aggregations": tuple(made)})


def transforms(plan: Plan) -> dict[str, PandasUdf]:
    """What executes them."""
    return {name: PandasUdf.of(plan.stream_view(name), plan.sources[0], udf) for name, udf in PANDAS.items()}
