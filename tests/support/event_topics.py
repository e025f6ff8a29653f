"""Event topics as users have them: with the producers' own timestamps."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient, NewTopic

from headrace.deploy.commands.topics import ensure_topics, event_topics
from headrace.schemas.plan import Plan


def make_topics(bootstrap: str, plan: Plan, partitions: int) -> None:
    """Make the topics of a plan, those of its events first."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = {"retention.ms": "-1", "message.timestamp.type": "CreateTime"}
    missing = set(event_topics(plan)) - set(admin.list_topics(timeout=30).topics)
    topics = [NewTopic(name, partitions, 1, config=config) for name in sorted(missing)]
    for created in admin.create_topics(topics).values() if topics else ():
        created.result()
    ensure_topics(bootstrap, plan, event_partitions=partitions)
