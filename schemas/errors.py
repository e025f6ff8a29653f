"""The one error tree. Every message names the object, the offending value and the way out."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.schemas.name_hint import name_hint


class HeadraceError(Exception):
    """Base of everything Headrace raises on purpose."""


class DefinitionError(HeadraceError):
    """A definition in the user's repository cannot be executed as written.

    Parameters
    ----------
    file
        Path of the file that holds the definition, as the user knows it.
    name
        The object, for example ``stream feature view 'carrier_delays'``.
    problem
        What was found, with the offending value.
    remedy
        What to write instead.
    """

    def __init__(self, file: str, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"{file}: {name}: {problem}. {remedy}")
        self.file, self.name, self.problem, self.remedy = file, name, problem, remedy


class SettingsError(HeadraceError):
    """A setting is missing or has a value that cannot be used."""


class PlanError(HeadraceError):
    """There is no plan, or it is not the one that was asked for."""


class SchemaError(HeadraceError):
    """An Avro schema cannot be used, or two schemas are not compatible."""


class RecordError(HeadraceError):
    """One record cannot be processed; it belongs on the dead-letter topic."""


class StateError(HeadraceError):
    """Partition state cannot be restored or does not fit the plan."""


class ProgressTimeout(HeadraceError):
    """A log prefix did not become visible in time; the message says which stage is behind."""


class UnknownNameError(HeadraceError):
    """A view, feature, service, learner or router of that name is not in the plan."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"{kind} not found: '{name}'; {name_hint(name, known)}")


class ModelError(HeadraceError):
    """A model artifact is missing, not authentic, or holds something that may not be loaded."""


class ServiceUnavailable(HeadraceError):
    """A part that is needed (Kafka, Redis) cannot be reached."""


class DeliveryError(HeadraceError):
    """Records of one topic are not in Kafka.

    Parameters
    ----------
    topic
        Where they were to go.
    counts
        Partition to how many of them; -1 stands for those that had none yet.
    cause
        What became of the first.
    remedy
        What to do about it.
    """

    def __init__(self, topic: str, counts: Mapping[int, int], cause: str, remedy: str) -> None:
        where = ", ".join(
            f"{count} {'in no partition' if partition < 0 else f'in partition {partition}'}"
            for partition, count in sorted(counts.items())
        )
        super().__init__(
            f"topic '{topic}': records that were not delivered: {where}; the first: {cause}. {remedy}"
        )
        self.topic, self.counts, self.cause, self.remedy = topic, dict(counts), cause, remedy

    @property
    def count(self) -> int:
        """How many records were not delivered."""
        return sum(self.counts.values())


class RequestError(HeadraceError):
    """A request cannot be answered as it stands; `field` is the path of what to change."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}. {remedy}")
        self.field = field
