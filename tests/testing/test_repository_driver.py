"""`RepositoryDriver` answers as the SDK does, from the definitions alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.field_status import FieldStatus
from headrace.schemas.errors import RecordError, UnknownNameError
from headrace.testing import RepositoryDriver
from tests.support.clicks_project import NOON_MS, make_clicks_project

HOUR = 3_600_000
BOTH = ["user_clicks:clicks_1h", "user_clicks:spent_1h"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clicks_project(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(folder: Path) -> RepositoryDriver:
    return RepositoryDriver(folder, partitions=2)


def click(user: str, minutes: int, price: int) -> dict[str, object]:
    return {"user": user, "event_ms": NOON_MS + minutes * 60_000, "price": price}


def row(driver: RepositoryDriver, user: str) -> dict[str, object]:
    (answer,) = driver.get_online_features(BOTH, [{"user": user}], full_feature_names=False).rows()
    return answer


def test_a_window_counts_and_empties_in_event_time(driver: RepositoryDriver) -> None:
    driver.send("clicks", [click("ada", 0, 5), click("bob", 1, 7), click("ada", 30, 2)])
    assert row(driver, "ada") == {"user": "ada", "clicks_1h": 2, "spent_1h": 7}
    assert row(driver, "bob") == {"user": "bob", "clicks_1h": 1, "spent_1h": 7}
    driver.advance("clicks", NOON_MS + HOUR + 6 * 60_000)
    assert row(driver, "ada") == {"user": "ada", "clicks_1h": 1, "spent_1h": 2}
    driver.advance("clicks", NOON_MS + 3 * HOUR)
    assert row(driver, "ada")["clicks_1h"] == 0


def test_what_nobody_sent_is_not_found(driver: RepositoryDriver) -> None:
    answer = driver.get_online_features(["user_clicks:clicks_1h"], [{"user": "eve"}])
    assert answer.statuses["user_clicks__clicks_1h"] == [FieldStatus.NOT_FOUND]


def test_late_and_unreadable_records_are_dead_letters(driver: RepositoryDriver) -> None:
    driver.send("clicks", [click("ada", 60, 1)])
    driver.send("clicks", [click("ada", 0, 1)])
    driver.append("clicks", b"no event", b"ada")
    assert [dead_letter.kind for dead_letter in driver.dead_letters] == ["late", "malformed"]
    assert row(driver, "ada")["clicks_1h"] == 1


def test_an_event_that_does_not_fit_is_refused_as_by_the_producer(driver: RepositoryDriver) -> None:
    with pytest.raises(RecordError, match="price"):
        driver.send("clicks", [click("ada", 0, 1), {**click("ada", 1, 1), "price": "much"}])
    assert not any(driver.logs["clicks"].partitions)


def test_a_source_without_views_is_named(driver: RepositoryDriver) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'clicks'"):
        driver.send("click", [])


def test_a_crash_changes_nothing(driver: RepositoryDriver) -> None:
    driver.send("clicks", [click("ada", 0, 5)])
    driver.checkpoint()
    driver.send("clicks", [click("ada", 2, 1), click("bob", 1, 7)])
    before = row(driver, "ada"), row(driver, "bob")
    driver.crash()
    assert (row(driver, "ada"), row(driver, "bob")) == before
    driver.send("clicks", [click("ada", 3, 1)])
    assert row(driver, "ada")["clicks_1h"] == 3


def test_batch_views_come_from_their_tables(driver: RepositoryDriver) -> None:
    assert driver.materialize() == {"user_profile": 2}
    answer = driver.get_online_features("everything", [{"user": "ada"}], full_feature_names=False)
    assert answer.columns["age"] == [36]
