"""Scripts that write to Redis unless a later prefix of the same log has been written there.

A process that has lost a partition while it was paused does not know. So each write decides on its own, in
one step, whether it still counts. Each script touches one key, so that a cluster takes it too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import redis


@dataclass(frozen=True)
class Script:
    """A Lua script, called by its digest once a connection has loaded it."""

    text: str

    @property
    def digest(self) -> str:
        """SHA-1 of the text, in hex, for EVALSHA."""
        return hashlib.sha1(self.text.encode()).hexdigest()


# KEYS[1] is an entity's hash. ARGV are fields and values as HSET takes them; the last pair is the provenance:
# partition, offset, as-of time and state. One from before rows named their state always gives way.
_ROW = """
local has = redis.call('HGET', KEYS[1], ARGV[#ARGV - 1])
local is = has and 1 or 2
if has and #has == 28 then
  local partition, offset, as_of, state = struct.unpack('<i4i8i8c8', has)
  local p, o, a, s = struct.unpack('<i4i8i8c8', ARGV[#ARGV])
  if s == state then
    if p ~= partition then
      is = 3
    elseif offset > o or (offset == o and as_of > a) then
      is = 4
    elseif offset == o and as_of == a then
      is = 0
    end
  end
end
if %s then
  redis.call('HSET', KEYS[1], unpack(ARGV))%s
end
return is
"""
_EXPIRE = "\n  redis.call('EXPIRE', KEYS[1], {})"


def row_script(ttl_s: int = 0) -> Script:
    """Return the script that writes a row of a stream view; 0: for ever."""
    return Script(_ROW % ("is ~= 4", _EXPIRE.format(ttl_s) if ttl_s else ""))


def restore_script(ttl_s: int = 0) -> Script:
    """Return the script that writes a row that is lost or older, and leaves what another partition wrote."""
    return Script(_ROW % ("is == 1 or is == 2", _EXPIRE.format(ttl_s) if ttl_s else ""))


def batch_row_script(ttl_s: int) -> Script:
    """Return the script that writes a row of a batch view, which Redis forgets after a time."""
    return Script(f"redis.call('HSET', KEYS[1], unpack(ARGV))\nreturn redis.call('EXPIRE', KEYS[1], {ttl_s})")


# KEYS[1] is an entity's hash. ARGV are fields and values as HSET takes them; the last pair is the field of
# the event time and the time, a protobuf Timestamp. Times up to 1970 never stop a row, as Feast has it.
_TIMED_ROW = """
local function time(raw)
  local numbers, at = {0, 0}, 1
  while at <= #raw do
    local field, size = math.floor(raw:byte(at) / 8), 1
    while (raw:byte(at + size) or 0) >= 128 do size = size + 1 end
    local is_negative, number, scale = size == 10, 0, 1
    for n = 1, math.min(size, 9) do
      local bits = math.fmod(raw:byte(at + n) or 0, 128)
      number, scale = number + (is_negative and 127 - bits or bits) * scale, scale * 128
    end
    numbers[field] = is_negative and -1 - number or number
    at = at + size + 1
  end
  return numbers[1], numbers[2]
end
local has = redis.call('HGET', KEYS[1], ARGV[#ARGV - 1])
if has then
  local seconds, nanos = time(has)
  local s, n = time(ARGV[#ARGV])
  if (seconds > 0 or (seconds == 0 and nanos > 0)) and (s < seconds or (s == seconds and n %s nanos)) then
    return 0
  end
end
redis.call('HSET', KEYS[1], unpack(ARGV))%s
return 1
"""


def timed_row_script(ttl_s: int, replaces_equal: bool) -> Script:
    """Return the script that writes a row unless the one that is there has a later event time.

    It returns 1 where it has written the row, else 0.

    Parameters
    ----------
    ttl_s
        After this Redis forgets the entity; 0: never.
    replaces_equal
        Whether a row of the same time is replaced.
    """
    comparison = "<" if replaces_equal else "<="
    return Script(_TIMED_ROW % (comparison, _EXPIRE.format(ttl_s) if ttl_s else ""))


SAME, OLDER, MISSING, ELSEWHERE, NEWER = range(5)  # the row that was there: the reply of both

# What is there may be anything: many accounts write to these hashes. What is damaged counts as none.
_THERE = """
local function at_of(text, state, name)
  local is_read, there = pcall(cjson.decode, text)
  return is_read and type(there) == 'table' and there.state == state and there[name]
end
"""

# KEYS[1] is a hash. ARGV: the field that holds the prefix which the others stand for, its value, then fields
# and values. Returns 1 when they were written, 0 when those of a later prefix are there.
WRITE_FIELDS = Script(f"""{_THERE}
local ours = cjson.decode(ARGV[2])
local has = at_of(redis.call('HGET', KEYS[1], ARGV[1]), ours.state, 'next')
if type(has) == 'number' and has > ours.next then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
""")

# KEYS[1] is a hash. ARGV: the field of the last batch that a process has counted, the batch, a field and the
# number to add to it. Returns 0 when the batch is counted already: the reply was lost, and it is sent again.
# What is there and is no number counts as none.
COUNT_ONCE = Script("""
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local added = redis.pcall('HINCRBY', KEYS[1], ARGV[3], ARGV[4])
if type(added) == 'table' then redis.call('HSET', KEYS[1], ARGV[3], ARGV[4]) end
return 1
""")

# KEYS[1] is a hash. ARGV, in fours: a field, its value, the field of the position that the value stands for,
# and that position: numbers, of which the first that differs decides. Of the same state, what is older is
# passed over. Returns how many were written.
WRITE_NEWER = Script(f"""{_THERE}
local function is_older(ours, text)
  local has = at_of(text, ours.state, 'at')
  if type(has) ~= 'table' then return false end
  for n, number in ipairs(ours.at) do
    if type(has[n]) ~= 'number' then return false end
    if number ~= has[n] then return number < has[n] end
  end
  return false
end
local written = 0
for n = 1, #ARGV, 4 do
  if not is_older(cjson.decode(ARGV[n + 3]), redis.call('HGET', KEYS[1], ARGV[n + 2])) then
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3])
    written = written + 1
  end
end
return written
""")

PREFIX_MARK = "@"  # begins the name of a field that holds a prefix or a position


@dataclass(frozen=True)
class HashUpdate:
    """Fields of one Redis hash that follow from a prefix of a log: progress and counts.

    Attributes
    ----------
    key
        Key of the hash.
    log
        Name of the log. Updates of one log replace each other, never a later prefix by an earlier one.
    offset
        End of the prefix.
    fields
        Values by field name.
    state
        Eight bytes that name the state they follow from; offsets of two states do not compare.
    """

    key: str
    log: str
    offset: int
    fields: Mapping[str, str]
    state: bytes = bytes(8)


def field_words(update: HashUpdate) -> list[str]:
    """Return the arguments of `WRITE_FIELDS` behind the key.

    Examples
    --------
    >>> field_words(HashUpdate("headrace:shop:counts", "clicks[0]", 7, {"applied": "6"}))
    ['@clicks[0]', '{"state": "0000000000000000", "next": 7}', 'applied', '6']
    """
    prefix = json.dumps({"state": update.state.hex(), "next": update.offset})
    return [f"{PREFIX_MARK}{update.log}", prefix, *(word for item in update.fields.items() for word in item)]


def write_fields(client: redis.Redis, updates: Iterable[HashUpdate]) -> None:
    """Run `WRITE_FIELDS` for each update."""
    for update in updates:
        if update.fields:
            client.eval(WRITE_FIELDS.text, 1, update.key, *field_words(update))


def write_newer(
    client: redis.Redis, key: str, values: Mapping[str, tuple[str, Sequence[int]]], state: str
) -> None:
    """Run `WRITE_NEWER` for fields of one hash.

    Parameters
    ----------
    key
        Key of the hash.
    values
        Field to its value, and the position in a log that the value stands for.
    state
        Names what the positions are of; positions of two states do not compare.
    """
    words = [
        word
        for field, (value, at) in values.items()
        for word in (field, value, f"{PREFIX_MARK}{field}", json.dumps({"state": state, "at": list(at)}))
    ]
    if words:
        client.eval(WRITE_NEWER.text, 1, key, *words)
