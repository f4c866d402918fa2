-- A replica shows that it is alive and learns who else is, in one step that needs a Redis that can write.
--
-- KEYS[1]  replicas: a sorted set of their names by when they were last heard of, in microseconds
-- KEYS[2]  the news: a stream, kept alive
-- ARGV     now in microseconds or "" for the time of Redis, name of the replica, life of a silent replica in microseconds
-- -> {when Redis heard of this replica before, "" when it never did, now, replicas}
--
-- A replica that was heard of later than Redis remembers knows that Redis has lost what came in between.

local DAY = 86400000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local function instant(at)
  return string.format('%.0f', at)
end

local before = redis.call('ZSCORE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[1], instant(now), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', instant(now - DAY * 1000))
redis.call('PEXPIRE', KEYS[1], DAY)
redis.call('PEXPIRE', KEYS[2], DAY)
return { before and instant(before) or '', now, redis.call('ZCOUNT', KEYS[1], instant(now - ARGV[3]), '+inf') }
