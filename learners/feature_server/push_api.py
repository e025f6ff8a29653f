"""Pushes of rows over HTTP, as clients of Feast's feature server send them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headrace.schemas.errors import RequestError

_FEASTS = ("online", "offline", "online_and_offline")


class PushedFrame(BaseModel):
    """Rows, as columns. What else a client sends is passed over, as Feast does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    df: dict[str, Any] = Field(description="columns: lists, or objects of values by row")
    allow_registry_cache: bool = Field(True, description="without effect: the plan says what views there are")
    transform_on_write: bool = Field(True, description="without effect: on-demand views are not written")


class PushRequest(PushedFrame):
    """Rows for the views of a push source."""

    push_source_name: str
    to: str = Field("online", description="online")

    def check_target(self, tables: str) -> None:
        """Refuse a push to the offline store.

        Parameters
        ----------
        tables
            The tables that hold the past of the views, for the remedy.

        Raises
        ------
        RequestError
            When `to` is not ``online``.
        """
        if self.to not in _FEASTS:
            raise RequestError("to", f"{self.to[:100]!r} is no store to push to", "Send 'online'")
        if self.to != "online":
            problem = f"rows are pushed to the online store alone, not to {self.to!r}"
            remedy = f"Send 'online', and write the rows to {tables} by what else writes there"
            raise RequestError("to", problem, remedy)


class WriteRequest(PushedFrame):
    """Rows for one view, as Feast's client sends them whose online store is of type ``remote``."""

    feature_view_name: str


class PushAnswer(BaseModel):
    written: dict[str, int] = Field(description="rows that were written, by view: later than what was there")
