"""Plans in Redis: each for ever under its hash with its signature, and a pointer to the plan in force.

A plan is read when its text has the hash that its key names. Where the reader has a key, it must be signed.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import redis

from headrace.schemas.encodings import Encoding
from headrace.schemas.errors import PlanError, ServiceUnavailable
from headrace.schemas.signatures import Signer
from headrace.streams.connections.redis import redis_client

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan

SIGNATURE = Encoding(
    version=1,
    remedy="run `headrace apply` with the installed version",
    error=PlanError,
)
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN = 12  # characters of a hash


def plan_key(project: str, hash: str | None = None) -> str:
    """The Redis key of a plan by its hash, or of the pointer without one.

    >>> plan_key("flights"), plan_key("flights", "5e884898")
    ('headrace:flights:plan', 'headrace:flights:plan:5e884898')
    """
    return f"headrace:{project}:plan" + (f":{hash}" if hash else "")


def signature_key(project: str, hash: str) -> str:
    """The Redis key of the signature of a plan.

    >>> signature_key("flights", "5e884898")
    'headrace:flights:plan:5e884898:signature'
    """
    return f"{plan_key(project, hash)}:signature"


def signature_text(signature: str) -> str:
    """Encode a signature, for `read_signature`."""
    return json.dumps({**SIGNATURE.stamp(), "signature": signature})


def read_signature(text: str) -> str | None:
    """Decode what `signature_text` encoded; None of another text.

    Raises
    ------
    PlanError
        When it has a version that is not read.
    """
    try:
        raw = json.loads(text)
        signature = raw["signature"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    SIGNATURE.check(raw, "the signature of a plan in Redis")
    return signature if isinstance(signature, str) else None


class PlanStore:
    """Saves and loads the plans of one project.

    Parameters
    ----------
    store
        A Redis URL, or a client.
    project
        The project.
    key
        Signs plans; plans that it has not signed are not loaded. None: plans are not signed, and are loaded
        when they have the hash that their key names.
    """

    def __init__(self, store: str | redis.Redis, project: str, key: bytes | None = None) -> None:
        self._redis = redis_client(store) if isinstance(store, str) else store
        self._project = project
        self._signer = None if key is None else Signer(key, "plan")

    def save(self, plan: Plan) -> None:
        """Store a plan and put it in force; see `keep` and `put_in_force`."""
        self.keep(plan)
        self.put_in_force(plan)

    def keep(self, plan: Plan) -> None:
        """Store a plan under its hash, with its signature. The plan in force stays.

        Raises
        ------
        PlanError
            When the plan is of another project.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        if plan.project != self._project:
            raise PlanError(
                f"the plan is of project '{plan.project}', the store of '{self._project}'; use its own"
            )
        try:
            self._redis.set(plan_key(self._project, plan.hash), plan.to_json())
            if self._signer is not None:
                self._redis.set(
                    signature_key(self._project, plan.hash),
                    signature_text(self._signer.sign(self._project, plan.hash)),
                )
        except redis.RedisError as error:
            raise ServiceUnavailable(f"the plan cannot be stored: {error}") from error

    def put_in_force(self, plan: Plan) -> None:
        """Put a plan that is stored in force. When the answer of Redis is lost, Redis is asked.

        Raises
        ------
        ServiceUnavailable
            When it is not in force, or Redis does not say so.
        """
        try:
            self._redis.set(plan_key(self._project), plan.hash)
        except redis.RedisError as error:
            with contextlib.suppress(PlanError, ServiceUnavailable):
                if self.hash_in_force() == plan.hash:
                    return
            raise ServiceUnavailable(f"the plan cannot be put in force: {error}") from error

    def hash_in_force(self) -> str | None:
        """Return the hash of the plan that was applied last; None when none was.

        Raises
        ------
        PlanError
            When what is there is no hash.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        plan_hash = self._text(plan_key(self._project))
        if plan_hash is not None and not _HASH.fullmatch(plan_hash):
            raise self._unfit("the plan in force", f"its hash is {plan_hash[:_SHOWN]!r}, which is none")
        return plan_hash

    def in_force(self) -> Plan | None:
        """Load the plan that was applied last; None when none was. Raises as `load` does."""
        plan_hash = self.hash_in_force()
        return self.load(plan_hash) if plan_hash is not None else None

    def load(self, hash: str | None = None) -> Plan:
        """Load a plan by its hash, or the plan in force.

        Raises
        ------
        PlanError
            When there is no such plan, it is not the one that its key names, it is not signed with the key,
            or it cannot be read by this version.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        from headrace.schemas.plan import Plan, text_hash  # most of what the SDK takes to import

        plan_hash = self.hash_in_force() if hash is None else hash
        text = self._text(plan_key(self._project, plan_hash)) if plan_hash else None
        if plan_hash is None or text is None:
            which = f"plan {hash}" if hash else "plan"
            raise PlanError(f"project '{self._project}' has no {which} in Redis; run `headrace apply`")
        what = f"plan {plan_hash[:_SHOWN]}"
        if text_hash(text) != plan_hash:
            raise self._unfit(what, "it is not the plan that was stored under its hash")
        self._check_signature(what, plan_hash)
        plan = Plan.from_json(text)
        if plan.project != self._project:
            raise self._unfit(what, f"it is of project '{plan.project}'")
        return plan

    def _check_signature(self, what: str, plan_hash: str) -> None:
        if self._signer is None:
            return
        text = self._text(signature_key(self._project, plan_hash))
        if text is None:
            raise self._unfit(what, "it is not signed, and this process has a key for plans")
        signature = read_signature(text)
        if signature is None:
            raise self._unfit(what, "its signature cannot be read")
        if not self._signer.fits(signature, self._project, plan_hash):
            raise self._unfit(what, "it is not signed with the key of this process")

    def _unfit(self, what: str, problem: str) -> PlanError:
        return PlanError(
            f"{what} of project '{self._project}' in Redis is not used: {problem}. See who can write to "
            "Redis, and run `headrace apply` with the key that all processes have (HEADRACE_PLAN_KEY)"
        )

    def _text(self, key: str) -> str | None:
        try:
            value: Any = self._redis.get(key)
        except redis.RedisError as error:
            raise ServiceUnavailable(f"the plan cannot be read: {error}") from error
        return value.decode(errors="replace") if isinstance(value, bytes) else value
