"""What Redis itself does in one step, so that no other writer comes between.

A session has two keys, both with its id as their hash tag, and a channel:

`…:events`  the stream. An entry's id is its position; `e` is the event, and `p` the position before
            it, where that is not plain from its own.
`…:marks`   what has to be known before writing: the `fence` and `seq` of the last entry; whose it
            is (`generation`), where that answer `begin`s in the stream, and where the one `before`
            it does; or that the session was `removed`.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

KEEP_RUNNING_MS: Final = 3_600_000
KEEP_ENDED_MS: Final = 600_000
KEEP_REMOVED_MS: Final = 86_400_000
"""No claim of before is so old."""

STORED: Final = 1
LOST: Final = 0
"""What comes before is not held: go on with a snapshot."""
FENCED: Final = -1
"""A higher fence rules, or the session is gone."""

REMOVED: Final = b"removed"
"""What the channel says of a session that is gone."""


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", sha)


APPEND: Final = Script(f"""
-- KEYS: events, marks. ARGV: the channel, then of each entry: fence, seq, generation, event.
-- A repeat of what is stored is passed over. A gap is refused, but for what may follow one: what
-- has seq 0, and a snapshot. Only these may make the stream.
local marks = redis.call('HMGET', KEYS[2],
  'fence', 'seq', 'generation', 'begin', 'before', 'removed')
if marks[6] then return {FENCED} end
local fence, seq = tonumber(marks[1]), tonumber(marks[2])
local generation, begin, before = marks[3], marks[4], marks[5]
local said, keep = {{}}, nil
for i = 2, #ARGV, 4 do
  local f, s, whose, event = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  if fence and f < fence then return {FENCED} end
  if not (fence == f and s <= seq) then
    local kind = string.sub(event, 1, 1)
    local begins = s == 0 or kind == 's'
    if not begins and not (fence == f and s == seq + 1) then return {LOST} end
    local id = ARGV[i] .. '-' .. ARGV[i + 1]
    local previous = fence and (marks[1] .. '-' .. marks[2]) or ''
    local added
    if begins then
      added = redis.pcall('XADD', KEYS[1], id, 'e', event, 'p', previous)
    else
      added = redis.pcall('XADD', KEYS[1], 'NOMKSTREAM', id, 'e', event)
    end
    if not added then return {LOST} end
    if type(added) == 'table' and added.err then
      if string.find(added.err, 'equal or smaller', 1, true) then return {FENCED} end
      return redis.error_reply(added.err)
    end
    if begins and whose ~= generation then
      generation, before, begin = whose, begin, id
    end
    if kind == 'o' and (before or '') ~= '' then
      redis.call('XTRIM', KEYS[1], 'MINID', before)
    end
    if #said == 0 then said[1] = previous end
    said[#said + 1] = id .. ' ' .. event
    fence, seq, marks[1], marks[2] = f, s, ARGV[i], ARGV[i + 1]
    if kind == 'd' or kind == 't' or kind == 'f' then keep = {KEEP_ENDED_MS}
    elseif begins then keep = {KEEP_RUNNING_MS} end
  end
end
if #said == 0 then return {STORED} end
redis.call('HSET', KEYS[2], 'fence', marks[1], 'seq', marks[2], 'generation', generation or '',
  'begin', begin or '', 'before', before or '')
if keep then
  redis.call('PEXPIRE', KEYS[1], keep)
  redis.call('PEXPIRE', KEYS[2], keep)
end
redis.call('PUBLISH', ARGV[1], table.concat(said, '\\n'))
return {STORED}
""")

REMOVE: Final = Script(f"""
-- KEYS: events, marks. ARGV: the channel.
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], 'removed', '1')
redis.call('PEXPIRE', KEYS[2], {KEEP_REMOVED_MS})
redis.call('PUBLISH', ARGV[1], '{REMOVED.decode()}')
return {STORED}
""")

SIT: Final = Script("""
-- KEYS: the seats of a user, each with the millisecond in which it is over. ARGV: for how many
-- milliseconds, how many there may be in all, then the seats. Those that are taken are prolonged.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for n = 3, #ARGV do
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
  redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[n])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
""")
