"""The SDK: read features by service or by name, from Redis alone, and push rows.

A client needs the plan and Redis. It imports neither Feast nor pandas, until a request asks for an on-demand
feature view.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.featurestore.online.connect import load_plan, now_or, wait_for
from headrace.featurestore.online.exchange import Exchange
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.online.retrieval import EntityRows, Features, Retrievals
from headrace.streams.progress import Until

if TYPE_CHECKING:
    from headrace.featurestore.online.push import Pusher
    from headrace.schemas.plan import Plan


class FeatureClient:
    """Reads online features and pushes rows. Threads may share one, and a forked process may go on using it.

    Use `connect` for the plan in force, or pass a plan. Close the client, or use it as a context manager, to
    give its connections back.

    Parameters
    ----------
    plan
        The plan of the project.
    redis_url
        The online store: ``redis://host:port/db``, ``rediss://`` with TLS, ``redis+cluster://`` or
        ``redis+sentinel://``. The options ``max_connections``, ``socket_timeout`` and ``retries`` of the URL
        say how many requests may be under way at once, how long one waits, and how often it is repeated.
    timeout_s
        How long a reply may take, in seconds, where the URL has no ``socket_timeout``.
    repo_dir
        The Feast repository, which has the functions of on-demand feature views. Their file is imported, and
        Feast with it, at the first request for one of them, when it is in this folder and has the text of the
        plan's function. Requests for other views do without it.

    Attributes
    ----------
    plan
        The plan that the client reads by.

    Raises
    ------
    SettingsError
        When the URL cannot be used.

    Examples
    --------
    >>> from headrace import FeatureClient
    >>> client = FeatureClient.connect("redis://127.0.0.1:6379/0", "flights")  # doctest: +SKIP
    >>> response = client.get_online_features(  # doctest: +SKIP
    ...     "delays", [{"carrier": "UA"}, {"carrier": "XX"}]
    ... )
    >>> response.rows()  # doctest: +SKIP
    [{'carrier': 'UA', 'carrier_delays__mean_1h': 12.5}, {'carrier': 'XX', 'carrier_delays__mean_1h': None}]
    >>> [status.value for status in response.statuses["carrier_delays__mean_1h"]]  # doctest: +SKIP
    ['PRESENT', 'NOT_FOUND']
    >>> client.close()  # doctest: +SKIP
    """

    def __init__(
        self, plan: Plan, redis_url: str, timeout_s: float = 5.0, repo_dir: Path | str | None = None
    ) -> None:
        self.plan = plan
        self._redis_url = redis_url
        self._exchange = Exchange(redis_url, timeout_s)
        self._retrievals = Retrievals(plan, repo_dir)
        self._push: Pusher | None = None

    @classmethod
    def connect(
        cls,
        redis_url: str,
        project: str,
        timeout_s: float = 5.0,
        repo_dir: Path | str | None = None,
        plan_key: str | bytes | None = None,
    ) -> FeatureClient:
        """Make a client for the plan in force: the one that `headrace apply` stored last.

        A plan that is applied later takes a new client.

        Parameters
        ----------
        redis_url, timeout_s, repo_dir
            As for `FeatureClient`.
        project
            The Feast project.
        plan_key
            The setting `plan_key`: a plan that `headrace apply` has not signed with it is refused. None:
            plans are compared with their hashes alone, which whoever can write to Redis can make.

        Raises
        ------
        PlanError
            When the project has no plan, one that this version cannot read, or one that is not signed with
            `plan_key`.
        SettingsError
            When the URL cannot be used.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        return cls(load_plan(redis_url, project, timeout_s, plan_key), redis_url, timeout_s, repo_dir)

    def get_online_features(
        self,
        features: Features,
        entity_rows: EntityRows,
        full_feature_names: bool = True,
        now_ms: int | None = None,
    ) -> FeatureResponse:
        """Read features of entities, all in one round trip.

        An entity that is asked for twice is read once. In a cluster the round trip goes to all servers at
        once.

        Parameters
        ----------
        features
            The name of a feature service, Feast's `FeatureService` (of which the name counts), or a list of
            ``view:feature``.
        entity_rows
            A list of dicts, one per row, or a dict of columns, with the join keys of the features and the
            request fields of on-demand views. Additional keys are ignored. Where no join key is needed, as
            for views without entities, the rows still count.
        full_feature_names
            Whether features are called ``view__feature`` in the response; else ``feature``.
        now_ms
            The time by which the ttl of views is judged, epoch milliseconds; the wall clock when None.

        Returns
        -------
        FeatureResponse
            One value and one status per feature and row, in the order of `entity_rows`.

        Raises
        ------
        UnknownNameError
            When a service, view, feature, join key or request field is not known; names the nearest.
        HeadraceError
            When a join key has a value of another type, two features would have one name, or a stored value
            is of a type that Headrace does not read.
        DefinitionError
            When an on-demand view cannot be computed.
        ServiceUnavailable
            When Redis does not answer within the time-out and the retries, or all connections stay in use for
            that long.
        """
        request = self._retrievals.get(features, full_feature_names).request(entity_rows)
        return request.respond(self._exchange.run(request.keys, request.commands), now_or(now_ms))

    def push(self, source: str, rows: Any) -> dict[str, int]:
        """Write rows to all views of a push source, as Feast's ``store.push`` does: a later row stays.

        All rows are checked before any is written. A row is written when its event time is after that of the
        row that is there, which one script per row decides; of rows of one entity with equal times the first
        stays. Times up to 1970 never stop a row, as Feast has it.

        Parameters
        ----------
        source
            The name of the push source.
        rows
            A list of dicts, a dict of columns, or a frame of pandas or pyarrow: with the join keys and
            features of the views and the event time, by their names or those of the source's table. Other
            columns are ignored. Times without a zone are UTC; None, NaN and NaT are null.

        Returns
        -------
        dict
            How many rows were written, by view. Those that are sent again because an answer was lost do not
            count.

        Raises
        ------
        UnknownNameError
            When no view is on a push source of that name; names the nearest.
        RequestError
            When `rows` is no table, lacks a column, or has a value that cannot be used; names row and column.
            Nothing is written.
        PlanError
            When the plan in force has other views on the source. Nothing is written.
        ServiceUnavailable
            When Redis does not answer. Some rows may be written: push them all again.
        """
        return self._pusher().push(self.plan.push_source(source), rows)

    def wait(
        self, topic: str, prefix: Mapping[int, int], until: Until = "features", timeout_s: float = 30.0
    ) -> None:
        """Block until the effects of a prefix of a topic are visible: read your own writes.

        Parameters
        ----------
        topic
            An event topic, or the predictions or outcomes topic of a router.
        prefix
            Partition to next offset: the effects of all records before that offset are waited for. A producer
            returns these offsets; see `EventProducer.flush`.
        until
            How far downstream: ``features`` (online rows), ``examples`` (joined), ``models`` (in a published
            version) or ``serve`` (in the versions that answer).
        timeout_s
            How long to wait, in seconds.

        Raises
        ------
        ProgressTimeout
            When the time is over; names the stage, partition and member that is behind, and by how much.
        UnknownNameError
            When no stage reads that topic.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        wait_for(self._redis_url, self.plan, topic, prefix, until, timeout_s)

    def close(self) -> None:
        """Close all connections."""
        self._exchange.close()

    def _pusher(self) -> Pusher:
        from headrace.featurestore.online.push import Pusher  # numpy, which reading does without

        if self._push is None:
            self._push = Pusher(self.plan, self._redis_url, self._exchange)
        return self._push

    def __enter__(self) -> FeatureClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
